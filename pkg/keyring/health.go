package keyring

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// Problem is something about the keys that an operator should act on.
type Problem struct {
	// Code is one word for alerts, see ProblemCodes.
	Code string
	// Text is a sentence.
	Text string
}

// The codes of problems.
const (
	// ProblemStale: the database could not be asked for Lease; nothing is published or signed here.
	ProblemStale = "stale"
	// ProblemClockSkew: this replica's clock is off by more than MaxSkew; it changes nothing.
	ProblemClockSkew = "clock_skew"
	// ProblemNoSigner: an algorithm has no key that signs.
	ProblemNoSigner = "no_signer"
	// ProblemNoSuccessor: a key is to give way before a successor may sign.
	ProblemNoSuccessor = "no_successor"
	// ProblemLate: a rotation is a day late.
	ProblemLate = "rotation_late"
	// ProblemDemandWaits: an emergency was demanded and is not done yet.
	ProblemDemandWaits = "emergency_waits"
	// ProblemSealed: a key was sealed under a sealing key that this replica does not have; it changes nothing.
	ProblemSealed = "sealed"
	// ProblemMetadataStale: the metadata's next update is more than a day overdue.
	ProblemMetadataStale = "metadata_stale"
)

// ProblemCodes lists every code.
func ProblemCodes() []string {
	return []string{ProblemStale, ProblemClockSkew, ProblemNoSigner, ProblemNoSuccessor, ProblemLate, ProblemDemandWaits, ProblemSealed, ProblemMetadataStale}
}

// problemsOf finds what is wrong with one algorithm's ring.
func problemsOf(v view, alg Algorithm) []Problem {
	var found []Problem
	add := func(code, format string, args ...any) {
		found = append(found, Problem{code, fmt.Sprintf(format, args...)})
	}
	if v.current == nil || v.current.StateAt(v.now) != Active {
		add(ProblemNoSigner, "No %s key signs.", alg)
	}
	if d, waits := v.wants(demandEmergency); waits {
		add(ProblemDemandWaits, "An emergency rotation of %s was demanded (%s) and waits for a successor that gateways know.", alg, d.cause)
	}
	if v.current == nil {
		return found
	}
	p := v.plan()
	switch {
	case v.standby == nil && p.Due.Before(v.now.Add(v.rules.PublishAhead)):
		add(ProblemNoSuccessor, "The %s key gives way on %s and nothing follows it.", alg, stamp(p.Due))
	case v.standby != nil && v.standby.CreatedAt.Add(v.rules.PublishAhead).After(p.Deadline):
		add(ProblemNoSuccessor, "The %s key should give way by %s, before its successor may sign.", alg, stamp(p.Deadline))
	}
	if v.now.After(p.Due.Add(lateAfter)) {
		add(ProblemLate, "The rotation of %s was due on %s.", alg, stamp(p.Due))
	}
	return found
}

// problemsAround finds what is wrong beside the rings.
func problemsAround(l read) []Problem {
	var found []Problem
	if l.skew.Abs() > MaxSkew {
		found = append(found, Problem{ProblemClockSkew, fmt.Sprintf("This replica's clock is off by %s, more than %s: it rotates nothing.", l.skew.Round(time.Millisecond), MaxSkew)})
	}
	if next := l.basis.next; !next.IsZero() && l.now.After(next.Add(lateAfter)) {
		found = append(found, Problem{ProblemMetadataStale, fmt.Sprintf("The metadata's next update was due on %s.", stamp(next))})
	}
	return found
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Problems returns what is wrong now; nothing in good health.
func (r *Ring) Problems() []Problem {
	s, err := r.fresh()
	if err != nil {
		return []Problem{{ProblemStale, "The signing keys could not be read from the database for " + Lease.String() + ": this replica publishes and signs nothing."}}
	}
	return s.problems
}

// WriteMetrics writes the state of the ring in the Prometheus text format.
func (r *Ring) WriteMetrics(w io.Writer) error {
	s := r.current.Load()
	counts := map[State]map[Algorithm]int{}
	for _, k := range s.read.keys {
		state := k.StateAt(s.read.now)
		if counts[state] == nil {
			counts[state] = map[Algorithm]int{}
		}
		counts[state][k.Algorithm]++
	}
	var fault error
	line := func(format string, args ...any) {
		if _, err := fmt.Fprintf(w, format+"\n", args...); err != nil && fault == nil {
			fault = err
		}
	}
	line("# TYPE touchstone_signing_keys gauge")
	for _, state := range []State{Pending, Active, Honoured} {
		for _, alg := range r.options.Algorithms {
			line(`touchstone_signing_keys{state="%s",algorithm="%s"} %d`, state, alg, counts[state][alg])
		}
	}
	line("# TYPE touchstone_signing_key_rotation_due_timestamp_seconds gauge")
	for _, alg := range r.options.Algorithms {
		if p, ok := s.plans[alg]; ok {
			line(`touchstone_signing_key_rotation_due_timestamp_seconds{algorithm="%s"} %d`, alg, p.Due.Unix())
		}
	}
	line("# TYPE touchstone_metadata_next_update_timestamp_seconds gauge")
	if next := s.read.basis.next; !next.IsZero() {
		line("touchstone_metadata_next_update_timestamp_seconds %d", next.Unix())
	}
	line("# TYPE touchstone_clock_skew_seconds gauge\ntouchstone_clock_skew_seconds %.3f", s.read.skew.Seconds())
	line("# TYPE touchstone_key_snapshot_age_seconds gauge\ntouchstone_key_snapshot_age_seconds %.0f", r.local().Sub(s.read.taken).Seconds())
	line("# TYPE touchstone_key_problem gauge")
	problems := r.Problems()
	for _, code := range ProblemCodes() {
		n := 0
		if slices.ContainsFunc(problems, func(p Problem) bool { return p.Code == code }) {
			n = 1
		}
		line(`touchstone_key_problem{problem="%s"} %d`, code, n)
	}
	return fault
}
