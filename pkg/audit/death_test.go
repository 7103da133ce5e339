package audit_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/audit"
)

// killer cuts a connection just before the statement of a number, as the death of
// the process would.
type killer struct{ statement, seen int }

func (k *killer) before(ctx context.Context, conn *pgx.Conn) context.Context {
	k.seen++
	if k.seen == k.statement {
		conn.PgConn().Conn().Close()
	}
	return ctx
}

func (k *killer) TraceQueryStart(ctx context.Context, c *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return k.before(ctx, c)
}
func (k *killer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (k *killer) TraceBatchStart(ctx context.Context, c *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return k.before(ctx, c)
}
func (k *killer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (k *killer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}
func (k *killer) TraceCopyFromStart(ctx context.Context, c *pgx.Conn, _ pgx.TraceCopyFromStartData) context.Context {
	return k.before(ctx, c)
}
func (k *killer) TraceCopyFromEnd(context.Context, *pgx.Conn, pgx.TraceCopyFromEndData) {}

// whole holds that there is neither gap nor duplicate: every entry is in the log
// once or waits.
func (w *world) whole(entries, waiting int) {
	w.Helper()
	var pending int
	w.must(w.pool.QueryRow(w.Context(), `select count(*) from audit_pending`).Scan(&pending))
	n, err := audit.Check(w.Context(), w.pool)
	if err != nil || pending != waiting || int(n) != entries-waiting {
		w.Errorf("%d in the log and %d waiting of %d: %v", n, pending, entries, err)
	}
}

func TestASequencerThatDiesBetweenStatementsLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.act(300, "ada")
	w.step()
	entries, deaths := 300, 0
	for statement := 1; ; statement++ {
		w.act(10, "ada")
		entries += 10
		config := w.pool.Config().Copy()
		signer, err := audit.OpenSigner(t.Context(), w.pool, make([]byte, 32), "idp.test/audit")
		w.must(err)
		k := &killer{statement: statement}
		config.ConnConfig.Tracer = k
		pool, err := pgxpool.NewWithConfig(t.Context(), config)
		w.must(err)
		_, err = audit.NewSequencer(pool, signer, zerolog.Nop(), time.Now).Step(t.Context())
		pool.Close()
		if err == nil {
			if k.seen >= statement {
				t.Errorf("nobody noticed a death before statement %d", statement)
			}
			break
		}
		deaths++
		w.whole(entries, 10)
		// Another replica takes over, as soon as the database has noticed.
		for waiting := true; waiting; {
			w.step()
			w.must(w.pool.QueryRow(t.Context(), `select exists (select from audit_pending)`).Scan(&waiting))
		}
		w.whole(entries, 0)
	}
	w.whole(entries, 0)
	if deaths < 7 { // begin, lock, take, head, copy, tiles, checkpoint, commit
		t.Errorf("the sequencer died only %d times", deaths)
	}
	t.Logf("died before each of %d statements", deaths)
}
