package grant

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

const (
	// Life is the absolute life of a grant: after it the person signs in again.
	Life = 30 * 24 * time.Hour
	// RefreshIdle is how long a refresh token may lie unused.
	RefreshIdle = 7 * 24 * time.Hour
	// ScopeOffline is the scope that asks for refresh tokens (OpenID Connect Core section 11).
	ScopeOffline = "offline_access"
)

// Grant is what a client holds after a redemption or refresh: the material of
// its next tokens.
type Grant struct {
	ID              string
	ClientID        ClientID
	UserID          account.ID
	UserName        string
	UserDisplayName string
	// Profile is what an operator wrote about the person.
	Profile account.Profile
	Scopes  []string
	// IDTokenScopes are the scopes whose claims the ID token carries.
	IDTokenScopes []string
	// ACRValues are the levels that the client asked for; the ID token names one of them.
	ACRValues []string
	// Audience is that of the next access token, one of Audiences.
	Audience  string
	Audiences []string
	Nonce     string
	// Authentication is nil for a workload.
	Authentication *Authentication
	// RefreshToken is empty unless offline_access was granted.
	RefreshToken secret.Value
	ExpiresAt    time.Time
}

// RedeemParams are what a client presents with a code (RFC 6749 section 4.1.3,
// RFC 7636 section 4.5). The client must have been authenticated.
type RedeemParams struct {
	Code        secret.Value
	ClientID    ClientID
	RedirectURI string
	Verifier    secret.Value
	// Audience is which of the request's audiences the first token is for; empty leaves it to the request.
	Audience string
}

// redeemed is a consumed code with the state it is judged by.
type redeemed struct {
	clientID       ClientID
	userID         account.ID
	session        string
	redirectURI    string
	challenge      string
	codeExpiresAt  time.Time
	nonce          string
	audience       string
	audiences      []string
	scopes         []string
	authentication []byte
	name, display  string
	profile        account.Profile
	idScopes, acr  []string
	active         bool
	usable         bool
	sessionLive    bool
	facts          claim.Facts
	levels         []string
	frozen         *Authentication
}

// Redeem consumes a code by one guarded update and turns it into a grant. The
// code is dead afterwards, also when the client, redirect URI or verifier do
// not fit. A second use is the denial CodeReplayed and revokes the grant of the
// first. On every denial that consumed or revoked something the returned Grant
// names the client; otherwise it is zero.
func Redeem(ctx context.Context, tx pgx.Tx, now time.Time, p RedeemParams) (Grant, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Grant{}, fmt.Errorf("make grant id: %w", err)
	}
	var c redeemed
	err = tx.QueryRow(ctx, `
		update authorization_request r set redeemed_at = $2, grant_id = $3
		from account a, credential c, session s
		where r.code_digest = $1 and r.redeemed_at is null
			and a.id = r.user_id and c.id = (r.authentication->>'credential')::uuid and s.id = r.session
		returning r.client_id, r.user_id, r.session, r.redirect_uri, r.code_challenge, r.code_expires_at, r.nonce, r.audience, r.audiences, r.scopes, r.id_token_scopes, r.acr_values, r.authentication,
			a.name, a.display_name, a.profile, a.status = 'active', c.removed_at is null and c.quarantined_at is null, s.revoked_at is null, c.facts, c.levels`,
		p.Code.Digest(), now, id).Scan(&c.clientID, &c.userID, &c.session, &c.redirectURI, &c.challenge, &c.codeExpiresAt, &c.nonce, &c.audience, &c.audiences, &c.scopes, &c.idScopes, &c.acr, &c.authentication,
		&c.name, &c.display, &c.profile, &c.active, &c.usable, &c.sessionLive, &c.facts, &c.levels)
	if errors.Is(err, pgx.ErrNoRows) {
		return replayed(ctx, tx, now, p)
	}
	if err != nil {
		return Grant{}, fmt.Errorf("redeem code: %w", err)
	}
	g := Grant{ID: id.String(), ClientID: c.clientID, UserID: c.userID, UserName: c.name, UserDisplayName: c.display,
		Profile: c.profile, Scopes: c.scopes, IDTokenScopes: c.idScopes, ACRValues: c.acr, Audience: c.audience, Audiences: c.audiences, Nonce: c.nonce, ExpiresAt: now.Add(Life)}
	if p.Audience != "" {
		g.Audience = p.Audience
	}
	if c.frozen, err = thaw(c.authentication); err != nil {
		return Grant{}, err
	}
	if err := c.judge(now, p); err != nil {
		g.ID = "" // no grant came of it
		return g, err
	}
	g.Authentication = c.frozen
	return g, g.store(ctx, tx, now, c.session)
}

// judge decides whether this client may have what the code stands for.
func (c redeemed) judge(now time.Time, p RedeemParams) error {
	sum := sha256.Sum256([]byte(p.Verifier.Reveal()))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	switch {
	case c.clientID != p.ClientID:
		return denial.New(denial.CodeOtherClient, "code of %s presented by %s", c.clientID, p.ClientID)
	case !now.Before(c.codeExpiresAt):
		return denial.New(denial.CodeExpired, "expired at %s", c.codeExpiresAt)
	case c.redirectURI != p.RedirectURI:
		return denial.New(denial.CodeRedirectMismatch, "")
	case c.challenge == "" && c.nonce == "":
		// Nothing binds the code to whoever began (RFC 9700 section 2.1.1): it is worth nothing.
		return denial.New(denial.NonceRequired, "neither a challenge nor a nonce")
	case c.challenge == "" && !p.Verifier.Empty():
		// A verifier without a challenge means that somebody took the challenge away (RFC 9700 section 2.1.1).
		return denial.New(denial.VerifierMismatch, "no challenge was sent")
	case c.challenge != "" && (p.Verifier.Empty() || subtle.ConstantTimeCompare([]byte(challenge), []byte(c.challenge)) != 1):
		return denial.New(denial.VerifierMismatch, "")
	case p.Audience != "" && !slices.Contains(c.audiences, p.Audience):
		return denial.New(denial.ResourceInvalid, "resource %.200q is not among %q", p.Audience, c.audiences)
	}
	return c.stands()
}

// stands decides whether the sign-in behind a code still stands.
func (c redeemed) stands() error {
	switch {
	case !c.active:
		return denial.New(denial.UserSuspended, "")
	case !c.usable:
		return denial.New(denial.CredentialRemoved, "")
	case !c.sessionLive:
		return denial.New(denial.SessionEnded, "")
	case !c.frozen.Founded(c.facts, c.levels):
		return denial.New(denial.EvidenceChanged, "")
	}
	return nil
}

// replayed tells a code that was never issued from one that comes again, and
// ends the grant of the latter.
func replayed(ctx context.Context, tx pgx.Tx, now time.Time, p RedeemParams) (Grant, error) {
	var g Grant
	var grantID *string
	err := tx.QueryRow(ctx, `select client_id, user_id, grant_id::text from authorization_request where code_digest = $1`,
		p.Code.Digest()).Scan(&g.ClientID, &g.UserID, &grantID)
	if errors.Is(err, pgx.ErrNoRows) {
		return Grant{}, denial.New(denial.CodeUnknown, "")
	}
	if err != nil {
		return Grant{}, fmt.Errorf("look for a replayed code: %w", err)
	}
	if grantID == nil {
		return Grant{}, errors.New("redeem code: a live code was not consumed")
	}
	g.ID = *grantID
	if err := Revoke(ctx, tx, now, g.ID, string(denial.CodeReplayed)); err != nil {
		return Grant{}, err
	}
	return g, denial.New(denial.CodeReplayed, "presented by %s", p.ClientID)
}

// store writes the grant and, for offline access, its first refresh token, in
// one statement.
func (g *Grant) store(ctx context.Context, tx pgx.Tx, now time.Time, session string) error {
	frozen, err := json.Marshal(g.Authentication)
	if err != nil {
		return fmt.Errorf("freeze authentication: %w", err)
	}
	var digest []byte
	if slices.Contains(g.Scopes, ScopeOffline) {
		g.RefreshToken = secret.New()
		digest = g.RefreshToken.Digest()
	}
	return postgres.Later(ctx, tx, "store grant", `
		with g as (
			insert into access_grant (id, client_id, user_id, credential, session, scopes, audience, audiences, authentication, created_at, expires_at, id_token_scopes, acr_values)
			values ($1, $2, $3, $4, $5, $6, $7, $13, $8, $9, $10, $14, $15) returning id
		)
		insert into refresh_token (digest, grant_id, issued_at, expires_at)
		select $11::bytea, id, $9::timestamptz, $12::timestamptz from g where $11::bytea is not null`,
		g.ID, g.ClientID, g.UserID, g.Authentication.Credential, session, list(g.Scopes), g.Audience, frozen, now, g.ExpiresAt,
		digest, now.Add(RefreshIdle), list(g.Audiences), list(g.IDTokenScopes), list(g.ACRValues))
}

// IssueToWorkload stores the grant of a client acting for itself (RFC 6749
// section 4.4). The client must have been authenticated, and scopes and
// audience checked against its registration.
func IssueToWorkload(ctx context.Context, tx pgx.Tx, now time.Time, c Client, scopes []string, audience string) (Grant, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Grant{}, fmt.Errorf("make grant id: %w", err)
	}
	g := Grant{ID: id.String(), ClientID: c.ID, Scopes: scopes, Audience: audience, ExpiresAt: now.Add(time.Hour)}
	return g, postgres.Later(ctx, tx, "store workload grant", `insert into access_grant (id, client_id, scopes, audience, audiences, created_at, expires_at) values ($1, $2, $3, $4, array[$4], $5, $6)`,
		g.ID, g.ClientID, list(g.Scopes), g.Audience, now, g.ExpiresAt)
}
