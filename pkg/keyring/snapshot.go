package keyring

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Document is a JSON body ready to be served.
type Document struct {
	Body []byte
	// ETag is a strong validator, quotes included (RFC 9110 section 8.8.3).
	ETag string
}

// row is a key as stored, with its private part unsealed.
type row struct {
	Key
	public  jose.JSONWebKey
	private any
}

// snapshot is everything signing and publishing need, built once per change.
type snapshot struct {
	jwks    Document
	public  map[string]jose.JSONWebKey
	signing map[Algorithm]active
	// next is when a clock rule changes the snapshot; zero when none is pending.
	next time.Time
}

// active is the key that signs for an algorithm, with a signer per typ header.
type active struct {
	kid     string
	signers map[string]jose.Signer
}

// tokenTypes are the typ headers for which signers are ready-made.
var tokenTypes = []string{"at+jwt", "JWT", "logout+jwt"}

// build makes a snapshot of the keys as they stand at an instant.
func build(rows []row, now time.Time) (*snapshot, error) {
	s := &snapshot{public: map[string]jose.JSONWebKey{}, signing: map[Algorithm]active{}}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	newest := map[Algorithm]row{}
	for _, r := range rows {
		state := r.StateAt(now)
		for _, t := range []*time.Time{&r.ActivatesAt, r.HonouredAt, r.RetiresAt} {
			if t != nil && t.After(now) && (s.next.IsZero() || t.Before(s.next)) {
				s.next = *t
			}
		}
		if state == Retired {
			continue
		}
		set.Keys = append(set.Keys, r.public)
		s.public[r.ID] = r.public
		if state == Active && !r.ActivatesAt.Before(newest[r.Algorithm].ActivatesAt) {
			newest[r.Algorithm] = r
		}
	}
	for alg, r := range newest {
		a := active{r.ID, map[string]jose.Signer{}}
		for _, typ := range tokenTypes {
			options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", r.ID)
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: r.private}, options)
			if err != nil {
				return nil, fmt.Errorf("make signer for key %s: %w", r.ID, err)
			}
			a.signers[typ] = signer
		}
		s.signing[alg] = a
	}
	slices.SortFunc(set.Keys, func(a, b jose.JSONWebKey) int { return strings.Compare(a.KeyID, b.KeyID) })
	body, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("encode key set: %w", err)
	}
	sum := sha256.Sum256(body)
	s.jwks = Document{body, `"` + b64(sum[:16]) + `"`}
	return s, nil
}

// parsePrivate reads a PKCS #8 private key.
func parsePrivate(der []byte) (any, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("parse private key: %w", err)
	}
	return key, nil
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
