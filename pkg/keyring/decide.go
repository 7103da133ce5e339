package keyring

import (
	"slices"
	"time"
)

// move is one change of a ring; each is one transaction.
type move string

const (
	moveNone move = ""
	// moveStandby publishes a successor.
	moveStandby move = "standby"
	// movePromote lets the standby sign and the current key be honoured.
	movePromote move = "promote"
	// moveWithdraw takes every key that has signed out of the key set and lets
	// the standby sign.
	moveWithdraw move = "withdraw"
)

// Demand kinds, as the table has them.
const (
	demandRotate    = "rotate"
	demandEmergency = "emergency"
)

// demand is a rotation that was asked for.
type demand struct {
	algorithm Algorithm
	kind      string
	cause     string
}

// view is all that a decision about one algorithm rests on.
type view struct {
	now              time.Time
	current, standby *Key
	demands          []demand
	basis            basis
	rules            Rules
}

// viewOf picks an algorithm out of what was read.
func viewOf(l look, alg Algorithm, rules Rules) view {
	v := view{now: l.now, basis: l.basis, rules: rules}
	for i, k := range l.keys {
		switch {
		case k.Algorithm != alg:
		case k.standsBy():
			v.standby = &l.keys[i]
		case k.current():
			v.current = &l.keys[i]
		}
	}
	for _, d := range l.demands {
		if d.algorithm == alg {
			v.demands = append(v.demands, d)
		}
	}
	return v
}

// wants returns the open demand of a kind.
func (v view) wants(kind string) (demand, bool) {
	i := slices.IndexFunc(v.demands, func(d demand) bool { return d.kind == kind })
	if i < 0 {
		return demand{}, false
	}
	return v.demands[i], true
}

// plan returns when the current key gives way.
func (v view) plan() Plan {
	return v.rules.Plan(*v.current.ActivatesAt, v.basis.updated, v.basis.next, v.now)
}

// decide returns the next move of an algorithm's ring, and why it is made. It is
// a function of its argument alone, so that it can be asked before the lock is
// taken and again inside it.
func decide(v view) (move, string) {
	if v.standby == nil {
		return moveStandby, "successor"
	}
	ready := !v.now.Before(v.standby.ReadyAt)
	if v.current == nil {
		if ready {
			return movePromote, "no key signs"
		}
		return moveNone, ""
	}
	if d, wanted := v.wants(demandEmergency); wanted && ready {
		return moveWithdraw, d.cause
	}
	// A planned change waits for every gateway and never falls between a
	// metadata update and the end of its judgement.
	if v.now.Before(v.standby.CreatedAt.Add(v.rules.PublishAhead)) || !ready || v.basis.open || v.now.Before(*v.current.ActivatesAt) {
		return moveNone, ""
	}
	if d, wanted := v.wants(demandRotate); wanted {
		return movePromote, d.cause
	}
	if !v.now.Before(v.plan().Due) {
		return movePromote, "planned"
	}
	return moveNone, ""
}
