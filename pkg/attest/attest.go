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
//
// Two instants matter. Certificates must have been valid when the passkey was
// registered: an attestation certificate vouches for that moment, and some live
// for days only. Statuses and the age of the metadata count at the moment of
// judging, so that a model which is revoked tomorrow loses its standing then.
package attest

import (
	"crypto/x509"
	"time"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// Evidence is what a registration left about an authenticator. The caller
// guarantees that the statement's own signature verified with the first
// certificate of Chain.
type Evidence struct {
	// Format is the attestation statement format identifier (WebAuthn L3 section 8).
	Format string
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
	// Source names the metadata that the entry comes from: the FIDO Alliance's
	// service, or what the operator supplied.
	Source string
	// Operator marks an entry that no signed BLOB vouches for: the operator wrote it.
	Operator bool
}

// StatusReport is one line of a model's history (FIDO MDS 3.1.1 section 3.1.3).
// Reports limited to one batch of certificates or one firmware version are
// taken to concern the whole model: neither can be told apart by an assertion.
type StatusReport struct {
	Status string
	// Effective is the day from which the status holds; zero means always.
	Effective time.Time
	// Sunset is the day from which it no longer holds; zero means never.
	Sunset time.Time
}

// Metadata answers questions about models. Implementations are safe for
// concurrent use and answer from memory.
type Metadata interface {
	// Lookup returns the entry of a model.
	Lookup(aaguid string) (Entry, bool)
	// Number is the serial number of the BLOB in force; 0 when none is loaded.
	Number() int
	// NextUpdate is the instant at which a newer BLOB was promised; zero when none is loaded.
	NextUpdate() time.Time
}

// Terms are the operator's part in judging.
type Terms struct {
	// Grace is how long metadata counts as current after its next update was due.
	Grace time.Duration
	// Owns reports whether the organisation owns the authenticator with this
	// serial number; nil means that it lists none.
	Owns func(aaguid, serial string) bool
}

// TermsOf returns the terms that a trust file sets.
func TermsOf(t *trust.Trust) Terms { return Terms{Grace: t.MetadataGrace, Owns: t.Owns} }

// Current reports whether metadata is not past its next update, grace included.
func (t Terms) Current(m Metadata, now time.Time) bool {
	return m.Number() != 0 && now.Before(m.NextUpdate().Add(t.Grace))
}

// NoMetadata returns metadata that knows no model: nothing is attested under it.
func NoMetadata() Metadata { return none{} }

type none struct{}

func (none) Lookup(string) (Entry, bool) { return Entry{}, false }
func (none) Number() int                 { return 0 }
func (none) NextUpdate() time.Time       { return time.Time{} }

// Verdict is what was found, with the reasons for what was not.
type Verdict struct {
	Facts claim.Facts
	// AAGUID and Model are set only with the fact attested: without it the AAGUID is hearsay.
	AAGUID, Model string
	// Vendors are the organisations named in the model's trust anchors; empty without the fact attested.
	Vendors []string
	// Undesired are the statuses in force that take the model's good standing away.
	Undesired []string
	// MetadataNumber is the serial number of the BLOB judged under; 0 when none was loaded.
	MetadataNumber int
	// Because says, in words for an operator, why attested or a fact that depends on it is absent; empty when nothing is missing.
	Because []string
}

// Authenticator is the verdict as levels and rules see it, when the person was
// verified (the fact uv, which every ceremony here requires).
func (v Verdict) Authenticator() trust.Authenticator {
	return trust.Authenticator{Facts: claim.NewFacts(append([]claim.Fact{claim.FactUV}, v.Facts...)...), AAGUID: v.AAGUID, Model: v.Model,
		Vendors: v.Vendors, Synced: !v.Facts.Has(claim.FactDeviceBound)}
}

// Judge returns the facts that the evidence earns under the metadata and the
// operator's terms at an instant. The fact uv belongs to one assertion and is added by package passkey.
func Judge(e Evidence, m Metadata, terms Terms, now time.Time) Verdict {
	v := Verdict{MetadataNumber: m.Number()}
	var facts []claim.Fact
	if e.DeviceBound {
		facts = append(facts, claim.FactDeviceBound)
	}
	entry, why := anchored(e, m)
	if why != "" {
		v.Facts, v.Because = claim.NewFacts(facts...), []string{why}
		return v
	}
	facts = append(facts, v.model(entry, m, terms, now)...)
	if terms.Owns != nil && terms.Owns(e.AAGUID, serialOf(e.Chain[0])) {
		facts = append(facts, claim.FactEnterprise)
	}
	v.Facts = claim.NewFacts(facts...)
	return v
}

// model notes what the metadata says about a proved model, and returns the facts
// that follow.
func (v *Verdict) model(entry Entry, m Metadata, terms Terms, now time.Time) []claim.Fact {
	v.AAGUID, v.Model, v.Vendors = entry.AAGUID, entry.Description, entry.Vendors()
	facts := append([]claim.Fact{claim.FactAttested}, protection(entry.KeyProtection)...)
	held, undesired := standing(entry.Status, now)
	facts = append(facts, held...)
	v.Undesired = undesired
	for _, status := range undesired {
		v.Because = append(v.Because, "the metadata reports "+status+" for this model")
	}
	if !entry.Operator && !terms.Current(m, now) {
		v.Because = append(v.Because, "the metadata is past its next update")
	}
	if len(v.Because) == 0 {
		facts = append(facts, claim.FactMetadataCurrent)
	}
	return facts
}

// Expect returns what an authenticator of this model would be worth whose passkey
// stays on it and whose statement verifies. It is a promise to an operator who
// chooses models, and the verdict about no passkey.
func Expect(entry Entry, m Metadata, terms Terms, now time.Time) Verdict {
	v := Verdict{MetadataNumber: m.Number()}
	v.Facts = claim.NewFacts(append(v.model(entry, m, terms, now), claim.FactDeviceBound)...)
	return v
}
