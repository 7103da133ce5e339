package attest

import (
	"slices"
	"time"

	"github.com/touchstone-id/touchstone/pkg/claim"
)

// undesired are the statuses that take a model's good standing away, however
// old and whatever was reported after them: the last report is not the latest,
// and a compromise is not undone by an update (FIDO MDS 3.1.1 section 3.1.4).
var undesired = []string{
	"USER_VERIFICATION_BYPASS", "ATTESTATION_KEY_COMPROMISE", "USER_KEY_REMOTE_COMPROMISE", "USER_KEY_PHYSICAL_COMPROMISE", "REVOKED", "RETIRED",
}

// withdrawing are the undesired statuses under which no certification is in force any more.
var withdrawing = []string{"REVOKED", "RETIRED"}

// rung is a step of a ladder: who holds it holds those below too.
type rung struct {
	status string
	fact   claim.Fact
}

// The ladders of certification, from the lowest.
var (
	fidoLadder = []rung{
		{"FIDO_CERTIFIED_L1", claim.FactFIDOL1}, {"FIDO_CERTIFIED_L1plus", claim.FactFIDOL1Plus},
		{"FIDO_CERTIFIED_L2", claim.FactFIDOL2}, {"FIDO_CERTIFIED_L2plus", claim.FactFIDOL2Plus},
		{"FIDO_CERTIFIED_L3", claim.FactFIDOL3}, {"FIDO_CERTIFIED_L3plus", claim.FactFIDOL3Plus},
	}
	fipsLadder = []rung{
		{"FIPS140_CERTIFIED_L1", claim.FactFIPSL1}, {"FIPS140_CERTIFIED_L2", claim.FactFIPSL2},
		{"FIPS140_CERTIFIED_L3", claim.FactFIPSL3}, {"FIPS140_CERTIFIED_L4", claim.FactFIPSL4},
	}
)

// standing computes the certifications from all reports in force at an instant,
// and names the undesired statuses among them, each once.
func standing(reports []StatusReport, now time.Time) (held []claim.Fact, bad []string) {
	fido, fips := 0, 0 // rungs climbed
	certified := false
	for _, r := range reports {
		if !r.InForce(now) {
			continue
		}
		if slices.Contains(undesired, r.Status) && !slices.Contains(bad, r.Status) {
			bad = append(bad, r.Status)
		}
		fido, fips = max(fido, height(fidoLadder, r.Status)), max(fips, height(fipsLadder, r.Status))
		// FIDO_CERTIFIED names no level: it was given before there were levels, and beside one since.
		certified = certified || r.Status == "FIDO_CERTIFIED" || fido > 0
	}
	for _, status := range bad {
		if slices.Contains(withdrawing, status) {
			return nil, bad
		}
	}
	if certified {
		held = append(held, claim.FactFIDOCertified)
	}
	for _, r := range slices.Concat(fidoLadder[:fido], fipsLadder[:fips]) {
		held = append(held, r.fact)
	}
	return held, bad
}

// InForce reports whether a report has begun and not ended.
func (r StatusReport) InForce(now time.Time) bool {
	return !r.Effective.After(now) && (r.Sunset.IsZero() || r.Sunset.After(now))
}

// height is the number of rungs that a status climbs, 0 when it is not on the ladder.
func height(ladder []rung, status string) int {
	return slices.IndexFunc(ladder, func(r rung) bool { return r.status == status }) + 1
}

// protection turns key protection values into facts: hardware in any form, and
// no software beside it (FIDO Registry section 3.2).
func protection(values []string) []claim.Fact {
	if slices.Contains(values, "software") {
		return nil
	}
	var facts []claim.Fact
	if slices.ContainsFunc(values, func(v string) bool { return v == "hardware" || v == "secure_element" || v == "tee" }) {
		facts = append(facts, claim.FactHardware)
	}
	if slices.Contains(values, "secure_element") {
		facts = append(facts, claim.FactSecureElement)
	}
	return facts
}
