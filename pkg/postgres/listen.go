package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// reconnectWait is the pause before a lost listening connection is replaced.
const reconnectWait = time.Second

// Listen calls changed once it listens on the channel, after every notification
// there, and whenever the time that wait returns has passed, until the context
// ends. It holds one connection of the pool; when that is lost it calls failed
// and takes another, so that nothing announced meanwhile is missed: changed runs
// again after each reconnection. Channel must be a plain identifier.
func Listen(ctx context.Context, pool *pgxpool.Pool, channel string, wait func() time.Duration, changed func(), failed func(error)) {
	for ctx.Err() == nil {
		if err := listen(ctx, pool, channel, wait, changed); err != nil && ctx.Err() == nil {
			failed(err)
			select {
			case <-ctx.Done():
			case <-time.After(reconnectWait):
			}
		}
	}
}

// listen serves one connection until it fails or the context ends.
func listen(ctx context.Context, pool *pgxpool.Pool, channel string, wait func() time.Duration, changed func()) error {
	pooled, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", channel, err)
	}
	// Taken out of the pool: a connection that listens must not serve others afterwards.
	conn := pooled.Hijack()
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `listen `+channel); err != nil {
		return fmt.Errorf("listen on %s: %w", channel, err)
	}
	for {
		changed()
		turn, cancel := context.WithTimeout(ctx, wait())
		_, err := conn.WaitForNotification(turn)
		timeUp := turn.Err() != nil
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !timeUp {
			return fmt.Errorf("wait on %s: %w", channel, err)
		}
		if err != nil && conn.IsClosed() {
			return fmt.Errorf("wait on %s: connection lost", channel)
		}
	}
}
