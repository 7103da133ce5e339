package provider

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
)

// bearing refuses a userinfo request without exactly one access token (RFC 6750
// sections 2 and 3.1).
func bearing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inHeader, inBody := r.Header.Get("Authorization") != "", r.PostForm.Get("access_token") != ""
		switch {
		case inHeader && inBody:
			writeError(w, denial.New(denial.RequestMalformed, "two access tokens"))
		case !inHeader && !inBody:
			w.Header().Set("WWW-Authenticate", `Bearer realm="touchstone"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// userInfo is the answer of the userinfo endpoint (OpenID Connect Core section
// 5.3.2).
type userInfo struct {
	Subject           string `json:"sub"`
	Name              string `json:"name,omitempty"`
	PreferredUsername string `json:"preferred_username,omitempty"`
	claim.Authenticator
}

// UserInfo answers what a token's scopes allow about its person, as the person
// stands now. Only a token whose audience is this endpoint is accepted: an API
// must not be able to use the tokens it receives here.
func (s *server) UserInfo(ctx context.Context, r *op.Request[oidc.UserInfoRequest]) (*op.Response, error) {
	now := s.p.Now()
	token, err := s.p.readAccessToken(r.Data.AccessToken, now)
	if err != nil {
		return nil, s.p.refuse(ctx, err)
	}
	if token.Audience != s.p.userInfoAudience() {
		return nil, s.p.refuse(ctx, denial.New(denial.TokenInvalid, "the token is for another audience"))
	}
	g, err := grant.Standing(ctx, s.p.Pool, now, grantOf(token.TokenID))
	if err != nil {
		return nil, s.p.refuse(ctx, err)
	}
	if g.Authentication == nil || string(g.UserID) != token.Subject {
		return nil, s.p.refuse(ctx, denial.New(denial.TokenInvalid, "the grant is not this person's"))
	}
	scopes := strings.Fields(token.Scope)
	if !slices.Contains(scopes, scopeOpenID) {
		return nil, op.NewStatusError(&oidc.Error{ErrorType: "insufficient_scope"}, http.StatusForbidden)
	}
	answer := userInfo{Subject: token.Subject}
	if slices.Contains(scopes, scopeProfile) {
		answer.Name, answer.PreferredUsername = g.UserDisplayName, g.UserName
	}
	if slices.Contains(scopes, scopeAuthenticator) {
		answer.Authenticator = g.Authentication.Authenticator
	}
	return op.NewResponse(answer), nil
}
