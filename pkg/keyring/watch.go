package keyring

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// channel is the notification that tells replicas of a change.
const channel = "signing_key_changed"

// pollInterval bounds how long a replica may miss a change when notifications
// fail. Four may fail in a row before the Lease ends.
const pollInterval = time.Minute

// Watch turns the ring until the context ends: when a replica announces a
// change, when a clock rule comes due, and once a minute.
func (r *Ring) Watch(ctx context.Context, log zerolog.Logger) {
	r.watch(ctx, log, func() {})
}

// watch calls turned after each turn.
func (r *Ring) watch(ctx context.Context, log zerolog.Logger, turned func()) {
	wait := func() time.Duration {
		s := r.current.Load()
		if s.next.IsZero() {
			return pollInterval
		}
		return max(min(pollInterval, s.next.Sub(s.read.now)-r.local().Sub(s.read.taken)), time.Second)
	}
	var told []Problem
	changed := func() {
		if err := r.Turn(ctx); err != nil && ctx.Err() == nil {
			log.Error().Err(err).Msg("signing keys could not be turned; the last good ones stay in use for a few minutes")
		}
		problems := r.Problems()
		for _, p := range problems {
			if !slices.Contains(told, p) {
				log.Warn().Str("problem", p.Code).Msg(p.Text)
			}
		}
		told = problems
		turned()
	}
	failed := func(err error) { log.Warn().Err(err).Msg("signing keys: notifications interrupted") }
	postgres.Listen(ctx, r.options.Pool, channel, wait, changed, failed)
}

// notify tells every replica to look once the transaction commits.
func notify(ctx context.Context, q postgres.Querier) error {
	if _, err := q.Exec(ctx, `select pg_notify($1, '')`, channel); err != nil {
		return fmt.Errorf("announce key change: %w", err)
	}
	return nil
}
