package gateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/claim"
)

// nearly says how a found text differs from a wanted one when the difference is
// of the kinds that people overlook: a trailing slash, letter case, the scheme.
func nearly(found, wanted []string) string {
	for _, f := range found {
		for _, w := range wanted {
			switch {
			case strings.TrimSuffix(f, "/") == strings.TrimSuffix(w, "/"):
				return "They differ in a trailing slash only."
			case strings.EqualFold(f, w):
				return "They differ in letter case only."
			case f != "" && afterScheme(f) == afterScheme(w):
				return "They differ in http and https only."
			}
			if at := difference(f, w); at > len("https://") {
				return fmt.Sprintf("They differ from character %d on.", at+1)
			}
		}
	}
	return ""
}

func afterScheme(text string) string {
	_, rest, _ := strings.Cut(text, "://")
	return rest
}

// difference returns how many bytes two texts share at their beginning.
func difference(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// claimHint says what a token lacks and how it could be had.
func claimHint(name string, found, missing []string, separator string) string {
	lines := []string{"Missing in " + name + ": " + strings.Join(missing, ", ") + "."}
	for _, m := range missing {
		if meaning := claim.Fact(m).Meaning(); name == string(claim.Attestation) && meaning != "" {
			lines = append(lines, m+" means: "+meaning+".")
		}
		switch {
		case slices.ContainsFunc(found, func(f string) bool { return strings.EqualFold(f, m) }):
			lines = append(lines, m+" is there in another case; comparison is case-sensitive.")
		case strings.Contains(m, ","):
			lines = append(lines, "The policy holds a list in one <value>: write one <value> per entry.")
		case separator == "" && slices.ContainsFunc(found, func(f string) bool { return slices.Contains(strings.Fields(f), m) }):
			lines = append(lines, "The claim is one text with spaces: add separator=\" \" to the policy.")
		}
	}
	switch claim.Name(name) {
	case claim.Attestation:
		lines = append(lines, "Sign in with a passkey that shows these facts.")
	case claim.Scope:
		lines = append(lines, "Ask for the scope in the authorization request.")
	case claim.IdentityType:
		lines = append(lines, "An ID token has no idtyp, and automation tokens pass only for the clients that the policy lists.")
	}
	return strings.Join(lines, " ")
}
