package keyring

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/touchstone-id/touchstone/pkg/denial"
)

// ErrStale says that the database could not be asked for longer than Lease, so
// that it is unknown which keys still count.
var ErrStale = errors.New("the signing keys could not be confirmed lately")

// fresh returns the snapshot while it may be used.
func (r *Ring) fresh() (*snapshot, error) {
	s := r.current.Load()
	if r.local().Sub(s.read.taken) > Lease {
		return nil, ErrStale
	}
	return s, nil
}

// JWKS returns the published key set (RFC 7517 section 5): pending, active and
// honoured keys, those of EdDSA only while Options say that somebody wants them.
// The caller must not change the body. The error is ErrStale.
func (r *Ring) JWKS() (Document, error) {
	s, err := r.fresh()
	if err != nil {
		return Document{}, err
	}
	if r.options.EdDSA() {
		return s.jwksWithEdDSA, nil
	}
	return s.jwks, nil
}

// Sign returns the claims as a compact JWS (RFC 7515 section 7.1) with headers
// alg, kid and typ. The typ must be one of those of package claim. It does no
// input or output.
func (r *Ring) Sign(alg Algorithm, typ string, claims any) (string, error) {
	s, err := r.fresh()
	if err != nil {
		return "", err
	}
	a, ok := s.signing[alg]
	if !ok {
		return "", fmt.Errorf("no active %s key", alg)
	}
	signer, ok := a.signers[typ]
	if !ok {
		return "", fmt.Errorf("no signer for typ %q", typ)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return jws.CompactSerialize()
}

// maxTokenLength bounds what Verify parses, in bytes; our own tokens are far shorter.
const maxTokenLength = 16 << 10

// Verify returns the payload of a token that one of the published keys signed
// with its own algorithm and that carries this typ. It checks nothing else: the
// caller judges issuer, audience and time. Every failure is the denial
// TokenInvalid, or ErrStale.
func (r *Ring) Verify(token, typ string) ([]byte, error) {
	if len(token) > maxTokenLength {
		return nil, denial.New(denial.TokenInvalid, "longer than %d bytes", maxTokenLength)
	}
	s, err := r.fresh()
	if err != nil {
		return nil, err
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA})
	if err != nil {
		return nil, denial.New(denial.TokenInvalid, "not a signed token")
	}
	header := jws.Signatures[0].Protected
	key, ok := s.public[header.KeyID]
	if !ok || key.Algorithm != header.Algorithm {
		return nil, denial.New(denial.TokenInvalid, "no such key")
	}
	if got, _ := header.ExtraHeaders[jose.HeaderType].(string); got != typ {
		return nil, denial.New(denial.TokenInvalid, "typ is not %s", typ)
	}
	payload, err := jws.Verify(key.Key)
	if err != nil {
		return nil, denial.New(denial.TokenInvalid, "signature does not verify")
	}
	return payload, nil
}
