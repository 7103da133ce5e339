package independent

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
)

// origin is the name of the log.
const origin = "idp.test/audit"

// world is a record with a sequencer that runs when told.
type world struct {
	testing.TB
	pool *pgxpool.Pool
	log  *audit.Log
	seq  *audit.Sequencer
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, pool: pgtest.New(t)}
	w.log = audit.New(w.pool)
	signer, err := audit.OpenSigner(t.Context(), w.pool, make([]byte, 32), origin)
	w.must(err)
	w.seq = audit.NewSequencer(w.pool, signer, zerolog.Nop(), time.Now)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// grow records acts, gives them their places and returns the checkpoint over them.
func (w *world) grow(n int) string {
	w.Helper()
	for range n {
		w.must(w.log.Do(w.Context(), func(pgx.Tx) (audit.Event, error) {
			return audit.Event{Action: audit.SignIn, UserID: "ada", Details: map[string]string{"facts": "<2>"}}, nil
		}))
	}
	_, err := w.seq.Step(w.Context())
	w.must(err)
	text, err := audit.Latest(w.Context(), w.pool)
	w.must(err)
	return text
}

func (w *world) key() string {
	w.Helper()
	key, err := audit.Key(w.Context(), w.pool)
	w.must(err)
	return key
}

// anchor brings the newest checkpoint to an anchor.
func (w *world) anchor(a audit.Anchor) error {
	return audit.NewAnchors(w.pool, zerolog.Nop(), a).Step(w.Context())
}

// rewrite is the operator's deed: the newest entries are taken out of the
// database, and the log is made anew over the rest, with its own key.
func (w *world) rewrite(without int) string {
	w.Helper()
	w.must(pgx.BeginFunc(w.Context(), w.pool, func(tx pgx.Tx) error {
		for _, sql := range []string{
			`set local session_replication_role = replica`,
			`delete from audit_checkpoint`,
			`delete from audit_tile`,
			`delete from audit_leaf`,
		} {
			if _, err := tx.Exec(context.Background(), sql); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(context.Background(), `delete from audit_entry where id in (select id from audit_entry order by at desc, id desc limit $1)`, without); err != nil {
			return err
		}
		_, err := tx.Exec(context.Background(), `insert into audit_pending select id from audit_entry`)
		return err
	}))
	return w.grow(0)
}
