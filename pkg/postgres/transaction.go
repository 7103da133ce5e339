package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// transaction is a transaction that waits for the database as seldom as it can:
// its beginning travels with the first statement, and what was left for Later
// with the next one that is waited for, or with the commit.
type transaction struct {
	conn *pgx.Conn
	// later was not sent yet; doing says what each of it is for.
	later pgx.Batch
	doing []string
	// begun says that the beginning was sent, ended that the end was confirmed.
	begun, ended bool
}

// Later leaves a statement of a transaction that InTx runs for its next message
// to the database, at the latest that of the commit, so that nobody waits for
// it. It is for statements whose result decides nothing. An error of it, which
// begins with doing, ends the transaction at that message. Statements run in
// the order in which they were given. With another transaction it runs at once.
func Later(ctx context.Context, tx pgx.Tx, doing, sql string, args ...any) error {
	if t, ok := tx.(*transaction); ok {
		t.queue(doing, sql, args...)
		return nil
	}
	if _, err := tx.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// inTx runs fn in one transaction, once.
func inTx(ctx context.Context, pool *pgxpool.Pool, fn func(tx pgx.Tx) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer conn.Release() // a connection that is still in a transaction is closed
	t := &transaction{conn: conn.Conn()}
	defer t.Rollback(ctx)
	if err := fn(t); err != nil {
		return err
	}
	return t.Commit(ctx)
}

func (t *transaction) queue(doing, sql string, args ...any) {
	t.later.Queue(sql, args...)
	t.doing = append(t.doing, doing)
}

// send sends a batch behind what was left for later, and reads the results of
// the latter. The caller closes what it returns.
func (t *transaction) send(ctx context.Context, b *pgx.Batch) (pgx.BatchResults, error) {
	var whole pgx.Batch
	doing := t.doing
	if !t.begun {
		whole.Queue("begin")
		doing = append([]string{"begin"}, doing...)
	}
	whole.QueuedQueries = append(append(whole.QueuedQueries, t.later.QueuedQueries...), b.QueuedQueries...)
	t.begun, t.later, t.doing = true, pgx.Batch{}, nil
	results := t.conn.SendBatch(ctx, &whole)
	for _, what := range doing {
		if _, err := results.Exec(); err != nil {
			results.Close()
			return nil, fmt.Errorf("%s: %w", what, err)
		}
	}
	return results, nil
}

// sendOne sends one statement behind what was left for later.
func (t *transaction) sendOne(ctx context.Context, sql string, args []any) (pgx.BatchResults, error) {
	if t.ended {
		return nil, pgx.ErrTxClosed
	}
	var b pgx.Batch
	b.Queue(sql, args...)
	return t.send(ctx, &b)
}

// Exec runs a statement and waits for it.
func (t *transaction) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	results, err := t.sendOne(ctx, sql, args)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := results.Exec()
	return tag, errors.Join(err, closed(results, err))
}

// closed closes results and returns what went wrong unless it is known already.
func closed(results pgx.BatchResults, known error) error {
	if err := results.Close(); known == nil {
		return err
	}
	return nil
}

// Query runs a query. The rows must be closed, or read to their end, before the
// next statement.
func (t *transaction) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	results, err := t.sendOne(ctx, sql, args)
	if err != nil {
		return &lateRows{err: err}, err
	}
	rows, err := results.Query()
	if err != nil {
		results.Close()
		return &lateRows{Rows: rows, err: err}, err
	}
	return &lateRows{Rows: rows, results: results}, nil
}

// QueryRow runs a query for one row.
func (t *transaction) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, _ := t.Query(ctx, sql, args...) // the row knows the error
	return oneRow{rows.(*lateRows)}
}

// Commit makes the transaction last. It is InTx that calls it.
func (t *transaction) Commit(ctx context.Context) error {
	if t.ended {
		return pgx.ErrTxClosed
	}
	if !t.begun && len(t.doing) == 0 {
		t.ended = true
		return nil
	}
	results, err := t.sendOne(ctx, "commit", nil)
	if err != nil {
		return err
	}
	tag, err := results.Exec()
	if err = errors.Join(err, closed(results, err)); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	t.ended = true
	if tag.String() == "ROLLBACK" {
		return pgx.ErrTxCommitRollback
	}
	return nil
}

// Rollback undoes the transaction, unless it has ended.
func (t *transaction) Rollback(ctx context.Context) error {
	if t.ended {
		return pgx.ErrTxClosed
	}
	t.ended = true
	if !t.begun || t.conn.IsClosed() {
		return nil
	}
	_, err := t.conn.Exec(ctx, "rollback")
	return err
}

// SendBatch sends a batch.
func (t *transaction) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if t.ended {
		return failedBatch{pgx.ErrTxClosed}
	}
	results, err := t.send(ctx, b)
	if err != nil {
		return failedBatch{err}
	}
	return results
}

// Begin is not offered: an act is one transaction, and a part of it that is
// undone would leave an entry for what did not happen.
func (t *transaction) Begin(context.Context) (pgx.Tx, error) {
	return nil, fmt.Errorf("a transaction within a transaction: %w", errors.ErrUnsupported)
}

// CopyFrom is not offered.
func (t *transaction) CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error) {
	return 0, fmt.Errorf("copy in a transaction: %w", errors.ErrUnsupported)
}

// Prepare is not offered: the connection prepares every statement by itself.
func (t *transaction) Prepare(context.Context, string, string) (*pgconn.StatementDescription, error) {
	return nil, fmt.Errorf("prepare in a transaction: %w", errors.ErrUnsupported)
}

// LargeObjects is not offered, and panics.
func (t *transaction) LargeObjects() pgx.LargeObjects {
	panic("large objects are not used here")
}

// Conn returns the connection, which must not be used beside the transaction.
func (t *transaction) Conn() *pgx.Conn { return t.conn }

// lateRows are rows that came behind other results.
type lateRows struct {
	pgx.Rows
	results pgx.BatchResults
	err     error
}

func (r *lateRows) Next() bool {
	if r.results == nil {
		return false
	}
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

func (r *lateRows) Close() {
	if r.results == nil {
		return
	}
	r.Rows.Close()
	r.err = r.Rows.Err()
	r.err = errors.Join(r.err, closed(r.results, r.err))
	r.results = nil
}

func (r *lateRows) Err() error {
	if r.results == nil {
		return r.err
	}
	return r.Rows.Err()
}

// oneRow is the first row of a query, or none.
type oneRow struct{ rows *lateRows }

func (r oneRow) Scan(into ...any) error {
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(into...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// failedBatch is what comes of a batch before which something failed.
type failedBatch struct{ err error }

func (b failedBatch) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, b.err }
func (b failedBatch) Query() (pgx.Rows, error)         { return &lateRows{err: b.err}, b.err }
func (b failedBatch) QueryRow() pgx.Row                { return oneRow{&lateRows{err: b.err}} }
func (b failedBatch) Close() error                     { return b.err }
func (b failedBatch) Tx() pgx.Tx                       { return nil }
