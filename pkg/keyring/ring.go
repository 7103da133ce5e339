package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// Options say how a ring is opened.
type Options struct {
	Pool *pgxpool.Pool
	Log  *audit.Log
	// Sealer seals new keys; Previous open those sealed before it was introduced.
	Sealer   Sealer
	Previous []Sealer
	// Algorithms are those that have rings; nil means all, so that an API can
	// change to any without a wait.
	Algorithms []Algorithm
	// EdDSA reports whether somebody wants keys of EdDSA published: gateways pass
	// over them at best, so that the set has none otherwise. Nil means nobody.
	EdDSA func() bool
	// Rules returns the rules in force; nil means DefaultRules.
	Rules func() Rules
	// Development shortens every wait before a key may sign to seconds. It is
	// for one replica beside one gateway.
	Development bool
}

// Ring holds the keys ready for use. It is safe for concurrent use.
type Ring struct {
	options Options
	current atomic.Pointer[snapshot]
	// turning lets one Turn run at a time in this process.
	turning sync.Mutex
	seams
}

// seams are what a simulation replaces.
type seams struct {
	// database reads the clock that decides, local this process's own.
	database func(context.Context, postgres.Querier) (time.Time, error)
	local    func() time.Time
	generate func(Algorithm) (material, error)
}

// lock is the advisory lock under which the ring changes.
const lock = 0x746f756368 // "touch"

// errNothing ends an act that another replica was faster with.
var errNothing = errors.New("nothing to do")

// Open loads the keys, and makes the first of each algorithm when there never
// was one. It fails when a stored key cannot be unsealed: a lost sealing key is
// never answered with a silent new signing key.
func Open(ctx context.Context, o Options) (*Ring, error) {
	return open(ctx, o, seams{clock, time.Now, generate})
}

func open(ctx context.Context, o Options, s seams) (*Ring, error) {
	if o.Algorithms == nil {
		o.Algorithms = Algorithms()
	}
	if o.EdDSA == nil {
		o.EdDSA = func() bool { return false }
	}
	if o.Rules == nil {
		o.Rules = DefaultRules
	}
	r := &Ring{options: o, seams: s}
	if !o.Development {
		if err := o.Rules().Check(); err != nil {
			return nil, err
		}
	}
	l, err := r.look(ctx)
	if err != nil {
		return nil, err
	}
	if l.empty {
		if err := r.createFirst(ctx); err != nil {
			return nil, err
		}
		if l, err = r.look(ctx); err != nil {
			return nil, err
		}
	}
	return r, r.adopt(ctx, l)
}

// rules are those in force here.
func (r *Ring) rules() Rules {
	rules := r.options.Rules()
	if r.options.Development {
		rules.PublishAhead = min(rules.PublishAhead, developmentAhead)
	}
	return rules
}

// readyAfter is the least time between publication and the first signature.
func (r *Ring) readyAfter() time.Duration {
	if r.options.Development {
		return developmentAhead
	}
	return GatewayWindow
}

// look reads the database and measures how far the local clock is off.
func (r *Ring) look(ctx context.Context) (read, error) {
	before := r.local()
	now, err := r.database(ctx, r.options.Pool)
	if err != nil {
		return read{}, err
	}
	trip := r.local().Sub(before)
	l, err := lookAt(ctx, r.options.Pool, now)
	// The reading was taken at some instant of the round trip; the snapshot
	// counts as old from its beginning.
	return read{look: l, taken: before, skew: before.Add(trip / 2).Sub(now)}, err
}

// read is a look with the local time it was taken at.
type read struct {
	look
	taken time.Time
	skew  time.Duration
}

// Reload takes what the database says into use. Until it succeeds the old
// snapshot stays, for Lease.
func (r *Ring) Reload(ctx context.Context) error {
	l, err := r.look(ctx)
	if err != nil {
		return err
	}
	return r.adopt(ctx, l)
}

// adopt swaps the snapshot. Keys that are in use already are not read again.
func (r *Ring) adopt(ctx context.Context, l read) error {
	known := map[string]parts{}
	if s := r.current.Load(); s != nil {
		known = s.parts
	}
	s, err := build(ctx, l, r.rules(), r.options.Algorithms, known, r.unseal)
	if err != nil {
		return err
	}
	r.current.Store(s)
	return nil
}

// Turn does what is due: it takes changes into use, publishes successors,
// promotes them, erases what is retired, and notes what keys were active under.
// Many replicas may turn at once. With a clock that is off, or a key that it
// cannot use, it only follows.
func (r *Ring) Turn(ctx context.Context) error {
	r.turning.Lock()
	defer r.turning.Unlock()
	l, err := r.look(ctx)
	if err != nil {
		return err
	}
	if err := r.adopt(ctx, l); err != nil {
		return err
	}
	if l.skew.Abs() > MaxSkew || r.current.Load().sealed {
		return nil
	}
	moved := false
	var faults []error
	for _, alg := range r.options.Algorithms {
		done, err := r.settle(ctx, l.look, alg)
		moved = moved || done
		faults = append(faults, err)
	}
	done, err := r.tidy(ctx, l.look)
	faults = append(faults, err)
	if moved || done {
		faults = append(faults, r.Reload(ctx))
	}
	return errors.Join(faults...)
}

// settle makes moves until none is due. Each is decided on a fresh look, so one
// more round than there are kinds of moves is always enough.
func (r *Ring) settle(ctx context.Context, l look, alg Algorithm) (moved bool, err error) {
	for range 4 {
		m, _ := decide(viewOf(l, alg, r.rules()))
		if m == moveNone {
			return moved, nil
		}
		done, err := r.step(ctx, alg, m)
		if err != nil {
			return moved, err
		}
		moved = moved || done
		now, err := r.database(ctx, r.options.Pool)
		if err != nil {
			return moved, err
		}
		if l, err = lookAt(ctx, r.options.Pool, now); err != nil {
			return moved, err
		}
	}
	return moved, nil
}

// act runs one change under the lock. The closure sees the ring as it is then
// and returns errNothing when another replica was faster.
func (r *Ring) act(ctx context.Context, do func(tx pgx.Tx, l look) (audit.Event, error)) (bool, error) {
	err := r.options.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		l, err := r.lookLocked(ctx, tx)
		if err != nil {
			return audit.Event{}, err
		}
		event, err := do(tx, l)
		if err != nil {
			return audit.Event{}, err
		}
		return event, notify(ctx, tx)
	})
	if errors.Is(err, errNothing) {
		return false, nil
	}
	return err == nil, err
}

// lookLocked takes the lock and then reads: nothing changes until the transaction ends.
func (r *Ring) lookLocked(ctx context.Context, tx pgx.Tx) (look, error) {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, lock); err != nil {
		return look{}, fmt.Errorf("lock key ring: %w", err)
	}
	now, err := r.database(ctx, tx)
	if err != nil {
		return look{}, err
	}
	return lookAt(ctx, tx, now)
}

// Algorithms returns the algorithms that have a published key, sorted.
func (r *Ring) Algorithms() []Algorithm {
	var algs []Algorithm
	for _, k := range r.current.Load().public {
		if k.Algorithm != string(EdDSA) || r.options.EdDSA() {
			algs = append(algs, Algorithm(k.Algorithm))
		}
	}
	slices.Sort(algs)
	return slices.Compact(algs)
}
