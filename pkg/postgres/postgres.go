// Package postgres is the one way to the database.
//
// It decides how a pool is opened, when a transaction is tried again and how
// the schema moves forward with many replicas starting at once. It refuses to
// know any table: SQL lives beside the rule it enforces, in the package that
// owns the table.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Querier is what reads and writes: a pool, a connection or a transaction.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// connectTimeout bounds one attempt to connect, so that a black-holed host
// fails a start instead of hanging it.
const connectTimeout = 5 * time.Second

// Open returns a pool for the connection string and proves that it works. The
// caller closes the pool. Errors never contain the password.
func Open(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("parse database url: %w", err) // pgx removes the password
	}
	config.ConnConfig.ConnectTimeout = connectTimeout
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "touchstone"
	}
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("reach database: %w", err)
	}
	return pool, nil
}

// attempts is how often InTx runs its function. A serialization failure or
// deadlock that survives four retries is a fault worth seeing.
const attempts = 5

// InTx runs fn in one transaction: committed when fn returns nil, rolled back
// otherwise. A serialization failure or deadlock (40001, 40P01) runs fn again
// from the start, so fn must have no effect outside the transaction. The
// transaction cannot be nested.
func InTx(ctx context.Context, pool *pgxpool.Pool, fn func(tx pgx.Tx) error) error {
	var err error
	for range attempts {
		err = inTx(ctx, pool, fn)
		if !transient(err) {
			return err
		}
	}
	return fmt.Errorf("transaction failed %d times: %w", attempts, err)
}

// transient reports whether the same transaction may succeed when run again.
func transient(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// Violates reports whether err is the violation of the named constraint.
func Violates(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.ConstraintName == constraint
}
