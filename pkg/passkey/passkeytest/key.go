package passkeytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"math/big"
)

// COSE algorithm identifiers (RFC 9053, RFC 8812).
const (
	ES256 = -7
	EdDSA = -8
	ES384 = -35
	RS256 = -257
)

// newKey makes a key for an algorithm; 0 means ES256.
func newKey(algorithm int) (crypto.Signer, error) {
	switch algorithm {
	case 0, ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ES384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case RS256:
		return rsa.GenerateKey(rand.Reader, 2048)
	case EdDSA:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("no key for COSE algorithm %d", algorithm)
}

// coseKey encodes a public key (RFC 9052 section 7, RFC 9053 section 7, RFC 8230 section 4).
func coseKey(key crypto.Signer) ([]byte, error) {
	var m map[int]any
	switch k := key.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			return nil, err
		}
		algorithm, curve, size := ES256, 1, 32
		if k.Curve == elliptic.P384() {
			algorithm, curve, size = ES384, 2, 48
		}
		m = map[int]any{1: 2, 3: algorithm, -1: curve, -2: point[1 : 1+size], -3: point[1+size:]}
	case *rsa.PublicKey:
		m = map[int]any{1: 3, 3: RS256, -1: k.N.Bytes(), -2: big.NewInt(int64(k.E)).Bytes()}
	case ed25519.PublicKey:
		m = map[int]any{1: 1, 3: EdDSA, -1: 6, -2: []byte(k)}
	default:
		return nil, fmt.Errorf("no COSE form of %T", k)
	}
	return canonical.Marshal(m)
}

// algorithmOf is the COSE algorithm that a key signs with.
func algorithmOf(key crypto.Signer) int {
	switch k := key.Public().(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P384() {
			return ES384
		}
		return ES256
	case *rsa.PublicKey:
		return RS256
	}
	return EdDSA
}

// sign signs a message with the key's algorithm.
func sign(key crypto.Signer, message []byte) ([]byte, error) {
	switch algorithmOf(key) {
	case EdDSA:
		return key.Sign(rand.Reader, message, crypto.Hash(0))
	case ES384:
		sum := sha512.Sum384(message)
		return key.Sign(rand.Reader, sum[:], crypto.SHA384)
	}
	sum := sha256.Sum256(message)
	return key.Sign(rand.Reader, sum[:], crypto.SHA256)
}
