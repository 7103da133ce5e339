package keyring

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
)

func open(t *testing.T, pool *pgxpool.Pool, key byte) (*Ring, error) {
	t.Helper()
	sealing := make([]byte, sealingKeySize)
	sealing[0] = key
	sealer, err := NewLocalSealer(sealing)
	if err != nil {
		t.Fatal(err)
	}
	return Open(context.Background(), Options{Pool: pool, Log: audit.New(pool), Sealer: sealer, Algorithms: []Algorithm{RS256, ES256, PS256}})
}

func TestReplicasShareTheirFirstKeys(t *testing.T) {
	pool := pgtest.New(t)
	rings := make(chan *Ring, 4)
	for range 4 {
		go func() {
			r, err := open(t, pool, 1)
			if err != nil {
				t.Error(err)
			}
			rings <- r
		}()
	}
	first := <-rings
	for range 3 {
		if r := <-rings; r != nil && first != nil && string(r.JWKS().Body) != string(first.JWKS().Body) {
			if err := r.Reload(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
	keys, err := first.Keys(context.Background())
	if err != nil || len(keys) != 3 {
		t.Errorf("%d keys, %v; want one of each algorithm", len(keys), err)
	}
}

func TestALostSealingKeyIsAnError(t *testing.T) {
	pool := pgtest.New(t)
	if _, err := open(t, pool, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, pool, 2); err == nil || !strings.Contains(err.Error(), "sealing key") {
		t.Errorf("opening with another sealing key = %v", err)
	}
	var n int
	if err := pool.QueryRow(context.Background(), `select count(*) from signing_key`).Scan(&n); err != nil || n != 3 {
		t.Errorf("%d keys, %v: a silent new key", n, err)
	}
}

func TestPrivateKeysAreNeverOpenInTheDatabaseOrTheJWKS(t *testing.T) {
	pool := pgtest.New(t)
	r, err := open(t, pool, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, private := range []string{`"d"`, `"p"`, `"q"`} {
		if strings.Contains(string(r.JWKS().Body), private) {
			t.Errorf("the key set holds %s", private)
		}
	}
	var found bool
	// The DER of a PKCS #8 RSA key holds its algorithm's object identifier.
	if err := pool.QueryRow(context.Background(), `select exists (select from signing_key where position('\x2a864886f70d010101'::bytea in sealed) > 0)`).Scan(&found); err != nil || found {
		t.Errorf("a private key stands open: %v %v", found, err)
	}
}

func TestRotationPublishesBeforeItSigns(t *testing.T) {
	pool := pgtest.New(t)
	r, err := open(t, pool, 1)
	if err != nil {
		t.Fatal(err)
	}
	kid := func() string { return r.current.Load().signing[RS256].kid }
	old := kid()
	if err := r.Rotate(context.Background(), RS256); err != nil {
		t.Fatal(err)
	}
	if kid() != old {
		t.Error("the new key signs at once")
	}
	if len(r.current.Load().public) != 4 {
		t.Error("the new key is not published at once")
	}
	if err := r.Rotate(context.Background(), RS256); err == nil {
		t.Error("two rotations at once")
	}
	rows, err := r.load(context.Background(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name      string
		after     time.Duration
		signsOld  bool
		published int
	}{
		{"before activation", DefaultPublishAhead - time.Minute, true, 4},
		{"after activation", DefaultPublishAhead + time.Minute, false, 4},
		{"while honoured", DefaultPublishAhead + DefaultHonourFor - time.Minute, false, 4},
		{"when retired", DefaultPublishAhead + DefaultHonourFor + time.Minute, false, 3},
	} {
		s, err := build(rows, time.Now().Add(tt.after))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.signing[RS256].kid == old; got != tt.signsOld || len(s.public) != tt.published {
			t.Errorf("%s: the old key signs: %v, %d published", tt.name, got, len(s.public))
		}
	}
}

func TestVerify(t *testing.T) {
	pool := pgtest.New(t)
	r, err := open(t, pool, 1)
	if err != nil {
		t.Fatal(err)
	}
	token, err := r.Sign(RS256, "at+jwt", map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	if payload, err := r.Verify(token, "at+jwt"); err != nil || string(payload) != `{"a":"b"}` {
		t.Errorf("%s %v", payload, err)
	}
	parts := strings.Split(token, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`))
	for name, bad := range map[string]string{"cut": token[:len(token)-2], "padded": token + "=", "none": none + "." + parts[1] + ".", "payload": parts[0] + ".e30." + parts[2], "long": strings.Repeat("x", maxTokenLength+1), "empty": ""} {
		if _, err := r.Verify(bad, "at+jwt"); !denial.Is(err, denial.TokenInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.Verify(token, "JWT"); !denial.Is(err, denial.TokenInvalid) {
		t.Error("an access token passes for an ID token")
	}
}

func BenchmarkSign(b *testing.B) {
	pool := pgtest.New(b)
	sealer, err := NewLocalSealer(make([]byte, sealingKeySize))
	if err != nil {
		b.Fatal(err)
	}
	r, err := Open(context.Background(), Options{Pool: pool, Log: audit.New(pool), Sealer: sealer, Algorithms: []Algorithm{RS256, ES256}})
	if err != nil {
		b.Fatal(err)
	}
	for _, alg := range []Algorithm{RS256, ES256} {
		b.Run(string(alg), func(b *testing.B) {
			for b.Loop() {
				if _, err := r.Sign(alg, "at+jwt", map[string]string{"sub": "x"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
