package keyring

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
)

func TestReplicasShareTheirFirstKeys(t *testing.T) {
	w := newWorld(t)
	rings := make(chan *Ring, 4)
	for range 4 {
		go func() {
			r, err := open(t.Context(), Options{Pool: w.pool, Log: audit.New(w.pool), Sealer: testSealer(t, 1)}, w.seams(new(time.Duration)))
			if err != nil {
				t.Error(err)
			}
			rings <- r
		}()
	}
	var first string
	for range 4 {
		r := <-rings
		if r == nil {
			continue
		}
		d, err := r.JWKS()
		w.must(err)
		if first == "" {
			first = string(d.Body)
		}
		if string(d.Body) != first {
			t.Error("two replicas publish different key sets")
		}
		for _, alg := range Algorithms() {
			if signer(r, alg) == "" {
				t.Errorf("%s has no key that signs", alg)
			}
		}
	}
	w.hold()
	if n := w.states(PS256)[Active]; n != 1 {
		t.Errorf("%d PS256 keys", n)
	}
}

func TestALostSealingKeyIsAnError(t *testing.T) {
	w := newWorld(t)
	r := w.ring()
	w.turn(r)
	before, err := AllKeys(t.Context(), w.pool)
	w.must(err)
	for range 2 {
		_, err := open(t.Context(), Options{Pool: w.pool, Log: audit.New(w.pool), Sealer: testSealer(t, 2)}, w.seams(new(time.Duration)))
		if err == nil || !strings.Contains(err.Error(), "start with the sealing key that was used") {
			t.Errorf("opening with another sealing key: %v", err)
		}
	}
	after, err := AllKeys(t.Context(), w.pool)
	if err != nil || len(after) != len(before) {
		t.Errorf("%d keys, were %d (%v): a silent new key", len(after), len(before), err)
	}
}

func TestPrivateKeysAreNeverOpenInTheDatabaseOrTheJWKS(t *testing.T) {
	w := newWorld(t)
	r := w.ring()
	w.turn(r)
	d, err := r.JWKS()
	w.must(err)
	for _, private := range []string{`"d"`, `"p"`, `"q"`} {
		if strings.Contains(string(d.Body), private) {
			t.Errorf("the key set holds %s", private)
		}
	}
	// Every private key as it is in memory, searched for in a dump of every table.
	var dump string
	w.must(w.pool.QueryRow(t.Context(), `select coalesce(string_agg(k::text, ' '), '') || (select coalesce(string_agg(a::text, ' '), '') from audit_entry a) from signing_key k`).Scan(&dump))
	for _, k := range r.current.Load().read.keys {
		var sealed []byte
		w.must(w.pool.QueryRow(t.Context(), `select sealed from signing_key where kid = $1`, k.ID).Scan(&sealed))
		private, err := r.openSealed(sealed, k.SealedUnder, k.ID)
		w.must(err)
		for _, piece := range [][]byte{private, private[len(private)-40:]} {
			for _, text := range []string{hexOf(piece), base64.StdEncoding.EncodeToString(piece)} {
				if strings.Contains(dump, text) {
					t.Errorf("the private key of %s stands open in the database", k.ID)
				}
			}
		}
	}
	if !strings.Contains(dump, r.options.Sealer.Name()) {
		t.Error("the dump does not hold the keys at all")
	}
}

func TestARotationHonoursTheKeyBefore(t *testing.T) {
	w := newWorld(t)
	r := w.ring()
	w.turn(r)
	old := signer(r, RS256)
	kid, err := r.Rotate(t.Context(), RS256, "test")
	if err != nil || kid != "" || signer(r, RS256) != old {
		t.Fatalf("a key that was published just now signs: %q %v", kid, err)
	}
	w.pass(DefaultPublishAhead-time.Minute, r)
	if signer(r, RS256) != old {
		t.Fatal("the successor signs before it was published for a day")
	}
	w.pass(time.Minute, r)
	successor := signer(r, RS256)
	if successor == old {
		t.Fatal("the demanded rotation was not done once it might be")
	}
	for _, tt := range []struct {
		name      string
		after     time.Duration
		published bool
	}{
		{"at once", 0, true},
		{"while the last token lives", LongestTokenLife, true},
		{"until gateways have looked", HonourFor - time.Second - LongestTokenLife, true},
		{"afterwards", time.Second, false},
	} {
		w.pass(tt.after, r)
		if publishes(r, old) != tt.published || !publishes(r, successor) {
			t.Errorf("%s: the old key is published: %v", tt.name, publishes(r, old))
		}
	}
	var sealed []byte
	w.must(w.pool.QueryRow(t.Context(), `select sealed from signing_key where kid = $1`, old).Scan(&sealed))
	if len(sealed) != 0 {
		t.Error("the private part of a retired key is kept")
	}
	w.hold()
	if kid, err := r.Rotate(t.Context(), "HS256", "test"); err == nil {
		t.Errorf("a ring of HS256: %q", kid)
	}
}

func TestReplicasLearnByNotificationAndWithoutOne(t *testing.T) {
	pool := pgtest.New(t)
	options := Options{Pool: pool, Log: audit.New(pool), Sealer: testSealer(t, 1), Algorithms: []Algorithm{ES256}}
	rings := make([]*Ring, 3)
	turned := make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range rings {
		var err error
		if rings[i], err = Open(t.Context(), options); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		rings[1].watch(ctx, zerolog.Nop(), func() { turned <- struct{}{} })
	}()
	<-turned // it listens, and has published a successor
	kid, err := rings[0].Import(t.Context(), ES256, testKey(t, ES256))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.After(20 * time.Second); !publishes(rings[1], kid); {
		select {
		case <-turned: // far sooner than the minute after which it would look by itself
		case <-deadline:
			t.Fatal("the notification did not arrive")
		}
	}
	cancel()
	<-done
	if publishes(rings[2], kid) {
		t.Error("a replica without notifications knows already: the test shows nothing")
	}
	if err := rings[2].Turn(t.Context()); err != nil || !publishes(rings[2], kid) {
		t.Errorf("looking does not replace a lost notification (%v)", err)
	}
}

func TestWithoutTheDatabaseNothingStaleIsUsed(t *testing.T) {
	w := newWorld(t)
	r := w.ring()
	token, err := r.Sign(ES256, "at+jwt", map[string]string{"a": "b"})
	w.must(err)
	w.pool.Close()
	w.now = w.now.Add(Lease)
	if _, err := r.Sign(ES256, "at+jwt", map[string]string{}); err != nil {
		t.Errorf("within the lease a request needs no database: %v", err)
	}
	if err := r.Turn(t.Context()); err == nil {
		t.Error("a turn without a database succeeds")
	}
	w.now = w.now.Add(time.Second)
	_, signed := r.Sign(ES256, "at+jwt", map[string]string{})
	_, published := r.JWKS()
	_, verified := r.Verify(token, "at+jwt")
	for name, err := range map[string]error{"Sign": signed, "JWKS": published, "Verify": verified} {
		if !errors.Is(err, ErrStale) {
			t.Errorf("%s after the lease: %v", name, err)
		}
	}
	if p := r.Problems(); len(p) != 1 || p[0].Code != ProblemStale {
		t.Errorf("problems %v", p)
	}
}

func TestAReplicaWhoseClockIsOffChangesNothing(t *testing.T) {
	for _, tt := range []struct {
		name  string
		off   time.Duration
		turns bool
	}{
		{"just within", MaxSkew, true},
		{"ahead", MaxSkew + time.Millisecond, false},
		{"behind", -MaxSkew - time.Millisecond, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			r, err := open(t.Context(), Options{Pool: w.pool, Log: audit.New(w.pool), Sealer: testSealer(t, 1)}, w.seams(&tt.off))
			w.must(err)
			w.turn(r)
			if got := w.states(RS256)[Pending] == 1; got != tt.turns {
				t.Errorf("published a successor: %v", got)
			}
			said := len(r.Problems()) == 1 && r.Problems()[0].Code == ProblemClockSkew
			if skew := r.current.Load().read.skew; said == tt.turns || skew != tt.off {
				t.Errorf("problems %v, skew %s", r.Problems(), skew)
			}
		})
	}
}

// Whoever writes to the table, by mistake or in another version, cannot break the rules.
func TestTheTableRefusesWhatTheRulesForbid(t *testing.T) {
	w := newWorld(t)
	r := w.ring()
	w.turn(r)
	for _, tt := range []struct{ name, sql, constraint string }{
		{"a standby signs before gateways know it", `update signing_key set activates_at = created_at, honoured_at = ready_at, retires_at = ready_at where activates_at is null and algorithm = 'RS256'`, "a_key_signs_only_when_ready"},
		{"two keys sign", `update signing_key set activates_at = ready_at where activates_at is null and algorithm = 'RS256'`, "one_current_key_for_each_algorithm"},
		{"two stand by", `update signing_key set activates_at = null where algorithm = 'RS256'`, "one_standby_for_each_algorithm"},
		{"withdrawn and published", `update signing_key set withdrawn_at = ready_at, honoured_at = ready_at, retires_at = ready_at + interval '1 hour' where activates_at is not null`, "a_withdrawn_key_is_retired"},
		{"erased while it signs", `update signing_key set destroyed_at = ready_at, sealed = '' where activates_at is not null`, "a_destroyed_key_is_retired"},
		{"called erased and kept", `update signing_key set destroyed_at = ready_at, honoured_at = ready_at, retires_at = ready_at where activates_at is null`, "a_destroyed_key_is_retired"},
		{"retired before it is honoured", `update signing_key set honoured_at = ready_at, retires_at = ready_at - interval '1 second'`, "retirement_follows_honour"},
		{"an unknown algorithm", `update signing_key set algorithm = 'HS256'`, "algorithm_is_known"},
		{"a demand of another kind", `insert into key_demand (algorithm, kind, cause, demanded_at) values ('RS256', 'retire', '', now())`, "kind_is_known"},
	} {
		if _, err := w.pool.Exec(t.Context(), tt.sql); !postgres.Violates(err, tt.constraint) {
			t.Errorf("%s: %v, want a violation of %s", tt.name, err, tt.constraint)
		}
	}
	w.hold()
}

// A database that fails over to a server whose clock is behind must not take
// back what is published, nor rotate twice.
func TestADatabaseClockThatGoesBack(t *testing.T) {
	w := newWorld(t)
	r := w.ring()
	w.pass(2*day, r)
	old := signer(r, ES256)
	successor, err := r.Rotate(t.Context(), ES256, "test")
	w.must(err)
	w.now = w.now.Add(-time.Hour)
	for range 3 {
		w.turn(r)
	}
	if signer(r, ES256) != old || !publishes(r, old) || !publishes(r, successor) {
		t.Errorf("an hour before the rotation %q signs", signer(r, ES256))
	}
	w.pass(time.Hour, r)
	if signer(r, ES256) != successor || !publishes(r, old) {
		t.Errorf("once the hour is back %q signs", signer(r, ES256))
	}
	if n := w.states(ES256); n[Active] != 1 || n[Pending] != 1 || n[Honoured] != 1 {
		t.Errorf("%v", n)
	}
}

func TestARingWakesWhenTheClockDecides(t *testing.T) {
	w := newWorld(t)
	r := w.ring()
	w.turn(r)
	next := func() time.Time { return r.current.Load().next }
	if want := w.now.Add(GatewayWindow); !next().Equal(want) {
		t.Errorf("wakes on %s, want %s, when an emergency may be done", next(), want)
	}
	w.pass(GatewayWindow, r)
	if want := r.current.Load().read.keys[3].CreatedAt.Add(DefaultPublishAhead); !next().Equal(want) {
		t.Errorf("wakes on %s, want %s, when a rotation may be done", next(), want)
	}
	w.pass(2*day, r)
	if want := r.current.Load().plans[RS256].Due; !next().Equal(want) {
		t.Errorf("wakes on %s, want %s, when a rotation is due", next(), want)
	}
}

func TestVerify(t *testing.T) {
	w := newWorld(t)
	r := w.ring()
	token, err := r.Sign(ES256, "at+jwt", map[string]string{"a": "b"})
	w.must(err)
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
	for _, tt := range []struct {
		alg Algorithm
		typ string
	}{{"HS256", "at+jwt"}, {RS256, "anything"}} {
		if _, err := r.Sign(tt.alg, tt.typ, nil); err == nil {
			t.Errorf("%v was signed", tt)
		}
	}
}

func TestRulesThatWouldSurpriseAGatewayAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, rules := range []Rules{{time.Hour, DefaultRotateEvery}, {DefaultPublishAhead, 7 * 24 * time.Hour}} {
		_, err := open(t.Context(), Options{Pool: w.pool, Log: audit.New(w.pool), Sealer: testSealer(t, 1), Rules: func() Rules { return rules }}, w.seams(new(time.Duration)))
		if err == nil {
			t.Errorf("%v was accepted", rules)
		}
	}
	if DefaultRules().Check() != nil || (Rules{GatewayWindow, DefaultRotateEvery}).Check() != nil {
		t.Error("good rules are refused")
	}
}

func BenchmarkSign(b *testing.B) {
	pool := pgtest.New(b)
	r, err := Open(context.Background(), Options{Pool: pool, Log: audit.New(pool), Sealer: testSealer(b, 1)})
	if err != nil {
		b.Fatal(err)
	}
	for _, alg := range Algorithms() {
		b.Run(string(alg), func(b *testing.B) {
			for b.Loop() {
				if _, err := r.Sign(alg, "at+jwt", map[string]string{"sub": "x"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkTurn measures what a replica does once a minute.
func BenchmarkTurn(b *testing.B) {
	pool := pgtest.New(b)
	r, err := Open(context.Background(), Options{Pool: pool, Log: audit.New(pool), Sealer: testSealer(b, 1)})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := r.Turn(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
