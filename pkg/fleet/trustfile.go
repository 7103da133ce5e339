package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// trustChannel tells replicas that a trust file was applied.
const trustChannel = "trust_changed"

// trustPollInterval bounds how long a replica may miss it when notifications fail.
const trustPollInterval = time.Minute

// TrustFile is the trust file in force, the same on every replica. Asking it
// costs no I/O; it is safe for concurrent use.
type TrustFile struct {
	pool    *pgxpool.Pool
	current atomic.Pointer[trust.Trust]
}

// OpenTrustFile reads the trust file in force; before the first is applied it
// is one that says nothing.
func OpenTrustFile(ctx context.Context, pool *pgxpool.Pool) (*TrustFile, error) {
	f := &TrustFile{pool: pool}
	f.current.Store(trust.Empty())
	_, err := f.Reload(ctx)
	return f, err
}

// Current returns the trust file in force.
func (f *TrustFile) Current() *trust.Trust { return f.current.Load() }

// Reload takes the newest applied file into force here, and reports whether
// that changed anything.
func (f *TrustFile) Reload(ctx context.Context) (bool, error) {
	var version, content string
	err := f.pool.QueryRow(ctx, `select version, content from trust_file order by id desc limit 1`).Scan(&version, &content)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && version == f.Current().Version {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read trust file: %w", err)
	}
	t, err := trust.Parse("applied trust file", []byte(content))
	if err != nil {
		return false, err
	}
	f.current.Store(t)
	return true, nil
}

// Applied reports whether any trust file was ever applied.
func Applied(ctx context.Context, q postgres.Querier) (bool, error) {
	var any bool
	if err := q.QueryRow(ctx, `select exists (select from trust_file)`).Scan(&any); err != nil {
		return false, fmt.Errorf("look for a trust file: %w", err)
	}
	return any, nil
}

// Apply puts a trust file in force, here and on every replica, and keeps its
// text. Applying the one in force changes nothing. The error is that of
// trust.Parse, or a fault.
func (f *TrustFile) Apply(ctx context.Context, log *audit.Log, now time.Time, name string, content []byte, by string) (*trust.Trust, error) {
	t, err := trust.Parse(name, content)
	if err != nil {
		return nil, err
	}
	err = log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		var before string
		// The lock lets one apply at a time, so that "the one before" is that.
		if _, err := tx.Exec(ctx, `lock table trust_file in share row exclusive mode`); err != nil {
			return audit.Event{}, fmt.Errorf("apply trust file: %w", err)
		}
		err := tx.QueryRow(ctx, `select version from trust_file order by id desc limit 1`).Scan(&before)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return audit.Event{}, fmt.Errorf("apply trust file: %w", err)
		}
		if before == t.Version {
			return audit.Event{}, errUnchanged
		}
		if _, err := tx.Exec(ctx, `insert into trust_file (version, content, applied_at, applied_by) values ($1, $2, $3, $4)`, t.Version, string(content), now, by); err != nil {
			return audit.Event{}, fmt.Errorf("apply trust file: %w", err)
		}
		if _, err := tx.Exec(ctx, `select pg_notify($1, '')`, trustChannel); err != nil {
			return audit.Event{}, fmt.Errorf("announce trust file: %w", err)
		}
		return audit.Event{Action: audit.TrustApplied, Details: map[string]string{"version": t.Version, "before": before, "by": by}}, nil
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return nil, err
	}
	_, err = f.Reload(ctx)
	return t, err
}

// errUnchanged ends an act that has nothing to do.
var errUnchanged = errors.New("the trust file is in force already")

// Watch follows what is applied elsewhere until the context ends, and calls
// changed, from this goroutine, after each change.
func (f *TrustFile) Watch(ctx context.Context, logger zerolog.Logger, changed func()) {
	turn := func() {
		other, err := f.Reload(ctx)
		if err != nil && ctx.Err() == nil {
			logger.Error().Err(err).Msg("the trust file could not be reloaded; the last good one stays in force")
		}
		if other {
			changed()
		}
	}
	failed := func(err error) { logger.Warn().Err(err).Msg("trust file: notifications interrupted") }
	postgres.Listen(ctx, f.pool, trustChannel, func() time.Duration { return trustPollInterval }, turn, failed)
}
