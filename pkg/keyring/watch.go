package keyring

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// pollInterval bounds how long a replica may miss a change when notifications
// fail. It is far below the hour that a key is published before it signs.
const pollInterval = time.Minute

// Watch keeps the ring up to date until the context ends: it reloads when a
// replica announces a change, when a clock rule comes due, and once a minute.
func (r *Ring) Watch(ctx context.Context, log zerolog.Logger) {
	wait := func() time.Duration {
		next := r.current.Load().next
		if next.IsZero() {
			return pollInterval
		}
		return max(min(pollInterval, time.Until(next)), time.Second)
	}
	changed := func() {
		if err := r.Reload(ctx); err != nil && ctx.Err() == nil {
			log.Error().Err(err).Msg("signing keys could not be reloaded; the last good ones stay in use")
		}
	}
	failed := func(err error) { log.Warn().Err(err).Msg("signing keys: notifications interrupted") }
	postgres.Listen(ctx, r.options.Pool, channel, wait, changed, failed)
}
