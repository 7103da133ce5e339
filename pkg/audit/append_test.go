package audit_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/postgres/private"
)

const (
	// roundActs is how many acts one round of the benchmark takes.
	roundActs = 40_000
	// replicaActors is how many acts are under way at a time on each replica.
	replicaActors = 8
)

// BenchmarkAppend measures what the log costs: acts a second with the sequencers
// of some replicas running, beside the same inserts with no log behind them. Each
// iteration is a round of both, one after the other and in turns, on one cluster;
// the figures are medians over the rounds. A round with the log ends when its
// last entry has its place, so that nothing is put off. A cluster that waits for
// its disk, as in production, and one that does not, as in tests, which is harder
// on the log. Run it with -benchtime=15x.
func BenchmarkAppend(b *testing.B) {
	for _, durable := range []bool{true, false} {
		for _, replicas := range []int{1, 2, 4} {
			b.Run(fmt.Sprintf("durable=%v/replicas=%d", durable, replicas), func(b *testing.B) {
				a := newAppending(b, durable, replicas)
				a.round(true)
				a.round(false) // warm
				var bare, logged, cores []float64
				for i := 0; b.Loop(); i++ {
					for _, log := range []bool{i%2 == 0, i%2 != 0} {
						rate, busy := a.round(log)
						if log {
							logged, cores = append(logged, rate), append(cores, busy)
						} else {
							bare = append(bare, rate)
						}
					}
				}
				b.ReportMetric(median(bare), "bare-acts/s")
				b.ReportMetric(median(logged), "logged-acts/s")
				b.ReportMetric(median(logged)/median(bare), "ratio")
				b.ReportMetric(median(cores), "client-cores")
				b.ReportMetric(0, "ns/op")
				a.check()
			})
		}
	}
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// appending is an installation of some replicas, and one without a log.
type appending struct {
	testing.TB
	logged, bare []*pgxpool.Pool
	sequencers   []*audit.Sequencer
}

func newAppending(b *testing.B, durable bool, replicas int) *appending {
	b.Helper()
	ctx := context.Background()
	cluster, err := private.Start(ctx, private.Options{Dir: b.TempDir(), Durable: durable})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cluster.Stop() })
	a := &appending{TB: b}
	for name, pools := range map[string]*[]*pgxpool.Pool{"logged": &a.logged, "bare": &a.bare} {
		a.must(cluster.CreateDatabase(ctx, name))
		a.must(postgres.Migrate(ctx, cluster.URL(name)))
		for range replicas {
			pool, err := postgres.Open(ctx, cluster.URL(name)+fmt.Sprintf("&pool_max_conns=%d", replicaActors+1))
			a.must(err)
			b.Cleanup(pool.Close)
			*pools = append(*pools, pool)
		}
	}
	for _, pool := range a.logged {
		signer, err := audit.OpenSigner(ctx, pool, make([]byte, 32), "idp.test/audit")
		a.must(err)
		a.sequencers = append(a.sequencers, audit.NewSequencer(pool, signer, zerolog.Nop(), time.Now))
	}
	return a
}

func (a *appending) must(err error) {
	a.Helper()
	if err != nil {
		a.Fatal(err)
	}
}

// round runs acts from all replicas at once. It returns how many a second there
// were, and how many cores this process was busy on: it is the load and the
// replicas together.
func (a *appending) round(logged bool) (float64, float64) {
	ctx, stop := context.WithCancel(context.Background())
	pools := a.bare
	var running, actors sync.WaitGroup
	begun, worked := time.Now(), processorTime()
	if logged {
		pools = a.logged
		for _, s := range a.sequencers {
			running.Go(func() { s.Run(ctx) })
		}
	}
	for i := range replicaActors * len(pools) {
		actors.Go(func() {
			log := audit.New(pools[i%len(pools)])
			for range roundActs / (replicaActors * len(pools)) {
				if logged {
					a.must(act(log))
				} else {
					a.must(insert(pools[i%len(pools)]))
				}
			}
		})
	}
	actors.Wait()
	stop()
	running.Wait()
	// A replica that was stopped in the middle may hold the lock until the
	// database notices, so it is not enough that a step finds nothing to do.
	for waiting := logged; waiting; {
		_, err := a.sequencers[0].Step(context.Background())
		a.must(err)
		a.must(pools[0].QueryRow(context.Background(), `select exists (select from audit_pending)`).Scan(&waiting))
	}
	took := time.Since(begun)
	return roundActs / took.Seconds(), (processorTime() - worked).Seconds() / took.Seconds()
}

func act(log *audit.Log) error {
	return log.Do(audit.WithOrigin(context.Background(), audit.Origin{Address: "192.0.2.1", Correlation: "C0"}), func(pgx.Tx) (audit.Event, error) {
		return audit.Event{Action: audit.SignIn, UserID: "ada", Session: "s", Credential: "c", ClientID: "web", Details: map[string]string{"facts": "<2>", "acr": "1"}}, nil
	})
}

// insert puts the same row into the same table, in a transaction that waits as
// seldom.
func insert(pool *pgxpool.Pool) error {
	return postgres.InTx(context.Background(), pool, func(tx pgx.Tx) error {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		return postgres.Later(context.Background(), tx, "write", `
			insert into audit_entry (id, action, outcome, reason, user_id, client_id, credential, session, grant_id, address, correlation, details)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
			id, audit.SignIn, "done", "", "ada", "web", "c", "s", "", "192.0.2.1", "C0", []byte(`{"acr":"1","facts":"<2>"}`))
	})
}

// check holds that the log took every act of every round.
func (a *appending) check() {
	a.Helper()
	var entries int64
	a.must(a.logged[0].QueryRow(context.Background(), `select count(*) from audit_entry`).Scan(&entries))
	if n, err := audit.Check(context.Background(), a.logged[0]); err != nil || n != entries {
		a.Fatalf("%d of %d entries are in the log: %v", n, entries, err)
	}
}

// processorTime is how long this process has kept processors busy.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it has no way to fail with these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
