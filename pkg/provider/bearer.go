package provider

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// accessToken verifies one of our access tokens and returns its claims and
// grant id. Its audience must be one of those given; none means any.
func (p *Provider) accessToken(token string, audiences ...string) (claim.AccessToken, string, error) {
	var a claim.AccessToken
	payload, err := p.options.Ring.Verify(token, claim.TypeAccessToken)
	if err != nil {
		return a, "", err
	}
	if err := json.Unmarshal(payload, &a); err != nil {
		return a, "", denial.New(denial.TokenInvalid, "claims cannot be read")
	}
	grantID, _, _ := strings.Cut(a.TokenID, ".")
	switch {
	case a.Issuer != p.options.Issuer:
		return a, "", denial.New(denial.TokenInvalid, "issuer")
	case p.options.Now().Unix() >= a.Expiry:
		return a, "", denial.New(denial.TokenInvalid, "expired")
	case len(audiences) > 0 && !slices.Contains(audiences, a.Audience):
		return a, "", denial.New(denial.TokenInvalid, "audience %q", a.Audience)
	case uuid.Validate(grantID) != nil:
		return a, "", denial.New(denial.TokenInvalid, "jti")
	}
	return a, grantID, nil
}

// userInfo is the answer of the UserInfo endpoint (OpenID Connect Core section 5.3.2).
type userInfo struct {
	Subject           string `json:"sub"`
	Name              string `json:"name,omitempty"`
	PreferredUsername string `json:"preferred_username,omitempty"`
	account.Profile
	claim.Authenticator
}

// userinfo serves the UserInfo endpoint (OpenID Connect Core section 5.3): an
// access token for it alone, whose grant still stands.
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	p.allowClients(w, r)
	w.Header().Set("Cache-Control", "no-store")
	token, given, err := bearer(w, r)
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+p.options.Issuer+`", error="invalid_request"`)
		p.writeError(w, r, err)
		return
	}
	if !given {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+p.options.Issuer+`"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	a, grantID, err := p.accessToken(token, p.userinfoAudience())
	var g grant.Grant
	if err == nil {
		g, err = grant.Standing(r.Context(), p.options.Pool, p.options.Now(), grantID)
	}
	if err == nil && (g.Authentication == nil || p.subject(g.ClientID, g.UserID) != a.Subject) {
		err = denial.New(denial.TokenInvalid, "the grant is not this person's")
	}
	if err != nil {
		if denial.Is(err, denial.TokenInvalid) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+p.options.Issuer+`", error="invalid_token"`)
		}
		p.writeError(w, r, err)
		return
	}
	scopes := strings.Fields(a.Scope)
	if !slices.Contains(scopes, "openid") { // narrowed away at a refresh (RFC 6750 section 3.1)
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+p.options.Issuer+`", error="insufficient_scope", scope="openid"`)
		w.WriteHeader(http.StatusForbidden)
		return
	}
	info := userInfo{Subject: a.Subject, Profile: g.Profile.For(scopes)}
	if slices.Contains(scopes, "profile") {
		info.Name, info.PreferredUsername = g.UserDisplayName, g.UserName
	}
	if slices.Contains(scopes, "authenticator") {
		info.Authenticator = g.Authentication.Authenticator
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(info)
}

// bearer returns the token of the Authorization header or of a form body, not of
// both, and never of the query (RFC 6750 section 2).
func bearer(w http.ResponseWriter, r *http.Request) (string, bool, error) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	ok = ok && strings.EqualFold(scheme, "Bearer") && token != ""
	if r.Method != http.MethodPost {
		return token, ok, nil
	}
	if _, err := singleValued(w, r); err != nil {
		return "", false, err
	}
	inBody := r.PostForm.Get("access_token")
	switch {
	case inBody != "" && r.Header.Get("Authorization") != "":
		return "", false, denial.New(denial.RequestMalformed, "a token in the header and another in the body")
	case inBody != "":
		return inBody, true, nil
	}
	return token, ok, nil
}

// Revocation ends the grant of a refresh or access token (RFC 7009). A token
// that is not this client's, or nobody's, is answered the same way: it is not
// valid for the client any more.
func (p *Provider) Revocation(ctx context.Context, r *op.ClientRequest[oidc.RevocationRequest]) (*op.Response, error) {
	client := grant.ClientID(r.Client.GetID())
	err := p.options.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		now := p.options.Now()
		g, err := grant.RevokeToken(ctx, tx, now, secret.Of(r.Data.Token), client)
		if err != nil {
			return audit.Event{}, err
		}
		if g.ID == "" {
			a, grantID, err := p.accessToken(r.Data.Token)
			if err != nil || a.ClientID != string(client) {
				return audit.Event{}, denial.New(denial.TokenInvalid, "nothing to revoke")
			}
			if g, err = grant.Standing(ctx, tx, now, grantID); err != nil {
				return audit.Event{}, err
			}
			if err := grant.Revoke(ctx, tx, now, grantID, "revoked_by_client"); err != nil {
				return audit.Event{}, err
			}
		}
		return audit.Event{Action: audit.GrantRevoked, UserID: string(g.UserID), ClientID: string(client), GrantID: g.ID}, nil
	})
	if err != nil && !denial.Is(err, denial.TokenInvalid) {
		return nil, p.forLibrary(request(ctx, r.URL), err)
	}
	return op.NewResponse(nil), nil
}

// endSession serves RP-initiated logout (OpenID Connect RP-Initiated Logout
// section 2). With an ID token of the browser's own session it signs out and
// returns to a registered address; otherwise the person is asked first, and
// nothing is redirected.
func (p *Provider) endSession(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	form, err := singleValued(w, r)
	if err != nil {
		p.options.ShowError(w, r, err)
		return
	}
	hint, ok := p.hint(form.Get("id_token_hint"))
	if id := form.Get("client_id"); !ok || id != "" && id != hint.Audience {
		http.Redirect(w, r, "/signout", http.StatusSeeOther)
		return
	}
	session, err := p.options.SignIn.Current(r)
	if err == nil && session.ID != hint.SessionID {
		http.Redirect(w, r, "/signout", http.StatusSeeOther)
		return
	}
	client, known := p.options.Clients.Get(grant.ClientID(hint.Audience))
	to := form.Get("post_logout_redirect_uri")
	if to != "" && (!known || !client.PostLogoutRegistered(to) || !redirectable(to)) {
		http.Redirect(w, r, "/signout", http.StatusSeeOther)
		return
	}
	if err := p.options.SignIn.SignOut(r.Context(), w, r); err != nil {
		p.options.ShowError(w, r, err)
		return
	}
	if to == "" {
		http.Redirect(w, r, "/signout", http.StatusSeeOther)
		return
	}
	if state := form.Get("state"); state != "" {
		separator := "?"
		if strings.Contains(to, "?") {
			separator = "&"
		}
		to += separator + url.Values{"state": {state}}.Encode()
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// hint reads an ID token of ours, expired ones included.
func (p *Provider) hint(token string) (claim.IDToken, bool) {
	var t claim.IDToken
	payload, err := p.options.Ring.Verify(token, claim.TypeIDToken)
	if err != nil || json.Unmarshal(payload, &t) != nil {
		return t, false
	}
	return t, t.Issuer == p.options.Issuer
}
