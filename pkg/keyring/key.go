package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Algorithm is a JWS algorithm (RFC 7518 section 3.1) that API Management can
// verify through discovery.
type Algorithm string

// The algorithms in use. RS256 is the default: every gateway of any age verifies it.
const (
	RS256 Algorithm = "RS256"
	PS256 Algorithm = "PS256"
	ES256 Algorithm = "ES256"
)

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
	ID          string
	Algorithm   Algorithm
	CreatedAt   time.Time
	ActivatesAt time.Time
	HonouredAt  *time.Time
	RetiresAt   *time.Time
}

// StateAt returns the key's state at an instant.
func (k Key) StateAt(now time.Time) State {
	switch {
	case k.RetiresAt != nil && !now.Before(*k.RetiresAt):
		return Retired
	case k.HonouredAt != nil && !now.Before(*k.HonouredAt):
		return Honoured
	case !now.Before(k.ActivatesAt):
		return Active
	}
	return Pending
}

// material is a fresh private key with its public JWK and thumbprint.
type material struct {
	kid     string
	private []byte // PKCS #8
	public  []byte // JWK
}

// generate makes a key pair. The kid is the RFC 7638 thumbprint, so that it can
// neither collide nor be chosen.
func generate(alg Algorithm) (material, error) {
	var signer crypto.Signer
	var err error
	switch alg {
	case RS256, PS256:
		signer, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case ES256:
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return material{}, fmt.Errorf("unknown algorithm %q", alg)
	}
	if err != nil {
		return material{}, fmt.Errorf("generate %s key: %w", alg, err)
	}
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
