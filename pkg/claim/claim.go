// Package claim is the contract that our tokens keep: the name, type and
// meaning of every claim, and the facts about authenticators.
//
// The issuer, the policy renderer and the gateway all import it, so a claim
// cannot be renamed on one side only. It changes only by adding; golden files
// hold it. It refuses to know where a value comes from, who signs it and who
// checks it.
//
// Why it looks like this: API Management's required-claims compares top-level
// strings and arrays of strings, so every fact a policy may test is one of
// those; there are no boolean claims, and nbf is never issued because
// validate-jwt allows no clock skew by default.
package claim

// Name is the name of a claim.
type Name string

// The claims of an access token (RFC 9068) and of an ID token (OpenID Connect
// Core section 2), and our own.
const (
	Issuer          Name = "iss"
	Subject         Name = "sub"
	Audience        Name = "aud"
	ClientID        Name = "client_id"
	IssuedAt        Name = "iat"
	Expiry          Name = "exp"
	TokenID         Name = "jti"
	Scope           Name = "scope"
	Roles           Name = "roles"
	IdentityType    Name = "idtyp"
	AuthTime        Name = "auth_time"
	ACR             Name = "acr"
	AMR             Name = "amr"
	Attestation     Name = "authenticator_attestation"
	AAGUID          Name = "authenticator_aaguid"
	Model           Name = "authenticator_model"
	AuthenticatorID Name = "authenticator_id"
	Metadata        Name = "authenticator_metadata"
	TrustVersion    Name = "trust_version"
	SessionID       Name = "sid"
)

// meanings says each claim in words, as the playground shows it.
var meanings = map[Name]string{
	Issuer:          "who issued the token; identical to the issuer in discovery",
	Subject:         "the person or workload the token is about",
	Audience:        "the one API the token is for",
	ClientID:        "the client that asked for the token",
	IssuedAt:        "when the token was issued",
	Expiry:          "when the token stops being valid",
	TokenID:         "the token's own identifier",
	Scope:           "what the client may do at this API",
	Roles:           "the person's or workload's roles at this API",
	IdentityType:    "whether a person (user) or a workload (app) stands behind the token",
	AuthTime:        "when the passkey assertion was verified, not when the token was refreshed",
	ACR:             "the highest assurance level met",
	AMR:             "how the person was authenticated (RFC 8176)",
	Attestation:     "the facts verified about the authenticator that proved the person",
	AAGUID:          "the authenticator's model identifier, present only when attested",
	Model:           "the authenticator's model, from its FIDO metadata statement",
	AuthenticatorID: "a stable opaque handle of this passkey",
	Metadata:        "the serial number of the FIDO metadata under which the facts were judged",
	TrustVersion:    "the version of the trust file under which the facts were judged",
	SessionID:       "the browser session",
	"nonce":         "the value the client sent, to tie the token to its request",
	"at_hash":       "a hash that ties the ID token to the access token",
}

// Meaning says in words what the claim states, or "" for a claim we never issue.
func (n Name) Meaning() string { return meanings[n] }

// Meanings returns every claim with what it states, in words.
func Meanings() map[string]string {
	words := make(map[string]string, len(meanings))
	for name, meaning := range meanings {
		words[string(name)] = meaning
	}
	return words
}

// Header types (RFC 9068 section 2.1, OpenID Connect Core section 2).
const (
	// TypeAccessToken is the typ header of an access token.
	TypeAccessToken = "at+jwt"
	// TypeIDToken is the typ header of an ID token.
	TypeIDToken = "JWT"
	// TypeLogoutToken is the typ header of a logout token (OpenID Connect Back-Channel Logout section 2.4).
	TypeLogoutToken = "logout+jwt"
	// TypeIntrospection is the typ header of a signed introspection response (RFC 9701 section 5).
	TypeIntrospection = "token-introspection+jwt"
)

// Values of the claim idtyp.
const (
	// IdentityUser marks a token with a person behind it.
	IdentityUser = "user"
	// IdentityApp marks an automation token: a workload signed in by itself.
	IdentityApp = "app"
)

// Values of the claim amr (RFC 8176 section 2).
const (
	AMRProofOfPossession = "pop"
	AMRUserPresence      = "user"
	AMRHardwareKey       = "hwk"
	AMRSoftwareKey       = "swk"
	AMRMultiFactor       = "mfa"
)

// Built-in assurance levels (OpenID EAP ACR Values 1.0).
const (
	// LevelPhishingResistant asks for the fact uv.
	LevelPhishingResistant = "phr"
	// LevelPhishingResistantHardware asks for an attested, device-bound hardware authenticator in good standing.
	LevelPhishingResistantHardware = "phrh"
	// LevelRecovery is the acr of a session opened by a recovery pass.
	LevelRecovery = "recovery"
)
