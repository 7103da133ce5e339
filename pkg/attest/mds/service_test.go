package mds

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// service is a private metadata service with a root of its own.
type service struct {
	testing.TB
	root *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newService(t testing.TB) service {
	root, key := certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Metadata root"}, IsCA: true, DNSNames: []string{"root.invalid"}}, nil, nil)
	return service{t, root, key}
}

// certify makes a certificate that is valid for a year around issued.
func certify(t testing.TB, template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.BasicConstraintsValid = big.NewInt(1), true
	template.NotBefore, template.NotAfter = issued.AddDate(0, -6, 0), issued.AddDate(0, 6, 0)
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

func (s service) roots() []*x509.Certificate { return []*x509.Certificate{s.root} }

// sign makes a BLOB whose signer is named.
func (s service) sign(signer string, payload any) []byte {
	s.Helper()
	certificate, key := certify(s, &x509.Certificate{Subject: pkix.Name{CommonName: signer}, DNSNames: []string{signer}}, s.root, s.key)
	return s.signWith(jose.SigningKey{Algorithm: jose.ES256, Key: key}, []string{base64.StdEncoding.EncodeToString(certificate.Raw)}, payload)
}

// signWith makes a BLOB with any key under any chain.
func (s service) signWith(key jose.SigningKey, chain []string, payload any) []byte {
	s.Helper()
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithHeader("x5c", chain))
	if err != nil {
		s.Fatal(err)
	}
	body, ok := payload.(string)
	if !ok {
		encoded, err := json.Marshal(payload)
		if err != nil {
			s.Fatal(err)
		}
		body = string(encoded)
	}
	signed, err := signer.Sign([]byte(body))
	if err != nil {
		s.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		s.Fatal(err)
	}
	return []byte(text)
}

// numbered is a payload with entries, next due a month after issued.
func numbered(number int, entries ...any) map[string]any {
	if entries == nil {
		entries = []any{}
	}
	return map[string]any{"no": number, "nextUpdate": issued.AddDate(0, 1, 0).Format(time.DateOnly), "entries": entries}
}
