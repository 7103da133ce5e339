package grant

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

const (
	// RequestLife is how long a person has to sign in, from opening the request to its code.
	RequestLife = 10 * time.Minute
	// CodeLife is how long a client has to redeem a code; RFC 6749 section 4.1.2 allows ten minutes.
	CodeLife = time.Minute
)

// Authentication is the frozen fact of one sign-in. Every token of the grant repeats it.
type Authentication struct {
	UserID account.ID `json:"user_id"`
	// Credential is the row id of the passkey, AuthenticatorID its public handle.
	Credential      string    `json:"credential"`
	AuthenticatorID string    `json:"authenticator_id"`
	Session         string    `json:"session"`
	AuthTime        time.Time `json:"auth_time"`
	ACR             string    `json:"acr"`
	AMR             []string  `json:"amr"`
	claim.Authenticator
	// Levels are all the levels met, of which ACR is the highest.
	Levels       []string `json:"levels,omitempty"`
	Metadata     string   `json:"metadata"`
	TrustVersion string   `json:"trust_version"`
}

// Meets reports whether the sign-in has one of the levels; no levels are met by any.
func (a Authentication) Meets(levels []string) bool {
	return len(levels) == 0 || slices.ContainsFunc(levels, func(l string) bool { return l == a.ACR || slices.Contains(a.Levels, l) })
}

// Founded reports whether a sign-in still stands on what its passkey is worth:
// none of its facts was lost, and its level is still met. Nil levels mean that
// the passkey was not judged yet.
func (a Authentication) Founded(facts claim.Facts, levels []string) bool {
	for _, f := range a.Attestation {
		if f != claim.FactUV && !facts.Has(f) {
			return false
		}
	}
	return a.ACR == "" || levels == nil || slices.Contains(levels, a.ACR)
}

// OpenParams are the validated parameters of an authorization request. Client
// and redirect URI must have been checked against the registration.
type OpenParams struct {
	ClientID    ClientID
	RedirectURI string
	// ResponseMode is query or form_post.
	ResponseMode string
	State, Nonce string
	// Audience is that of the first token, one of Audiences.
	Audience  string
	Audiences []string
	Scopes    []string
	// IDTokenScopes are those of Scopes whose claims the ID token carries.
	IDTokenScopes []string
	// CodeChallenge is empty only for a client that is exempt from PKCE.
	CodeChallenge string
	// ACRValues are levels of which the sign-in must have one; empty asks for none.
	ACRValues []string
	Prompt    []string
	MaxAge    *int
	LoginHint string
	// Subject is the sub that the client expects to answer, as it knows it; empty is anybody.
	Subject string
	Browser []byte
}

// Request is an authorization request as its browser may see it.
type Request struct {
	ClientID     ClientID
	RedirectURI  string
	ResponseMode string
	State, Nonce string
	Audience     string
	Audiences    []string
	Scopes       []string
	ACRValues    []string
	Prompt       []string
	// Consented says that the person agreed to this request, Declined that they did not.
	Consented, Declined bool
	MaxAge              *int
	LoginHint           string
	Subject             string
	OpenedAt            time.Time
	ExpiresAt           time.Time
	Authentication      *Authentication
}

// Open stores a request and returns its id. It is housekeeping, not an act:
// nobody has done anything yet.
func Open(ctx context.Context, q postgres.Querier, now time.Time, p OpenParams) (secret.Value, error) {
	id := secret.New()
	_, err := q.Exec(ctx, `
		insert into authorization_request (digest, client_id, redirect_uri, response_mode, scopes, audience, audiences, acr_values, state, nonce, code_challenge,
			prompt, max_age, login_hint, browser, opened_at, expires_at, subject, id_token_scopes)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
		id.Digest(), p.ClientID, p.RedirectURI, p.ResponseMode, list(p.Scopes), p.Audience, list(p.Audiences), list(p.ACRValues), p.State, p.Nonce, p.CodeChallenge,
		list(p.Prompt), p.MaxAge, p.LoginHint, p.Browser, now, now.Add(RequestLife), p.Subject, list(p.IDTokenScopes))
	if err != nil {
		return secret.Value{}, fmt.Errorf("open authorization request: %w", err)
	}
	return id, nil
}

// Find returns a request that this browser opened and has not finished.
// Denials: RequestUnknown, RequestOtherBrowser, RequestFinished, RequestExpired.
func Find(ctx context.Context, q postgres.Querier, now time.Time, id secret.Value, browser []byte) (Request, error) {
	var r Request
	var owner, authentication []byte
	var finished bool
	err := q.QueryRow(ctx, `
		select client_id, redirect_uri, response_mode, state, nonce, audience, audiences, scopes, acr_values, prompt, max_age, login_hint, subject, opened_at, expires_at,
			consented_at is not null, declined_at is not null, authentication, browser, code_digest is not null
		from authorization_request where digest = $1`, id.Digest()).Scan(
		&r.ClientID, &r.RedirectURI, &r.ResponseMode, &r.State, &r.Nonce, &r.Audience, &r.Audiences, &r.Scopes, &r.ACRValues, &r.Prompt, &r.MaxAge, &r.LoginHint, &r.Subject, &r.OpenedAt, &r.ExpiresAt,
		&r.Consented, &r.Declined, &authentication, &owner, &finished)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Request{}, denial.New(denial.RequestUnknown, "")
	case err != nil:
		return Request{}, fmt.Errorf("find authorization request: %w", err)
	case len(browser) == 0 || subtle.ConstantTimeCompare(owner, browser) != 1:
		return Request{}, denial.New(denial.RequestOtherBrowser, "client %s", r.ClientID)
	case finished:
		return Request{}, denial.New(denial.RequestFinished, "client %s", r.ClientID)
	case !now.Before(r.ExpiresAt):
		return Request{}, denial.New(denial.RequestExpired, "client %s", r.ClientID)
	}
	if r.Authentication, err = thaw(authentication); err != nil {
		return Request{}, err
	}
	return r, nil
}

// Bind ties a sign-in to a request, once, from the browser that opened it.
// Denials are those of Find; RequestFinished also means that a sign-in is
// already bound, so that nobody is exchanged for another afterwards;
// LevelNotMet that the request asks for a level that the sign-in does not have.
func Bind(ctx context.Context, tx pgx.Tx, now time.Time, id secret.Value, browser []byte, a Authentication) (Request, error) {
	frozen, err := json.Marshal(a)
	if err != nil {
		return Request{}, fmt.Errorf("freeze authentication: %w", err)
	}
	tag, err := tx.Exec(ctx, `
		update authorization_request set authentication = $4, user_id = $5, session = $6, bound_at = $3
		where digest = $1 and browser = $2 and bound_at is null and declined_at is null and expires_at > $3
			and (acr_values = '{}' or acr_values && $7)`,
		id.Digest(), browser, now, frozen, a.UserID, a.Session, append([]string{a.ACR}, a.Levels...))
	if err != nil {
		return Request{}, fmt.Errorf("bind authorization request: %w", err)
	}
	r, err := Find(ctx, tx, now, id, browser)
	switch {
	case err != nil || tag.RowsAffected() == 1:
	case r.Authentication == nil && !r.Declined && !a.Meets(r.ACRValues):
		err = denial.New(denial.LevelNotMet, "client %s asks for %v, the passkey has %v", r.ClientID, r.ACRValues, a.Levels)
	default:
		err = denial.New(denial.RequestFinished, "client %s: already bound", r.ClientID)
	}
	return r, err
}

// IssueCode makes the authorization code of a bound request, once, for the
// browser that opened it. Denials are those of Find, and SignInRequired when
// nobody has signed in to the request.
func IssueCode(ctx context.Context, tx pgx.Tx, now time.Time, id secret.Value, browser []byte) (Request, secret.Value, error) {
	r, err := Find(ctx, tx, now, id, browser)
	if err != nil {
		return Request{}, secret.Value{}, err
	}
	if r.Declined {
		return r, secret.Value{}, denial.New(denial.PersonDeclined, "client %s", r.ClientID)
	}
	if r.Authentication == nil {
		return Request{}, secret.Value{}, denial.New(denial.SignInRequired, "client %s", r.ClientID)
	}
	code := secret.New()
	tag, err := tx.Exec(ctx, `
		update authorization_request set code_digest = $4, code_expires_at = $5
		where digest = $1 and browser = $2 and bound_at is not null and declined_at is null and code_digest is null and expires_at > $3`,
		id.Digest(), browser, now, code.Digest(), now.Add(CodeLife))
	if err != nil {
		return Request{}, secret.Value{}, fmt.Errorf("issue code: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return Request{}, secret.Value{}, denial.New(denial.RequestFinished, "client %s", r.ClientID)
	}
	return r, code, nil
}

// Decline ends a request that its person does not want to finish; the client is
// told at the callback. Denials are those of Find.
func Decline(ctx context.Context, q postgres.Querier, now time.Time, id secret.Value, browser []byte) (Request, error) {
	_, err := q.Exec(ctx, `
		update authorization_request set declined_at = $3 where digest = $1 and browser = $2 and code_digest is null and declined_at is null and expires_at > $3`,
		id.Digest(), browser, now)
	if err != nil {
		return Request{}, fmt.Errorf("decline authorization request: %w", err)
	}
	return Find(ctx, q, now, id, browser)
}

// thaw reads a frozen authentication; nil stays nil.
func thaw(frozen []byte) (*Authentication, error) {
	if frozen == nil {
		return nil, nil
	}
	var a Authentication
	if err := json.Unmarshal(frozen, &a); err != nil {
		return nil, fmt.Errorf("read frozen authentication: %w", err)
	}
	return &a, nil
}

// sweepBatch bounds how many rows one sweep deletes, so that it never holds
// locks for long.
const sweepBatch = 1000

// Sweep deletes, a batch of each, what nobody can use any more: authorization
// requests and device flows that expired and, if they were redeemed, are a day
// old, so that a replayed code is still told from an unknown one; assertions that
// expired; grants that ended a month ago, and logouts that were delivered then.
// It returns how many rows there were.
func Sweep(ctx context.Context, q postgres.Querier, now time.Time) (int, error) {
	swept := 0
	day, month := now.Add(-24*time.Hour), now.AddDate(0, -1, 0)
	for _, sweep := range []struct {
		sql  string
		args []any
	}{
		{`delete from authorization_request where digest in (
			select digest from authorization_request
			where expires_at < $1 and (redeemed_at is null or redeemed_at < $2) order by expires_at limit $3)`, []any{now, day, sweepBatch}},
		{`delete from device_authorization where device_digest in (
			select device_digest from device_authorization
			where expires_at < $1 and (redeemed_at is null or redeemed_at < $2) order by expires_at limit $3)`, []any{now, day, sweepBatch}},
		{`delete from client_assertion where digest in (select digest from client_assertion where expires_at < $1 order by expires_at limit $2)`, []any{now, sweepBatch}},
		{`delete from access_grant where id in (select id from access_grant where expires_at < $1 order by expires_at limit $2)`, []any{month, sweepBatch}},
		{`delete from logout_delivery where id in (select id from logout_delivery where coalesce(done_at, failed_at) < $1 limit $2)`, []any{month, sweepBatch}},
	} {
		tag, err := q.Exec(ctx, sweep.sql, sweep.args...)
		if err != nil {
			return swept, fmt.Errorf("sweep: %w", err)
		}
		swept += int(tag.RowsAffected())
	}
	return swept, nil
}
