package grant

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

const (
	// DeviceLife is how long a person has to approve a device.
	DeviceLife = 10 * time.Minute
	// DeviceInterval is the least pause between two polls of a device.
	DeviceInterval = 5 * time.Second
	// userCodeAlphabet has no vowels, so that no words come of it (RFC 8628 section 6.1).
	userCodeAlphabet = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLength   = 8
)

// Device is a device flow as the person sees it who approves it (RFC 8628).
type Device struct {
	ClientID ClientID
	Scopes   []string
	Audience string
	// Address is where the device asked from; a hint against phishing.
	Address   string
	OpenedAt  time.Time
	ExpiresAt time.Time
}

// OpenDevice starts a device flow and returns the device code and the user
// code, in the form in which it is shown. Scopes and audience must have been
// checked against the client's registration.
func OpenDevice(ctx context.Context, q postgres.Querier, now time.Time, d Device) (device secret.Value, userCode string, err error) {
	device = secret.New()
	letters := make([]byte, userCodeLength)
	for i := range letters {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(userCodeAlphabet))))
		if err != nil {
			return secret.Value{}, "", fmt.Errorf("make user code: %w", err)
		}
		letters[i] = userCodeAlphabet[n.Int64()]
	}
	_, err = q.Exec(ctx, `
		insert into device_authorization (device_digest, user_digest, client_id, scopes, audience, address, opened_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7, $8)`,
		device.Digest(), userDigest(string(letters)), d.ClientID, list(d.Scopes), d.Audience, d.Address, now, now.Add(DeviceLife))
	if err != nil {
		return secret.Value{}, "", fmt.Errorf("open device flow: %w", err)
	}
	return device, string(letters[:4]) + "-" + string(letters[4:]), nil
}

// userDigest is the SHA-256 of a user code without what people put between its
// letters, in any letter case.
func userDigest(code string) []byte {
	letters := strings.Map(func(r rune) rune {
		if strings.ContainsRune(userCodeAlphabet, r) {
			return r
		}
		return -1
	}, strings.ToUpper(code))
	sum := sha256.Sum256([]byte(letters))
	return sum[:]
}

// FindDevice returns the open device flow with this user code. The denial
// DeviceCodeUnknown means that there is none: wrong, decided or expired.
func FindDevice(ctx context.Context, q postgres.Querier, now time.Time, userCode string) (Device, error) {
	var d Device
	err := q.QueryRow(ctx, `
		select client_id, scopes, audience, address, opened_at, expires_at from device_authorization
		where user_digest = $1 and expires_at > $2 and approved_at is null and declined_at is null`, userDigest(userCode), now).
		Scan(&d.ClientID, &d.Scopes, &d.Audience, &d.Address, &d.OpenedAt, &d.ExpiresAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return Device{}, denial.New(denial.DeviceCodeUnknown, "")
	}
	if err != nil {
		return Device{}, fmt.Errorf("find device flow: %w", err)
	}
	return d, nil
}

// DecideDevice approves a device flow with a sign-in, or declines it, once.
// Denial: DeviceCodeUnknown.
func DecideDevice(ctx context.Context, tx pgx.Tx, now time.Time, userCode string, approve bool, a Authentication) (Device, error) {
	frozen, err := json.Marshal(a)
	if err != nil {
		return Device{}, fmt.Errorf("freeze authentication: %w", err)
	}
	var d Device
	err = tx.QueryRow(ctx, `
		update device_authorization set authentication = $4, user_id = $5, session = $6,
			approved_at = case when $3 then $2::timestamptz end, declined_at = case when $3 then null else $2::timestamptz end
		where user_digest = $1 and expires_at > $2 and approved_at is null and declined_at is null
		returning client_id, scopes, audience, address, opened_at, expires_at`, userDigest(userCode), now, approve, frozen, a.UserID, a.Session).
		Scan(&d.ClientID, &d.Scopes, &d.Audience, &d.Address, &d.OpenedAt, &d.ExpiresAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return Device{}, denial.New(denial.DeviceCodeUnknown, "")
	}
	if err != nil {
		return Device{}, fmt.Errorf("decide device flow: %w", err)
	}
	return d, nil
}

// PollDevice tells whether a device code can be redeemed, and writes nothing.
// Denials: DeviceCodeUnknown (also another client's, and a redeemed one),
// DeviceExpired, DevicePending, PersonDeclined.
func PollDevice(ctx context.Context, q postgres.Querier, now time.Time, device secret.Value, client ClientID) error {
	var owner ClientID
	var expires time.Time
	var approved, declined, redeemed bool
	err := q.QueryRow(ctx, `
		select client_id, expires_at, approved_at is not null, declined_at is not null, redeemed_at is not null from device_authorization where device_digest = $1`, device.Digest()).
		Scan(&owner, &expires, &approved, &declined, &redeemed)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return denial.New(denial.DeviceCodeUnknown, "")
	case err != nil:
		return fmt.Errorf("poll device flow: %w", err)
	case owner != client || redeemed:
		return denial.New(denial.DeviceCodeUnknown, "of %s, polled by %s, redeemed %t", owner, client, redeemed)
	case declined:
		return denial.New(denial.PersonDeclined, "")
	case !now.Before(expires):
		return denial.New(denial.DeviceExpired, "")
	case !approved:
		return denial.New(denial.DevicePending, "")
	}
	return nil
}

// RedeemDevice turns an approved device code into a grant, by one guarded
// update. The person, the passkey and the session are checked again. Denials
// are those of PollDevice and of Redeem; the convention about the returned Grant
// is that of Redeem.
func RedeemDevice(ctx context.Context, tx pgx.Tx, now time.Time, device secret.Value, client ClientID) (Grant, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Grant{}, fmt.Errorf("make grant id: %w", err)
	}
	var c redeemed
	err = tx.QueryRow(ctx, `
		update device_authorization d set redeemed_at = $3
		from account a, credential c, session s
		where d.device_digest = $1 and d.client_id = $2 and d.approved_at is not null and d.redeemed_at is null and d.expires_at > $3
			and a.id = d.user_id and c.id = (d.authentication->>'credential')::uuid and s.id = d.session
		returning d.client_id, d.user_id, d.session, d.audience, d.scopes, d.authentication,
			a.name, a.display_name, a.profile, a.status = 'active', c.removed_at is null and c.quarantined_at is null, s.revoked_at is null, c.facts, c.levels`,
		device.Digest(), client, now).Scan(&c.clientID, &c.userID, &c.session, &c.audience, &c.scopes, &c.authentication,
		&c.name, &c.display, &c.profile, &c.active, &c.usable, &c.sessionLive, &c.facts, &c.levels)
	if errors.Is(err, pgx.ErrNoRows) {
		if err := PollDevice(ctx, tx, now, device, client); err != nil {
			return Grant{}, err
		}
		return Grant{}, errors.New("redeem device code: a live code was not consumed")
	}
	if err != nil {
		return Grant{}, fmt.Errorf("redeem device code: %w", err)
	}
	g := Grant{ID: id.String(), ClientID: c.clientID, UserID: c.userID, UserName: c.name, UserDisplayName: c.display,
		Profile: c.profile, Scopes: c.scopes, IDTokenScopes: c.scopes, Audience: c.audience, Audiences: []string{c.audience}, ExpiresAt: now.Add(Life)}
	if c.frozen, err = thaw(c.authentication); err != nil {
		return Grant{}, err
	}
	if err := c.stands(); err != nil {
		g.ID = "" // no grant came of it
		return g, err
	}
	g.Authentication = c.frozen
	return g, g.store(ctx, tx, now, c.session)
}
