package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
)

// maxUserAgent bounds what is kept of a browser's description of itself, in bytes.
const maxUserAgent = 200

// seenEvery is how stale seen_at may become before it is written again, so that
// a busy session does not write at every request.
const seenEvery = time.Minute

// Session is a signed-in browser.
type Session struct {
	// ID is public: it is the sid of tokens. The cookie's identifier is another value.
	ID             string
	User           account.User
	Authentication grant.Authentication
	// Levels are what its passkey has now; nil when it was not judged since it was enrolled.
	Levels    []string
	CreatedAt time.Time
	SeenAt    time.Time
	ExpiresAt time.Time
	UserAgent string
	Address   string
	// ThisBrowser marks the session of the browser that asks.
	ThisBrowser bool
}

// newSessionID returns a fresh random sid.
func newSessionID() string { return uuid.NewString() }

// Current returns the session of the request's browser. Denials: SignInRequired
// without one; SessionEnded when it was revoked or has expired; UserSuspended;
// CredentialRemoved when its passkey is gone or paused; EvidenceChanged when it
// lost a fact or level that the sign-in rests on.
func (f *Flow) Current(r *http.Request) (Session, error) {
	identifier := f.identifier(r)
	if identifier.Empty() {
		return Session{}, denial.New(denial.SignInRequired, "")
	}
	now := f.options.Now()
	var s Session
	var frozen []byte
	var revoked *time.Time
	var usable bool
	var facts claim.Facts
	err := f.options.Pool.QueryRow(r.Context(), `
		select s.id, s.user_id, a.handle, a.name, a.display_name, a.status, a.created_at,
			array(select group_name from account_group g where g.user_id = a.id order by 1), s.authentication, s.created_at, s.seen_at, s.expires_at, s.user_agent, s.address,
			s.revoked_at, c.removed_at is null and c.quarantined_at is null, c.facts, c.levels
		from session s join account a on a.id = s.user_id join credential c on c.id = s.credential
		where s.digest = $1`, identifier.Digest()).Scan(
		&s.ID, &s.User.ID, &s.User.Handle, &s.User.Name, &s.User.DisplayName, &s.User.Status, &s.User.CreatedAt, &s.User.Groups, &frozen, &s.CreatedAt, &s.SeenAt, &s.ExpiresAt, &s.UserAgent, &s.Address,
		&revoked, &usable, &facts, &s.Levels)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Session{}, denial.New(denial.SignInRequired, "")
	case err != nil:
		return Session{}, fmt.Errorf("read session: %w", err)
	case revoked != nil || !now.Before(s.ExpiresAt) || now.Sub(s.SeenAt) > IdleLife:
		return Session{}, denial.New(denial.SessionEnded, "session %s", s.ID)
	case !s.User.Active():
		return Session{}, denial.New(denial.UserSuspended, "session %s", s.ID)
	case !usable:
		return Session{}, denial.New(denial.CredentialRemoved, "session %s", s.ID)
	}
	if err := json.Unmarshal(frozen, &s.Authentication); err != nil {
		return Session{}, fmt.Errorf("read session's authentication: %w", err)
	}
	if !s.Authentication.Founded(facts, s.Levels) {
		return Session{}, denial.New(denial.EvidenceChanged, "session %s", s.ID)
	}
	s.ThisBrowser = true
	if now.Sub(s.SeenAt) > seenEvery {
		if err := f.touch(r.Context(), s.ID, now); err != nil {
			return Session{}, err
		}
	}
	return s, nil
}

// touch notes that the session was seen.
func (f *Flow) touch(ctx context.Context, id string, now time.Time) error {
	if _, err := f.options.Pool.Exec(ctx, `update session set seen_at = $2 where id = $1 and seen_at < $2`, id, now); err != nil {
		return fmt.Errorf("note that a session was seen: %w", err)
	}
	return nil
}

// Sessions returns the live sessions of the person signed in here, newest
// first. Denials are those of Current.
func (f *Flow) Sessions(ctx context.Context, r *http.Request) ([]Session, error) {
	current, err := f.Current(r)
	if err != nil {
		return nil, err
	}
	list, err := Live(ctx, f.options.Pool, f.options.Now(), current.User.ID)
	for i := range list {
		list[i].User, list[i].ThisBrowser = current.User, list[i].ID == current.ID
	}
	return list, err
}

// shorten bounds a user agent and drops what is not printable text.
func shorten(userAgent string) string {
	if len(userAgent) > maxUserAgent {
		userAgent = userAgent[:maxUserAgent]
	}
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, userAgent), "")
}
