// Package attest judges authenticators: evidence and metadata in, facts out.
//
// It decides which facts about a passkey's authenticator are verified. It is
// pure: it reads no database, fetches nothing and knows no clock but the one it
// is handed. It refuses to know how a statement's own signature is checked
// (package passkey does that with the WebAuthn library before it asks here)
// and where metadata comes from (package mds).
//
// The rule behind every fact: attested means that the attestation statement
// verified up to a trust anchor that belongs to this very model, by its
// metadata entry. Statements without a certificate chain (none, self
// attestation) and chains to any other CA never give it, whatever AAGUID they
// claim, and without it no fact about the model is given (WebAuthn L3 sections
// 6.5.1 and 7.1 step 24).
package attest

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/touchstone-id/touchstone/pkg/claim"
)

// Evidence is what a registration left about an authenticator.
type Evidence struct {
	// AAGUID is a lower-case UUID.
	AAGUID string
	// Chain holds the statement's certificates, DER, leaf first; empty for none and self attestation.
	Chain [][]byte
	// DeviceBound says that the BE flag was 0 (WebAuthn L3 section 6.1.3).
	DeviceBound bool
	// RegisteredAt is the instant at which the certificates must have been valid.
	RegisteredAt time.Time
}

// Entry is what the metadata says about one model.
type Entry struct {
	AAGUID      string
	Description string
	// Roots are the trust anchors of this model: root, intermediate or leaf certificates.
	Roots []*x509.Certificate
	// KeyProtection holds the values of the FIDO Registry section 3.2.
	KeyProtection []string
	Status        []StatusReport
}

// StatusReport is one line of a model's history (FIDO MDS 3.0 section 3.1.3).
type StatusReport struct {
	Status string
	// Effective is the day from which the status holds; zero means always.
	Effective time.Time
}

// Metadata answers questions about models.
type Metadata interface {
	// Lookup returns the entry of a model.
	Lookup(aaguid string) (Entry, bool)
	// Number is the serial number of the BLOB in force; 0 when none is loaded.
	Number() int
	// Current reports whether the BLOB is not past its next update, grace included.
	Current(now time.Time) bool
}

// NoMetadata returns metadata that knows no model: nothing is attested under it.
func NoMetadata() Metadata { return none{} }

type none struct{}

func (none) Lookup(string) (Entry, bool) { return Entry{}, false }
func (none) Number() int                 { return 0 }
func (none) Current(time.Time) bool      { return false }

// Verdict is what was found, with the reason for what was not.
type Verdict struct {
	Facts claim.Facts
	// AAGUID is set only with the fact attested; Model whenever there is a metadata entry for an attested AAGUID.
	AAGUID, Model  string
	MetadataNumber int
	// Because says, in words for an operator, why attested or a dependent fact is absent; empty when nothing is missing.
	Because string
}

// undesired are the statuses that take a model's good standing away (FIDO MDS
// 3.0 section 3.1.4), however old and whatever was reported after them.
var undesired = []string{
	"USER_VERIFICATION_BYPASS", "ATTESTATION_KEY_COMPROMISE", "USER_KEY_REMOTE_COMPROMISE", "USER_KEY_PHYSICAL_COMPROMISE", "REVOKED", "RETIRED",
}

// fidoLevels and fipsLevels are ordered from the lowest; holding one means
// holding those before it.
var (
	fidoLevels = []claim.Fact{claim.FactFIDOL1, claim.FactFIDOL1Plus, claim.FactFIDOL2, claim.FactFIDOL2Plus, claim.FactFIDOL3, claim.FactFIDOL3Plus}
	fidoStatus = []string{"FIDO_CERTIFIED_L1", "FIDO_CERTIFIED_L1plus", "FIDO_CERTIFIED_L2", "FIDO_CERTIFIED_L2plus", "FIDO_CERTIFIED_L3", "FIDO_CERTIFIED_L3plus"}
	fipsLevels = []claim.Fact{claim.FactFIPSL1, claim.FactFIPSL2, claim.FactFIPSL3, claim.FactFIPSL4}
)

// Judge returns the facts that the evidence earns under the metadata at an
// instant. The fact uv belongs to one assertion and is added by package passkey.
func Judge(e Evidence, m Metadata, now time.Time) Verdict {
	v := Verdict{MetadataNumber: m.Number()}
	var facts []claim.Fact
	if e.DeviceBound {
		facts = append(facts, claim.FactDeviceBound)
	}
	entry, why := anchored(e, m)
	if why != "" {
		v.Facts, v.Because = claim.NewFacts(facts...), why
		return v
	}
	v.AAGUID, v.Model = e.AAGUID, entry.Description
	facts = append(facts, claim.FactAttested)
	facts = append(facts, protection(entry.KeyProtection)...)
	standing, bad := standing(entry.Status, now)
	facts = append(facts, standing...)
	switch {
	case bad != "":
		v.Because = "the metadata reports " + bad + " for this model"
	case !m.Current(now):
		v.Because = "the metadata is past its next update"
	default:
		facts = append(facts, claim.FactMetadataCurrent)
	}
	v.Facts = claim.NewFacts(facts...)
	return v
}

// anchored returns the model's entry when the chain ends at one of its anchors,
// and otherwise why not.
func anchored(e Evidence, m Metadata) (Entry, string) {
	if len(e.Chain) == 0 {
		return Entry{}, "the authenticator sent no certificate about its model"
	}
	entry, ok := m.Lookup(e.AAGUID)
	if !ok {
		return Entry{}, "the metadata has no entry for model " + e.AAGUID
	}
	certificates := make([]*x509.Certificate, len(e.Chain))
	for i, der := range e.Chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return Entry{}, "a certificate of the statement cannot be read"
		}
		certificates[i] = c
	}
	leaf, roots, intermediates := certificates[0], x509.NewCertPool(), x509.NewCertPool()
	for _, root := range entry.Roots {
		if bytes.Equal(root.Raw, leaf.Raw) {
			if e.RegisteredAt.Before(leaf.NotBefore) || e.RegisteredAt.After(leaf.NotAfter) {
				return Entry{}, "the certificate was not valid when the passkey was registered"
			}
			return entry, ""
		}
		roots.AddCert(root)
	}
	for _, c := range certificates[1:] {
		intermediates.AddCert(c)
	}
	// A TPM's certificate marks its subject alternative name critical and names
	// the TPM there, not a host (WebAuthn L3 section 8.3.1).
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(leaf.UnhandledCriticalExtensions, func(oid asn1.ObjectIdentifier) bool {
		return oid.Equal(asn1.ObjectIdentifier{2, 5, 29, 17})
	})
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: e.RegisteredAt, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return Entry{}, "the certificate does not lead to a trust anchor of model " + e.AAGUID
	}
	return entry, ""
}

// protection turns key protection values into facts: hardware in any form, and
// not software beside it.
func protection(values []string) []claim.Fact {
	if slices.Contains(values, "software") {
		return nil
	}
	var facts []claim.Fact
	for _, v := range []string{"hardware", "secure_element", "tee"} {
		if slices.Contains(values, v) {
			facts = append(facts, claim.FactHardware)
		}
	}
	if slices.Contains(values, "secure_element") {
		facts = append(facts, claim.FactSecureElement)
	}
	return facts
}

// standing computes certifications from all reports in force, and names the
// first undesired status among them. A revoked or retired model holds none.
func standing(reports []StatusReport, now time.Time) (facts []claim.Fact, bad string) {
	fido, fips, certified := -1, -1, false
	for _, r := range reports {
		if r.Effective.After(now) {
			continue
		}
		if slices.Contains(undesired, r.Status) && bad == "" {
			bad = r.Status
		}
		if i := slices.Index(fidoStatus, r.Status); i >= 0 || r.Status == "FIDO_CERTIFIED" {
			// FIDO_CERTIFIED without a level is the former name of level 1.
			fido, certified = max(fido, i, 0), true
		}
		if level, ok := strings.CutPrefix(r.Status, "FIPS140_CERTIFIED_L"); ok {
			if n, err := strconv.Atoi(level); err == nil && n >= 1 && n <= len(fipsLevels) {
				fips = max(fips, n-1)
			}
		}
	}
	if bad == "REVOKED" || bad == "RETIRED" {
		return nil, bad
	}
	if certified {
		facts = append(facts, claim.FactFIDOCertified)
	}
	facts = append(facts, fidoLevels[:fido+1]...)
	return append(facts, fipsLevels[:fips+1]...), bad
}
