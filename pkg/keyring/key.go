package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Algorithm is a JWS algorithm (RFC 7518 section 3.1, RFC 8037 section 3.1).
type Algorithm string

// The algorithms in use. RS256 is the default: every gateway of any age verifies
// it. API Management verifies all but EdDSA, which is for ID tokens alone.
const (
	RS256 Algorithm = "RS256"
	PS256 Algorithm = "PS256"
	ES256 Algorithm = "ES256"
	EdDSA Algorithm = "EdDSA"
)

// Algorithms returns every algorithm, RS256 first.
func Algorithms() []Algorithm { return []Algorithm{RS256, PS256, ES256, EdDSA} }

// rsaBits is the size of RSA keys: 112 bits of security, enough for tokens that
// live minutes under keys that live months, at a third of the cost of 3072.
const rsaBits = 2048

// State is where a key is in its life.
type State string

// The states, in the order they are lived through.
const (
	Pending  State = "pending"
	Active   State = "active"
	Honoured State = "honoured"
	Retired  State = "retired"
)

// Key is what may be told about a signing key.
type Key struct {
	ID        string
	Algorithm Algorithm
	// CreatedAt is when the key came into the key set, ReadyAt the earliest
	// instant at which it may sign.
	CreatedAt time.Time
	ReadyAt   time.Time
	// ActivatesAt is nil while the key stands by without a date.
	ActivatesAt *time.Time
	HonouredAt  *time.Time
	RetiresAt   *time.Time
	// WithdrawnAt is when an emergency took the key out of the key set.
	WithdrawnAt *time.Time
	// Cause says why the key was made.
	Cause string
	// SealedUnder names the sealing key of the private part.
	SealedUnder string
}

// StateAt returns the key's state at an instant.
func (k Key) StateAt(now time.Time) State {
	switch {
	case reached(k.RetiresAt, now):
		return Retired
	case reached(k.HonouredAt, now):
		return Honoured
	case reached(k.ActivatesAt, now):
		return Active
	}
	return Pending
}

// standsBy reports whether the key is published without a date to sign.
func (k Key) standsBy() bool { return k.ActivatesAt == nil && k.RetiresAt == nil }

// current reports whether the key is the one of its algorithm that signs, or
// will at a date that is fixed.
func (k Key) current() bool { return k.ActivatesAt != nil && k.HonouredAt == nil }

// AcceptedUntil returns the instant after which no gateway that can reach us
// accepts a withdrawn key any more; the zero time for a key that was not withdrawn.
func (k Key) AcceptedUntil() time.Time {
	if k.WithdrawnAt == nil {
		return time.Time{}
	}
	return k.WithdrawnAt.Add(GatewayWindow)
}

// reached reports whether an instant is set and not in the future.
func reached(at *time.Time, now time.Time) bool { return at != nil && !now.Before(*at) }

// material is a private key with its public JWK and thumbprint.
type material struct {
	kid     string
	private []byte // PKCS #8
	public  []byte // JWK
}

// generate makes a key pair.
func generate(alg Algorithm) (material, error) {
	var signer crypto.Signer
	var err error
	switch alg {
	case RS256, PS256:
		signer, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case ES256:
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, signer, err = ed25519.GenerateKey(rand.Reader)
	default:
		return material{}, fmt.Errorf("unknown algorithm %q", alg)
	}
	if err != nil {
		return material{}, fmt.Errorf("generate %s key: %w", alg, err)
	}
	return materialOf(alg, signer)
}

// materialOf encodes a private key. The kid is the RFC 7638 thumbprint, so that
// it can neither collide nor be chosen.
func materialOf(alg Algorithm, signer crypto.Signer) (material, error) {
	private, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return material{}, fmt.Errorf("encode %s key: %w", alg, err)
	}
	jwk := jose.JSONWebKey{Key: signer.Public(), Algorithm: string(alg), Use: "sig"}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return material{}, fmt.Errorf("name %s key: %w", alg, err)
	}
	jwk.KeyID = b64(sum)
	public, err := json.Marshal(jwk)
	if err != nil {
		return material{}, fmt.Errorf("encode %s key: %w", alg, err)
	}
	return material{jwk.KeyID, private, public}, nil
}
