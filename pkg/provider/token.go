package provider

import (
	"context"
	"errors"
	"net/url"

	"github.com/jackc/pgx/v5"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/secret"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// server is our op.Server. Grants that it does not implement answer
// unsupported_grant_type.
type server struct {
	op.UnimplementedServer
	p *Provider
}

// CodeExchange redeems an authorization code (RFC 6749 section 4.1.3).
func (s *server) CodeExchange(ctx context.Context, r *op.ClientRequest[oidc.AccessTokenRequest]) (*op.Response, error) {
	client, now := clientOf(r.Client), s.p.Now()
	params := grant.RedeemParams{Code: secret.Of(r.Data.Code), ClientID: client.ID,
		RedirectURI: r.Data.RedirectURI, Verifier: secret.Of(r.Data.CodeVerifier)}
	return s.take(ctx, client, audit.CodeRedeemed, r.Form, func(tx pgx.Tx) (grant.Grant, error) {
		return grant.Redeem(ctx, tx, now, params)
	})
}

// RefreshToken spends a refresh token (RFC 6749 section 6). The facts of the
// sign-in stay as they were; scopes may be narrowed for the one access token.
func (s *server) RefreshToken(ctx context.Context, r *op.ClientRequest[oidc.RefreshTokenRequest]) (*op.Response, error) {
	client, now := clientOf(r.Client), s.p.Now()
	params := grant.RefreshParams{Token: secret.Of(r.Data.RefreshToken), ClientID: client.ID, Scopes: readScopes(r.Form)}
	return s.take(ctx, client, audit.TokenRefreshed, r.Form, func(tx pgx.Tx) (grant.Grant, error) {
		return grant.Refresh(ctx, tx, now, params)
	})
}

// errOtherResource undoes a redemption whose client asked for another API than
// the grant is for: nothing was given, so nothing is consumed.
var errOtherResource = errors.New("the grant is for another resource")

// take runs one redemption as an act and signs the tokens it earns. What the
// client may have is judged by its registration and the trust file of now, not
// of the day the grant was made.
func (s *server) take(ctx context.Context, client grant.Client, action audit.Action, form url.Values, redeem func(pgx.Tx) (grant.Grant, error)) (*op.Response, error) {
	var g grant.Grant
	err := s.p.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		var err error
		g, err = forResource(ctx, tx, form[resourceParameter], redeem)
		if errors.Is(err, errOtherResource) {
			return audit.Event{}, denial.New(denial.ResourceInvalid, "client %s asked for another resource than was granted", client.ID)
		}
		if g.ClientID == "" {
			return audit.Event{}, err // nothing was consumed
		}
		event := eventOf(action, g)
		if err == nil && !s.p.mayTarget(client, g.Audience) {
			if fault := grant.Revoke(ctx, tx, s.p.Now(), g.ID, string(denial.ResourceInvalid)); fault != nil {
				return audit.Event{}, fault
			}
			err = denial.New(denial.ResourceInvalid, "client %s may no longer call this API", client.ID)
		}
		return event, err
	})
	if err != nil {
		return nil, s.p.refuse(ctx, err)
	}
	return s.issue(ctx, client, g)
}

// forResource redeems, and when the client named resources (RFC 8707 section
// 2.2) takes the redemption back unless the grant is for that one.
func forResource(ctx context.Context, tx pgx.Tx, asked []string, redeem func(pgx.Tx) (grant.Grant, error)) (grant.Grant, error) {
	if len(asked) == 0 {
		return redeem(tx)
	}
	inner, err := tx.Begin(ctx)
	if err != nil {
		return grant.Grant{}, err
	}
	g, refusal := redeem(inner)
	if _, denied := denial.ReasonOf(refusal); refusal != nil && !denied {
		return g, refusal // the outer transaction is undone as a whole
	}
	if refusal == nil && (len(asked) > 1 || asked[0] != g.Audience) {
		return grant.Grant{}, errors.Join(errOtherResource, inner.Rollback(ctx))
	}
	if err := inner.Commit(ctx); err != nil {
		return grant.Grant{}, err
	}
	return g, refusal
}

// ClientCredentialsExchange issues an automation token (RFC 6749 section 4.4)
// for one API: the one named in resource, or the only one the workload may
// call. Without scope it gets all it is registered for there.
func (s *server) ClientCredentialsExchange(ctx context.Context, r *op.ClientRequest[oidc.ClientCredentialsRequest]) (*op.Response, error) {
	client, now := clientOf(r.Client), s.p.Now()
	api, scopes, err := s.p.workloadTarget(client, r.Form)
	if err != nil {
		return nil, s.p.refuse(ctx, err)
	}
	var g grant.Grant
	err = s.p.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		var err error
		g, err = grant.IssueToWorkload(ctx, tx, now, client, scopes, api.Audience)
		return eventOf(audit.TokenIssued, g), err
	})
	if err != nil {
		return nil, s.p.refuse(ctx, err)
	}
	return s.issue(ctx, client, g)
}

// workloadTarget decides what API and scopes a workload asks for.
func (p *Provider) workloadTarget(client grant.Client, form url.Values) (trust.API, []string, error) {
	asked := form[resourceParameter]
	if len(asked) == 0 {
		asked = client.Audiences
	}
	if len(asked) != 1 || !client.AllowsAudience(asked[0]) {
		return trust.API{}, nil, denial.New(denial.ResourceInvalid, "client %s must name one API it may call", client.ID)
	}
	api, ok := p.Trust().API(asked[0])
	if !ok {
		return trust.API{}, nil, denial.New(denial.ResourceInvalid, "client %s asked for an API that is not there", client.ID)
	}
	scopes := readScopes(form)
	if len(scopes) == 0 {
		for _, s := range api.Scopes {
			if client.AllowsScope(s.Name) {
				scopes = append(scopes, s.Name)
			}
		}
	}
	for _, s := range scopes {
		if !client.AllowsScope(s) || !offers(api, s) {
			return trust.API{}, nil, denial.New(denial.ScopeInvalid, "client %s may not have a scope it asked for", client.ID)
		}
	}
	return api, scopes, nil
}

// mayTarget reports whether the client may still ask for tokens of this
// audience, and whether the API is still there.
func (p *Provider) mayTarget(client grant.Client, audience string) bool {
	if audience == p.userInfoAudience() {
		return true
	}
	_, known := p.Trust().API(audience)
	return known && client.AllowsAudience(audience)
}

// eventOf tells the record about a grant.
func eventOf(action audit.Action, g grant.Grant) audit.Event {
	e := audit.Event{Action: action, UserID: string(g.UserID), ClientID: string(g.ClientID), GrantID: g.ID}
	if g.Audience != "" {
		e.Details = map[string]string{"audience": g.Audience}
	}
	if a := g.Authentication; a != nil {
		e.Credential, e.Session = a.AuthenticatorID, a.Session
	}
	return e
}
