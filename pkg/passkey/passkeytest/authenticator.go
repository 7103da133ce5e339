// Package passkeytest is a software authenticator for tests and load drivers.
//
// It decides nothing: it answers WebAuthn ceremonies as a browser with an
// authenticator would, honestly or, when told to, dishonestly. It refuses to
// need a test framework, so that programs can drive real servers with it.
package passkeytest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
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

// Attestation chooses the statement of new credentials.
type Attestation string

// The kinds of statements this authenticator can make.
const (
	AttestNone   Attestation = "none"
	AttestSelf   Attestation = "self"
	AttestPacked Attestation = "packed"
)

// Lie makes an answer wrong in one way.
type Lie struct {
	// Origin replaces the true origin.
	Origin string
	// Type replaces webauthn.create or webauthn.get.
	Type string
	// Challenge replaces the challenge, base64url.
	Challenge string
	// RPID replaces the RP ID whose hash is signed.
	RPID string
	// CrossOrigin sets crossOrigin in the client data.
	CrossOrigin bool
	// NoUV clears the user verification flag.
	NoUV bool
	// Counter, when not nil, is the signature counter sent.
	Counter *uint32
	// FlipBackup inverts the BE flag.
	FlipBackup bool
	// UserHandle replaces the user handle.
	UserHandle []byte
	// CertifiedAAGUID replaces the AAGUID in the authenticator data but not in the certificate.
	CertifiedAAGUID []byte
	// BreakSignature spoils the signature.
	BreakSignature bool
	// NoResidentKey reports through credProps that nothing was stored.
	NoResidentKey bool
}

// Authenticator holds credentials. It is safe for concurrent use.
type Authenticator struct {
	// AAGUID is the model's identifier.
	AAGUID [16]byte
	// Attestation is the statement that new credentials carry.
	Attestation Attestation
	// CA signs the attestation certificate; needed for AttestPacked.
	CA *CA
	// Synced sets BE and BS, as synced passkeys do.
	Synced bool
	// Lie spoils the next answers.
	Lie Lie

	mu          sync.Mutex
	credentials []*credential
	leaf        *leaf
}

type credential struct {
	id, handle []byte
	rpID       string
	key        *ecdsa.PrivateKey
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
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &credential{id: make([]byte, 32), handle: handle, rpID: o.RP.ID, key: key}
	rand.Read(c.id)
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
	return json.Marshal(map[string]any{
		"id": b64(c.id), "rawId": b64(c.id), "type": "public-key", "authenticatorAttachment": "cross-platform",
		"clientExtensionResults": map[string]any{"credProps": map[string]any{"rk": !a.Lie.NoResidentKey}},
		"response": map[string]any{
			"clientDataJSON": b64(client), "attestationObject": b64(object), "transports": []string{"usb"},
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
	signature, err := a.sign(c.key, data, client)
	if err != nil {
		return nil, err
	}
	handle := c.handle
	if a.Lie.UserHandle != nil {
		handle = a.Lie.UserHandle
	}
	return json.Marshal(map[string]any{
		"id": b64(c.id), "rawId": b64(c.id), "type": "public-key", "authenticatorAttachment": "cross-platform",
		"clientExtensionResults": map[string]any{"appid": false}, // unasked, as Safari does
		"response": map[string]any{
			"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature), "userHandle": b64(handle),
		},
	})
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
	}{kind, challenge, origin, a.Lie.CrossOrigin})
	return client
}

// header builds the first 37 bytes of authenticator data (WebAuthn L3 section 6.1).
func (a *Authenticator) header(c *credential, attested bool) []byte {
	rpID := c.rpID
	if a.Lie.RPID != "" {
		rpID = a.Lie.RPID
	}
	sum := sha256.Sum256([]byte(rpID))
	flags := byte(0x01)
	if !a.Lie.NoUV {
		flags |= 0x04
	}
	if a.Synced != a.Lie.FlipBackup {
		flags |= 0x08 | 0x10
	}
	if attested {
		flags |= 0x40
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
	point := c.key.PublicKey
	cose, err := canonical.Marshal(map[int]any{1: 2, 3: -7, -1: 1,
		-2: point.X.FillBytes(make([]byte, 32)), -3: point.Y.FillBytes(make([]byte, 32))})
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

// statement builds the attestation object (WebAuthn L3 section 8).
func (a *Authenticator) statement(c *credential, data, client []byte) ([]byte, error) {
	format, stmt := "none", map[string]any{}
	switch a.Attestation {
	case AttestSelf, AttestPacked:
		format = "packed"
		signer := c.key
		if a.Attestation == AttestPacked {
			if a.leaf == nil {
				made, err := a.CA.leaf(a.AAGUID)
				if err != nil {
					return nil, err
				}
				a.leaf = made
			}
			signer = a.leaf.key
			stmt["x5c"] = [][]byte{a.leaf.certificate}
		}
		signature, err := a.sign(signer, data, client)
		if err != nil {
			return nil, err
		}
		stmt["alg"], stmt["sig"] = -7, signature
	}
	return canonical.Marshal(map[string]any{"fmt": format, "attStmt": stmt, "authData": data})
}

// sign signs authenticator data and the client data's hash.
func (a *Authenticator) sign(key *ecdsa.PrivateKey, data, client []byte) ([]byte, error) {
	hash := sha256.Sum256(client)
	sum := sha256.Sum256(append(bytes.Clone(data), hash[:]...))
	if a.Lie.BreakSignature {
		sum[0] ^= 1
	}
	return ecdsa.SignASN1(rand.Reader, key, sum[:])
}

// leaf is an attestation key with its certificate.
type leaf struct {
	key         *ecdsa.PrivateKey
	certificate []byte
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
