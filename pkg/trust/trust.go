package trust

import (
	"slices"
	"time"

	"github.com/touchstone-id/touchstone/pkg/claim"
)

// Trust is one trust file, checked. It is immutable: readers share it.
type Trust struct {
	// Version is a short hash of the file's meaning; tokens carry it as trust_version.
	Version string
	// Levels are the assurance levels, weakest first; the built-in ones included.
	Levels []Level
	// Rules say which passkeys people may enrol and sign in with, in the order of the file.
	Rules []Rule
	// Consequences says what an undesired status means, by status; one that is absent downgrades.
	Consequences map[string]string
	// MetadataGrace is how long metadata counts as current after its next update was due.
	MetadataGrace time.Duration
	// Keys says how signing keys rotate.
	Keys Keys
	// Console says who may administer; nil means that there is no console.
	Console *Console
	// PrivateModels are vouched for by the operator; for a model that the
	// metadata lists too, they add trust anchors and nothing else.
	PrivateModels []PrivateModel
	// Inventory lists the organisation's own authenticators, for enterprise attestation.
	Inventory []Owned
	// Environments are where the policies run.
	Environments []Environment
	// APIs are the protected APIs, in the order of the file.
	APIs []API
	// Clients are the OAuth clients that the file declares.
	Clients []Client
}

// PrivateModel is a model that the operator vouches for, beside the metadata.
type PrivateModel struct {
	// AAGUID is a lower-case UUID.
	AAGUID, Description string
	// Roots are trust anchors in PEM, at least one certificate each.
	Roots []string
	// KeyProtection holds values of the FIDO Registry section 3.2, such as hardware.
	KeyProtection []string
}

// Owned lists serial numbers of one model that the organisation owns.
type Owned struct {
	// AAGUID is a lower-case UUID.
	AAGUID string
	// Serials are as the attestation certificate has them: lower-case hexadecimal, without separators.
	Serials []string
}

// Owns reports whether the inventory lists a serial number of a model.
func (t *Trust) Owns(aaguid, serial string) bool {
	return serial != "" && slices.ContainsFunc(t.Inventory, func(o Owned) bool { return o.AAGUID == aaguid && slices.Contains(o.Serials, serial) })
}

// API is one protected API.
type API struct {
	// Name identifies the API in file names and policies: lower-case letters, digits, hyphens.
	Name string
	// Title is what people read.
	Title string
	// Audience is the absolute URI in aud, without trailing slash; it is also the resource indicator (RFC 8707).
	Audience string
	// Path is where the gateway mounts the API, starting with a slash.
	Path string
	// Backend is the URL behind the gateway.
	Backend string
	// Scopes are what a client may ask for.
	Scopes []Scope
	// Surface says whom the API serves: developer-portal, self-service or administrative.
	Surface string
	// TokenLifetime is the life of access tokens, 1 to 60 minutes.
	TokenLifetime time.Duration
	// SigningAlgorithm is RS256 (default), PS256 or ES256.
	SigningAlgorithm string
	// Origins are the browser origins that may call through CORS.
	Origins []string
	// Automation lists the workloads whose automation tokens (idtyp=app) may call.
	Automation []string
	// Require holds for every operation.
	Require Requirement
	// Operations are the operations with their own, additional requirements.
	Operations []Operation
}

// Scope is one permission of an API.
type Scope struct{ Name, Title string }

// Operation is one operation of an API.
type Operation struct {
	Name, Title string
	// Method is an HTTP method in upper case.
	Method string
	// URLTemplate is the path below the API's path, such as /{id}/refund.
	URLTemplate string
	// Require is added to what the API requires.
	Require Requirement
}

// Requirement is what a token must show.
type Requirement struct {
	// Level names an assurance level; its facts are required.
	Level string
	// Facts are required beside those of the level.
	Facts []claim.Fact
	// Scopes and Roles must all be granted.
	Scopes []string
	Roles  []string
	// MaxAge bounds the age of auth_time; zero means no bound.
	MaxAge time.Duration
	// RateLimit bounds the calls of one authenticator, or of one workload.
	RateLimit RateLimit
	// CertificateBound asks for a token bound to the client's certificate (RFC 8705).
	CertificateBound bool
	// SingleUse lets each token be used once, as far as a gateway's cache can tell.
	SingleUse bool
	// Approval asks for a token that approves exactly this request.
	Approval bool
}

// Client is an OAuth client that the file declares. Its secrets are never in the file.
type Client struct {
	ID, Name string
	// Kind is public, confidential or workload.
	Kind                   string
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	GrantTypes             []string
	// Scopes lists identity scopes and API scopes alike.
	Scopes []string
	// APIs names the APIs the client may ask tokens for.
	APIs []string
	// FirstParty clients are the operator's own: people are not asked to agree.
	FirstParty bool
	// AuthMethod is how the client proves itself (OpenID Connect Core section 9):
	// none, client_secret_basic, client_secret_post or private_key_jwt; empty lets
	// a client with a secret use either of the two.
	AuthMethod string
	// JWKS is a JWK Set with the client's public keys, JWKSURI where to fetch it.
	JWKS, JWKSURI string
	// PKCEExempt lets a confidential client leave the code challenge out; it must send a nonce then.
	PKCEExempt bool
	// IDTokenAlgorithm is RS256 (default), PS256, ES256 or EdDSA.
	IDTokenAlgorithm string
	// BackchannelLogoutURI is told when a session ends (OpenID Connect Back-Channel Logout).
	BackchannelLogoutURI string
	// Sector, when not empty, gives the client pairwise subjects, shared by all clients of the sector.
	Sector string
	// TokenLifetime shortens the life of the client's access tokens; zero leaves it to the API.
	TokenLifetime time.Duration
	// Serves names the APIs that the client is the resource server of: it may
	// introspect and exchange tokens for them.
	Serves []string
}

// API returns the API with this audience.
func (t *Trust) API(audience string) (API, bool) {
	i := slices.IndexFunc(t.APIs, func(a API) bool { return a.Audience == audience })
	if i < 0 {
		return API{}, false
	}
	return t.APIs[i], true
}

// FactsOf returns the facts a level requires, sorted, or nil for an unknown level.
func (t *Trust) FactsOf(level string) []claim.Fact {
	for _, l := range t.Levels {
		if l.Name == level {
			return claim.NewFacts(l.Facts...)
		}
	}
	return nil
}

// Wanted returns all the facts a requirement asks for, those of its level included, sorted.
func (t *Trust) Wanted(r Requirement) []claim.Fact {
	return claim.NewFacts(append(t.FactsOf(r.Level), r.Facts...)...)
}

// Empty returns a trust file that says nothing: the built-in levels, no rules, no APIs.
func Empty() *Trust {
	return &Trust{Version: "none", Levels: builtInLevels(), Consequences: map[string]string{}, MetadataGrace: defaultMetadataGrace, Keys: defaultKeys()}
}
