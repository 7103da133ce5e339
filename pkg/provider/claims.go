package provider

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/keyring"
)

const (
	// tokenLife is the life of ID tokens and of access tokens for the userinfo
	// endpoint; an API's token lives as long as the trust file says.
	tokenLife = 5 * time.Minute
	// idTokenAlgorithm is what every OpenID Connect client verifies (OpenID
	// Connect Core section 15.1).
	idTokenAlgorithm = keyring.RS256
	// tokenIDBytes are the random bytes of a jti after its grant's id.
	tokenIDBytes = 8
)

// userInfoAudience is the audience of a token for no API: an absolute URI, so
// that it can be no API's by accident.
func (p *Provider) userInfoAudience() string { return p.Issuer + userInfoPath }

// target is what a token's audience says about the token.
type target struct {
	life      time.Duration
	algorithm keyring.Algorithm
	// carries reports whether the token repeats a scope: each audience sees its own.
	carries func(scope string) bool
}

// targetOf returns the target of an audience that mayTarget accepted.
func (p *Provider) targetOf(audience string) target {
	if api, ok := p.Trust().API(audience); ok {
		return target{api.TokenLifetime, keyring.Algorithm(api.SigningAlgorithm), func(s string) bool { return offers(api, s) }}
	}
	return target{tokenLife, keyring.RS256, func(s string) bool { return s != grant.ScopeOffline }}
}

// issue signs the tokens of a grant (RFC 6749 section 5.1). A scope that the
// client is registered for no more falls away, and the answer says so.
func (s *server) issue(ctx context.Context, client grant.Client, g grant.Grant) (*op.Response, error) {
	now := s.p.Now()
	g.Scopes = slices.DeleteFunc(slices.Clone(g.Scopes), func(scope string) bool { return !client.AllowsScope(scope) })
	t := s.p.targetOf(g.Audience)
	access, err := s.p.Ring.Sign(t.algorithm, claim.TypeAccessToken, s.p.accessToken(g, t, now))
	if err != nil {
		return nil, s.p.refuse(ctx, err)
	}
	answer := &oidc.AccessTokenResponse{AccessToken: access, TokenType: oidc.BearerToken,
		ExpiresIn: uint64(t.life.Seconds()), RefreshToken: g.RefreshToken.Reveal(), Scope: g.Scopes}
	if g.Authentication != nil && slices.Contains(g.Scopes, scopeOpenID) {
		answer.IDToken, err = s.p.Ring.Sign(idTokenAlgorithm, claim.TypeIDToken, s.p.idToken(g, access, now))
		if err != nil {
			return nil, s.p.refuse(ctx, err)
		}
	}
	return op.NewResponse(answer), nil
}

// accessToken returns the claims of an access token (RFC 9068 section 2.2).
func (p *Provider) accessToken(g grant.Grant, t target, now time.Time) claim.AccessToken {
	scopes := slices.DeleteFunc(slices.Clone(g.Scopes), func(s string) bool { return !t.carries(s) })
	c := claim.AccessToken{
		Issuer: p.Issuer, Audience: g.Audience, ClientID: string(g.ClientID),
		IssuedAt: now.Unix(), Expiry: now.Add(t.life).Unix(), TokenID: newTokenID(g.ID), Scope: strings.Join(scopes, " "),
	}
	a := g.Authentication
	if a == nil { // nobody stands behind it: the subject is the client (RFC 9068 section 2.2)
		c.Subject, c.IdentityType, c.TrustVersion = string(g.ClientID), claim.IdentityApp, p.Trust().Version
		return c
	}
	c.Subject, c.IdentityType = string(a.UserID), claim.IdentityUser
	c.AuthTime, c.ACR, c.AMR, c.SessionID = a.AuthTime.Unix(), a.ACR, a.AMR, a.Session
	c.Authenticator, c.AuthenticatorID = a.Authenticator, a.AuthenticatorID
	c.Metadata, c.TrustVersion = a.Metadata, a.TrustVersion
	return c
}

// idToken returns the claims of an ID token (OpenID Connect Core sections 2 and
// 12.2). After a refresh it repeats auth_time, acr and amr and has no nonce.
func (p *Provider) idToken(g grant.Grant, accessToken string, now time.Time) claim.IDToken {
	a := g.Authentication
	c := claim.IDToken{
		Issuer: p.Issuer, Subject: string(a.UserID), Audience: string(g.ClientID), IssuedAt: now.Unix(), Expiry: now.Add(tokenLife).Unix(),
		AuthTime: a.AuthTime.Unix(), Nonce: g.Nonce, ACR: a.ACR, AMR: a.AMR, SessionID: a.Session, AccessTokenHash: leftHalf(accessToken),
	}
	if slices.Contains(g.Scopes, scopeProfile) {
		c.Name, c.PreferredUsername = g.UserDisplayName, g.UserName
	}
	if slices.Contains(g.Scopes, scopeAuthenticator) {
		c.Authenticator = a.Authenticator
	}
	return c
}

// leftHalf is at_hash for an ID token signed with a SHA-256 algorithm (OpenID
// Connect Core section 3.1.3.6).
func leftHalf(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// newTokenID returns a jti: the grant's id, a dot and random bytes.
func newTokenID(grantID string) string {
	b := make([]byte, tokenIDBytes)
	rand.Read(b)
	return grantID + "." + base64.RawURLEncoding.EncodeToString(b)
}

// grantOf returns the id of the grant that a jti begins with.
func grantOf(tokenID string) string {
	id, _, _ := strings.Cut(tokenID, ".")
	return id
}
