package provider

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// Revocation ends the grant behind a refresh or access token (RFC 7009). A
// token that is unknown, expired, or another client's is answered alike, with
// 200: the client learns nothing, and nothing of another's is ended.
func (s *server) Revocation(ctx context.Context, r *op.ClientRequest[oidc.RevocationRequest]) (*op.Response, error) {
	client, now := clientOf(r.Client), s.p.Now()
	err := s.p.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		g, err := grant.RevokeToken(ctx, tx, now, secret.Of(r.Data.Token), client.ID)
		if err == nil && g.ID == "" {
			g, err = s.p.revokeAccessToken(ctx, tx, r.Data.Token, client.ID)
		}
		if err != nil {
			return audit.Event{}, err
		}
		return eventOf(audit.GrantRevoked, g), nil
	})
	if err != nil && !denial.Is(err, denial.TokenInvalid) {
		return nil, s.p.refuse(ctx, err)
	}
	return op.NewResponse(nil), nil
}

// revokeAccessToken ends the standing grant of an access token of this client.
// The denial TokenInvalid means that there was nothing to end.
func (p *Provider) revokeAccessToken(ctx context.Context, tx pgx.Tx, text string, client grant.ClientID) (grant.Grant, error) {
	now := p.Now()
	token, err := p.readAccessToken(text, now)
	if err != nil {
		return grant.Grant{}, err
	}
	g, err := grant.Standing(ctx, tx, now, grantOf(token.TokenID))
	if err != nil {
		return grant.Grant{}, err
	}
	if g.ClientID != client {
		return grant.Grant{}, denial.New(denial.TokenInvalid, "token of %s presented by %s", g.ClientID, client)
	}
	return g, grant.Revoke(ctx, tx, now, g.ID, "revoked_by_client")
}
