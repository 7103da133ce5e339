package passkeytest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"errors"
)

// Attestation chooses the statement of new credentials.
type Attestation string

// The kinds of statements this authenticator can make.
const (
	// AttestNone sends no statement.
	AttestNone Attestation = "none"
	// AttestSelf signs with the credential's own key (WebAuthn L3 section 6.5.3).
	AttestSelf Attestation = "self"
	// AttestPacked signs with a batch key certified by the CA (section 8.2).
	AttestPacked Attestation = "packed"
	// AttestU2F signs as a U2F key does, with the same certificate (section 8.6).
	AttestU2F Attestation = "fido-u2f"
	// AttestTPM certifies the key by a TPM's attestation key (section 8.3).
	AttestTPM Attestation = "tpm"
	// AttestCompound sends a self statement and a packed one together (section 8.9).
	AttestCompound Attestation = "compound"
)

// statement builds the attestation object (WebAuthn L3 section 8).
func (a *Authenticator) statement(c *credential, data, client []byte) ([]byte, error) {
	format, stmt := "none", map[string]any{}
	var err error
	switch a.Attestation {
	case AttestSelf:
		format, err = "packed", signStatement(stmt, c.key, a.toBeSigned(data, client))
	case AttestPacked:
		format, err = "packed", a.certified(stmt, a.CA.leaf, a.toBeSigned(data, client))
	case AttestU2F:
		var message []byte
		if message, err = a.u2fMessage(c, data, client); err == nil {
			format, err = "fido-u2f", a.certified(stmt, a.CA.leaf, message)
			delete(stmt, "alg")
		}
	case AttestTPM:
		format, err = "tpm", a.certified(stmt, a.CA.aik, a.certifyKey(stmt, c, data, client))
	}
	if err == nil && a.Attestation == AttestCompound {
		return a.compound(c, data, client)
	}
	if err != nil {
		return nil, err
	}
	return canonical.Marshal(map[string]any{"fmt": format, "attStmt": stmt, "authData": data})
}

// compound builds an attestation object of two statements about one credential.
func (a *Authenticator) compound(c *credential, data, client []byte) ([]byte, error) {
	self, batch := map[string]any{}, map[string]any{}
	if err := signStatement(self, c.key, a.toBeSigned(data, client)); err != nil {
		return nil, err
	}
	if err := a.certified(batch, a.CA.leaf, a.toBeSigned(data, client)); err != nil {
		return nil, err
	}
	return canonical.Marshal(map[string]any{"fmt": "compound", "authData": data,
		"attStmt": []map[string]any{{"fmt": "packed", "attStmt": self}, {"fmt": "packed", "attStmt": batch}}})
}

// certified adds a chain to the statement and signs the message with its key.
func (a *Authenticator) certified(stmt map[string]any, issue func([16]byte) (*leaf, error), message []byte) error {
	if a.leaf == nil {
		made, err := issue(a.AAGUID)
		if err != nil {
			return err
		}
		a.leaf = made
	}
	stmt["x5c"] = a.leaf.chain
	return signStatement(stmt, a.leaf.key, message)
}

// signStatement adds a signature and its algorithm.
func signStatement(stmt map[string]any, key crypto.Signer, message []byte) error {
	signature, err := sign(key, message)
	stmt["alg"], stmt["sig"] = algorithmOf(key), signature
	return err
}

// toBeSigned is the authenticator data and the client data's hash.
func (a *Authenticator) toBeSigned(data, client []byte) []byte {
	return append(bytes.Clone(data), a.clientHash(client)...)
}

// clientHash is the hash of the client data, spoilt when signatures are to be.
func (a *Authenticator) clientHash(client []byte) []byte {
	hash := sha256.Sum256(client)
	if a.Lie.BreakSignature {
		hash[0] ^= 1
	}
	return hash[:]
}

// u2fMessage is what a U2F key signs: neither AAGUID nor flags are in it (WebAuthn L3 section 8.6).
func (a *Authenticator) u2fMessage(c *credential, data, client []byte) ([]byte, error) {
	key, ok := c.key.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("a U2F key signs with ES256")
	}
	point, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{{0}, data[:32], a.clientHash(client), c.id, point}, nil), nil
}
