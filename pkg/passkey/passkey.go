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
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/trust"
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
	// Trust returns the trust file in force; nil means one that says nothing.
	Trust func() *trust.Trust
}

// RelyingParty runs ceremonies. It is safe for concurrent use.
type RelyingParty struct {
	options  Options
	webauthn *webauthn.WebAuthn
}

// New returns a relying party. It is an error when the origin is not one as
// browsers write it (scheme, host and port, without a path), or when the ID is
// neither its host nor a domain above it (WebAuthn L3 section 5.1.2).
func New(o Options) (*RelyingParty, error) {
	u, err := url.Parse(o.Origin)
	if err != nil || u.Hostname() == "" || o.Origin != strings.ToLower(u.Scheme+"://"+u.Host) {
		return nil, fmt.Errorf("relying party: %q is not an origin", o.Origin)
	}
	if u.Hostname() != o.ID && !strings.HasSuffix(u.Hostname(), "."+o.ID) {
		return nil, fmt.Errorf("relying party: origin %s is not within %q", o.Origin, o.ID)
	}
	if o.Trust == nil {
		o.Trust = trust.Empty
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

// person shows an account to the library.
type person struct {
	account.User
	credentials []webauthn.Credential
}

func (p person) WebAuthnID() []byte                         { return p.Handle }
func (p person) WebAuthnName() string                       { return p.Name }
func (p person) WebAuthnDisplayName() string                { return p.DisplayName }
func (p person) WebAuthnCredentials() []webauthn.Credential { return p.credentials }
