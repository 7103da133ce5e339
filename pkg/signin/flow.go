package signin

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/secret"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// Options say how sign-ins are made.
type Options struct {
	Pool     *pgxpool.Pool
	Log      *audit.Log
	Passkeys *passkey.RelyingParty
	// Trust returns the trust file in force.
	Trust func() *trust.Trust
	// Secure marks cookies Secure and names them __Host-; false only for an http issuer.
	Secure bool
	// Path is the issuer's path, or empty. Cookies that are bound to a host have no
	// path of their own (RFC 6265bis section 4.1.3.2), so their names tell issuers
	// on one host apart.
	Path string
	// CookieKey authenticates cookies: 32 random bytes, the same on every replica.
	CookieKey []byte
	// Now is the clock.
	Now func() time.Time
}

// Flow runs sign-ins and keeps sessions. It is safe for concurrent use.
type Flow struct {
	options                      Options
	store                        *store
	sessionCookie, browserCookie string
}

// New returns a flow.
func New(o Options) *Flow {
	issuer := strings.ReplaceAll(o.Path, "/", ".")
	f := &Flow{options: o, store: newStore(o.CookieKey, o.Secure), sessionCookie: "touchstone_session" + issuer, browserCookie: "touchstone_browser" + issuer}
	if o.Secure {
		f.sessionCookie, f.browserCookie = "__Host-"+f.sessionCookie, "__Host-"+f.browserCookie
	}
	return f
}

// Attempt is an answer to a sign-in ceremony.
type Attempt struct {
	Ceremony secret.Value
	// Response is the JSON of the browser's PublicKeyCredential.
	Response []byte
	// Request is the authorization request to bind, or empty.
	Request secret.Value
}

// Offer starts an assertion ceremony for this browser.
func (f *Flow) Offer(ctx context.Context, browser []byte) (passkey.Offer, error) {
	return f.options.Passkeys.OfferLogin(ctx, f.options.Pool, f.options.Now(), browser)
}

// Finish verifies the answer, opens a session under a fresh identifier, binds
// the authorization request when there is one, and ends the session that the
// browser had before, all in one act. Denials are those of
// passkey.VerifyLogin and grant.Bind.
func (f *Flow) Finish(ctx context.Context, w http.ResponseWriter, r *http.Request, a Attempt) (Session, error) {
	now, browser := f.options.Now(), f.BrowserOf(r)
	before := f.identifier(r)
	identifier := secret.New()
	var session Session
	err := f.options.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		proof, err := f.options.Passkeys.VerifyLogin(ctx, tx, now, passkey.Login{Ceremony: a.Ceremony, Browser: browser, Response: a.Response})
		event := audit.Event{Action: audit.SignIn, UserID: string(proof.Credential.UserID), Credential: proof.Credential.AuthenticatorID,
			Details: found(proof.Credential.Findings)}
		if err != nil {
			if denial.Is(err, denial.CeremonyUnknown) || denial.Is(err, denial.CeremonyOtherBrowser) {
				return audit.Event{}, err // nothing was consumed
			}
			return event, err
		}
		session = f.open(proof, r, now)
		event.Session = session.ID
		event.Details = f.judged(session.Authentication, proof.Credential.Findings)
		if !a.Request.Empty() {
			request, err := grant.Bind(ctx, tx, now, a.Request, browser, session.Authentication)
			event.ClientID = string(request.ClientID)
			if err != nil {
				return event, err
			}
		}
		if err := end(ctx, tx, now, before); err != nil {
			return audit.Event{}, err
		}
		return event, insert(ctx, tx, session, identifier, browser, proof)
	})
	if err != nil {
		return Session{}, err
	}
	return session, f.remember(w, r, identifier)
}

// found notes in the record which rules a passkey did not meet.
func found(findings []trust.Finding) map[string]string {
	if len(findings) == 0 {
		return nil
	}
	return map[string]string{"rules_not_met": trust.Names(findings)}
}

// judged notes what the sign-in was worth, under which metadata and trust file.
func (f *Flow) judged(a grant.Authentication, findings []trust.Finding) map[string]string {
	details := map[string]string{"acr": a.ACR, "facts": a.Attestation.String(), "metadata": a.Metadata, "trust_version": a.TrustVersion}
	for name, text := range found(findings) {
		details[name] = text
	}
	return details
}

// open makes the session that a proof earns, with its authentication frozen.
func (f *Flow) open(p passkey.Proof, r *http.Request, now time.Time) Session {
	t := f.options.Trust()
	met, _ := t.LevelsOf(p.Authenticator())
	s := Session{ID: newSessionID(), User: p.User, CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(absoluteLife),
		UserAgent: shorten(r.UserAgent()), Address: audit.OriginOf(r.Context()).Address, ThisBrowser: true}
	s.Authentication = grant.Authentication{
		UserID: p.User.ID, Credential: p.Credential.ID, AuthenticatorID: p.Credential.AuthenticatorID, Session: s.ID,
		AuthTime: now, ACR: t.LevelOf(p.Authenticator()), AMR: p.AMR,
		Authenticator: claim.Authenticator{Attestation: p.Facts, AAGUID: p.AAGUID, Model: p.Model},
		Levels:        met,
		TrustVersion:  t.Version,
	}
	if p.MetadataNumber > 0 {
		s.Authentication.Metadata = strconv.Itoa(p.MetadataNumber)
	}
	return s
}

// Resume binds an authorization request to a session that is already there
// (single sign-on). Denials are those of grant.Bind; every request is bound
// once, and the act is recorded when its code is issued.
func (f *Flow) Resume(ctx context.Context, s Session, request secret.Value, browser []byte) error {
	return pgx.BeginFunc(ctx, f.options.Pool, func(tx pgx.Tx) error {
		_, err := grant.Bind(ctx, tx, f.options.Now(), request, browser, s.Authentication)
		return err
	})
}

// SignOut ends the browser's session and every grant made from it, and removes
// the cookie. Without a session it only removes the cookie.
func (f *Flow) SignOut(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	session, err := f.Current(r)
	if err == nil {
		err = f.Revoke(ctx, session, session.ID)
	}
	if _, denied := denial.ReasonOf(err); err != nil && !denied {
		return err
	}
	return f.forget(w, r)
}

// Revoke ends one session of the person whose session is acting, with every
// grant made from it. Another person's session is the denial SessionEnded.
func (f *Flow) Revoke(ctx context.Context, acting Session, sessionID string) error {
	action := audit.SessionRevoked
	if sessionID == acting.ID {
		action = audit.SignOut
	}
	return f.options.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		n, err := End(ctx, tx, f.options.Now(), acting.User.ID, sessionID, string(action))
		if err != nil {
			return audit.Event{}, err
		}
		return audit.Event{Action: action, UserID: string(acting.User.ID), Session: sessionID,
			Details: map[string]string{"grants": strconv.Itoa(n)}}, nil
	})
}

// RevokeAll ends every session of the person whose session is acting, this one
// included, with every grant made from them, and removes the cookie.
func (f *Flow) RevokeAll(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	acting, err := f.Current(r)
	if err != nil {
		return err
	}
	err = f.options.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		sessions, grants, err := EndAll(ctx, tx, f.options.Now(), acting.User.ID, string(audit.SessionRevoked))
		if err != nil {
			return audit.Event{}, err
		}
		return audit.Event{Action: audit.SessionRevoked, UserID: string(acting.User.ID), Session: acting.ID,
			Details: map[string]string{"sessions": strconv.Itoa(sessions), "grants": strconv.Itoa(grants)}}, nil
	})
	if err != nil {
		return err
	}
	return f.forget(w, r)
}

// insert stores a session under its identifier.
func insert(ctx context.Context, tx pgx.Tx, s Session, identifier secret.Value, browser []byte, p passkey.Proof) error {
	frozen, err := json.Marshal(s.Authentication)
	if err != nil {
		return fmt.Errorf("freeze authentication: %w", err)
	}
	_, err = tx.Exec(ctx, `
		insert into session (id, digest, user_id, credential, authentication, browser, user_agent, address, created_at, seen_at, expires_at, assertion, challenge)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11, $12)`,
		s.ID, identifier.Digest(), s.User.ID, s.Authentication.Credential, frozen, browser, s.UserAgent, s.Address, s.CreatedAt, s.ExpiresAt, p.Assertion, p.Challenge)
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	return nil
}

// end closes the session that the browser had before a new sign-in. Its grants
// live on: the same person in the same browser has just proved themselves again,
// and another person's clients keep what that person gave them.
func end(ctx context.Context, tx pgx.Tx, now time.Time, identifier secret.Value) error {
	if identifier.Empty() {
		return nil
	}
	_, err := tx.Exec(ctx, `update session set revoked_at = $2 where digest = $1 and revoked_at is null`, identifier.Digest(), now)
	if err != nil {
		return fmt.Errorf("end the session before: %w", err)
	}
	return nil
}

// AddressOf returns the peer's address without its port. Forwarded headers are
// not trusted here: a proxy that should be believed is the server's business.
func AddressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
