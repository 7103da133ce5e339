package passkeytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// CA is a certificate authority of a make-believe vendor or metadata service.
type CA struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	// above is the chain from this authority to its root, without the root.
	above [][]byte
}

// leaf is an attestation key with its chain, the certificate first, without the root.
type leaf struct {
	key   *ecdsa.PrivateKey
	chain [][]byte
}

// NewCA returns a root authority valid from a year before now to ten years after.
func NewCA(name string, now time.Time) (*CA, error) {
	return certify(&x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, KeyUsage: x509.KeyUsageCertSign, DNSNames: []string{"ca.invalid"}}, nil, nil)
}

// Intermediate returns an authority below this one; chains of what it issues include its certificate.
func (ca *CA) Intermediate(name string) (*CA, error) {
	made, err := certify(&x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: ca.Certificate.NotBefore, NotAfter: ca.Certificate.NotAfter,
		IsCA: true, KeyUsage: x509.KeyUsageCertSign}, ca, nil)
	if err != nil {
		return nil, err
	}
	made.above = append([][]byte{made.Certificate.Raw}, ca.above...)
	return made, nil
}

// PEM returns the authority's certificate as an operator's root file.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate.Raw})
}

// leaf issues an attestation certificate for a model (WebAuthn L3 section 8.2.1).
func (ca *CA) leaf(aaguid [16]byte) (*leaf, error) {
	extension, err := asn1.Marshal(aaguid[:])
	if err != nil {
		return nil, err
	}
	return ca.issue(&x509.Certificate{
		Subject:         pkix.Name{Country: []string{"SE"}, Organization: []string{"Touchstone tests"}, OrganizationalUnit: []string{"Authenticator Attestation"}, CommonName: "Test key"},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}, Value: extension}}})
}

// issue signs a certificate for a new key, as long valid as the authority.
func (ca *CA) issue(template *x509.Certificate) (*leaf, error) {
	template.NotBefore, template.NotAfter = ca.Certificate.NotBefore, ca.Certificate.NotAfter
	made, err := certify(template, ca, nil)
	if err != nil {
		return nil, err
	}
	return &leaf{made.key, append([][]byte{made.Certificate.Raw}, ca.above...)}, nil
}

// Impersonate returns an authority certificate with the subject and key of a
// self-signed certificate, such as Chromium's batch certificate, whose key
// never changes though its certificate does. Only its holder can sign under it.
func Impersonate(batch *x509.Certificate) (*x509.Certificate, error) {
	helper, err := NewCA("helper", batch.NotBefore)
	if err != nil {
		return nil, err
	}
	helper.Certificate.RawSubject = batch.RawSubject
	made, err := certify(&x509.Certificate{RawSubject: batch.RawSubject, NotBefore: batch.NotBefore.AddDate(-1, 0, 0), NotAfter: batch.NotAfter.AddDate(1, 0, 0),
		IsCA: true, KeyUsage: x509.KeyUsageCertSign, DNSNames: []string{"authenticator.invalid"}}, helper, batch.PublicKey)
	if err != nil {
		return nil, err
	}
	return made.Certificate, nil
}

// certify signs a certificate for a public key, or for a new key when it is
// nil, under an authority, or by itself when that is nil.
func certify(template *x509.Certificate, under *CA, public any) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100)); err != nil {
		return nil, err
	}
	template.BasicConstraintsValid = true
	if under == nil {
		under = &CA{Certificate: template, key: key}
	}
	if public == nil {
		public = &key.PublicKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, under.Certificate, public, under.key)
	if err != nil {
		return nil, fmt.Errorf("certify: %w", err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certify: %w", err)
	}
	return &CA{Certificate: c, key: key}, nil
}
