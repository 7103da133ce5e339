package mds

import (
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// serviceName is the DNS name in the signing certificate of the FIDO Alliance's
// service. Any customer of the certificate authority has a certificate under
// the same root; only this one speaks for the service.
const serviceName = "mds.fidoalliance.org"

// algorithms are the signatures accepted on a BLOB (FIDO MDS 3.1.1 section 3.1.7).
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256}

//go:embed roots/GlobalSign_Root_CA_R3.pem
var rootR3 []byte

//go:embed roots/GlobalSign_Root_R46.pem
var rootR46 []byte

// Parse verifies a BLOB at an instant and reads it (FIDO MDS 3.1.1 section
// 3.2). With nil roots the signer must chain to GlobalSign R3 or R46 and be
// named mds.fidoalliance.org; with an operator's roots, the chain alone decides.
func Parse(blob []byte, roots []*x509.Certificate, now time.Time) (*Set, error) {
	return Source{Roots: roots}.parse(blob, now)
}

// parse verifies a BLOB as one of this source and reads it.
func (s Source) parse(blob []byte, now time.Time) (*Set, error) {
	text := strings.TrimSpace(string(blob))
	jws, err := jose.ParseSignedCompact(text, algorithms)
	if err != nil {
		return nil, errors.New("not a signed metadata BLOB")
	}
	signer, err := s.verifySigner(text, now)
	if err != nil {
		return nil, err
	}
	body, err := jws.Verify(signer.PublicKey)
	if err != nil {
		return nil, errors.New("the signature does not verify")
	}
	return readPayload(body)
}

// verifySigner returns the signing certificate once its chain and name hold.
func (s Source) verifySigner(blob string, now time.Time) (*x509.Certificate, error) {
	chain, err := chainOf(blob)
	if err != nil {
		return nil, err
	}
	options := x509.VerifyOptions{DNSName: s.SignerName, Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	roots := s.Roots
	if roots == nil {
		options.DNSName, roots = serviceName, PinnedRoots()
	}
	for _, r := range roots {
		options.Roots.AddCert(r)
	}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(options); err != nil {
		return nil, fmt.Errorf("the signer is not trusted: %w", err)
	}
	return chain[0], nil
}

// chainOf returns the certificates in a JWT's header, the signer's first (RFC 7515 section 4.1.6).
func chainOf(jwt string) ([]*x509.Certificate, error) {
	head, _, _ := strings.Cut(jwt, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return nil, errors.New("the header cannot be read")
	}
	var header struct {
		X5C [][]byte `json:"x5c"`
	}
	if err := json.Unmarshal(decoded, &header); err != nil || len(header.X5C) == 0 {
		return nil, errors.New("the header holds no certificate")
	}
	chain := make([]*x509.Certificate, len(header.X5C))
	for i, der := range header.X5C {
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, errors.New("a certificate in the header cannot be read")
		}
	}
	return chain, nil
}

// PinnedRoots returns the roots of the FIDO Alliance's service: GlobalSign R3,
// and R46 which succeeds it.
func PinnedRoots() []*x509.Certificate {
	var roots []*x509.Certificate
	for _, text := range [][]byte{rootR3, rootR46} {
		parsed, err := ParseRoots(text)
		if err != nil {
			panic(err) // the files are embedded
		}
		roots = append(roots, parsed...)
	}
	return roots
}

// ParseRoots reads certificates in PEM; there must be at least one.
func ParseRoots(text []byte) ([]*x509.Certificate, error) {
	var roots []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read root certificate: %w", err)
		}
		roots = append(roots, c)
	}
	if len(roots) == 0 {
		return nil, errors.New("no certificate in PEM form")
	}
	return roots, nil
}
