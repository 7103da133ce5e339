package passkeytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
)

// CA is a certificate authority of a make-believe vendor or metadata service.
type CA struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewCA returns an authority valid from a year before now to ten years after.
func NewCA(name string, now time.Time) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, DNSNames: []string{"ca.invalid"}}
	return certify(template, template, key, &key.PublicKey, key)
}

// PEM returns the authority's certificate as an operator's root file.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate.Raw})
}

// leaf issues an attestation certificate for a model (WebAuthn L3 section 8.2.1).
func (ca *CA) leaf(aaguid [16]byte) (*leaf, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	extension, err := asn1.Marshal(aaguid[:])
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: serial(),
		Subject:   pkix.Name{Country: []string{"SE"}, Organization: []string{"Touchstone tests"}, OrganizationalUnit: []string{"Authenticator Attestation"}, CommonName: "Test key"},
		NotBefore: ca.Certificate.NotBefore, NotAfter: ca.Certificate.NotAfter, BasicConstraintsValid: true,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}, Value: extension}}}
	made, err := certify(template, ca.Certificate, key, &key.PublicKey, ca.key)
	if err != nil {
		return nil, err
	}
	return &leaf{key, made.Certificate.Raw}, nil
}

// Impersonate returns an authority certificate with the subject and key of a
// self-signed certificate, such as Chromium's batch certificate, whose key
// never changes though its certificate does. Only its holder can sign under it.
func Impersonate(batch *x509.Certificate) (*x509.Certificate, error) {
	helper, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: serial(), RawSubject: batch.RawSubject, NotBefore: batch.NotBefore.AddDate(-1, 0, 0), NotAfter: batch.NotAfter.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, DNSNames: []string{"authenticator.invalid"}}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: "unused"}, RawSubject: batch.RawSubject}
	made, err := certify(template, parent, nil, batch.PublicKey, helper)
	if err != nil {
		return nil, err
	}
	return made.Certificate, nil
}

func certify(template, parent *x509.Certificate, key *ecdsa.PrivateKey, public any, signer *ecdsa.PrivateKey) (*CA, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, fmt.Errorf("certify: %w", err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certify: %w", err)
	}
	return &CA{c, key}, nil
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return n
}

// Model is an entry of a BLOB.
type Model struct {
	AAGUID        [16]byte
	Description   string
	Roots         []*x509.Certificate
	KeyProtection []string
	// Status holds pairs of status and effective date (YYYY-MM-DD).
	Status [][2]string
}

// BLOB signs a metadata BLOB under the authority (FIDO MDS 3.0 section 3.1.7).
func (ca *CA) BLOB(number int, nextUpdate time.Time, models ...Model) ([]byte, error) {
	entries := make([]map[string]any, len(models))
	for i, m := range models {
		roots, reports := []string{}, []map[string]string{}
		for _, r := range m.Roots {
			roots = append(roots, base64.StdEncoding.EncodeToString(r.Raw))
		}
		for _, s := range m.Status {
			reports = append(reports, map[string]string{"status": s[0], "effectiveDate": s[1]})
		}
		entries[i] = map[string]any{"aaguid": uuid.UUID(m.AAGUID).String(), "statusReports": reports, "timeOfLastStatusChange": "2024-01-01",
			"metadataStatement": map[string]any{"description": m.Description, "keyProtection": m.KeyProtection, "attestationRootCertificates": roots}}
	}
	payload, err := json.Marshal(map[string]any{"legalHeader": "test", "no": number, "nextUpdate": nextUpdate.Format(time.DateOnly), "entries": entries})
	if err != nil {
		return nil, err
	}
	signer, err := ca.leaf([16]byte{})
	if err != nil {
		return nil, err
	}
	chain := []string{base64.StdEncoding.EncodeToString(signer.certificate), base64.StdEncoding.EncodeToString(ca.Certificate.Raw)}
	jws, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: signer.key}, (&jose.SignerOptions{}).WithHeader("x5c", chain))
	if err != nil {
		return nil, err
	}
	signed, err := jws.Sign(payload)
	if err != nil {
		return nil, err
	}
	text, err := signed.CompactSerialize()
	return []byte(text), err
}
