package keyring

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

const day = 24 * time.Hour

func TestPlan(t *testing.T) {
	start := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(days float64) time.Time { return start.Add(time.Duration(days * float64(day))) }
	rules := DefaultRules()
	never := time.Time{}
	for _, tt := range []struct {
		name               string
		updated, next, now time.Time
		due                time.Time
		follows            bool
	}{
		{"no metadata", never, never, at(3), at(30), false},
		{"the next update is too early", at(0), at(20), at(3), at(30), false},
		{"the next update is near before", at(0), at(25), at(3), at(25).Add(settle), true},
		{"the next update is near after", at(0), at(36), at(3), at(36).Add(settle), true},
		{"the next update is too late", at(0), at(38), at(3), at(30), false},
		{"it has come", at(26), at(57), at(26.1), at(26), true},
		{"it came early in the life of the key", at(10), at(41), at(12), at(30), false},
		{"it came in time, long ago", at(24), at(55), at(60), at(24), true},
		{"it is overdue", at(0), at(28), at(29), at(37), true},
		{"it never came", at(0), at(28), at(40), at(37), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := rules.Plan(start, tt.updated, tt.next, tt.now)
			if !p.Due.Equal(tt.due) || p.Follows != tt.follows || !p.Deadline.Equal(at(37)) {
				t.Errorf("%+v, want due %s", p, tt.due)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { return ptr(now.Add(-d)) }
	signing := func(age time.Duration) *Key {
		return &Key{ID: "current", CreatedAt: *ago(age), ReadyAt: *ago(age), ActivatesAt: ago(age)}
	}
	standing := func(age time.Duration) *Key {
		return &Key{ID: "standby", CreatedAt: *ago(age), ReadyAt: now.Add(GatewayWindow - age)}
	}
	rotate, emergency := demand{"", demandRotate, "asked"}, demand{"", demandEmergency, "asked"}
	for _, tt := range []struct {
		name             string
		current, standby *Key
		demands          []demand
		open             bool
		want             move
	}{
		{"nothing stands by", signing(day), nil, nil, false, moveStandby},
		{"nothing at all", nil, nil, nil, true, moveStandby},
		{"young", signing(day), standing(day), nil, false, moveNone},
		{"due", signing(30 * day), standing(day), nil, false, movePromote},
		{"due, judgement under way", signing(30 * day), standing(day), nil, true, moveNone},
		{"due for long, judgement under way", signing(300 * day), standing(day), nil, true, moveNone},
		{"due, published for less than a day", signing(30 * day), standing(day - 1), nil, false, moveNone},
		{"rotation demanded", signing(day), standing(day), []demand{rotate}, false, movePromote},
		{"rotation demanded, judgement under way", signing(day), standing(day), []demand{rotate}, true, moveNone},
		{"rotation demanded, published for less than a day", signing(day), standing(day - 1), []demand{rotate}, false, moveNone},
		{"emergency demanded", signing(day), standing(GatewayWindow), []demand{rotate, emergency}, true, moveWithdraw},
		{"emergency demanded, unknown to gateways", signing(day), standing(GatewayWindow - 1), []demand{emergency}, false, moveNone},
		{"nothing signs", nil, standing(GatewayWindow), nil, true, movePromote},
		{"nothing signs, unknown to gateways", nil, standing(GatewayWindow - 1), nil, false, moveNone},
		{"a fresh key has a date", signing(-Lease), standing(2 * day), []demand{rotate}, false, moveNone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := decide(view{now: now, current: tt.current, standby: tt.standby, demands: tt.demands, basis: basis{open: tt.open}, rules: DefaultRules()})
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

// history is a ring in memory on which moves do what the statements do.
type history struct {
	look
	made     int
	promoted map[string]string
	// settledSince is when everything was judged last; demandedAt is when the
	// oldest open demand of each kind came.
	settledSince time.Time
	demandedAt   map[string]time.Time
}

// do carries a move out.
func (h *history) do(m move, cause string) {
	v := viewOf(h.look, RS256, DefaultRules())
	switch m {
	case moveStandby:
		h.made++
		h.keys = append(h.keys, Key{ID: fmt.Sprint(h.made), Algorithm: RS256, CreatedAt: h.now, ReadyAt: h.now.Add(GatewayWindow)})
	case movePromote:
		if v.current != nil {
			v.current.HonouredAt, v.current.RetiresAt = ptr(h.now), ptr(h.now.Add(HonourFor))
		}
		v.standby.ActivatesAt = ptr(h.now)
		h.promoted[v.standby.ID] = cause
		h.close(demandRotate)
	case moveWithdraw:
		for i, k := range h.keys {
			if k.ActivatesAt != nil && k.StateAt(h.now) != Retired {
				if k.HonouredAt == nil {
					h.keys[i].HonouredAt = ptr(h.now)
				}
				h.keys[i].RetiresAt, h.keys[i].WithdrawnAt = ptr(h.now), ptr(h.now)
			}
		}
		v.standby.ActivatesAt = ptr(h.now)
		h.promoted[v.standby.ID] = demandEmergency
		h.close(demandRotate, demandEmergency)
	}
}

func (h *history) close(kinds ...string) {
	for _, kind := range kinds {
		delete(h.demandedAt, kind)
		for i := len(h.demands) - 1; i >= 0; i-- {
			if h.demands[i].kind == kind {
				h.demands = append(h.demands[:i:i], h.demands[i+1:]...)
			}
		}
	}
}

// order of states, for the rule that nothing goes back.
var order = map[State]int{Pending: 0, Active: 1, Honoured: 2, Retired: 3}

// TestEveryHistoryKeepsTheRules lets thousands of random histories happen to a
// ring and checks every rule of doc.go after each event.
func TestEveryHistoryKeepsTheRules(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 6))
		now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
		h := &history{look: look{now: now}, promoted: map[string]string{}, demandedAt: map[string]time.Time{}, settledSince: now}
		h.keys = []Key{{ID: "first", Algorithm: RS256, CreatedAt: now, ReadyAt: now, ActivatesAt: ptr(now)}}
		was := map[string]int{}
		for event := range 150 {
			h.now = h.now.Add(time.Duration(random.Int64N(int64([]time.Duration{time.Minute, 2 * time.Hour, 4 * day}[random.IntN(3)]))))
			switch random.IntN(8) {
			case 0:
				h.basis.updated, h.basis.next, h.basis.open = h.now, h.now.Add(time.Duration(20+random.IntN(20))*day), true
			case 1, 2:
				if h.basis.open {
					h.basis.open, h.settledSince = false, h.now
				}
			case 3:
				kind := []string{demandRotate, demandEmergency}[random.IntN(2)]
				if _, open := h.demandedAt[kind]; !open {
					h.demands = append(h.demands, demand{RS256, kind, kind})
					h.demandedAt[kind] = h.now
				}
			}
			for range 4 {
				m, cause := decide(viewOf(h.look, RS256, DefaultRules()))
				if m == movePromote && h.basis.open {
					t.Fatalf("seed %d, event %d: rotated between a metadata update and the end of its judgement", seed, event)
				}
				if m == moveNone {
					break
				}
				h.do(m, cause)
			}
			h.check(t, seed, event, was)
		}
	}
}

// check holds what must be true after every event, once nothing is left to decide.
func (h *history) check(t *testing.T, seed uint64, event int, was map[string]int) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("seed %d, event %d: %s", seed, event, fmt.Sprintf(format, args...))
	}
	count := map[State]int{}
	for _, k := range h.keys {
		state := k.StateAt(h.now)
		count[state]++
		if order[state] < was[k.ID] {
			fail("key %s went back to %s", k.ID, state)
		}
		was[k.ID] = order[state]
		if k.ActivatesAt == nil || k.ID == "first" {
			continue
		}
		ahead, least := k.ActivatesAt.Sub(k.CreatedAt), GatewayWindow
		if cause := h.promoted[k.ID]; cause != demandEmergency {
			least = DefaultPublishAhead
		}
		if ahead < least {
			fail("key %s signed %s after it was published (%s)", k.ID, ahead, h.promoted[k.ID])
		}
		if k.HonouredAt != nil && k.WithdrawnAt == nil && k.RetiresAt.Sub(*k.HonouredAt) != HonourFor {
			fail("key %s was honoured for %s", k.ID, k.RetiresAt.Sub(*k.HonouredAt))
		}
	}
	if count[Active] != 1 || count[Pending] != 1 {
		fail("%d keys sign and %d stand by", count[Active], count[Pending])
	}
	v := viewOf(h.look, RS256, DefaultRules())
	settled := h.now.Sub(v.standby.CreatedAt)
	if at, open := h.demandedAt[demandEmergency]; open && h.now.Sub(at) >= 0 && settled >= GatewayWindow {
		fail("an emergency demanded on %s is not done", at)
	}
	if at, open := h.demandedAt[demandRotate]; open && !h.basis.open && settled >= DefaultPublishAhead {
		fail("a rotation demanded on %s is not done", at)
	}
	if age := h.now.Sub(*v.current.ActivatesAt); !h.basis.open && settled >= DefaultPublishAhead && age > DefaultRotateEvery+slack {
		fail("a key signs for %s", age)
	}
}
