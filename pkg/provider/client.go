package provider

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// authenticating refuses what must not reach the library's reading of client
// credentials: an Authorization header that is not well-formed Basic, and more
// than one way of authentication (RFC 6749 section 2.3).
func authenticating(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := checkCredentials(r); err != nil {
			writeError(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// checkCredentials judges the form of a client's authentication, not its truth.
func checkCredentials(r *http.Request) error {
	if r.Form.Has("client_assertion") || r.Form.Has("client_assertion_type") {
		return denial.New(denial.ClientAuthentication, "client assertions are not supported")
	}
	if len(r.Header.Values("Authorization")) == 0 {
		return nil
	}
	id, password, ok := r.BasicAuth()
	if !ok || len(r.Header.Values("Authorization")) > 1 {
		return denial.New(denial.ClientAuthentication, "the Authorization header is not Basic")
	}
	id, err := url.QueryUnescape(id)
	if err != nil {
		return denial.New(denial.ClientAuthentication, "the Authorization header is not form-encoded")
	}
	if _, err := url.QueryUnescape(password); err != nil {
		return denial.New(denial.ClientAuthentication, "the Authorization header is not form-encoded")
	}
	if r.Form.Has("client_secret") {
		return denial.New(denial.RequestMalformed, "two ways of client authentication")
	}
	if other := r.Form.Get("client_id"); other != "" && other != id {
		return denial.New(denial.ClientAuthentication, "the header and the body name different clients")
	}
	return nil
}

// newDecoy returns the client that an unknown id is compared with, so that an
// unknown id and a wrong secret take the same steps.
func newDecoy() grant.Client {
	return grant.Client{Kind: grant.Confidential, SecretDigests: [][]byte{secret.New().Digest()}}
}

// VerifyClient authenticates a client by its secret, in the header
// (client_secret_basic) or the body (client_secret_post). A public client has
// none and must not send one. Every failure is the one denial
// ClientAuthentication.
func (s *server) VerifyClient(ctx context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	client, known := s.p.Clients.Get(grant.ClientID(r.Data.ClientID))
	if !known {
		client = s.p.decoy
	}
	presented := r.Header.Get("Authorization") != "" || r.Data.ClientSecret != ""
	matches := client.SecretMatches(secret.Of(r.Data.ClientSecret))
	proved := presented && matches
	if client.Kind == grant.Public {
		proved = !presented
	}
	if !known || !proved {
		return nil, s.p.refuse(ctx, denial.New(denial.ClientAuthentication, ""))
	}
	return registered{client}, nil
}

// registered shows a client to the library, which asks for little of it.
type registered struct{ client grant.Client }

// clientOf returns the client that VerifyClient put into a request.
func clientOf(c op.Client) grant.Client { return c.(registered).client }

func (r registered) GetID() string                       { return string(r.client.ID) }
func (r registered) RedirectURIs() []string              { return r.client.RedirectURIs }
func (r registered) PostLogoutRedirectURIs() []string    { return r.client.PostLogoutRedirectURIs }
func (r registered) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (r registered) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (r registered) LoginURL(string) string               { return signInPage }
func (r registered) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeJWT }
func (r registered) IDTokenLifetime() time.Duration       { return tokenLife }
func (r registered) DevMode() bool                        { return false }
func (r registered) IsScopeAllowed(scope string) bool     { return r.client.AllowsScope(scope) }
func (r registered) IDTokenUserinfoClaimsAssertion() bool { return false }
func (r registered) ClockSkew() time.Duration             { return 0 }
func (r registered) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return slices.Clone[[]string]
}
func (r registered) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return slices.Clone[[]string]
}

// AuthMethod tells clients that keep a secret from those that do not.
func (r registered) AuthMethod() oidc.AuthMethod {
	if r.client.Kind == grant.Public {
		return oidc.AuthMethodNone
	}
	return oidc.AuthMethodBasic
}

// GrantTypes are those registered, without client_credentials for a client that
// proves nothing (RFC 6749 section 4.4).
func (r registered) GrantTypes() []oidc.GrantType {
	var types []oidc.GrantType
	for _, g := range r.client.GrantTypes {
		if t := oidc.GrantType(g); t != oidc.GrantTypeClientCredentials || r.client.Kind != grant.Public {
			types = append(types, t)
		}
	}
	return types
}
