package audit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
)

// retainEvery is the pause between looks for entries that have reached the age.
const retainEvery = time.Hour

// Retention takes the personal part out of entries when they reach an age: the
// tree and every proof stay whole, and that it was done is an entry.
type Retention struct {
	log    *Log
	keep   time.Duration
	logger zerolog.Logger
	now    func() time.Time
	// done is the instant before which this replica knows that all is erased.
	done time.Time
}

// NewRetention returns a retention that erases what is older than keep.
func NewRetention(log *Log, keep time.Duration, logger zerolog.Logger, now func() time.Time) *Retention {
	return &Retention{log: log, keep: keep, logger: logger, now: now}
}

// Run erases until the context ends. What fails is tried again.
func (r *Retention) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if _, err := r.Step(ctx); err != nil && ctx.Err() == nil {
			r.logger.Warn().Err(err).Msg("what is past its age could not be erased; it is tried again")
		}
		select {
		case <-ctx.Done():
		case <-time.After(retainEvery):
		}
	}
}

// errNothingDue undoes an act in which another replica was first.
var errNothingDue = errors.New("nothing is past its age")

// Step erases what is past its age now, in whole days, and returns how many
// entries there were. Of replicas that try at once one does.
func (r *Retention) Step(ctx context.Context) (int, error) {
	before := r.now().Add(-r.keep).UTC().Truncate(24 * time.Hour)
	var due bool
	err := r.log.pool.QueryRow(ctx, `
		select exists (select from audit_entry e where at >= $1 and at < $2 and erased_at is null and exists (select from audit_leaf where entry_id = e.id))`, r.done, before).Scan(&due)
	if err != nil {
		return 0, fmt.Errorf("look for what is past its age: %w", err)
	}
	n := 0
	if due {
		err = r.log.Do(ctx, func(tx pgx.Tx) (Event, error) {
			var err error
			if n, err = EraseBefore(ctx, tx, before); err == nil && n == 0 {
				err = errNothingDue
			}
			return Event{Action: PersonErased, Details: map[string]string{"entries": strconv.Itoa(n), "before": before.Format(time.DateOnly)}}, err
		})
		if err != nil && !errors.Is(err, errNothingDue) {
			return 0, err
		}
	}
	r.done = before
	return n, nil
}
