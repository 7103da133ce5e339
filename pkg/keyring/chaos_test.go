package keyring

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/pkg/audit"
)

// killer closes a replica's connection at its nth message, a statement or
// several that travel together, before or after the server sees it, and at every
// later one: a dead process does nothing more.
type killer struct {
	at, seen int
	after    bool
	dead     bool
}

func (k *killer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	k.seen++
	if k.dead || k.seen == k.at && !k.after {
		k.dead = true
		conn.PgConn().Conn().Close()
	}
	return ctx
}

func (k *killer) TraceQueryEnd(_ context.Context, conn *pgx.Conn, _ pgx.TraceQueryEndData) {
	if k.seen == k.at && k.after {
		k.dead = true
		conn.PgConn().Conn().Close()
	}
}

func (k *killer) TraceBatchStart(ctx context.Context, conn *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return k.TraceQueryStart(ctx, conn, pgx.TraceQueryStartData{})
}

func (k *killer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (k *killer) TraceBatchEnd(ctx context.Context, conn *pgx.Conn, _ pgx.TraceBatchEndData) {
	k.TraceQueryEnd(ctx, conn, pgx.TraceQueryEndData{})
}

// replica opens a ring of its own pool that a killer watches once it is armed.
func (w *world) replica(k *killer, change ...func(*Options)) *Ring {
	w.Helper()
	config, err := pgxpool.ParseConfig(w.pool.Config().ConnString())
	w.must(err)
	config.ConnConfig.Tracer = k
	pool, err := pgxpool.NewWithConfig(w.Context(), config)
	w.must(err)
	w.Cleanup(pool.Close)
	r := w.ring(append(change, func(o *Options) { o.Pool, o.Log, o.Algorithms = pool, audit.New(pool), []Algorithm{ES256} })...)
	k.seen = 0
	return r
}

// TestAReplicaIsKilledBetweenAnyTwoStatements kills the replica that changes the
// ring before and after each of its statements. What it leaves must be whole,
// and another replica must bring it to the same end, once.
func TestAReplicaIsKilledBetweenAnyTwoStatements(t *testing.T) {
	t.Parallel()
	only := func(o *Options) { o.Algorithms = []Algorithm{ES256} }
	demand := func(kind string) func(*world, *Ring) {
		return func(w *world, r *Ring) {
			w.must(audit.New(w.pool).Do(w.Context(), func(tx pgx.Tx) (audit.Event, error) {
				return audit.Event{Action: audit.FleetRejudged}, r.OnCompromise(w.Context(), tx, Consequence(kind), kind)
			}))
		}
	}
	turn := func(ctx context.Context, r *Ring) error { return r.Turn(ctx) }
	for _, tt := range []struct {
		name string
		// arrange makes something due.
		arrange func(*world, *Ring)
		change  func(context.Context, *Ring) error
		sealer  byte
		// successors is how many times another key signs in the end.
		successors int
	}{
		{"rotation", demand(demandRotate), turn, 1, 1},
		{"demanded emergency", demand(demandEmergency), turn, 1, 1},
		{"operator's emergency", func(*world, *Ring) {}, func(ctx context.Context, r *Ring) error {
			_, err := r.Emergency(ctx, ES256, "chaos", false)
			return err
		}, 1, 1},
		{"standby", func(w *world, r *Ring) {
			w.must(r.Retire(w.Context(), viewOf(r.current.Load().read.look, ES256, DefaultRules()).standby.ID))
		}, turn, 1, 0},
		{"reseal", func(*world, *Ring) {}, func(ctx context.Context, r *Ring) error {
			_, err := r.Reseal(ctx)
			return err
		}, 2, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, after := range []bool{false, true} {
				for at := 1; ; at++ {
					if at > 200 {
						t.Fatal("the change never ends")
					}
					w := newWorld(t)
					healthy := w.ring(only)
					w.turn(healthy)
					w.now = w.now.Add(2 * day)
					w.turn(healthy)
					before := signer(healthy, ES256)
					tt.arrange(w, healthy)
					k := &killer{}
					victim := w.replica(k, func(o *Options) { o.Sealer, o.Previous = testSealer(t, tt.sealer), []Sealer{testSealer(t, 1)} })
					k.at, k.after = at, after
					err := tt.change(t.Context(), victim)
					victim.options.Pool.Close()
					if !k.dead {
						w.must(err)
						if at < 8 {
							t.Errorf("only %d statements were seen", at)
						}
						break
					}
					where := fmt.Sprintf("killed at statement %d, after it: %v", at, after)
					if counts := w.states(ES256); counts[Active] != 1 || counts[Pending] > 1 {
						t.Fatalf("%s: left %v", where, counts)
					}
					w.hold()
					// Another replica, started by an operator who repeats what did not succeed.
					other := w.ring(only, func(o *Options) { o.Sealer, o.Previous = testSealer(t, tt.sealer), []Sealer{testSealer(t, 1)} })
					if tt.successors == 0 || signer(other, ES256) == before {
						w.must(tt.change(t.Context(), other))
					}
					w.turn(other)
					w.turn(other)
					if got := signer(other, ES256) != before; got != (tt.successors == 1) {
						t.Fatalf("%s: another key signs: %v", where, got)
					}
					if counts := w.states(ES256); counts[Active] != 1 || counts[Pending] != 1 {
						t.Fatalf("%s: ended with %v", where, counts)
					}
					var signed, open int
					w.must(w.pool.QueryRow(t.Context(), `select (select count(*) from signing_key where activates_at is not null), (select count(*) from key_demand where done_at is null)`).Scan(&signed, &open))
					if signed != 1+tt.successors || open != 0 {
						t.Fatalf("%s: %d keys have signed, %d demands are open", where, signed, open)
					}
					if tt.sealer == 2 {
						w.ring(only, func(o *Options) { o.Sealer = testSealer(t, 2) })
					}
					w.hold()
					w.pool.Close()
				}
			}
		})
	}
}

// TestTheFirstStartIsKilled kills the replica that makes the very first keys.
func TestTheFirstStartIsKilled(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			w := newWorld(t)
			k := &killer{at: at, after: after}
			config, err := pgxpool.ParseConfig(w.pool.Config().ConnString())
			w.must(err)
			config.ConnConfig.Tracer = k
			pool, err := pgxpool.NewWithConfig(t.Context(), config)
			w.must(err)
			_, err = open(t.Context(), Options{Pool: pool, Log: audit.New(pool), Sealer: testSealer(t, 1), Algorithms: []Algorithm{ES256}}, w.seams(new(time.Duration)))
			pool.Close()
			if !k.dead {
				w.must(err)
				if at < 8 {
					t.Errorf("only %d statements were seen", at)
				}
				break
			}
			r := w.ring(func(o *Options) { o.Algorithms = []Algorithm{ES256} })
			if counts := w.states(ES256); counts[Active] != 1 || counts[Pending] != 0 || signer(r, ES256) == "" {
				t.Fatalf("killed at statement %d, after it: %v: %v", at, after, counts)
			}
			w.hold()
			w.pool.Close()
		}
	}
}

func TestRacingReplicasMakeOneRotation(t *testing.T) {
	w := newWorld(t)
	var rings []*Ring
	for range 5 {
		rings = append(rings, w.ring())
	}
	w.pass(2*day, rings[0])
	w.now = w.now.Add(40 * day)
	done := make(chan error, 50)
	for i := range 50 {
		go func() { done <- rings[i%len(rings)].Turn(context.Background()) }()
	}
	for range 50 {
		w.must(<-done)
	}
	for _, alg := range Algorithms() {
		if counts := w.states(alg); counts[Active] != 1 || counts[Honoured] != 1 || counts[Pending] != 1 {
			t.Errorf("%s: %v", alg, counts)
		}
	}
	w.hold()
	if w.now.Sub(*viewOf(rings[0].current.Load().read.look, RS256, DefaultRules()).current.ActivatesAt) > time.Second {
		t.Error("the rotation that was due did not happen")
	}
}
