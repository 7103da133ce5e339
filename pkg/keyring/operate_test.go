package keyring

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
)

func hexOf(b []byte) string { return hex.EncodeToString(b) }

func encode(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// testKey is a good private key for an algorithm.
func testKey(t testing.TB, alg Algorithm) []byte {
	t.Helper()
	m, err := generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: m.private})
}

func TestAnEmergencyWithdrawsAndSucceedsInOneAct(t *testing.T) {
	w := newWorld(t)
	r, other := w.ring(), w.ring()
	w.turn(r)
	if _, err := r.Emergency(t.Context(), RS256, "test", false); err == nil || !strings.Contains(err.Error(), "--fresh") {
		t.Fatalf("a successor that gateways cannot know took over: %v", err)
	}
	w.pass(GatewayWindow, r, other)
	old, es := signer(r, RS256), signer(r, ES256)
	token, err := r.Sign(RS256, "at+jwt", map[string]string{})
	w.must(err)
	got, err := r.Emergency(t.Context(), RS256, "key seen in a log", false)
	w.must(err)
	if !slices.Equal(got.Withdrawn, []string{old}) || got.Successor != signer(r, RS256) || !got.AcceptedUntil.Equal(w.now.Add(GatewayWindow)) || !got.RefusedUntil.IsZero() {
		t.Errorf("%+v", got)
	}
	w.turn(other)
	for _, replica := range []*Ring{r, other} {
		if publishes(replica, old) || signer(replica, RS256) != got.Successor || signer(replica, ES256) != es {
			t.Error("the old key is still published, or another ring was touched")
		}
		if _, err := replica.Verify(token, "at+jwt"); err == nil {
			t.Error("a token of the withdrawn key verifies")
		}
	}
	still, err := AllKeys(t.Context(), w.pool)
	w.must(err)
	i := slices.IndexFunc(still, func(k Key) bool { return k.ID == old })
	if !still[i].AcceptedUntil().Equal(got.AcceptedUntil) || still[i].StateAt(w.now) != Retired {
		t.Errorf("the record of the key says %+v", still[i])
	}
	var until string
	w.must(w.pool.QueryRow(t.Context(), `select details->>'accepted_until' from audit_entry where action = 'key.withdrawn'`).Scan(&until))
	if until != stamp(got.AcceptedUntil) {
		t.Errorf("the record of acts says %q", until)
	}
	w.hold()
}

func TestAFreshEmergencyDistrustsTheStandby(t *testing.T) {
	w := newWorld(t)
	r, other := w.ring(), w.ring()
	w.pass(2*DefaultPublishAhead, r, other)
	old := signer(r, ES256)
	standby := *viewOf(r.current.Load().read.look, ES256, DefaultRules()).standby
	got, err := r.Emergency(t.Context(), ES256, "sealing key leaked", true)
	w.must(err)
	w.turn(other)
	for _, kid := range []string{old, standby.ID} {
		if publishes(r, kid) || publishes(other, kid) {
			t.Errorf("%s is still published", kid)
		}
	}
	if signer(r, ES256) != "" || !publishes(other, got.Successor) {
		t.Error("the new key signs before every replica can publish it")
	}
	if codes := codesOf(r.Problems()); !slices.Contains(codes, ProblemNoSigner) {
		t.Errorf("problems %v", codes)
	}
	w.now = w.now.Add(Lease)
	w.turn(r)
	if signer(r, ES256) != got.Successor || !got.RefusedUntil.After(w.now) {
		t.Errorf("after the lease %q signs", signer(r, ES256))
	}
}

func TestFiftyEmergenciesWithdrawOneGeneration(t *testing.T) {
	w := newWorld(t)
	r := w.ring()
	w.pass(2*DefaultPublishAhead, r)
	old := signer(r, ES256)
	var all sync.WaitGroup
	won := make(chan Withdrawal, 50)
	for range 50 {
		all.Go(func() {
			if got, err := r.Emergency(t.Context(), ES256, "race", false); err == nil {
				won <- got
			}
		})
	}
	all.Wait()
	close(won)
	if len(won) != 1 {
		t.Fatalf("%d of 50 emergencies took a key", len(won))
	}
	if got := <-won; !slices.Equal(got.Withdrawn, []string{old}) || signer(r, ES256) != got.Successor {
		t.Errorf("%+v", got)
	}
	w.hold()
}

func TestACompromiseDemandsWhatTheTrustFileSays(t *testing.T) {
	for _, tt := range []struct {
		follows            Consequence
		rotates, withdraws bool
	}{
		{FollowNothing, false, false},
		{FollowRotate, true, false},
		{FollowEmergency, true, true},
	} {
		t.Run(string(tt.follows), func(t *testing.T) {
			w := newWorld(t)
			r := w.ring()
			w.pass(2*DefaultPublishAhead, r)
			before := map[Algorithm]string{}
			for _, alg := range Algorithms() {
				before[alg] = signer(r, alg)
			}
			for range 2 { // the second finds the first open
				w.must(audit.New(w.pool).Do(t.Context(), func(tx pgx.Tx) (audit.Event, error) {
					return audit.Event{Action: audit.FleetRejudged}, r.OnCompromise(t.Context(), tx, tt.follows, "model fell")
				}))
			}
			w.turn(r)
			w.turn(r)
			for _, alg := range Algorithms() {
				if got := signer(r, alg) != before[alg]; got != tt.rotates {
					t.Errorf("%s rotated: %v", alg, got)
				}
				if got := !publishes(r, before[alg]); got != tt.withdraws {
					t.Errorf("%s withdrawn: %v", alg, got)
				}
			}
			var cause int
			w.must(w.pool.QueryRow(t.Context(), `select count(*) from audit_entry where action in ('key.activated', 'key.withdrawn') and details->>'cause' = 'model fell'`).Scan(&cause))
			if want := map[bool]int{true: len(Algorithms())}[tt.rotates]; cause != want {
				t.Errorf("%d entries name the cause, want %d", cause, want)
			}
			w.hold()
		})
	}
}

func TestAnEmergencyThatWasDemandedWaitsForAKnownSuccessor(t *testing.T) {
	w := newWorld(t)
	r := w.ring()
	w.turn(r)
	old := signer(r, RS256)
	w.must(audit.New(w.pool).Do(t.Context(), func(tx pgx.Tx) (audit.Event, error) {
		return audit.Event{Action: audit.FleetRejudged}, r.OnCompromise(t.Context(), tx, FollowEmergency, "model fell")
	}))
	w.pass(GatewayWindow-time.Second, r)
	if signer(r, RS256) != old || !slices.Contains(codesOf(r.Problems()), ProblemDemandWaits) {
		t.Errorf("an unknown successor signs, or nobody is told: %v", r.Problems())
	}
	w.pass(time.Second, r)
	if signer(r, RS256) == old || publishes(r, old) || slices.Contains(codesOf(r.Problems()), ProblemDemandWaits) {
		t.Error("the emergency was forgotten")
	}
}

func TestRetire(t *testing.T) {
	w := newWorld(t)
	r := w.ring()
	w.pass(2*DefaultPublishAhead, r)
	first := signer(r, ES256)
	if err := r.Retire(t.Context(), first); err == nil || !strings.Contains(err.Error(), "signs") {
		t.Errorf("the active key: %v", err)
	}
	if err := r.Retire(t.Context(), "unknown"); err == nil {
		t.Error("an unknown key was retired")
	}
	if _, err := r.Rotate(t.Context(), ES256, "test"); err != nil || signer(r, ES256) == first {
		t.Fatalf("not rotated: %v", err)
	}
	if err := r.Retire(t.Context(), first); err == nil || !strings.Contains(err.Error(), "may live until") {
		t.Errorf("a key whose tokens live: %v", err)
	}
	standby := viewOf(r.current.Load().read.look, ES256, DefaultRules()).standby.ID
	w.must(r.Retire(t.Context(), standby))
	if publishes(r, standby) {
		t.Error("the standby is still published")
	}
	w.pass(LongestTokenLife+Lease, r)
	w.must(r.Retire(t.Context(), first))
	if publishes(r, first) {
		t.Error("the honoured key is still published")
	}
	if err := r.Retire(t.Context(), first); err == nil {
		t.Error("retired twice")
	}
	if n := w.states(ES256)[Pending]; n != 1 {
		t.Errorf("%d standbys after the turn, want a new one", n)
	}
}

func TestImport(t *testing.T) {
	w := newWorld(t)
	r := w.ring()
	w.turn(r)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	w.must(err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	w.must(err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	w.must(err)
	good := testKey(t, ES256)
	for _, tt := range []struct {
		name string
		alg  Algorithm
		text []byte
	}{
		{"short RSA", RS256, encode(t, short)},
		{"another curve", ES256, encode(t, p384)},
		{"another algorithm", RS256, good},
		{"Ed25519", ES256, encode(t, ed)},
		{"rubbish", ES256, []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")},
		{"no PEM", ES256, []byte("secret-looking text")},
		{"unknown algorithm", "HS256", good},
	} {
		kid, err := r.Import(t.Context(), tt.alg, tt.text)
		if err == nil || strings.Contains(err.Error(), "secret-looking") || strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%s: %q %v", tt.name, kid, err)
		}
	}
	before := viewOf(r.current.Load().read.look, ES256, DefaultRules()).standby.ID
	kid, err := r.Import(t.Context(), ES256, good)
	w.must(err)
	if publishes(r, before) || !publishes(r, kid) || signer(r, ES256) == kid {
		t.Error("the imported key is not the standby")
	}
	if _, err := r.Import(t.Context(), ES256, good); err == nil {
		t.Error("imported twice")
	}
	w.pass(DefaultPublishAhead, r)
	if got, err := r.Rotate(t.Context(), ES256, "test"); err != nil || got != kid {
		t.Errorf("%q signs, %v", got, err)
	}
	if _, err := r.Import(t.Context(), ES256, good); err == nil || !strings.Contains(err.Error(), "was in this ring before") {
		t.Errorf("a key that signs was imported again: %v", err)
	}
	w.hold()
}

func TestResealLetsTheOldSealingKeyGo(t *testing.T) {
	w := newWorld(t)
	first := w.ring()
	w.turn(first)
	old, fresh := testSealer(t, 1), testSealer(t, 2)
	secret, err := Secret(t.Context(), w.pool, old, nil, "test")
	w.must(err)
	both := w.ring(func(o *Options) { o.Sealer, o.Previous = fresh, []Sealer{old} })
	if signer(both, RS256) != signer(first, RS256) {
		t.Fatal("with both sealing keys the ring is another")
	}
	var all sync.WaitGroup
	total := make(chan int, 8)
	for range 8 {
		all.Go(func() {
			n, err := both.Reseal(t.Context())
			if err != nil {
				t.Error(err)
			}
			total <- n
		})
	}
	all.Wait()
	close(total)
	sum := 0
	for n := range total {
		sum += n
	}
	if want := 2*len(Algorithms()) + 1; sum != want {
		t.Errorf("%d were sealed anew by eight commands, want two keys of each algorithm and a secret once, %d", sum, want)
	}
	if same, err := Secret(t.Context(), w.pool, fresh, nil, "test"); err != nil || !slices.Equal(same, secret) {
		t.Errorf("the secret after the sealing key was changed: %v", err)
	}
	alone := w.ring(func(o *Options) { o.Sealer = fresh })
	if signer(alone, PS256) != signer(first, PS256) {
		t.Error("another key signs after the sealing key was changed")
	}
	if _, err := open(t.Context(), Options{Pool: w.pool, Log: audit.New(w.pool), Sealer: old}, w.seams(new(time.Duration))); err == nil {
		t.Error("the old sealing key still opens the ring")
	}
	// What was sealed for one key cannot be put in place of another's.
	_, err = w.pool.Exec(t.Context(), `update signing_key set sealed = (select sealed from signing_key other where other.kid <> signing_key.kid and other.algorithm = signing_key.algorithm limit 1)`)
	w.must(err)
	if _, err := open(t.Context(), Options{Pool: w.pool, Log: audit.New(w.pool), Sealer: fresh}, w.seams(new(time.Duration))); err == nil || !strings.Contains(err.Error(), "unseal") {
		t.Errorf("crossed private keys: %v", err)
	}
}

// The sealing key changes from replica to replica; those that do not have the
// new one yet must neither go dark nor hide what the others publish.
func TestASealingKeyThatArrivesReplicaByReplica(t *testing.T) {
	w := newWorld(t)
	late := w.ring()
	w.pass(2*day, late)
	early := w.ring(func(o *Options) { o.Sealer, o.Previous = testSealer(t, 2), []Sealer{testSealer(t, 1)} })
	w.must(early.Retire(t.Context(), viewOf(early.current.Load().read.look, ES256, DefaultRules()).standby.ID))
	w.turn(early)
	fresh := viewOf(early.current.Load().read.look, ES256, DefaultRules()).standby.ID
	old := signer(late, ES256)
	w.pass(2*day, late)
	if !publishes(late, fresh) || signer(late, ES256) != old || !slices.Equal(codesOf(late.Problems()), []string{ProblemSealed}) {
		t.Errorf("publishes %v, signs with %q, says %v", publishes(late, fresh), signer(late, ES256), late.Problems())
	}
	if kid, err := late.Rotate(t.Context(), ES256, "test"); err != nil || kid != "" {
		t.Errorf("it promoted a key that it cannot use: %q %v", kid, err)
	}
	w.turn(early)
	w.turn(late)
	if signer(early, ES256) != fresh || signer(late, ES256) != "" || !publishes(late, old) || !slices.Contains(codesOf(late.Problems()), ProblemNoSigner) {
		t.Errorf("%q signs there and %q here; problems %v", signer(early, ES256), signer(late, ES256), late.Problems())
	}
	if signer(late, RS256) == "" {
		t.Error("the other rings suffer")
	}
	w.ring(func(o *Options) { o.Sealer, o.Previous = testSealer(t, 2), []Sealer{testSealer(t, 1)} })
	w.hold()
}

func codesOf(problems []Problem) []string {
	var codes []string
	for _, p := range problems {
		codes = append(codes, p.Code)
	}
	return codes
}
