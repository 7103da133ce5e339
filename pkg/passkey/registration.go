package passkey

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// OfferRegistration starts a registration for the person in this browser: a
// discoverable credential, user verification required, attestation direct, the
// person's own passkeys excluded (WebAuthn L3 section 7.1).
func (rp *RelyingParty) OfferRegistration(ctx context.Context, q postgres.Querier, now time.Time, u account.User, browser []byte) (Offer, error) {
	exclude, err := descriptors(ctx, q, rp.options.ID, u.ID)
	if err != nil {
		return Offer{}, err
	}
	creation, session, err := rp.library.BeginRegistration(person{User: u},
		webauthn.WithCredentialParameters(algorithms), webauthn.WithExclusions(exclude),
		webauthn.WithConveyancePreference(protocol.PreferDirectAttestation),
		webauthn.WithExtensions(webauthn.WithExtensionCredProps()))
	if err != nil {
		return Offer{}, fmt.Errorf("begin registration: %w", err)
	}
	return offer(ctx, q, now, registration, browser, &u.ID, creation.Response, session)
}

// Registration is an answer to a registration ceremony.
type Registration struct {
	Ceremony secret.Value
	Browser  []byte
	// UserID is the person the caller means; the ceremony must be theirs.
	UserID account.ID
	// Response is the JSON of the browser's PublicKeyCredential.
	Response []byte
	// UserAgent helps to name a passkey that does not name itself.
	UserAgent string
}

// AcceptRegistration consumes the ceremony, verifies the answer, judges the
// authenticator and stores the credential with its evidence. Denials that
// consumed nothing are told by Consumed; after the others the ceremony is used
// up and nothing is stored.
func (rp *RelyingParty) AcceptRegistration(ctx context.Context, tx pgx.Tx, now time.Time, p Registration) (Credential, error) {
	session, owner, err := consume(ctx, tx, now, registration, p.Ceremony, p.Browser)
	c := Credential{UserID: owner}
	if err != nil {
		return c, err
	}
	if owner != p.UserID {
		return c, denial.New(denial.CeremonyUnknown, "the ceremony belongs to another person")
	}
	u, err := account.ByID(ctx, tx, owner)
	if err != nil {
		return c, err
	}
	parsed, library, err := rp.verifyRegistration(u, session, p.Response)
	if err != nil {
		return c, err
	}
	return rp.store(ctx, tx, now, u, parsed, library, p.UserAgent)
}

// verifyRegistration checks an answer against its ceremony (WebAuthn L3 section 7.1 steps 5 to 24).
func (rp *RelyingParty) verifyRegistration(u account.User, session webauthn.SessionData, response []byte) (*protocol.ParsedCredentialCreationData, *webauthn.Credential, error) {
	if len(response) > MaxResponse {
		return nil, nil, denial.New(denial.ResponseMalformed, "larger than %d bytes", MaxResponse)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return nil, nil, refusal(err, denial.ResponseMalformed)
	}
	object := parsed.Response.AttestationObject
	if err := rp.checkClientData(parsed.Response.CollectedClientData, object.AuthData.Flags); err != nil {
		return nil, nil, err
	}
	library, err := rp.library.CreateCredential(person{User: u}, session, parsed)
	if err != nil {
		return nil, nil, refusal(err, denial.ResponseInvalid)
	}
	if !bytes.Equal(library.ID, object.AuthData.AttData.CredentialID) {
		return nil, nil, denial.New(denial.ResponseInvalid, "credential ids differ")
	}
	if rk := library.Extensions.RK; rk != nil && !*rk {
		return nil, nil, denial.New(denial.NotDiscoverable, "")
	}
	return parsed, library, nil
}

// store judges and inserts a verified credential.
func (rp *RelyingParty) store(ctx context.Context, tx pgx.Tx, now time.Time, u account.User, parsed *protocol.ParsedCredentialCreationData, library *webauthn.Credential, userAgent string) (Credential, error) {
	object := parsed.Response.AttestationObject
	aaguid, err := uuid.FromBytes(library.Authenticator.AAGUID)
	if err != nil {
		return Credential{UserID: u.ID}, denial.New(denial.ResponseMalformed, "AAGUID")
	}
	var key webauthncose.PublicKeyData
	if parsedKey, err := webauthncose.ParsePublicKey(library.PublicKey); err == nil {
		key = base(parsedKey)
	}
	chain := certificates(object)
	bound := !library.Flags.BackupEligible
	verdict := attest.Judge(attest.Evidence{Format: library.AttestationFormat, AAGUID: aaguid.String(), Chain: chain, DeviceBound: bound, RegisteredAt: now}, rp.options.Metadata(), now)
	c := Credential{ID: uuid.NewString(), UserID: u.ID, AuthenticatorID: handleOf(rp.options.ID, library.ID),
		AAGUID: aaguid.String(), Model: verdict.Model, Format: library.AttestationFormat, Facts: verdict.Facts,
		Attachment: string(parsed.AuthenticatorAttachment), BackupEligible: library.Flags.BackupEligible, BackupState: library.Flags.BackupState, CreatedAt: now}
	for _, t := range library.Transport {
		c.Transports = append(c.Transports, string(t))
	}
	c.Nickname = nickname(c, userAgent)
	tag, err := tx.Exec(ctx, `
		insert into credential (id, user_id, rp_id, credential_id, public_key, algorithm, authenticator_id, nickname, aaguid, format, attestation_type,
			attestation_object, client_data, chain, transports, attachment, flags, backup_eligible, backup_state, uv_initialised, sign_count, metadata_number, facts, model, created_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, true, $20, nullif($21, 0), $22, $23, $24)
		on conflict (rp_id, credential_id) do nothing`,
		c.ID, u.ID, rp.options.ID, library.ID, library.PublicKey, key.Algorithm, c.AuthenticatorID, c.Nickname, aaguid, c.Format, library.AttestationType,
		library.Attestation.Object, library.Attestation.ClientDataJSON, nonNil(chain), nonNil(c.Transports), c.Attachment, int16(object.AuthData.Flags),
		c.BackupEligible, c.BackupState, int64(library.Authenticator.SignCount), verdict.MetadataNumber, verdict.Facts, c.Model, now)
	if err != nil {
		return c, fmt.Errorf("store credential: %w", err)
	}
	if tag.RowsAffected() == 0 {
		// Also when somebody else registered it (WebAuthn L3 section 7.1 step 26).
		return Credential{UserID: u.ID}, denial.New(denial.CredentialRegistered, "")
	}
	return c, nil
}

// base returns the part that all COSE keys share.
func base(key any) webauthncose.PublicKeyData {
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData:
		return k.PublicKeyData
	case webauthncose.OKPPublicKeyData:
		return k.PublicKeyData
	case webauthncose.RSAPublicKeyData:
		return k.PublicKeyData
	}
	return webauthncose.PublicKeyData{}
}

// certificates returns the x5c chain of a statement, or nil.
func certificates(object protocol.AttestationObject) [][]byte {
	items, _ := object.AttStatement["x5c"].([]any)
	var chain [][]byte
	for _, item := range items {
		if der, ok := item.([]byte); ok {
			chain = append(chain, der)
		}
	}
	return chain
}

// handleOf derives the public handle of a credential: stable, opaque, and not
// the credential ID.
func handleOf(rpID string, credentialID []byte) string {
	sum := sha256.Sum256(slices.Concat([]byte("touchstone authenticator v1\x00"+rpID+"\x00"), credentialID))
	return base64.RawURLEncoding.EncodeToString(sum[:18])
}

// nickname names a passkey after its proven model, else after the device it seems to live on.
func nickname(c Credential, userAgent string) string {
	if c.Model != "" {
		return c.Model
	}
	if slices.Contains(c.Transports, "usb") || slices.Contains(c.Transports, "nfc") {
		return "Security key"
	}
	for _, known := range []struct{ mark, name string }{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"CrOS", "ChromeOS"}, {"Mac OS", "Mac"}, {"Linux", "Linux"},
	} {
		if strings.Contains(userAgent, known.mark) {
			return "Passkey on " + known.name
		}
	}
	return "Passkey"
}

// nonNil turns nil into an empty array, which the columns ask for.
func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
