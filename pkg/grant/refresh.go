package grant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// RefreshParams are what a client presents with a refresh token (RFC 6749
// section 6). The client must have been authenticated.
type RefreshParams struct {
	Token    secret.Value
	ClientID ClientID
	// Scopes narrows the scopes of the next access token; nil keeps all.
	Scopes []string
	// Audience is which API the next access token is for; empty means that of the
	// grant. It must be one of the grant's, or of Also, or nothing is spent.
	Audience string
	// Also lists the audiences that the client may have beyond those of the grant.
	Also []string
}

// Refresh spends a refresh token by one guarded update and replaces it. A
// request for scopes that were not granted spends nothing and is the denial
// ScopeWidened, with the zero Grant. A second use is the denial RefreshReplayed
// and revokes the grant, but for a retry whose response was lost (see
// responseLost). The person, the passkey and the grant are checked
// again; the facts of the sign-in stay as they were, and when the passkey has
// lost one of them, or the level, the grant ends (EvidenceChanged). On every denial that consumed or revoked something the returned
// Grant names the client; otherwise it is zero.
func Refresh(ctx context.Context, tx pgx.Tx, now time.Time, p RefreshParams) (Grant, error) {
	var g Grant
	var frozen []byte
	var tokenExpires time.Time
	var revoked *time.Time
	var active, usable bool
	var why string
	var facts claim.Facts
	var levels []string
	err := tx.QueryRow(ctx, `
		update refresh_token t set spent_at = $2
		from access_grant g, account a, credential c
		where t.digest = $1 and t.spent_at is null and g.id = t.grant_id and a.id = g.user_id and c.id = g.credential
			and ($3::text[] is null or $3 <@ g.scopes) and ($4 = '' or $4 = any(g.audiences) or $4 = any($5::text[]))
		returning g.id::text, g.client_id, g.user_id, a.name, a.display_name, a.profile, g.scopes, g.id_token_scopes, g.acr_values, g.audience, g.audiences, g.authentication, g.expires_at,
			t.expires_at, g.revoked_at, g.revoked_why, a.status = 'active', c.removed_at is null and c.quarantined_at is null, c.facts, c.levels`,
		p.Token.Digest(), now, p.Scopes, p.Audience, list(p.Also)).Scan(&g.ID, &g.ClientID, &g.UserID, &g.UserName, &g.UserDisplayName, &g.Profile, &g.Scopes, &g.IDTokenScopes, &g.ACRValues, &g.Audience, &g.Audiences, &frozen, &g.ExpiresAt,
		&tokenExpires, &revoked, &why, &active, &usable, &facts, &levels)
	if errors.Is(err, pgx.ErrNoRows) {
		return notRefreshed(ctx, tx, now, p)
	}
	if err != nil {
		return Grant{}, fmt.Errorf("refresh: %w", err)
	}
	if g.Authentication, err = thaw(frozen); err != nil {
		return Grant{}, err
	}
	switch {
	case g.ClientID != p.ClientID:
		err = denial.New(denial.RefreshOtherClient, "token of %s presented by %s", g.ClientID, p.ClientID)
	case revoked != nil && why == whyRejudged:
		return g, denial.New(denial.EvidenceChanged, "revoked at %s", revoked)
	case revoked != nil:
		return g, denial.New(denial.GrantRevoked, "revoked at %s", revoked)
	case !now.Before(tokenExpires) || !now.Before(g.ExpiresAt):
		return g, denial.New(denial.RefreshExpired, "")
	case !active:
		err = denial.New(denial.UserSuspended, "")
	case !usable:
		err = denial.New(denial.CredentialRemoved, "")
	case !g.Authentication.Founded(facts, levels):
		err = denial.New(denial.EvidenceChanged, "")
	}
	if err != nil {
		reason, _ := denial.ReasonOf(err)
		if fault := Revoke(ctx, tx, now, g.ID, string(reason)); fault != nil {
			return Grant{}, fault
		}
		return g, err
	}
	if p.Scopes != nil {
		g.Scopes = p.Scopes
	}
	if p.Audience != "" {
		g.Audience = p.Audience
	}
	return g, g.replaceToken(ctx, tx, now)
}

// replaceToken stores the next refresh token of the grant.
func (g *Grant) replaceToken(ctx context.Context, tx pgx.Tx, now time.Time) error {
	g.RefreshToken = secret.New()
	expires := now.Add(RefreshIdle)
	if g.ExpiresAt.Before(expires) {
		expires = g.ExpiresAt
	}
	return postgres.Later(ctx, tx, "replace refresh token", `insert into refresh_token (digest, grant_id, issued_at, expires_at) values ($1, $2, $3, $4)`,
		g.RefreshToken.Digest(), g.ID, now, expires)
}

// notRefreshed tells a token that was never issued, or that asks for too much,
// from one that comes again, and ends the grant of the latter.
func notRefreshed(ctx context.Context, tx pgx.Tx, now time.Time, p RefreshParams) (Grant, error) {
	var g Grant
	var spent, scopesFit bool
	err := tx.QueryRow(ctx, `
		select g.id::text, g.client_id, coalesce(g.user_id, ''), t.spent_at is not null, $2::text[] is null or $2 <@ g.scopes
		from refresh_token t join access_grant g on g.id = t.grant_id where t.digest = $1`,
		p.Token.Digest(), p.Scopes).Scan(&g.ID, &g.ClientID, &g.UserID, &spent, &scopesFit)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Grant{}, denial.New(denial.RefreshUnknown, "")
	case err != nil:
		return Grant{}, fmt.Errorf("look for a replayed refresh token: %w", err)
	case !spent && scopesFit:
		return Grant{}, denial.New(denial.ResourceInvalid, "resource %.200q", p.Audience)
	case !spent:
		return Grant{}, denial.New(denial.ScopeWidened, "asked for %q", p.Scopes)
	}
	if g.ClientID == p.ClientID {
		if again, err := responseLost(ctx, tx, now, p.Token); err != nil || again {
			if err != nil {
				return Grant{}, err
			}
			return Refresh(ctx, tx, now, p)
		}
	}
	if err := Revoke(ctx, tx, now, g.ID, string(denial.RefreshReplayed)); err != nil {
		return Grant{}, err
	}
	return g, denial.New(denial.RefreshReplayed, "presented by %s", p.ClientID)
}

// A client whose response was lost comes again with the token it has, after it
// has waited for a while. Nearer together, two uses are two parties.
const (
	graceFrom  = 5 * time.Second
	graceUntil = time.Minute
)

// responseLost reports whether a spent token may be spent once more: it was
// spent within the grace, and nobody has used its successor. The successor is
// spent in its place, so that one token of the family lives at any time, and
// whoever holds it after all ends the family by using it. Of many at once, the
// row of the successor lets one through.
func responseLost(ctx context.Context, tx pgx.Tx, now time.Time, token secret.Value) (bool, error) {
	tag, err := tx.Exec(ctx, `
		update refresh_token s set spent_at = $2 from refresh_token t
		where t.digest = $1 and t.spent_at between $3 and $4 and s.grant_id = t.grant_id and s.issued_at = t.spent_at and s.spent_at is null`,
		token.Digest(), now, now.Add(-graceUntil), now.Add(-graceFrom))
	if err != nil {
		return false, fmt.Errorf("look for a lost response: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return false, nil
	}
	_, err = tx.Exec(ctx, `update refresh_token set spent_at = null where digest = $1`, token.Digest())
	return err == nil, wrap(err, "look for a lost response")
}

// Revoke ends a grant: its refresh tokens are refused from now on, and so are
// its access tokens wherever we are asked. Ending it again changes nothing.
func Revoke(ctx context.Context, tx pgx.Tx, now time.Time, grantID, why string) error {
	_, err := tx.Exec(ctx, `update access_grant set revoked_at = $2, revoked_why = $3 where id = $1 and revoked_at is null`, grantID, now, why)
	if err != nil {
		return fmt.Errorf("revoke grant: %w", err)
	}
	return nil
}

// RevokeToken ends the grant of a refresh token that this client holds (RFC
// 7009 section 2.1). It returns the zero Grant when there is nothing to end: the
// token is not the client's, or the grant has ended already.
func RevokeToken(ctx context.Context, tx pgx.Tx, now time.Time, token secret.Value, client ClientID) (Grant, error) {
	var g Grant
	err := tx.QueryRow(ctx, `
		update access_grant g set revoked_at = $3, revoked_why = 'revoked_by_client'
		from refresh_token t where t.digest = $1 and g.id = t.grant_id and g.client_id = $2 and g.revoked_at is null
		returning g.id::text, g.client_id, coalesce(g.user_id, '')`, token.Digest(), client, now).Scan(&g.ID, &g.ClientID, &g.UserID)
	if errors.Is(err, pgx.ErrNoRows) {
		return Grant{}, nil
	}
	if err != nil {
		return Grant{}, fmt.Errorf("revoke token: %w", err)
	}
	return g, nil
}

// RevokeSession ends every grant of a browser session and returns how many there
// were. Clients that asked for it are told by back-channel logout.
func RevokeSession(ctx context.Context, tx pgx.Tx, now time.Time, session, why string) (int, error) {
	if err := queueLogouts(ctx, tx, now, session); err != nil {
		return 0, err
	}
	tag, err := tx.Exec(ctx, `update access_grant set revoked_at = $2, revoked_why = $3 where session = $1 and revoked_at is null`, session, now, why)
	return int(tag.RowsAffected()), wrap(err, "revoke grants of a session")
}

// RevokeCredential ends every grant that a passkey proved and returns how many there were.
func RevokeCredential(ctx context.Context, tx pgx.Tx, now time.Time, credential, why string) (int, error) {
	tag, err := tx.Exec(ctx, `update access_grant set revoked_at = $2, revoked_why = $3 where credential = $1 and revoked_at is null`, credential, now, why)
	return int(tag.RowsAffected()), wrap(err, "revoke grants of a passkey")
}

// whyRejudged marks grants that ended because of what became of their passkey's model.
const whyRejudged = string(audit.CredentialRejudged)

// RevokeUnfounded ends every grant that rests on a fact which its passkey no
// longer has, or on a level it no longer meets, and returns how many there were.
func RevokeUnfounded(ctx context.Context, tx pgx.Tx, now time.Time, credential string, facts claim.Facts, levels []string) (int, error) {
	tag, err := tx.Exec(ctx, `
		update access_grant set revoked_at = $2, revoked_why = $5
		where credential = $1 and revoked_at is null and (
			not coalesce(authentication->'authenticator_attestation', '[]') - 'uv' <@ to_jsonb($3::text[])
			or authentication->>'acr' <> '' and not authentication->>'acr' = any($4::text[]))`, credential, now, facts, levels, whyRejudged)
	return int(tag.RowsAffected()), wrap(err, "revoke grants without foundation")
}

// RevokeUser ends every grant of a person and returns how many there were.
func RevokeUser(ctx context.Context, tx pgx.Tx, now time.Time, user account.ID, why string) (int, error) {
	tag, err := tx.Exec(ctx, `update access_grant set revoked_at = $2, revoked_why = $3 where user_id = $1 and revoked_at is null`, user, now, why)
	return int(tag.RowsAffected()), wrap(err, "revoke grants of a person")
}

// revokeClient ends every grant of a client.
func revokeClient(ctx context.Context, tx pgx.Tx, now time.Time, client ClientID) error {
	_, err := tx.Exec(ctx, `update access_grant set revoked_at = $2, revoked_why = 'client_deleted' where client_id = $1 and revoked_at is null`, client, now)
	return wrap(err, "revoke grants of a client")
}

func wrap(err error, doing string) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// Standing returns a grant that still stands: not revoked, not expired, the
// person active and the passkey still there. Otherwise the denial TokenInvalid.
func Standing(ctx context.Context, q postgres.Querier, now time.Time, grantID string) (Grant, error) {
	var g Grant
	var frozen []byte
	err := q.QueryRow(ctx, `
		select g.id::text, g.client_id, coalesce(g.user_id, ''), coalesce(a.name, ''), coalesce(a.display_name, ''), coalesce(a.profile, '{}'), g.scopes, g.audience, g.audiences, g.authentication, g.expires_at
		from access_grant g left join account a on a.id = g.user_id left join credential c on c.id = g.credential
		where g.id = $1 and g.revoked_at is null and g.expires_at > $2
			and (g.user_id is null or a.status = 'active' and c.removed_at is null and c.quarantined_at is null)`,
		grantID, now).Scan(&g.ID, &g.ClientID, &g.UserID, &g.UserName, &g.UserDisplayName, &g.Profile, &g.Scopes, &g.Audience, &g.Audiences, &frozen, &g.ExpiresAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return Grant{}, denial.New(denial.TokenInvalid, "the grant does not stand")
	}
	if err != nil {
		return Grant{}, fmt.Errorf("look up grant: %w", err)
	}
	g.Authentication, err = thaw(frozen)
	return g, err
}
