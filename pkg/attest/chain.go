package attest

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"slices"
	"time"
)

// zeroAAGUID is sent by authenticators that do not name their model.
const zeroAAGUID = "00000000-0000-0000-0000-000000000000"

// bindsModel are the formats in which the certified key signs the authenticator
// data, and with it the AAGUID (WebAuthn L3 sections 8.2, 8.3, 8.4 and 8.8). A
// fido-u2f signature covers neither AAGUID nor flags (section 8.6), and the
// certificates of android-safetynet statements are not in x5c: there the AAGUID
// could be anything, and a borrowed public chain beside it. In a compound
// statement (section 8.9) every part verified, and the chain is that of a part
// which binds the model: see BindsModel.
var bindsModel = []string{"packed", "tpm", "android-key", "apple", "compound"}

// BindsModel reports whether a statement of this format can prove the model: the
// chain kept of a compound statement must come from such a part.
func BindsModel(format string) bool {
	return format != "compound" && slices.Contains(bindsModel, format)
}

// oidSubjectAltName marks the extension that a TPM's certificate makes critical
// to name the TPM, not a host (WebAuthn L3 section 8.3.1). The WebAuthn library
// reads it; crypto/x509 would refuse the certificate for it.
var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// anchored returns the model's entry when the chain ends at one of its anchors,
// and otherwise why not.
func anchored(e Evidence, m Metadata) (Entry, string) {
	if len(e.Chain) == 0 {
		return Entry{}, "the authenticator sent no certificate about its model"
	}
	if !slices.Contains(bindsModel, e.Format) {
		return Entry{}, "a statement of format " + e.Format + " does not sign the model"
	}
	if e.AAGUID == zeroAAGUID {
		return Entry{}, "the authenticator does not name its model"
	}
	entry, ok := m.Lookup(e.AAGUID)
	if !ok && m.Number() == 0 {
		return Entry{}, "no metadata is loaded"
	}
	if !ok {
		return Entry{}, "the metadata has no entry for model " + e.AAGUID
	}
	chain := make([]*x509.Certificate, len(e.Chain))
	for i, der := range e.Chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return Entry{}, "a certificate of the statement cannot be read"
		}
		chain[i] = c
	}
	if !leads(chain, entry.Roots, e.RegisteredAt) {
		return Entry{}, "the certificate did not lead to a trust anchor of model " + e.AAGUID + " when the passkey was registered"
	}
	return entry, ""
}

// leads reports whether the chain, leaf first, ended at an anchor at an
// instant. An anchor may be the leaf itself (FIDO Metadata Statement 3.1
// section 4, attestationRootCertificates), an intermediate, or a root.
func leads(chain, anchors []*x509.Certificate, at time.Time) bool {
	leaf := chain[0]
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, anchor := range anchors {
		if bytes.Equal(anchor.Raw, leaf.Raw) {
			return !at.Before(leaf.NotBefore) && !at.After(leaf.NotAfter)
		}
		roots.AddCert(anchor)
	}
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(leaf.UnhandledCriticalExtensions, oidSubjectAltName.Equal)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

// oidSerialNumber marks the serial number of one authenticator in the
// certificate of an enterprise attestation: id-fido-gen-ce-sernum (WebAuthn L3
// section 8.2.2).
var oidSerialNumber = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 2}

// serialOf returns the serial number that an attestation certificate names, in
// lower-case hexadecimal, or "".
func serialOf(der []byte) string {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return ""
	}
	for _, extension := range c.Extensions {
		if !extension.Id.Equal(oidSerialNumber) {
			continue
		}
		var serial []byte
		if rest, err := asn1.Unmarshal(extension.Value, &serial); err != nil || len(rest) > 0 {
			return ""
		}
		return hex.EncodeToString(serial)
	}
	return ""
}

// Vendors lists the organisations, or else the names, in the model's trust anchors.
func (e Entry) Vendors() []string {
	var names []string
	for _, c := range e.Roots {
		of := c.Subject.Organization
		if len(of) == 0 && c.Subject.CommonName != "" {
			of = []string{c.Subject.CommonName}
		}
		for _, name := range of {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}
