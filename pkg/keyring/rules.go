package keyring

import (
	"fmt"
	"time"
)

const (
	// gatewayCache is how long API Management works with a key set that it fetched.
	gatewayCache = time.Hour
	// httpCache is the max-age that our key set allows caches in between.
	httpCache = 5 * time.Minute
	// Lease is how long a replica uses what it last read from the database.
	Lease = 5 * time.Minute
	// GatewayWindow is how long after a change of the key set some gateway may
	// still work with the one before: a replica cut off from the database
	// publishes it for Lease, a shared cache keeps it for five minutes more, and
	// a gateway for an hour more.
	GatewayWindow = Lease + httpCache + gatewayCache
	// LongestTokenLife is the most that a trust file may give a token.
	LongestTokenLife = time.Hour
	// HonourFor is how long a key stays published after it stopped signing.
	HonourFor = LongestTokenLife + GatewayWindow
	// MaxSkew is how far a replica's clock may be off the database's. A token's
	// iat is the replica's, and gateways allow no or little skew.
	MaxSkew = 10 * time.Second
)

// Default rules, see Rules.
const (
	DefaultPublishAhead = 24 * time.Hour
	DefaultRotateEvery  = 30 * 24 * time.Hour
)

const (
	// slack is how far a rotation may be moved so that it follows a metadata
	// update. The service promises one a month, so that with the default
	// interval every rotation finds one.
	slack = 7 * 24 * time.Hour
	// settle is what fetching and judging take after the promised day began: an
	// hour's jitter, and an hour for the fleet.
	settle = 2 * time.Hour
	// lateAfter is the delay of a rotation that an operator should hear about.
	lateAfter = 24 * time.Hour
	// developmentAhead replaces both publication waits in development, where one
	// replica and one gateway share a machine.
	developmentAhead = 10 * time.Second
)

// Rules are what an operator may decide about rotation.
type Rules struct {
	// PublishAhead is how long a key is published before a planned rotation may
	// let it sign.
	PublishAhead time.Duration
	// RotateEvery is the time between planned rotations.
	RotateEvery time.Duration
}

// DefaultRules returns the rules of an operator who decided nothing.
func DefaultRules() Rules { return Rules{DefaultPublishAhead, DefaultRotateEvery} }

// Check returns an error for rules that would surprise a gateway.
func (r Rules) Check() error {
	if r.PublishAhead < GatewayWindow {
		return fmt.Errorf("keys must be published for at least %s before they sign, not %s: gateways cache for an hour", GatewayWindow, r.PublishAhead)
	}
	if r.RotateEvery < r.PublishAhead+slack {
		return fmt.Errorf("rotations every %s are too close: at least %s", r.RotateEvery, r.PublishAhead+slack)
	}
	return nil
}

// Plan is when an algorithm's current key gives way.
type Plan struct {
	// Due is when the rotation is wanted, Deadline when it is wanted even though
	// the metadata update that it should follow has not come.
	Due, Deadline time.Time
	// Follows says that Due was moved to a metadata update.
	Follows bool
}

// Plan returns when a key that was activated at an instant gives way: after
// RotateEvery, moved by up to slack to follow a metadata update. Updated is when
// the metadata last changed and next when the next update is promised.
func (r Rules) Plan(activated, updated, next, now time.Time) Plan {
	base := activated.Add(r.RotateEvery)
	earliest, p := base.Add(-slack), Plan{Due: base, Deadline: base.Add(slack)}
	expected := next.Add(settle)
	switch {
	case !updated.Before(earliest) && !updated.After(now):
		p.Due, p.Follows = updated, true // it has come
	case next.Before(earliest) || expected.After(p.Deadline):
		// Too far from the interval to wait for.
	case now.Before(expected):
		p.Due, p.Follows = expected, true
	default:
		p.Due, p.Follows = p.Deadline, true // overdue: wait for it until the deadline
	}
	return p
}
