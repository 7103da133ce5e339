package trust

import (
	"slices"
	"strings"
	"time"
)

// Modes of a rule's rollout.
const (
	// ModeMonitor records who would be refused, and refuses nobody.
	ModeMonitor = "monitor"
	// ModeWarn tells the person until the rule's date, and enforces from then on.
	ModeWarn = "warn"
	// ModeEnforce refuses.
	ModeEnforce = "enforce"
)

// Occasions at which a rule is asked.
const (
	AtEnrolment = "enrolment"
	AtSignIn    = "sign-in"
)

// Rule says which passkeys some people may use.
type Rule struct {
	Name string
	// Groups are those whose members the rule is for; empty means everybody.
	Groups []string
	// Level is what their passkeys must have.
	Level string
	// At lists the occasions: enrolment, sign-in or both.
	At []string
	// Mode is monitor, warn or enforce.
	Mode string
	// From is the day, in UTC, from which a rule in mode warn is enforced; zero in the other modes.
	From time.Time
}

// Finding is a rule that an authenticator does not meet.
type Finding struct {
	Rule Rule
	// Effect is the mode in force at the instant asked: a warning past its day enforces.
	Effect string
	Shortfall
}

// Findings returns the rules for a member of these groups that the
// authenticator does not meet at an instant, in the order of the file.
func (t *Trust) Findings(occasion string, groups []string, a Authenticator, now time.Time) []Finding {
	var findings []Finding
	for _, r := range t.Rules {
		if !slices.Contains(r.At, occasion) || len(r.Groups) > 0 && !slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(r.Groups, g) }) {
			continue
		}
		if s := t.Shortfall(a, r.Level); s != nil {
			findings = append(findings, Finding{r, r.effect(now), *s})
		}
	}
	return findings
}

// effect is the mode in force at an instant.
func (r Rule) effect(now time.Time) string {
	if r.Mode == ModeWarn && !now.Before(r.From) {
		return ModeEnforce
	}
	return r.Mode
}

// Enforced returns the first finding that refuses, or nil.
func Enforced(findings []Finding) *Finding {
	i := slices.IndexFunc(findings, func(f Finding) bool { return f.Effect == ModeEnforce })
	if i < 0 {
		return nil
	}
	return &findings[i]
}

// Warned returns the first finding that warns, or nil.
func Warned(findings []Finding) *Finding {
	i := slices.IndexFunc(findings, func(f Finding) bool { return f.Effect == ModeWarn })
	if i < 0 {
		return nil
	}
	return &findings[i]
}

// Names lists the findings' rules with their effects, for the record.
func Names(findings []Finding) string {
	names := make([]string, len(findings))
	for i, f := range findings {
		names[i] = f.Rule.Name + "=" + f.Effect
	}
	return strings.Join(names, " ")
}

// What follows when the metadata reports an undesired status.
const (
	// ConsequenceDowngrade takes the facts away that no longer hold.
	ConsequenceDowngrade = "downgrade"
	// ConsequenceSuspend keeps the passkey from signing in as well, until an
	// operator releases it.
	ConsequenceSuspend = "suspend"
)

// statuses are the undesired statuses that may have a consequence of their own
// (FIDO MDS 3.1.1 section 3.1.4).
var statuses = []string{"USER_VERIFICATION_BYPASS", "ATTESTATION_KEY_COMPROMISE", "USER_KEY_REMOTE_COMPROMISE", "USER_KEY_PHYSICAL_COMPROMISE", "REVOKED", "RETIRED"}

// Suspends reports whether one of the statuses in force suspends a passkey.
func (t *Trust) Suspends(inForce []string) bool {
	return slices.ContainsFunc(inForce, func(s string) bool { return t.Consequences[s] == ConsequenceSuspend })
}
