package audit

import (
	"fmt"
	"maps"
	"slices"
)

// schemas says which details each action may have, beside the fields that every
// entry has. All of them are public: nothing in a detail identifies a person,
// and no detail is a secret, for those are of a type that cannot be put there
// (secret.Value has no text).
var schemas = map[Action][]string{
	UserInvited:           {},
	InvitationWithdrawn:   {},
	UserSuspended:         {},
	UserResumed:           {},
	UserGrouped:           {"groups"},
	UserDescribed:         {"claims"},
	CredentialRegistered:  {"format", "facts", "rules_not_met", "metadata", "trust_version"},
	CredentialRenamed:     {},
	CredentialRemoved:     {"grants"},
	CredentialQuarantined: {},
	SignIn:                {"rules_not_met", "facts", "acr", "metadata", "trust_version"},
	SignOut:               {"grants"},
	SessionRevoked:        {"grants", "sessions"},
	CodeIssued:            {},
	CodeRedeemed:          {},
	TokenRefreshed:        {},
	TokenIssued:           {},
	TokenExchanged:        {"subject_client", "audience", "scope"},
	ConsentGiven:          {"scopes", "audiences"},
	ConsentWithdrawn:      {"grants"},
	DeviceDecided:         {"decision", "scopes", "audience"},
	GrantRevoked:          {},
	KeyCreated:            {"kid", "algorithm", "cause", "replaces"},
	KeyActivated:          {"kid", "algorithm", "cause", "succeeds", "metadata", "trust_version"},
	KeyRetired:            {"kid", "algorithm", "cause"},
	KeyDemanded:           {"algorithm", "kind", "cause"},
	KeyWithdrawn:          {"kid", "algorithm", "cause", "successor", "accepted_until", "metadata", "trust_version"},
	KeysResealed:          {"keys", "sealed_under"},
	ClientCreated:         {},
	ClientChanged:         {},
	ClientDeleted:         {},
	ClientsDeclared:       {"trust_version", "clients"},
	MetadataLoaded:        {"source", "number", "next_update", "sha256"},
	TrustApplied:          {"version", "before", "by"},
	CredentialRejudged:    {"metadata", "trust_version", "model", "lost", "gained", "levels", "because", "suspended", "grants_ended"},
	CredentialReleased:    {"quarantined_for"},
	FleetRejudged:         {"metadata", "trust_version", "judged", "changed", "models", "keys"},
	PersonErased:          {"entries", "before"},
}

// Actions returns the catalogue, sorted.
func Actions() []Action { return slices.Sorted(maps.Keys(schemas)) }

// fits is a fault when an event is not of a known action or has details that its
// schema does not know. Such an event is a mistake in the program, and its act
// is undone.
func (e Event) fits() error {
	schema, known := schemas[e.Action]
	if !known {
		return fmt.Errorf("audit: %q is not in the catalogue", e.Action)
	}
	for name := range e.Details {
		if !slices.Contains(schema, name) {
			return fmt.Errorf("audit: %s has no detail %q", e.Action, name)
		}
	}
	return nil
}
