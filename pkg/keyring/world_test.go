package keyring

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
)

// world is a database whose clock the test moves, and what lies around a ring.
type world struct {
	*testing.T
	pool *pgxpool.Pool
	now  time.Time
	// blob is the number of the metadata BLOB in force.
	blob int
}

func newWorld(t *testing.T) *world {
	return &world{T: t, pool: pgtest.New(t), now: time.Date(2027, 1, 4, 8, 0, 0, 0, time.UTC)}
}

// small makes keys that are quick to make and otherwise like real ones.
func small(alg Algorithm) (material, error) {
	if alg != RS256 && alg != PS256 {
		return generate(alg)
	}
	signer, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		return material{}, err
	}
	return materialOf(alg, signer)
}

// seams are those of a replica whose clock is off.
func (w *world) seams(off *time.Duration) seams {
	return seams{
		database: func(context.Context, postgres.Querier) (time.Time, error) { return w.now, nil },
		local:    func() time.Time { return w.now.Add(*off) },
		generate: small,
	}
}

func testSealer(t testing.TB, key byte) Sealer {
	t.Helper()
	sealing := make([]byte, sealingKeySize)
	sealing[0] = key
	sealer, err := NewLocalSealer(sealing)
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

// ring opens a replica.
func (w *world) ring(change ...func(*Options)) *Ring {
	w.Helper()
	o := Options{Pool: w.pool, Log: audit.New(w.pool), Sealer: testSealer(w, 1), EdDSA: func() bool { return true }}
	for _, c := range change {
		c(&o)
	}
	r, err := open(w.Context(), o, w.seams(new(time.Duration)))
	w.must(err)
	return r
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) turn(r *Ring) {
	w.Helper()
	w.must(r.Turn(w.Context()))
}

// pass moves the clock in steps that no lease outlives, turning the rings.
func (w *world) pass(d time.Duration, rings ...*Ring) {
	w.Helper()
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(min(time.Hour, end.Sub(w.now)))
		for _, r := range rings {
			w.turn(r)
		}
	}
}

// publish brings a BLOB into the database; it is not judged yet.
func (w *world) publish(next time.Time) {
	w.Helper()
	w.blob++
	_, err := w.pool.Exec(w.Context(), `
		insert into metadata_blob (source, number, digest, blob, verified_at, next_update) values ('fido', $1, $2, '', $3, $4)
		on conflict (source) do update set number = $1, digest = $2, verified_at = $3, next_update = $4`, w.blob, fmt.Appendf(nil, "%04d-digest", w.blob), w.now, next)
	w.must(err)
}

// judge ends the judgement of everything by what is in force.
func (w *world) judge() {
	w.Helper()
	version := ""
	if w.blob > 0 {
		version = fmt.Sprintf("fido:%d:%x", w.blob, fmt.Appendf(nil, "%04d", w.blob))
	}
	trust := "none"
	if err := w.pool.QueryRow(w.Context(), `select version from trust_file order by id desc limit 1`).Scan(&trust); err != nil && err != pgx.ErrNoRows {
		w.Fatal(err)
	}
	_, err := w.pool.Exec(w.Context(), `
		insert into judgement (basis, after, judged, changed, started_at, finished_at) values ($1, '00000000-0000-0000-0000-000000000000', 0, 0, $2, $2)
		on conflict (one) do update set basis = $1, started_at = $2, finished_at = $2`, version+" / "+trust+" / day / current true", w.now)
	w.must(err)
}

// signer is the key that signs for an algorithm at a replica; "" when none does.
func signer(r *Ring, alg Algorithm) string {
	s, err := r.fresh()
	if err != nil {
		return ""
	}
	return s.signing[alg].kid
}

// publishes reports whether a replica serves a key.
func publishes(r *Ring, kid string) bool {
	s, err := r.fresh()
	if err != nil {
		return false
	}
	_, ok := s.public[kid]
	return ok
}

// states counts an algorithm's keys by state.
func (w *world) states(alg Algorithm) map[State]int {
	w.Helper()
	keys, err := AllKeys(w.Context(), w.pool)
	w.must(err)
	counts := map[State]int{}
	for _, k := range keys {
		if k.Algorithm == alg {
			counts[k.StateAt(w.now)]++
		}
	}
	return counts
}

// hold checks what must be true of the table at any instant.
func (w *world) hold() {
	w.Helper()
	keys, err := AllKeys(w.Context(), w.pool)
	w.must(err)
	current, standby := map[Algorithm]int{}, map[Algorithm]int{}
	for _, k := range keys {
		if k.current() {
			current[k.Algorithm]++
		}
		if k.standsBy() {
			standby[k.Algorithm]++
		}
		if k.ActivatesAt != nil && k.Cause == "successor" && k.ActivatesAt.Sub(k.CreatedAt) < GatewayWindow {
			w.Errorf("key %s signed %s after it was published", k.ID, k.ActivatesAt.Sub(k.CreatedAt))
		}
		if k.HonouredAt != nil && k.ActivatesAt != nil && k.WithdrawnAt == nil && k.RetiresAt.Sub(*k.HonouredAt) != HonourFor {
			w.Errorf("key %s is honoured for %s", k.ID, k.RetiresAt.Sub(*k.HonouredAt))
		}
	}
	for _, alg := range Algorithms() {
		if current[alg] > 1 || standby[alg] > 1 {
			w.Errorf("%s has %d current keys and %d standbys", alg, current[alg], standby[alg])
		}
	}
	var entries, changes int
	w.must(w.pool.QueryRow(w.Context(), `
		select (select coalesce(sum(array_length(string_to_array(details->>'kid', ' '), 1)), 0) from audit_entry where action = 'key.created')
			+ (select count(*) from audit_entry where action = 'key.activated'),
			(select count(*) from signing_key)
			+ (select count(*) from signing_key k where activates_at is not null and cause <> 'first'
				and not exists (select from audit_entry where action = 'key.withdrawn' and details->>'successor' = k.kid))`).Scan(&entries, &changes))
	if entries != changes {
		w.Errorf("%d changes have %d entries in the record", changes, entries)
	}
}
