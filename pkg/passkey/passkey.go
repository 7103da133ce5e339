// Package passkey runs the two WebAuthn ceremonies and keeps credentials with
// the whole evidence of their registration.
//
// It decides whether an answer of a browser is a valid registration or
// assertion for a ceremony that this browser started, and what the stored
// credential is worth under today's metadata. It refuses to know sessions,
// invitations and tokens: its callers run it inside their act.
//
// Ceremonies are rows, found by the SHA-256 of a random secret, bound to the
// browser, expiring, and deleted by the first attempt that uses them, also when
// it fails. Everything that the browser was asked for is checked again here;
// attachment and transports are hints and treated as such.
package passkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

const (
	// CeremonyLife is how long a person has to answer: keys with a PIN are slow.
	CeremonyLife = 5 * time.Minute
	// MaxResponse bounds the JSON of an answer, in bytes.
	MaxResponse = 64 << 10
)

// algorithms are offered in this order; RS256 is there for Windows Hello on TPM 1.2.
var algorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

// Options say who the relying party is.
type Options struct {
	// ID is the RP ID: the issuer's host. Never taken from a request.
	ID string
	// Name is what authenticators show.
	Name string
	// Origin is the one origin that ceremonies may come from.
	Origin string
	// Metadata returns the metadata in force.
	Metadata func() attest.Metadata
}

// RelyingParty runs ceremonies. It is safe for concurrent use.
type RelyingParty struct {
	options Options
	library *webauthn.WebAuthn
}

// New returns a relying party, or an error when ID and origin do not fit together.
func New(o Options) (*RelyingParty, error) {
	if u, err := url.Parse(o.Origin); err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("relying party: %q is not an origin", o.Origin)
	}
	timeout := webauthn.TimeoutConfig{Enforce: true, Timeout: CeremonyLife, TimeoutUVD: CeremonyLife}
	library, err := webauthn.New(&webauthn.Config{
		RPID: o.ID, RPDisplayName: o.Name, RPOrigins: []string{o.Origin},
		AttestationPreference: protocol.PreferDirectAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification: protocol.VerificationRequired,
		},
		Timeouts: webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
		// Safari adds appid:false to assertions of security keys unasked.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("relying party: %w", err)
	}
	return &RelyingParty{o, library}, nil
}

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
// one is CeremonyUnknown, one past its time CeremonyExpired.
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

// person shows an account to the library.
type person struct {
	account.User
	credentials []webauthn.Credential
}

func (p person) WebAuthnID() []byte                         { return p.Handle }
func (p person) WebAuthnName() string                       { return p.Name }
func (p person) WebAuthnDisplayName() string                { return p.DisplayName }
func (p person) WebAuthnCredentials() []webauthn.Credential { return p.credentials }

// checkClientData holds what must be true of any answer before the library
// looks: it tells a person more than "verification failed".
func (rp *RelyingParty) checkClientData(c protocol.CollectedClientData, flags protocol.AuthenticatorFlags) error {
	switch {
	case c.Origin != rp.options.Origin:
		return denial.New(denial.OriginMismatch, "origin %q", c.Origin)
	case c.CrossOrigin:
		return denial.New(denial.OriginMismatch, "cross-origin")
	case !flags.HasUserVerified():
		return denial.New(denial.UserVerificationMissing, "")
	}
	return nil
}

// refusal turns the library's errors into denials; they quote no secret.
func refusal(err error, fallback denial.Reason) error {
	var d *protocol.Error
	if !errors.As(err, &d) {
		return denial.New(fallback, "%s", err)
	}
	reason := fallback
	switch d.Type {
	case protocol.ErrBadRequest.Type, protocol.ErrParsingData.Type, protocol.ErrAuthData.Type:
		reason = denial.ResponseMalformed
	case protocol.ErrAttestation.Type, protocol.ErrInvalidAttestation.Type, protocol.ErrAttestationCertificate.Type, protocol.ErrMetadata.Type:
		reason = denial.AttestationInvalid
	case protocol.ErrUnsupportedKey.Type, protocol.ErrUnsupportedAlgorithm.Type:
		reason = denial.AlgorithmNotOffered
	}
	return denial.New(reason, "%s: %s %s", d.Type, d.Details, d.DevInfo)
}
