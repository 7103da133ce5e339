package passkey

import (
	"errors"
	"math/big"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/touchstone-id/touchstone/pkg/denial"
)

// RSA moduli accepted in credentials, in bits: below, keys are weak; above, each
// sign-in costs more than any authenticator's key is worth.
const minModulus, maxModulus = 2048, 4096

// checkClientData holds what must be true of any answer before the library
// looks. The library checks all of it again; here each failure has a name of
// its own, which tells a person more than "verification failed" (WebAuthn L3
// sections 7.1 steps 7 to 17 and 7.2 steps 10 to 19).
func (rp *RelyingParty) checkClientData(ceremony protocol.CeremonyType, session webauthn.SessionData, c protocol.CollectedClientData, flags protocol.AuthenticatorFlags) error {
	switch {
	case c.Type != ceremony:
		return denial.New(denial.ResponseInvalid, "client data of type %q", c.Type)
	case c.Challenge != session.Challenge:
		return denial.New(denial.ResponseInvalid, "the challenge is another ceremony's")
	case c.Origin != rp.options.Origin:
		return denial.New(denial.OriginMismatch, "origin %q", c.Origin)
	case c.CrossOrigin || c.TopOrigin != "":
		return denial.New(denial.OriginMismatch, "in a frame of %q", c.TopOrigin)
	case !flags.HasUserPresent():
		return denial.New(denial.ResponseInvalid, "the person was not present")
	case !flags.HasUserVerified():
		return denial.New(denial.UserVerificationMissing, "")
	case flags.HasBackupState() && !flags.HasBackupEligible():
		return denial.New(denial.ResponseInvalid, "backed up without being eligible")
	}
	return nil
}

// checkKey reports the algorithm of a new credential's public key. One that was
// not offered, or an RSA key of unreasonable size, is AlgorithmNotOffered.
func checkKey(cose []byte) (int64, error) {
	parsed, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return 0, refusal(err, denial.ResponseMalformed)
	}
	var key webauthncose.PublicKeyData
	switch k := parsed.(type) {
	case webauthncose.EC2PublicKeyData:
		key = k.PublicKeyData
	case webauthncose.OKPPublicKeyData:
		key = k.PublicKeyData
	case webauthncose.RSAPublicKeyData:
		key = k.PublicKeyData
		if bits := new(big.Int).SetBytes(k.Modulus).BitLen(); bits < minModulus || bits > maxModulus {
			return 0, denial.New(denial.AlgorithmNotOffered, "an RSA key of %d bits", bits)
		}
	}
	offered := func(p protocol.CredentialParameter) bool { return int64(p.Algorithm) == key.Algorithm }
	if !slices.ContainsFunc(algorithms, offered) {
		return 0, denial.New(denial.AlgorithmNotOffered, "COSE algorithm %d", key.Algorithm)
	}
	return key.Algorithm, nil
}

// reasons are what the library's kinds of errors mean to us.
var reasons = map[string]denial.Reason{
	protocol.ErrBadRequest.Type:             denial.ResponseMalformed,
	protocol.ErrParsingData.Type:            denial.ResponseMalformed,
	protocol.ErrAuthData.Type:               denial.ResponseMalformed,
	protocol.ErrAttestation.Type:            denial.AttestationInvalid,
	protocol.ErrInvalidAttestation.Type:     denial.AttestationInvalid,
	protocol.ErrAttestationCertificate.Type: denial.AttestationInvalid,
	protocol.ErrNotImplemented.Type:         denial.AttestationInvalid, // a statement format or variant
	protocol.ErrUnsupportedKey.Type:         denial.AlgorithmNotOffered,
	protocol.ErrUnsupportedAlgorithm.Type:   denial.AlgorithmNotOffered,
}

// refusal turns the library's errors into denials; kinds that are not listed,
// and errors of parsers below it, get the fallback. The explanations quote what
// the browser sent, so they are quoted here.
func refusal(err error, fallback denial.Reason) error {
	var d *protocol.Error
	if !errors.As(err, &d) {
		return denial.New(fallback, "%q", err.Error())
	}
	reason, ok := reasons[d.Type]
	if !ok {
		reason = fallback
	}
	return denial.New(reason, "%s: %q %q", d.Type, d.Details, d.DevInfo)
}
