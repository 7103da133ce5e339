package passkey

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/denial"
)

// Replay is the evidence of a registration and of one sign-in with it, as it
// was kept.
type Replay struct {
	// Handle is the person's WebAuthn user handle.
	Handle       []byte
	CredentialID []byte
	// AttestationObject and ClientData are those of the registration.
	AttestationObject, ClientData []byte
	RegisteredAt                  time.Time
	// Assertion is the answer of the sign-in, Challenge what it answers.
	Assertion  []byte
	Challenge  string
	SignedInAt time.Time
}

// Reverify runs both ceremonies' verifications again, from the bytes alone, and
// judges the authenticator as of the sign-in under the relying party's metadata
// and trust file. It reads no database. What it cannot check is that the
// challenges were fresh: they are spent. The signature counter is not compared.
func (rp *RelyingParty) Reverify(r Replay) (attest.Verdict, error) {
	var client struct {
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal(r.ClientData, &client); err != nil {
		return attest.Verdict{}, denial.New(denial.ResponseMalformed, "client data")
	}
	id := base64.RawURLEncoding.EncodeToString(r.CredentialID)
	response, err := json.Marshal(map[string]any{"id": id, "rawId": id, "type": "public-key", "response": map[string]string{
		"clientDataJSON": base64.RawURLEncoding.EncodeToString(r.ClientData), "attestationObject": base64.RawURLEncoding.EncodeToString(r.AttestationObject)}})
	if err != nil {
		return attest.Verdict{}, fmt.Errorf("replay registration: %w", err)
	}
	user := account.User{Handle: r.Handle}
	session := webauthn.SessionData{Challenge: client.Challenge, RelyingPartyID: rp.options.ID, UserID: r.Handle, Expires: time.Now().Add(time.Hour), UserVerification: "required", CredParams: algorithms}
	a, err := rp.verifyRegistration(user, session, response)
	if err != nil {
		return attest.Verdict{}, fmt.Errorf("registration: %w", err)
	}
	aaguid, err := uuid.FromBytes(a.Authenticator.AAGUID)
	if err != nil {
		return attest.Verdict{}, denial.New(denial.ResponseMalformed, "AAGUID")
	}
	login := webauthn.SessionData{Challenge: r.Challenge, RelyingPartyID: rp.options.ID, Expires: time.Now().Add(time.Hour), UserVerification: "required"}
	parsed, err := rp.readLogin(login, r.Assertion)
	if err != nil {
		return attest.Verdict{}, fmt.Errorf("assertion: %w", err)
	}
	s := stored{user: user, key: a.PublicKey, credentialID: r.CredentialID, flags: int16(a.flags)}
	s.AAGUID, s.BackupEligible = aaguid.String(), a.Flags.BackupEligible
	if string(parsed.RawID) != string(r.CredentialID) {
		return attest.Verdict{}, errors.New("assertion: it is another passkey's")
	}
	if _, err := rp.verifyLogin(login, parsed, s); err != nil {
		return attest.Verdict{}, fmt.Errorf("assertion: %w", err)
	}
	return rp.judge(attest.Evidence{Format: a.AttestationFormat, AAGUID: aaguid.String(), Chain: a.chain, DeviceBound: !a.Flags.BackupEligible, RegisteredAt: r.RegisteredAt}, r.SignedInAt), nil
}
