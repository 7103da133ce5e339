package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
)

const insert = `insert into note (n) values ($1)`

// notes returns a pool whose database has a table of numbers, all different.
func notes(t *testing.T) (*pgxpool.Pool, func() int) {
	t.Helper()
	pool, waits := pgtest.Counted(t)
	if _, err := pool.Exec(t.Context(), `create table note (n int constraint note_once unique deferrable, at bigserial)`); err != nil {
		t.Fatal(err)
	}
	return pool, waits
}

// noted returns the numbers in the order in which they were written.
func noted(t *testing.T, q postgres.Querier) []int {
	t.Helper()
	rows, err := q.Query(t.Context(), `select n from note order by at`)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestTransactionsWaitSeldom(t *testing.T) {
	pool, waits := notes(t)
	next := 0
	later := func(tx pgx.Tx) error {
		next++
		return postgres.Later(t.Context(), tx, "note", insert, next)
	}
	now := func(tx pgx.Tx) error {
		next++
		_, err := tx.Exec(t.Context(), insert, next)
		return err
	}
	read := func(tx pgx.Tx) error {
		var n int
		if err := tx.QueryRow(t.Context(), `select count(*) from note`).Scan(&n); err != nil || n != next {
			return errors.Join(err, errors.New("what was left for later is not there yet"))
		}
		return nil
	}
	for _, tt := range []struct {
		name string
		do   []func(pgx.Tx) error
		want int
	}{
		{"nothing", nil, 0},
		{"only later", []func(pgx.Tx) error{later, later, later}, 1},
		{"one statement", []func(pgx.Tx) error{now}, 2},
		{"a read, then later", []func(pgx.Tx) error{read, later, later}, 2},
		{"later, then a read", []func(pgx.Tx) error{later, read}, 2},
		{"turn and turn about", []func(pgx.Tx) error{later, now, read, later, read, later}, 4},
	} {
		for _, warm := range []bool{false, true} { // a connection's first time prepares the statements
			waits()
			err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
				for _, do := range tt.do {
					if err := do(tx); err != nil {
						return err
					}
				}
				return nil
			})
			if got := waits(); err != nil || warm && got != tt.want {
				t.Errorf("%s: waited %d times, want %d: %v", tt.name, got, tt.want, err)
			}
		}
	}
	for i, n := range noted(t, pool) {
		if n != i+1 {
			t.Fatalf("%v are not in order", noted(t, pool))
		}
	}
}

func TestAFaultUndoesEverything(t *testing.T) {
	pool, _ := notes(t)
	mine := errors.New("mine")
	later := func(tx pgx.Tx, n any) error { return postgres.Later(t.Context(), tx, "note", insert, n) }
	for _, tt := range []struct {
		name string
		fn   func(context.Context, pgx.Tx) error
		is   func(error) bool
	}{
		{"the function's own", func(ctx context.Context, tx pgx.Tx) error {
			later(tx, 1)
			tx.Exec(ctx, insert, 2)
			later(tx, 3)
			return mine
		}, func(err error) bool { return errors.Is(err, mine) }},
		{"before anything was sent", func(_ context.Context, tx pgx.Tx) error { later(tx, 1); return mine }, func(err error) bool { return errors.Is(err, mine) }},
		{"a statement's", func(ctx context.Context, tx pgx.Tx) error {
			later(tx, 1)
			_, err := tx.Exec(ctx, insert, 1)
			return err
		}, func(err error) bool { return postgres.Violates(err, "note_once") }},
		{"of what was left for later, at the commit", func(_ context.Context, tx pgx.Tx) error { later(tx, 1); return later(tx, 1) },
			func(err error) bool {
				return postgres.Violates(err, "note_once") && strings.HasPrefix(err.Error(), "note: ")
			}},
		{"of what was left for later, at the next statement", func(ctx context.Context, tx pgx.Tx) error {
			later(tx, "no number")
			return tx.QueryRow(ctx, `select 1`).Scan(new(int))
		}, func(err error) bool { return err != nil }},
		{"of a deferred constraint", func(ctx context.Context, tx pgx.Tx) error {
			tx.Exec(ctx, `set constraints note_once deferred`)
			later(tx, 1)
			return later(tx, 1)
		}, func(err error) bool { return postgres.Violates(err, "note_once") }},
		{"an ignored statement's", func(ctx context.Context, tx pgx.Tx) error {
			tx.Exec(ctx, `select 1/0`)
			return nil
		}, func(err error) bool { return err != nil }},
		{"of a query", func(ctx context.Context, tx pgx.Tx) error {
			later(tx, 1)
			rows, err := tx.Query(ctx, `select 1/(2-n) from generate_series(1,3) n`)
			if err != nil {
				return err
			}
			_, err = pgx.CollectRows(rows, pgx.RowTo[int])
			return err
		}, func(err error) bool { return err != nil }},
		{"of a scan", func(ctx context.Context, tx pgx.Tx) error {
			later(tx, 1)
			return tx.QueryRow(ctx, `select 'x'`).Scan(new(int))
		}, func(err error) bool { return err != nil }},
		{"no row", func(ctx context.Context, tx pgx.Tx) error {
			later(tx, 1)
			return tx.QueryRow(ctx, `select 1 where false`).Scan(new(int))
		}, func(err error) bool { return err == pgx.ErrNoRows }},
		{"nested", func(ctx context.Context, tx pgx.Tx) error {
			later(tx, 1)
			_, err := tx.Begin(ctx)
			return err
		}, func(err error) bool { return errors.Is(err, errors.ErrUnsupported) }},
	} {
		if err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error { return tt.fn(t.Context(), tx) }); !tt.is(err) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if left := noted(t, pool); len(left) > 0 {
			t.Errorf("%s: %v is left", tt.name, left)
		}
	}
	func() {
		defer func() { recover() }()
		postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			tx.Exec(t.Context(), insert, 1)
			panic("in the middle")
		})
	}()
	ctx, cancel := context.WithCancel(t.Context())
	err := postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, insert, 1)
		cancel()
		return err
	})
	if left := noted(t, pool); !errors.Is(err, context.Canceled) || len(left) > 0 {
		t.Errorf("after a panic and a cancelled context %v is left: %v", left, err)
	}
	if got := pool.Stat().AcquiredConns(); got != 0 {
		t.Errorf("%d connections were not given back", got)
	}
}

func TestTransientFailuresAreTriedAgain(t *testing.T) {
	pool, _ := notes(t)
	const conflict = `do $$ begin raise exception 'again' using errcode = '40001'; end $$`
	for _, late := range []bool{false, true} {
		runs := 0
		err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			runs++
			if err := postgres.Later(t.Context(), tx, "note", insert, 1); err != nil {
				return err
			}
			switch {
			case runs == 2 && late:
				return postgres.Later(t.Context(), tx, "conflict", conflict)
			case runs <= 2:
				_, err := tx.Exec(t.Context(), conflict)
				return err
			}
			return nil
		})
		if diff := cmp.Diff([]int{1}, noted(t, pool)); err != nil || runs != 3 || diff != "" {
			t.Errorf("late %v: %d runs: %v\n%s", late, runs, err, diff)
		}
		if _, err := pool.Exec(t.Context(), `delete from note`); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRowsAreReadInPart(t *testing.T) {
	pool, _ := notes(t)
	err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(t.Context(), `select n from generate_series(1, 1000) n`)
		if err != nil {
			return err
		}
		for range 3 {
			rows.Next()
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRow(t.Context(), `select n from generate_series(7, 9) n`).Scan(&n); err != nil || n != 7 {
			t.Errorf("the first row is %d: %v", n, err)
		}
		var b pgx.Batch
		b.Queue(insert, 1)
		b.Queue(insert, 2)
		return tx.SendBatch(t.Context(), &b).Close()
	})
	if diff := cmp.Diff([]int{1, 2}, noted(t, pool)); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}
