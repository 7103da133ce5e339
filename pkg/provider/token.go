package provider

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/keyring"
	"github.com/touchstone-id/touchstone/pkg/secret"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// idTokenLife is the life of an ID token: it is read once, right away.
const idTokenLife = 5 * time.Minute

// userinfoTokenLife is the life of an access token for userinfo alone.
const userinfoTokenLife = 5 * time.Minute

// tokenResponse is a successful answer (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3).
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	Scope        string `json:"scope"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
}

// libraryClient shows a client to the library.
type libraryClient struct{ grant.Client }

func (c libraryClient) GetID() string                       { return string(c.ID) }
func (c libraryClient) RedirectURIs() []string              { return c.Client.RedirectURIs }
func (c libraryClient) PostLogoutRedirectURIs() []string    { return c.Client.PostLogoutRedirectURIs }
func (c libraryClient) ApplicationType() op.ApplicationType { return op.ApplicationTypeWeb }
func (c libraryClient) AuthMethod() oidc.AuthMethod {
	switch {
	case c.Kind == grant.Public:
		return oidc.AuthMethodNone
	case c.Settings.AuthMethod == grant.AuthPrivateKeyJWT:
		return oidc.AuthMethodPrivateKeyJWT
	}
	return oidc.AuthMethodBasic
}
func (c libraryClient) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}
func (c libraryClient) GrantTypes() []oidc.GrantType {
	types := make([]oidc.GrantType, len(c.Client.GrantTypes))
	for i, t := range c.Client.GrantTypes {
		types[i] = oidc.GrantType(t)
	}
	return types
}
func (c libraryClient) LoginURL(string) string               { return "" }
func (c libraryClient) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeJWT }
func (c libraryClient) IDTokenLifetime() time.Duration       { return idTokenLife }
func (c libraryClient) DevMode() bool                        { return false }
func (c libraryClient) IsScopeAllowed(scope string) bool     { return c.AllowsScope(scope) }
func (c libraryClient) IDTokenUserinfoClaimsAssertion() bool { return false }
func (c libraryClient) ClockSkew() time.Duration             { return 0 }
func (c libraryClient) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return slices.Clone[[]string]
}
func (c libraryClient) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return slices.Clone[[]string]
}

// CodeExchange redeems a code (RFC 6749 section 4.1.3). One act consumes the
// code, judges it and stores the grant; signing follows its commit.
func (p *Provider) CodeExchange(ctx context.Context, r *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	audience, err := target(r.Form)
	if err != nil {
		return nil, p.forLibrary(request(ctx, r.URL), err)
	}
	params := grant.RedeemParams{Code: secret.Of(r.Data.Code), ClientID: grant.ClientID(r.Client.GetID()),
		RedirectURI: r.Data.RedirectURI, Verifier: secret.Of(r.Data.CodeVerifier), Audience: audience}
	return p.exchange(ctx, r.Client.(libraryClient).Client, r.URL, audit.CodeRedeemed, func(tx pgx.Tx) (grant.Grant, error) {
		return grant.Redeem(ctx, tx, p.options.Now(), params)
	})
}

// RefreshToken spends a refresh token (RFC 6749 section 6).
func (p *Provider) RefreshToken(ctx context.Context, r *op.ClientRequest[oidc.RefreshTokenRequest]) (*op.Response, error) {
	client := r.Client.(libraryClient).Client
	audience, err := target(r.Form)
	if err != nil {
		return nil, p.forLibrary(request(ctx, r.URL), err)
	}
	params := grant.RefreshParams{Token: secret.Of(r.Data.RefreshToken), ClientID: client.ID, Audience: audience}
	if client.Settings.FirstParty {
		// The operator's own clients move between the APIs they are registered for
		// without a new sign-in; the scopes stay those that were granted.
		params.Also = append(slices.Clone(client.Audiences), p.userinfoAudience())
	}
	if scope := strings.Fields(r.Form.Get("scope")); len(scope) > 0 {
		params.Scopes = scope
	}
	return p.exchange(ctx, client, r.URL, audit.TokenRefreshed, func(tx pgx.Tx) (grant.Grant, error) {
		return grant.Refresh(ctx, tx, p.options.Now(), params)
	})
}

// ClientCredentialsExchange issues an automation token (RFC 6749 section 4.4).
func (p *Provider) ClientCredentialsExchange(ctx context.Context, r *op.ClientRequest[oidc.ClientCredentialsRequest]) (*op.Response, error) {
	client := r.Client.(libraryClient).Client
	return p.exchange(ctx, client, r.URL, audit.TokenIssued, func(tx pgx.Tx) (grant.Grant, error) {
		if client.Kind != grant.Workload {
			return grant.Grant{}, denial.New(denial.ClientNotAllowed, "not a workload")
		}
		resource := r.Form.Get("resource")
		if resource == "" && len(client.Audiences) == 1 {
			resource = client.Audiences[0]
		}
		if resource == "" || resource == p.userinfoAudience() {
			return grant.Grant{}, denial.New(denial.ResourceInvalid, "client %s must name one API", client.ID)
		}
		scope := r.Form.Get("scope")
		if scope == "" {
			scope = strings.Join(p.scopesOf(resource, client.Scopes), " ")
		}
		scopes, audiences, err := p.permissions(client, scope, []string{resource})
		if err != nil {
			return grant.Grant{}, err
		}
		return grant.IssueToWorkload(ctx, tx, p.options.Now(), client, scopes, audiences[0])
	})
}

// target returns the one API that a token request names, or "" when it names
// none. Each access token has one audience, so two resources are one too many
// (RFC 8707 section 2.2).
func target(form url.Values) (string, error) {
	if len(form["resource"]) > 1 {
		return "", denial.New(denial.ResourceInvalid, "%d resources for one token", len(form["resource"]))
	}
	return form.Get("resource"), nil
}

// mayTarget reports whether the API is still there and the client may still
// call it.
func (p *Provider) mayTarget(client grant.Client, audience string) bool {
	_, known := p.options.Trust().API(audience)
	return audience == p.userinfoAudience() || known && client.AllowsAudience(audience)
}

// exchange runs the act of a grant and signs what comes of it. What the client
// may have is judged by its registration and the trust file of now, not of the
// day of the grant: an API it lost ends the grant, a scope it lost falls away
// and the answer says so (RFC 6749 section 5.1).
func (p *Provider) exchange(ctx context.Context, client grant.Client, u *url.URL, action audit.Action, act func(pgx.Tx) (grant.Grant, error)) (*op.Response, error) {
	var g grant.Grant
	err := p.options.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		var err error
		g, err = act(tx)
		event := audit.Event{Action: action, UserID: string(g.UserID), ClientID: string(g.ClientID), GrantID: g.ID}
		if g.ClientID == "" {
			event = audit.Event{} // nothing was consumed
		}
		if a := g.Authentication; a != nil {
			event.Credential, event.Session = a.AuthenticatorID, a.Session
		}
		if err == nil && !p.mayTarget(client, g.Audience) {
			err = denial.New(denial.ResourceInvalid, "the grant is for %.200q, which is gone or not this client's", g.Audience)
			if fault := grant.Revoke(ctx, tx, p.options.Now(), g.ID, string(denial.ResourceInvalid)); fault != nil {
				return audit.Event{}, fault
			}
		}
		return event, err
	})
	if err != nil {
		return nil, p.forLibrary(request(ctx, u), err)
	}
	g.Scopes = slices.DeleteFunc(slices.Clone(g.Scopes), func(s string) bool { return !client.AllowsScope(s) })
	response, err := p.sign(g)
	if err != nil {
		return nil, p.forLibrary(request(ctx, u), err)
	}
	return op.NewResponse(response), nil
}

// sign makes the tokens of a grant. It does no input or output.
func (p *Provider) sign(g grant.Grant) (tokenResponse, error) {
	now := p.options.Now()
	client, _ := p.options.Clients.Get(g.ClientID)
	a, alg := p.claims(g, client, now)
	a.TokenID = newTokenID(g.ID)
	response := tokenResponse{TokenType: "Bearer", ExpiresIn: int(a.Expiry - a.IssuedAt), Scope: strings.Join(g.Scopes, " "), RefreshToken: g.RefreshToken.Reveal()}
	var err error
	if response.AccessToken, err = p.options.Ring.Sign(alg, claim.TypeAccessToken, a); err != nil {
		return tokenResponse{}, err
	}
	if who := g.Authentication; who != nil && slices.Contains(g.Scopes, "openid") {
		idAlg := keyring.RS256
		if client.Settings.IDTokenAlgorithm != "" {
			idAlg = keyring.Algorithm(client.Settings.IDTokenAlgorithm)
		}
		response.IDToken, err = p.options.Ring.Sign(idAlg, claim.TypeIDToken, p.idToken(g, who, now, idAlg, response.AccessToken))
	}
	return response, err
}

// claims returns the claims of an access token, but for the id that only an
// issued one has, and what signs it.
func (p *Provider) claims(g grant.Grant, client grant.Client, now time.Time) (claim.AccessToken, keyring.Algorithm) {
	life, alg := p.lifeOf(client, g.Audience)
	a := claim.AccessToken{Issuer: p.options.Issuer, Subject: p.subject(g.ClientID, g.UserID), Audience: g.Audience, ClientID: string(g.ClientID),
		IssuedAt: now.Unix(), Expiry: now.Add(life).Unix(), IdentityType: claim.IdentityUser, TrustVersion: p.options.Trust().Version,
		Scope: strings.Join(p.scopesOf(g.Audience, g.Scopes), " ")}
	if who := g.Authentication; who == nil {
		a.Subject, a.IdentityType = string(g.ClientID), claim.IdentityApp
	} else {
		a.AuthTime, a.ACR, a.AMR, a.Authenticator = who.AuthTime.Unix(), who.ACR, who.AMR, who.Authenticator
		a.AuthenticatorID, a.Metadata, a.TrustVersion, a.SessionID = who.AuthenticatorID, who.Metadata, who.TrustVersion, who.Session
	}
	return a, alg
}

// Preview returns the claims that an access token of a grant would carry now. No
// token comes of it: nothing is signed, and it has no id.
func (p *Provider) Preview(g grant.Grant) claim.AccessToken {
	client, _ := p.options.Clients.Get(g.ClientID)
	a, _ := p.claims(g, client, p.options.Now())
	return a
}

// lifeOf returns how long a client's token for an audience lives, and what signs it.
func (p *Provider) lifeOf(client grant.Client, audience string) (time.Duration, keyring.Algorithm) {
	life, alg := userinfoTokenLife, keyring.RS256
	if api, ok := p.options.Trust().API(audience); ok {
		life, alg = api.TokenLifetime, keyring.Algorithm(api.SigningAlgorithm)
	}
	if own := client.Settings.TokenLifetime; own > 0 {
		life = min(life, own)
	}
	return life, alg
}

// idToken is an ID token with what is known about the person.
type idToken struct {
	claim.IDToken
	account.Profile
}

// idToken returns the claims of an ID token (OpenID Connect Core section 2).
func (p *Provider) idToken(g grant.Grant, who *grant.Authentication, now time.Time, alg keyring.Algorithm, accessToken string) idToken {
	opened := slices.DeleteFunc(slices.Clone(g.IDTokenScopes), func(s string) bool { return !slices.Contains(g.Scopes, s) })
	t := claim.IDToken{Issuer: p.options.Issuer, Subject: p.subject(g.ClientID, g.UserID), Audience: string(g.ClientID), IssuedAt: now.Unix(), Expiry: now.Add(idTokenLife).Unix(),
		AuthTime: who.AuthTime.Unix(), Nonce: g.Nonce, ACR: p.acrFor(g), AMR: who.AMR, SessionID: who.Session,
		AccessTokenHash: hashOf(alg, accessToken)}
	if slices.Contains(opened, "profile") {
		t.Name, t.PreferredUsername = g.UserDisplayName, g.UserName
	}
	if slices.Contains(opened, "authenticator") {
		t.Authenticator = who.Authenticator
	}
	return idToken{t, g.Profile.For(opened)}
}

// hashOf is the left half of an access token's hash, by the hash function of the
// algorithm that signs the ID token (OpenID Connect Core section 3.1.3.6): for
// Ed25519 that is SHA-512 (RFC 8032 section 5.1).
func hashOf(alg keyring.Algorithm, accessToken string) string {
	if alg == keyring.EdDSA {
		sum := sha512.Sum512([]byte(accessToken))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// acrFor returns the level that an ID token names: of those that the client
// asked for the highest that the sign-in meets (OpenID Connect Core section
// 5.5.1.1), otherwise the highest of all. Access tokens always name the latter.
func (p *Provider) acrFor(g grant.Grant) string {
	levels := p.options.Trust().Levels // weakest first
	for i := len(levels) - 1; i >= 0; i-- {
		name := levels[i].Name
		if slices.Contains(g.ACRValues, name) && g.Authentication.Meets([]string{name}) {
			return name
		}
	}
	return g.Authentication.ACR
}

// scopesOf returns those scopes that mean something at the audience: an API's
// own, or the identity scopes at userinfo.
func (p *Provider) scopesOf(audience string, scopes []string) []string {
	known := trust.IdentityScopes()
	if api, ok := p.options.Trust().API(audience); ok {
		known = nil
		for _, s := range api.Scopes {
			known = append(known, s.Name)
		}
	}
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !slices.Contains(known, s) })
}

// newTokenID returns a jti that begins with the grant's id, so that an access
// token leads to its grant without a row of its own.
func newTokenID(grantID string) string {
	b := make([]byte, 8)
	rand.Read(b)
	return grantID + "." + base64.RawURLEncoding.EncodeToString(b)
}

// request gives an error of a library method its context and path.
func request(ctx context.Context, u *url.URL) *http.Request {
	return (&http.Request{URL: u}).WithContext(ctx)
}
