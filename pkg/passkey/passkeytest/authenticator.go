// Package passkeytest is a software authenticator for tests and load drivers.
//
// It decides nothing: it answers WebAuthn ceremonies as a browser with an
// authenticator would, honestly or, when told to, dishonestly, and it plays the
// vendor and the metadata service that vouch for it. It refuses to need a test
// framework, so that programs can drive real servers with it.
package passkeytest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// Authenticator holds credentials. It is safe for concurrent use; its fields
// are set before the first ceremony, or between ceremonies by one goroutine.
type Authenticator struct {
	// AAGUID is the model's identifier.
	AAGUID [16]byte
	// Attestation is the statement that new credentials carry; empty means AttestNone.
	Attestation Attestation
	// CA signs the attestation certificate; needed for AttestPacked, AttestU2F, AttestTPM and AttestCompound.
	CA *CA
	// Algorithm is the COSE algorithm of new credentials, ES256 when 0. It is
	// not compared with what the relying party offers.
	Algorithm int
	// Transports are reported at registration; nil means usb.
	Transports []string
	// Attachment is reported with each answer; empty means cross-platform.
	Attachment string
	// Synced sets BE and BS, as synced passkeys do, and keeps the counter at 0.
	Synced bool
	// Lie spoils the next answers.
	Lie Lie

	mu          sync.Mutex
	credentials []*credential
	leaf        *leaf
}

// credential is one discoverable credential.
type credential struct {
	id, handle []byte
	rpID       string
	key        crypto.Signer
	counter    uint32
}

// creationOptions is the part of PublicKeyCredentialCreationOptionsJSON that is used.
type creationOptions struct {
	RP        struct{ ID string } `json:"rp"`
	User      struct{ ID string } `json:"user"`
	Challenge string              `json:"challenge"`
	Exclude   []struct {
		ID string `json:"id"`
	} `json:"excludeCredentials"`
}

// ErrExcluded is what a browser reports as InvalidStateError.
var ErrExcluded = errors.New("a credential of the exclusion list is here already")

// Create answers registration options as navigator.credentials.create would at
// an origin; it returns the JSON of toJSON().
func (a *Authenticator) Create(options []byte, origin string) ([]byte, error) {
	var o creationOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fmt.Errorf("read creation options: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, x := range o.Exclude {
		for _, c := range a.credentials {
			if b64(c.id) == x.ID {
				return nil, ErrExcluded
			}
		}
	}
	handle, err := base64.RawURLEncoding.DecodeString(o.User.ID)
	if err != nil {
		return nil, fmt.Errorf("read user handle: %w", err)
	}
	key, err := newKey(a.Algorithm)
	if err != nil {
		return nil, err
	}
	c := &credential{id: make([]byte, 32), handle: handle, rpID: o.RP.ID, key: key}
	rand.Read(c.id)
	if a.Lie.CredentialID != nil {
		c.id = a.Lie.CredentialID
	}
	client := a.clientData("webauthn.create", o.Challenge, origin)
	data, err := a.registrationData(c)
	if err != nil {
		return nil, err
	}
	object, err := a.statement(c, data, client)
	if err != nil {
		return nil, err
	}
	a.credentials = append(a.credentials, c)
	transports := a.Transports
	if transports == nil {
		transports = []string{"usb"}
	}
	return json.Marshal(map[string]any{
		"id": b64(c.id), "rawId": b64(c.id), "type": "public-key", "authenticatorAttachment": a.attachment(),
		"clientExtensionResults": map[string]any{"credProps": map[string]any{"rk": !a.Lie.NoResidentKey}},
		"response": map[string]any{
			"clientDataJSON": b64(client), "attestationObject": b64(object), "transports": transports,
		},
	})
}

// Get answers assertion options with the newest credential for the RP, as
// navigator.credentials.get would at an origin; it returns the JSON of toJSON().
func (a *Authenticator) Get(options []byte, origin string) ([]byte, error) {
	var o struct {
		Challenge string `json:"challenge"`
		RPID      string `json:"rpId"`
	}
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fmt.Errorf("read request options: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var c *credential
	for _, known := range a.credentials {
		if known.rpID == o.RPID {
			c = known
		}
	}
	if c == nil {
		return nil, errors.New("no credential for " + o.RPID)
	}
	c.counter++
	client := a.clientData("webauthn.get", o.Challenge, origin)
	data := a.header(c, false)
	signature, err := sign(c.key, a.toBeSigned(data, client))
	if err != nil {
		return nil, err
	}
	id, handle := c.id, c.handle
	if a.Lie.CredentialID != nil {
		id = a.Lie.CredentialID
	}
	if a.Lie.UserHandle != nil {
		handle = a.Lie.UserHandle
	}
	return json.Marshal(map[string]any{
		"id": b64(id), "rawId": b64(id), "type": "public-key", "authenticatorAttachment": a.attachment(),
		"clientExtensionResults": map[string]any{"appid": false}, // unasked, as Safari does
		"response": map[string]any{
			"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature), "userHandle": b64(handle),
		},
	})
}

func (a *Authenticator) attachment() string {
	if a.Attachment == "" {
		return "cross-platform"
	}
	return a.Attachment
}

// clientData builds CollectedClientData (WebAuthn L3 section 5.8.1).
func (a *Authenticator) clientData(kind, challenge, origin string) []byte {
	if a.Lie.Type != "" {
		kind = a.Lie.Type
	}
	if a.Lie.Challenge != "" {
		challenge = a.Lie.Challenge
	}
	if a.Lie.Origin != "" {
		origin = a.Lie.Origin
	}
	client, _ := json.Marshal(struct {
		Type        string `json:"type"`
		Challenge   string `json:"challenge"`
		Origin      string `json:"origin"`
		CrossOrigin bool   `json:"crossOrigin"`
		TopOrigin   string `json:"topOrigin,omitempty"`
	}{kind, challenge, origin, a.Lie.CrossOrigin, a.Lie.TopOrigin})
	return client
}

// Flags of authenticator data (WebAuthn L3 section 6.1).
const (
	flagUP, flagUV, flagBE, flagBS, flagAT = 0x01, 0x04, 0x08, 0x10, 0x40
)

// header builds the first 37 bytes of authenticator data (WebAuthn L3 section 6.1).
func (a *Authenticator) header(c *credential, attested bool) []byte {
	rpID := c.rpID
	if a.Lie.RPID != "" {
		rpID = a.Lie.RPID
	}
	sum := sha256.Sum256([]byte(rpID))
	flags := byte(flagUP | flagUV)
	if a.Lie.NoUP {
		flags &^= flagUP
	}
	if a.Lie.NoUV {
		flags &^= flagUV
	}
	if a.Synced != a.Lie.FlipBackup {
		flags |= flagBE | flagBS
	}
	if a.Lie.ImpossibleBackup {
		flags = flags&^flagBE | flagBS
	}
	if attested {
		flags |= flagAT
	}
	counter := c.counter
	if a.Synced {
		counter = 0
	}
	if a.Lie.Counter != nil {
		counter = *a.Lie.Counter
	}
	return binary.BigEndian.AppendUint32(append(sum[:], flags), counter)
}

// registrationData adds the attested credential data (WebAuthn L3 section 6.5.2).
func (a *Authenticator) registrationData(c *credential) ([]byte, error) {
	cose, err := coseKey(c.key)
	if err != nil {
		return nil, err
	}
	aaguid := a.AAGUID[:]
	if a.Lie.CertifiedAAGUID != nil {
		aaguid = a.Lie.CertifiedAAGUID
	}
	data := append(a.header(c, true), aaguid...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(c.id)))
	return bytes.Join([][]byte{data, c.id, cose}, nil), nil
}

// canonical encodes as CTAP2 asks.
var canonical = func() cbor.EncMode {
	mode, err := cbor.CTAP2EncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
