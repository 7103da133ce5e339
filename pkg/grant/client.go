package grant

import (
	"crypto/subtle"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/touchstone-id/touchstone/pkg/secret"
)

// ClientID identifies an OAuth client (RFC 6749 section 2.2).
type ClientID string

// Kind says what a client can keep secret and for whom it acts.
type Kind string

// The kinds of clients.
const (
	// Public clients run in browsers and on devices and keep no secret.
	Public Kind = "public"
	// Confidential clients keep a secret and act for people.
	Confidential Kind = "confidential"
	// Workload clients keep a secret and act for themselves (automation).
	Workload Kind = "workload"
)

// Client is a registered client. It is immutable: readers share it.
type Client struct {
	ID                     ClientID
	Name                   string
	Kind                   Kind
	SecretDigests          [][]byte
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	GrantTypes             []string
	Scopes                 []string
	Audiences              []string
	Settings               Settings
}

// Settings are what a client's registration says beside its identity; the zero
// value is the strict default.
type Settings struct {
	// FirstParty clients are the operator's own: people are not asked to agree.
	FirstParty bool `json:"first_party,omitempty"`
	// AuthMethod is the one way in which the client proves itself; empty means
	// none for public clients, and a secret in header or body for others.
	AuthMethod string `json:"token_endpoint_auth_method,omitempty"`
	// JWKS is a JWK Set with the client's public keys, JWKSURI where to fetch it.
	JWKS    string `json:"jwks,omitempty"`
	JWKSURI string `json:"jwks_uri,omitempty"`
	// PKCEExempt lets a confidential client leave the code challenge out and send a nonce.
	PKCEExempt bool `json:"pkce_exempt,omitempty"`
	// IDTokenAlgorithm signs the client's ID tokens; empty means RS256.
	IDTokenAlgorithm string `json:"id_token_signed_response_alg,omitempty"`
	// BackchannelLogoutURI is told when a session ends; empty tells nobody.
	BackchannelLogoutURI string `json:"backchannel_logout_uri,omitempty"`
	// Sector gives the client pairwise subjects; empty means public ones.
	Sector string `json:"sector,omitempty"`
	// Serves lists the audiences that the client is the resource server of: it
	// may introspect and exchange tokens for them.
	Serves []string `json:"serves,omitempty"`
	// TokenLifetime shortens the life of access tokens; zero leaves it to the API.
	TokenLifetime time.Duration `json:"token_lifetime,omitempty"`
}

// The ways in which clients prove themselves (OpenID Connect Core section 9).
const (
	AuthNone          = "none"
	AuthSecretBasic   = "client_secret_basic"
	AuthSecretPost    = "client_secret_post"
	AuthPrivateKeyJWT = "private_key_jwt"
)

// AllowsAuth reports whether the client may prove itself in this way.
func (c Client) AllowsAuth(method string) bool {
	switch {
	case c.Kind == Public:
		return method == AuthNone
	case c.Settings.AuthMethod == "":
		return method == AuthSecretBasic || method == AuthSecretPost
	}
	return method == c.Settings.AuthMethod
}

// AllowsGrant reports whether the client may use the grant type.
func (c Client) AllowsGrant(grantType string) bool { return slices.Contains(c.GrantTypes, grantType) }

// AllowsScope reports whether the client may ask for the scope.
func (c Client) AllowsScope(scope string) bool { return slices.Contains(c.Scopes, scope) }

// AllowsAudience reports whether the client may ask for tokens of this API.
func (c Client) AllowsAudience(audience string) bool { return slices.Contains(c.Audiences, audience) }

// SecretMatches compares the secret with every live one in constant time. A
// client without secrets matches nothing.
func (c Client) SecretMatches(s secret.Value) bool {
	digest, match := s.Digest(), 0
	for _, d := range c.SecretDigests {
		match |= subtle.ConstantTimeCompare(d, digest)
	}
	return match == 1
}

// RedirectURIRegistered reports whether the client registered exactly this
// redirect URI (RFC 9700 section 4.1.3). The one exception is RFC 8252 section
// 7.3: for a public client, a registered http URI on a loopback address matches
// with any port.
func (c Client) RedirectURIRegistered(uri string) bool {
	return registered(c.RedirectURIs, uri, c.Kind == Public)
}

// PostLogoutRegistered reports the same for a post-logout redirect URI.
func (c Client) PostLogoutRegistered(uri string) bool {
	return registered(c.PostLogoutRedirectURIs, uri, c.Kind == Public)
}

func registered(uris []string, uri string, native bool) bool {
	if slices.Contains(uris, uri) {
		return true
	}
	if !native {
		return false
	}
	asked, ok := withoutLoopbackPort(uri)
	return ok && slices.ContainsFunc(uris, func(r string) bool {
		known, ok := withoutLoopbackPort(r)
		return ok && known == asked
	})
}

// withoutLoopbackPort removes the port of an http URI on a loopback IP address.
// The name localhost is not an address and keeps exact matching (RFC 8252
// section 8.3). Anything that could be read in two ways is refused.
func withoutLoopbackPort(uri string) (string, bool) {
	if strings.ContainsAny(uri, "\\#@ ") {
		return "", false
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" || u.User != nil || u.Opaque != "" {
		return "", false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err != nil || ip != netip.AddrFrom4([4]byte{127, 0, 0, 1}) && ip != netip.IPv6Loopback() {
		return "", false
	}
	rest, ok := strings.CutPrefix(uri, "http://"+u.Host)
	return "http://" + ip.String() + rest, ok
}
