package mds

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

const (
	// channel tells replicas that a BLOB was stored.
	channel = "metadata_changed"
	// fetchLock is the advisory lock of the replica that fetches.
	fetchLock = 0x7473_6d64_73
	// pollInterval is how often files are looked at, and how long a replica may
	// miss a change when notifications fail.
	pollInterval = 15 * time.Second
	// retryLeast and retryMost bound the pause after a fetch that failed, or
	// brought nothing new though an update was due.
	retryLeast, retryMost = 15 * time.Minute, 6 * time.Hour
	// jitter spreads the fetches of many installations over the hour after an update is due.
	jitter = time.Hour
)

// Options are the parts a keeper is made of.
type Options struct {
	Pool *pgxpool.Pool
	// Log records each BLOB that comes into use.
	Log     *audit.Log
	Sources []Source
	Logger  zerolog.Logger
	// Passive keeps Open from reading files: only the copies count until Refresh is called.
	Passive bool
	// Now is the clock.
	Now func() time.Time
}

// Keeper holds the metadata in force. It is safe for concurrent use; asking it
// costs no I/O.
type Keeper struct {
	options Options
	client  *http.Client
	current atomic.Pointer[Set]
	// mu lets one refresh or reload run at a time in this process.
	mu      sync.Mutex
	stamps  map[string]string
	parsed  map[string]parsed
	tried   map[string]copied
	due     map[string]time.Time
	changed func()
}

// Open returns a keeper with the copies in the database and, unless it is
// passive, what the files hold; nothing is fetched yet. Two sources of one name are an error.
func Open(ctx context.Context, o Options) (*Keeper, error) {
	if err := check(o.Sources); err != nil {
		return nil, err
	}
	k := &Keeper{options: o, client: newClient(), stamps: map[string]string{}, parsed: map[string]parsed{}, tried: map[string]copied{}, due: map[string]time.Time{}, changed: func() {}}
	k.current.Store(Merge())
	var files []Source
	for _, s := range o.Sources {
		if s.Path != "" && !o.Passive {
			files = append(files, s)
		}
	}
	if _, err := k.read(ctx, files); err != nil {
		return nil, err
	}
	return k, k.Reload(ctx)
}

// Current returns the metadata in force.
func (k *Keeper) Current() *Set { return k.current.Load() }

// Refresh reads every source now, due or not, and takes what is newer into
// force, here and on every replica. The reports are in the order of the
// sources; the error is a fault of the database.
func (k *Keeper) Refresh(ctx context.Context) ([]Report, error) {
	reports, err := k.read(ctx, k.options.Sources)
	if err != nil {
		return nil, err
	}
	return reports, k.Reload(ctx)
}

// read reads sources; one replica at a time does.
func (k *Keeper) read(ctx context.Context, sources []Source) ([]Report, error) {
	if len(sources) == 0 {
		return nil, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	conn, err := k.options.Pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `select pg_advisory_lock($1)`, fetchLock); err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	defer conn.Exec(context.WithoutCancel(ctx), `select pg_advisory_unlock($1)`, fetchLock)
	reports := make([]Report, len(sources))
	for i, s := range sources {
		k.stamps[s.Name] = s.stamp()
		if _, reports[i], err = k.refresh(ctx, s); err != nil {
			return nil, fmt.Errorf("metadata %s: %w", s.Name, err)
		}
		if reports[i].Err != nil {
			k.options.Logger.Warn().Err(reports[i].Err).Str("source", s.Name).Bool("copy_in_use", reports[i].Kept).Msg("metadata could not be refreshed")
		}
	}
	return reports, nil
}

// Instead returns what would be in force if a set took the place of a source's
// BLOB; an unknown source is one more.
func (k *Keeper) Instead(source string, other *Set) *Set {
	k.mu.Lock()
	defer k.mu.Unlock()
	var sets []*Set
	placed := false
	for _, s := range k.options.Sources {
		switch known, ok := k.parsed[s.Name]; {
		case s.Name == source:
			sets, placed = append(sets, other), true
		case ok:
			sets = append(sets, known.set)
		}
	}
	if !placed {
		sets = append(sets, other)
	}
	return Merge(sets...)
}

// Reload takes the copies in the database into force. On a fault the metadata
// in force stays.
func (k *Keeper) Reload(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var sets []*Set
	for _, s := range k.options.Sources {
		c, err := k.copy(ctx, s)
		if err != nil {
			return fmt.Errorf("metadata %s: %w", s.Name, err)
		}
		if c.unusable != nil {
			k.options.Logger.Error().Err(c.unusable).Str("source", s.Name).Msg("the kept metadata is not believed")
		}
		if c.set != nil {
			sets = append(sets, c.set)
		}
		k.due[s.Name] = c.nextTry()
	}
	merged := Merge(sets...)
	if before := k.current.Swap(merged); before.version != merged.version {
		k.options.Logger.Info().Str("metadata", merged.version).Msg("metadata in force")
		k.changed()
	}
	return nil
}

// nextTry is when a URL should be asked again: after the promised update, or
// after a pause that grows with each failure. The hour's jitter is random, so
// that it differs between replicas and restarts.
func (c copied) nextTry() time.Time {
	spread := time.Duration(rand.Int64N(int64(jitter)))
	if c.set == nil && c.triedAt.IsZero() {
		return time.Time{}
	}
	if c.set != nil && c.failures == 0 && c.triedAt.Before(c.set.next) {
		return c.set.next.Add(spread)
	}
	return c.triedAt.Add(min(retryLeast<<min(c.failures, 10), retryMost) + spread/10)
}

// Run keeps the metadata up to date until the context ends: it follows what
// other replicas announce, looks at files, and fetches what is due. It calls
// changed, from this goroutine, whenever other metadata came into force.
func (k *Keeper) Run(ctx context.Context, changed func()) {
	k.mu.Lock()
	k.changed = changed
	k.mu.Unlock()
	turn := func() {
		err := k.Reload(ctx)
		if err == nil {
			if sources := k.dueNow(); len(sources) > 0 {
				if _, err = k.read(ctx, sources); err == nil {
					err = k.Reload(ctx)
				}
			}
		}
		if err != nil && ctx.Err() == nil {
			k.options.Logger.Error().Err(err).Msg("metadata could not be refreshed; what is in force stays")
		}
	}
	failed := func(err error) { k.options.Logger.Warn().Err(err).Msg("metadata: notifications interrupted") }
	postgres.Listen(ctx, k.options.Pool, channel, func() time.Duration { return pollInterval }, turn, failed)
}

// dueNow returns the files that changed since they were read and the URLs whose time has come.
func (k *Keeper) dueNow() []Source {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.options.Now()
	var sources []Source
	for _, s := range k.options.Sources {
		if s.Path != "" && s.stamp() != k.stamps[s.Name] || s.Path == "" && !now.Before(k.due[s.Name]) {
			sources = append(sources, s)
		}
	}
	return sources
}
