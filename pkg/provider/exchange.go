package provider

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
)

const (
	// grantExchange is the grant type of token exchange (RFC 8693 section 2.1).
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	// typeAccessToken is the only token type that is exchanged (RFC 8693 section 3).
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	// maxActors bounds how long a chain of delegation grows.
	maxActors = 4
)

// exchanged is the answer to a token exchange (RFC 8693 section 2.2.1).
type exchanged struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int    `json:"expires_in"`
	Scope           string `json:"scope,omitempty"`
}

// TokenExchange lets a resource server act for the person whose token it got
// (RFC 8693): always as itself (act), never as the person, towards an API that
// the person's grant already covers, with scopes that the token already had, for
// no longer than the token lives. The result belongs to the same grant and ends
// with it.
func (p *Provider) TokenExchange(ctx context.Context, r *op.ClientRequest[oidc.TokenExchangeRequest]) (*op.Response, error) {
	client := r.Client.(libraryClient).Client
	answer, err := p.delegate(ctx, client, r)
	if err != nil {
		return nil, p.forLibrary(request(ctx, r.URL), err)
	}
	return op.NewResponse(answer), nil
}

func (p *Provider) delegate(ctx context.Context, client grant.Client, r *op.ClientRequest[oidc.TokenExchangeRequest]) (exchanged, error) {
	refused := func(format string, args ...any) (exchanged, error) {
		return exchanged{}, denial.New(denial.SubjectTokenRefused, format, args...)
	}
	switch {
	case client.Kind == grant.Public:
		return exchanged{}, denial.New(denial.ClientNotAllowed, "a public client cannot act for anybody")
	case r.Data.SubjectTokenType != typeAccessToken || r.Data.RequestedTokenType != "" && r.Data.RequestedTokenType != typeAccessToken:
		return refused("only access tokens are exchanged, for access tokens")
	case r.Data.ActorToken != "" || r.Data.ActorTokenType != "":
		return refused("the actor is the client itself; an actor token is not taken")
	case len(r.Form["resource"])+len(r.Form["audience"]) != 1:
		return exchanged{}, denial.New(denial.ResourceInvalid, "name one API")
	}
	// The client must be the one that the token was sent to.
	subject, grantID, err := p.accessToken(r.Data.SubjectToken, client.Settings.Serves...)
	if err != nil || len(client.Settings.Serves) == 0 {
		return refused("the subject token is not one for this client: %v", err)
	}
	if subject.IdentityType != claim.IdentityUser || depth(subject.Act) >= maxActors {
		return refused("idtyp %s, %d actors", subject.IdentityType, depth(subject.Act))
	}
	target := r.Form.Get("resource") + r.Form.Get("audience")
	api, known := p.options.Trust().API(target)
	if !known || !client.AllowsAudience(target) {
		return exchanged{}, denial.New(denial.ResourceInvalid, "resource %.200q", target)
	}
	var scopes []string
	for _, s := range strings.Fields(r.Form.Get("scope")) {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	var g grant.Grant
	var token string
	now := p.options.Now()
	life, alg := p.lifeOf(client, target)
	expiry := min(now.Add(life).Unix(), subject.Expiry)
	err = p.options.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		if g, err = grant.Standing(ctx, tx, now, grantID); err != nil {
			return audit.Event{}, err
		}
		granted := p.scopesOf(api.Audience, slices.DeleteFunc(slices.Clone(g.Scopes), func(s string) bool { return !client.AllowsScope(s) }))
		if scopes == nil {
			scopes = granted
		}
		switch {
		case g.Authentication == nil || !slices.Contains(g.Audiences, target):
			return audit.Event{}, denial.New(denial.ResourceInvalid, "the person's grant does not cover %.200q", target)
		case slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(granted, s) }):
			return audit.Event{}, denial.New(denial.ScopeWidened, "asked for %q", scopes)
		}
		return audit.Event{Action: audit.TokenExchanged, UserID: string(g.UserID), ClientID: string(client.ID), GrantID: g.ID,
			Credential: g.Authentication.AuthenticatorID, Session: g.Authentication.Session,
			Details: map[string]string{"subject_client": string(g.ClientID), "audience": target, "scope": strings.Join(scopes, " ")}}, nil
	})
	if err != nil {
		return exchanged{}, err
	}
	token, err = p.options.Ring.Sign(alg, claim.TypeAccessToken, delegated(subject, client, target, scopes, now, expiry, grantID))
	return exchanged{token, typeAccessToken, "Bearer", int(expiry - now.Unix()), strings.Join(scopes, " ")}, err
}

// delegated narrows a token to another audience and puts the client before
// whoever acted so far (RFC 8693 section 4.1).
func delegated(subject claim.AccessToken, client grant.Client, audience string, scopes []string, now time.Time, expiry int64, grantID string) claim.AccessToken {
	t := subject
	t.Audience, t.ClientID, t.Scope = audience, string(client.ID), strings.Join(scopes, " ")
	t.IssuedAt, t.Expiry, t.TokenID = now.Unix(), expiry, newTokenID(grantID)
	t.Act, t.Actor = &claim.Actor{Subject: string(client.ID), Act: subject.Act}, string(client.ID)
	return t
}

// depth counts the actors of a chain.
func depth(a *claim.Actor) int {
	n := 0
	for ; a != nil; a = a.Act {
		n++
	}
	return n
}
