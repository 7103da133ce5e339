package passkey

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/secret"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// OfferRegistration starts a registration for the person in this browser: a
// discoverable credential, user verification required, attestation direct (or
// enterprise, where the organisation lists its authenticators), the person's own
// passkeys excluded (WebAuthn L3 section 7.1).
func (rp *RelyingParty) OfferRegistration(ctx context.Context, q postgres.Querier, now time.Time, u account.User, browser []byte) (Offer, error) {
	exclude, err := descriptors(ctx, q, rp.options.ID, u.ID)
	if err != nil {
		return Offer{}, err
	}
	creation, session, err := rp.webauthn.BeginRegistration(person{User: u},
		webauthn.WithCredentialParameters(algorithms), webauthn.WithExclusions(exclude),
		webauthn.WithConveyancePreference(rp.conveyance()),
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
// authenticator, asks the trust file's rules and stores the credential with its
// evidence. Denials that
// consumed nothing are told by Consumed; after the others the ceremony is used
// up and nothing is stored.
func (rp *RelyingParty) AcceptRegistration(ctx context.Context, tx pgx.Tx, now time.Time, p Registration) (Credential, error) {
	session, owner, err := consume(ctx, tx, now, registration, p.Ceremony, p.Browser)
	c := Credential{UserID: owner}
	if err != nil {
		return c, err
	}
	if owner != p.UserID {
		return c, denial.New(denial.ResponseInvalid, "the ceremony is another person's")
	}
	u, err := account.ByID(ctx, tx, owner)
	if err != nil {
		return c, err
	}
	if !u.Active() {
		return c, denial.New(denial.UserSuspended, "")
	}
	a, err := rp.verifyRegistration(u, session, p.Response)
	if err != nil {
		return c, err
	}
	return rp.store(ctx, tx, now, u, a, p.UserAgent)
}

// accepted is a verified answer to a registration.
type accepted struct {
	*webauthn.Credential
	algorithm  int64
	flags      protocol.AuthenticatorFlags
	chain      [][]byte
	attachment string
	transports []string
}

// verifyRegistration checks an answer against its ceremony (WebAuthn L3 section
// 7.1 steps 5 to 24). It reads and writes nothing; its errors are denials.
func (rp *RelyingParty) verifyRegistration(u account.User, session webauthn.SessionData, response []byte) (accepted, error) {
	if len(response) > MaxResponse {
		return accepted{}, denial.New(denial.ResponseMalformed, "larger than %d bytes", MaxResponse)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return accepted{}, refusal(err, denial.ResponseMalformed)
	}
	object := parsed.Response.AttestationObject
	if err := rp.checkClientData(protocol.CreateCeremony, session, parsed.Response.CollectedClientData, object.AuthData.Flags); err != nil {
		return accepted{}, err
	}
	algorithm, err := checkKey(object.AuthData.AttData.CredentialPublicKey)
	if err != nil {
		return accepted{}, err
	}
	library, err := rp.webauthn.CreateCredential(person{User: u}, session, parsed)
	if err != nil {
		return accepted{}, refusal(err, denial.ResponseInvalid)
	}
	if rk := library.Extensions.RK; rk != nil && !*rk {
		return accepted{}, denial.New(denial.NotDiscoverable, "")
	}
	return accepted{Credential: library, algorithm: algorithm, flags: object.AuthData.Flags, chain: certificates(object),
		attachment: string(parsed.AuthenticatorAttachment), transports: transports(parsed.Response.Transports)}, nil
}

// store judges and inserts a verified credential.
func (rp *RelyingParty) store(ctx context.Context, tx pgx.Tx, now time.Time, u account.User, a accepted, userAgent string) (Credential, error) {
	aaguid, err := uuid.FromBytes(a.Authenticator.AAGUID)
	if err != nil {
		return Credential{UserID: u.ID}, denial.New(denial.ResponseMalformed, "AAGUID")
	}
	verdict := rp.judge(attest.Evidence{Format: a.AttestationFormat, AAGUID: aaguid.String(), Chain: a.chain, DeviceBound: !a.Flags.BackupEligible, RegisteredAt: now}, now)
	findings, err := rp.permit(trust.AtEnrolment, u, verdict, now)
	if err != nil {
		return Credential{UserID: u.ID, Format: a.AttestationFormat, Facts: verdict.Facts}, err
	}
	c := Credential{ID: uuid.NewString(), UserID: u.ID, AuthenticatorID: handleOf(rp.options.ID, a.ID),
		AAGUID: aaguid.String(), Model: verdict.Model, Format: a.AttestationFormat, Facts: verdict.Facts, Levels: rp.levels(verdict), Attachment: a.attachment, Transports: a.transports,
		BackupEligible: a.Flags.BackupEligible, BackupState: a.Flags.BackupState, CreatedAt: now, Findings: findings}
	taken, err := nicknames(ctx, tx, u.ID)
	if err != nil {
		return Credential{UserID: u.ID}, err
	}
	c.Nickname = distinct(nickname(c, userAgent), taken)
	tag, err := tx.Exec(ctx, `
		insert into credential (id, user_id, rp_id, credential_id, public_key, algorithm, authenticator_id, nickname, aaguid, format, attestation_type,
			attestation_object, client_data, chain, transports, attachment, flags, backup_eligible, backup_state, uv_initialised, sign_count, metadata_number, facts, levels, model, created_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, true, $20, nullif($21, 0), $22, $23, $24, $25)
		on conflict (rp_id, credential_id) do nothing`,
		c.ID, u.ID, rp.options.ID, a.ID, a.PublicKey, a.algorithm, c.AuthenticatorID, c.Nickname, aaguid, c.Format, a.AttestationType,
		a.Attestation.Object, a.Attestation.ClientDataJSON, nonNil(a.chain), nonNil(c.Transports), c.Attachment, int16(a.flags),
		c.BackupEligible, c.BackupState, int64(a.Authenticator.SignCount), verdict.MetadataNumber, verdict.Facts, c.Levels, c.Model, now)
	if err != nil {
		return c, fmt.Errorf("store credential: %w", err)
	}
	if tag.RowsAffected() == 0 {
		// Also when somebody else registered it (WebAuthn L3 section 7.1 step 26).
		return Credential{UserID: u.ID}, denial.New(denial.CredentialRegistered, "")
	}
	return c, nil
}

// certificates returns the x5c chain of a statement, or nil. Of a compound one
// it is the chain of the first part that has one and binds the model; the
// library has verified every part (WebAuthn L3 section 8.9).
func certificates(object protocol.AttestationObject) [][]byte {
	for _, part := range object.SubStatements {
		if chain := x5c(part.AttStatement); len(chain) > 0 && attest.BindsModel(part.Format) {
			return chain
		}
	}
	return x5c(object.AttStatement)
}

func x5c(statement map[string]any) [][]byte {
	items, _ := statement["x5c"].([]any)
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

// maxTransports bounds how many reported transports are kept.
const maxTransports = 8

// plain is what a transport looks like, known today or not (WebAuthn L3 section 5.8.4).
var plain = regexp.MustCompile(`^[a-z-]{1,32}$`)

// transports returns the reported transports that look like some; the others
// are dropped, for they are hints and the browser may send anything.
func transports(reported []protocol.AuthenticatorTransport) []string {
	var kept []string
	for _, t := range reported {
		if plain.MatchString(string(t)) && len(kept) < maxTransports {
			kept = append(kept, string(t))
		}
	}
	return kept
}

// nonNil turns nil into an empty array, which the columns ask for.
func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
