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
	Metadata     string `json:"metadata"`
	TrustVersion string `json:"trust_version"`
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
	ClientID      ClientID
	RedirectURI   string
	State, Nonce  string
	Audience      string
	Scopes        []string
	CodeChallenge string
	Prompt        []string
	MaxAge        *int
	LoginHint     string
	Browser       []byte
}

// Request is an authorization request as its browser may see it.
type Request struct {
	ClientID       ClientID
	RedirectURI    string
	State, Nonce   string
	Audience       string
	Scopes         []string
	Prompt         []string
	MaxAge         *int
	LoginHint      string
	OpenedAt       time.Time
	ExpiresAt      time.Time
	Authentication *Authentication
}

// Open stores a request and returns its id. It is housekeeping, not an act:
// nobody has done anything yet.
func Open(ctx context.Context, q postgres.Querier, now time.Time, p OpenParams) (secret.Value, error) {
	id := secret.New()
	_, err := q.Exec(ctx, `
		insert into authorization_request (digest, client_id, redirect_uri, scopes, audience, state, nonce, code_challenge,
			prompt, max_age, login_hint, browser, opened_at, expires_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		id.Digest(), p.ClientID, p.RedirectURI, list(p.Scopes), p.Audience, p.State, p.Nonce, p.CodeChallenge,
		list(p.Prompt), p.MaxAge, p.LoginHint, p.Browser, now, now.Add(RequestLife))
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
		select client_id, redirect_uri, state, nonce, audience, scopes, prompt, max_age, login_hint, opened_at, expires_at,
			authentication, browser, code_digest is not null
		from authorization_request where digest = $1`, id.Digest()).Scan(
		&r.ClientID, &r.RedirectURI, &r.State, &r.Nonce, &r.Audience, &r.Scopes, &r.Prompt, &r.MaxAge, &r.LoginHint, &r.OpenedAt, &r.ExpiresAt,
		&authentication, &owner, &finished)
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
// already bound, so that nobody is exchanged for another afterwards.
func Bind(ctx context.Context, tx pgx.Tx, now time.Time, id secret.Value, browser []byte, a Authentication) (Request, error) {
	frozen, err := json.Marshal(a)
	if err != nil {
		return Request{}, fmt.Errorf("freeze authentication: %w", err)
	}
	tag, err := tx.Exec(ctx, `
		update authorization_request set authentication = $4, user_id = $5, session = $6, bound_at = $3
		where digest = $1 and browser = $2 and bound_at is null and expires_at > $3`,
		id.Digest(), browser, now, frozen, a.UserID, a.Session)
	if err != nil {
		return Request{}, fmt.Errorf("bind authorization request: %w", err)
	}
	r, err := Find(ctx, tx, now, id, browser)
	if err == nil && tag.RowsAffected() == 0 {
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
	if r.Authentication == nil {
		return Request{}, secret.Value{}, denial.New(denial.SignInRequired, "client %s", r.ClientID)
	}
	code := secret.New()
	tag, err := tx.Exec(ctx, `
		update authorization_request set code_digest = $4, code_expires_at = $5
		where digest = $1 and browser = $2 and bound_at is not null and code_digest is null and expires_at > $3`,
		id.Digest(), browser, now, code.Digest(), now.Add(CodeLife))
	if err != nil {
		return Request{}, secret.Value{}, fmt.Errorf("issue code: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return Request{}, secret.Value{}, denial.New(denial.RequestFinished, "client %s", r.ClientID)
	}
	return r, code, nil
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

// Sweep deletes authorization requests that nobody can use any more: expired
// and, if they were redeemed, a day old, so that a replayed code is still told
// from an unknown one. It returns how many there were.
func Sweep(ctx context.Context, q postgres.Querier, now time.Time) (int, error) {
	tag, err := q.Exec(ctx, `
		delete from authorization_request where digest in (
			select digest from authorization_request
			where expires_at < $1 and (redeemed_at is null or redeemed_at < $2) order by expires_at limit $3)`,
		now, now.Add(-24*time.Hour), sweepBatch)
	if err != nil {
		return 0, fmt.Errorf("sweep authorization requests: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
