package passkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// Offer is a ceremony to be run by the browser.
type Offer struct {
	// Ceremony is the secret by which the answer finds it again.
	Ceremony secret.Value
	// Options is PublicKeyCredentialCreationOptionsJSON or PublicKeyCredentialRequestOptionsJSON (WebAuthn L3 section 5.1).
	Options   json.RawMessage
	ExpiresAt time.Time
}

// Kinds of ceremonies.
const (
	registration = "registration"
	assertion    = "assertion"
)

// offer stores a ceremony for this browser.
func offer(ctx context.Context, q postgres.Querier, now time.Time, kind string, browser []byte, user *account.ID, options any, session *webauthn.SessionData) (Offer, error) {
	o := Offer{Ceremony: secret.New(), ExpiresAt: now.Add(CeremonyLife)}
	session.Expires = o.ExpiresAt
	var err error
	if o.Options, err = json.Marshal(options); err != nil {
		return Offer{}, fmt.Errorf("encode ceremony options: %w", err)
	}
	stored, err := json.Marshal(session)
	if err != nil {
		return Offer{}, fmt.Errorf("encode ceremony: %w", err)
	}
	_, err = q.Exec(ctx, `insert into ceremony (digest, kind, browser, user_id, session, expires_at) values ($1, $2, $3, $4, $5, $6)`,
		o.Ceremony.Digest(), kind, browser, user, stored, o.ExpiresAt)
	if err != nil {
		return Offer{}, fmt.Errorf("store ceremony: %w", err)
	}
	return o, nil
}

// consume deletes the ceremony and returns what it was about. An attempt from
// another browser leaves it in place: CeremonyOtherBrowser. An unknown or used
// one, and one of the other kind, is CeremonyUnknown; one past its time is
// CeremonyExpired. Of many attempts at once, the row lets one through.
func consume(ctx context.Context, tx pgx.Tx, now time.Time, kind string, ceremony secret.Value, browser []byte) (webauthn.SessionData, account.ID, error) {
	var session webauthn.SessionData
	var user account.ID
	var stored []byte
	var expires time.Time
	err := tx.QueryRow(ctx, `
		delete from ceremony where digest = $1 and browser = $2 and kind = $3
		returning coalesce(user_id, ''), session, expires_at`, ceremony.Digest(), browser, kind).Scan(&user, &stored, &expires)
	if errors.Is(err, pgx.ErrNoRows) {
		var elsewhere bool
		err := tx.QueryRow(ctx, `select exists (select from ceremony where digest = $1 and kind = $2)`, ceremony.Digest(), kind).Scan(&elsewhere)
		switch {
		case err != nil:
			return session, "", fmt.Errorf("look for ceremony: %w", err)
		case elsewhere:
			return session, "", denial.New(denial.CeremonyOtherBrowser, "")
		}
		return session, "", denial.New(denial.CeremonyUnknown, "")
	}
	if err != nil {
		return session, "", fmt.Errorf("consume ceremony: %w", err)
	}
	if !now.Before(expires) {
		return session, user, denial.New(denial.CeremonyExpired, "at %s", expires)
	}
	if err := json.Unmarshal(stored, &session); err != nil {
		return session, user, fmt.Errorf("read ceremony: %w", err)
	}
	return session, user, nil
}

// Consumed reports whether an error of AcceptRegistration or VerifyLogin came
// after the ceremony was used up, so that the refusal belongs on record.
func Consumed(err error) bool {
	return !denial.Is(err, denial.CeremonyUnknown) && !denial.Is(err, denial.CeremonyOtherBrowser)
}

// Sweep deletes ceremonies past their time and returns how many there were.
func Sweep(ctx context.Context, q postgres.Querier, now time.Time) (int, error) {
	tag, err := q.Exec(ctx, `delete from ceremony where expires_at < $1`, now)
	if err != nil {
		return 0, fmt.Errorf("sweep ceremonies: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
