package passkey

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/secret"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// OfferLogin starts an assertion with a discoverable credential: no account is named.
func (rp *RelyingParty) OfferLogin(ctx context.Context, q postgres.Querier, now time.Time, browser []byte) (Offer, error) {
	request, session, err := rp.webauthn.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return Offer{}, fmt.Errorf("begin login: %w", err)
	}
	return offer(ctx, q, now, assertion, browser, nil, request.Response, session)
}

// Login is an answer to an assertion ceremony.
type Login struct {
	Ceremony secret.Value
	Browser  []byte
	// Response is the JSON of the browser's PublicKeyCredential.
	Response []byte
}

// Proof is what a verified assertion shows.
type Proof struct {
	User       account.User
	Credential Credential
	// Facts holds uv and what the authenticator earns under today's metadata.
	Facts claim.Facts
	// AAGUID and Model are set only with the fact attested.
	AAGUID, Model string
	// Vendors are the organisations in the model's trust anchors.
	Vendors        []string
	MetadataNumber int
	AMR            []string
	// Assertion is the answer as the browser sent it, and Challenge what it
	// answers: the evidence of the sign-in.
	Assertion []byte
	Challenge string
}

// Authenticator is the proof as levels and rules see it.
func (p Proof) Authenticator() trust.Authenticator {
	return trust.Authenticator{Facts: p.Facts, AAGUID: p.AAGUID, Model: p.Model, Vendors: p.Vendors, Synced: p.Credential.BackupEligible}
}

// stored is a credential row with all that an assertion is checked against.
type stored struct {
	Credential
	user         account.User
	key          []byte
	credentialID []byte
	flags        int16
	signCount    int64
	chain        [][]byte
	removed      bool
}

// VerifyLogin consumes the ceremony and verifies the answer (WebAuthn L3
// section 7.2): the credential is found by its id and must belong to the person
// of the user handle. A signature counter that does not grow quarantines the
// credential. The facts are judged anew and stored with the counter, and the
// trust file's rules are asked: one that is enforced refuses. Denials
// that consumed nothing are told by Consumed; the returned Proof names the
// credential whenever it was found.
func (rp *RelyingParty) VerifyLogin(ctx context.Context, tx pgx.Tx, now time.Time, p Login) (Proof, error) {
	session, _, err := consume(ctx, tx, now, assertion, p.Ceremony, p.Browser)
	if err != nil {
		return Proof{}, err
	}
	parsed, err := rp.readLogin(session, p.Response)
	if err != nil {
		return Proof{}, err
	}
	s, err := find(ctx, tx, rp.options.ID, parsed.RawID)
	if err != nil {
		return Proof{}, err
	}
	proof := Proof{User: s.user, Credential: s.Credential, Assertion: p.Response, Challenge: session.Challenge}
	library, err := rp.verifyLogin(session, parsed, s)
	if err != nil {
		return proof, err
	}
	// Only now is the person proved: what follows tells them about their own passkey.
	switch {
	case s.removed:
		return proof, denial.New(denial.CredentialRemoved, "")
	case s.Quarantined && s.QuarantinedWhy == QuarantineMetadata:
		return proof, denial.New(denial.CredentialSuspended, "")
	case s.Quarantined:
		return proof, denial.New(denial.CredentialQuarantined, "")
	case library.Authenticator.CloneWarning:
		if _, err := tx.Exec(ctx, `update credential set quarantined_at = $2, quarantined_why = $3 where id = $1 and quarantined_at is null`, s.ID, now, QuarantineClone); err != nil {
			return proof, fmt.Errorf("quarantine credential: %w", err)
		}
		if err := account.Notify(ctx, tx, now, s.UserID, account.NoticeCloneSuspected, s.Nickname, ""); err != nil {
			return proof, err
		}
		return proof, denial.New(denial.CloneSuspected, "counter %d after %d", parsed.Response.AuthenticatorData.Counter, s.signCount)
	case !s.user.Active():
		return proof, denial.New(denial.UserSuspended, "")
	}
	verdict := rp.judge(attest.Evidence{Format: s.Format, AAGUID: s.AAGUID, Chain: s.chain, DeviceBound: !s.BackupEligible, RegisteredAt: s.CreatedAt}, now)
	if s.Suspended(rp.options.Trust(), verdict.Undesired) {
		return proof, rp.suspend(ctx, tx, now, s, verdict)
	}
	_, err = tx.Exec(ctx, `
		update credential set sign_count = $2, backup_state = $3, facts = $4, levels = $5, model = $6, metadata_number = nullif($7, 0), last_used_at = $8 where id = $1`,
		s.ID, int64(library.Authenticator.SignCount), library.Flags.BackupState, verdict.Facts, rp.levels(verdict), verdict.Model, verdict.MetadataNumber, now)
	if err != nil {
		return proof, fmt.Errorf("note the use of a credential: %w", err)
	}
	proof.Credential.Facts, proof.Credential.Model = verdict.Facts, verdict.Model
	proof.Credential.BackupState, proof.Credential.LastUsedAt = library.Flags.BackupState, &now
	proof.Facts = claim.NewFacts(append([]claim.Fact{claim.FactUV}, verdict.Facts...)...)
	proof.AAGUID, proof.Model, proof.Vendors, proof.MetadataNumber = verdict.AAGUID, verdict.Model, verdict.Vendors, verdict.MetadataNumber
	proof.AMR = amr(proof.Facts, s.BackupEligible)
	proof.Credential.Findings, err = rp.permit(trust.AtSignIn, s.user, verdict, now)
	return proof, err
}

// readLogin parses an answer and checks what needs no credential (WebAuthn L3
// section 7.2 steps 8 to 19). Its errors are denials.
func (rp *RelyingParty) readLogin(session webauthn.SessionData, response []byte) (*protocol.ParsedCredentialAssertionData, error) {
	if len(response) > MaxResponse {
		return nil, denial.New(denial.ResponseMalformed, "larger than %d bytes", MaxResponse)
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return nil, refusal(err, denial.ResponseMalformed)
	}
	return parsed, rp.checkClientData(protocol.AssertCeremony, session, parsed.Response.CollectedClientData, parsed.Response.AuthenticatorData.Flags)
}

// verifyLogin checks the assertion itself; it reads and writes nothing.
func (rp *RelyingParty) verifyLogin(session webauthn.SessionData, parsed *protocol.ParsedCredentialAssertionData, s stored) (*webauthn.Credential, error) {
	if !bytes.Equal(parsed.Response.UserHandle, s.user.Handle) {
		return nil, denial.New(denial.ResponseInvalid, "the credential is not this person's")
	}
	if parsed.Response.AuthenticatorData.Flags.HasBackupEligible() != s.BackupEligible {
		return nil, denial.New(denial.BackupFlagsChanged, "")
	}
	aaguid, err := uuid.Parse(s.AAGUID)
	if err != nil {
		return nil, fmt.Errorf("read stored AAGUID: %w", err)
	}
	known := webauthn.Credential{ID: s.credentialID, PublicKey: s.key, Flags: webauthn.NewCredentialFlags(protocol.AuthenticatorFlags(s.flags)),
		Authenticator: webauthn.Authenticator{AAGUID: aaguid[:], SignCount: uint32(s.signCount)}}
	owner := person{s.user, []webauthn.Credential{known}}
	handler := func(_, _ []byte) (webauthn.User, error) { return owner, nil }
	_, library, err := rp.webauthn.ValidatePasskeyLogin(handler, session, parsed)
	if err != nil {
		return nil, refusal(err, denial.ResponseInvalid)
	}
	return library, nil
}

// find returns the credential with this id, removed ones included.
func find(ctx context.Context, q postgres.Querier, rpID string, id []byte) (stored, error) {
	var s stored
	err := q.QueryRow(ctx, `
		select c.id::text, c.user_id, c.authenticator_id, c.nickname, c.aaguid::text, c.model, c.format, c.facts, c.levels, c.attachment, c.transports, c.backup_eligible, c.backup_state,
			c.created_at, c.last_used_at, c.quarantined_at is not null, c.quarantined_why, c.pardoned, c.removed_at is not null, c.public_key, c.credential_id, c.flags, c.sign_count, c.chain,
			a.handle, a.name, a.display_name, a.status, a.created_at, array(select group_name from account_group g where g.user_id = a.id order by 1)
		from credential c join account a on a.id = c.user_id
		where c.rp_id = $1 and c.credential_id = $2 for update of c`, rpID, id).Scan(
		&s.ID, &s.UserID, &s.AuthenticatorID, &s.Nickname, &s.AAGUID, &s.Model, &s.Format, &s.Facts, &s.Levels, &s.Attachment, &s.Transports, &s.BackupEligible, &s.BackupState,
		&s.CreatedAt, &s.LastUsedAt, &s.Quarantined, &s.QuarantinedWhy, &s.Pardoned, &s.removed, &s.key, &s.credentialID, &s.flags, &s.signCount, &s.chain,
		&s.user.Handle, &s.user.Name, &s.user.DisplayName, &s.user.Status, &s.user.CreatedAt, &s.user.Groups)
	if errors.Is(err, pgx.ErrNoRows) {
		return stored{}, denial.New(denial.CredentialUnknown, "")
	}
	if err != nil {
		return stored{}, fmt.Errorf("find credential: %w", err)
	}
	s.user.ID = s.UserID
	return s, nil
}

// amr returns the RFC 8176 values that were really established.
func amr(facts claim.Facts, synced bool) []string {
	values := []string{claim.AMRProofOfPossession, claim.AMRUserPresence}
	switch {
	case facts.Has(claim.FactHardware):
		values = append(values, claim.AMRHardwareKey)
	case synced:
		values = append(values, claim.AMRSoftwareKey)
	}
	if facts.Has(claim.FactUV) {
		values = append(values, claim.AMRMultiFactor)
	}
	return values
}
