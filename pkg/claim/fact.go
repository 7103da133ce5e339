package claim

import (
	"slices"
	"sort"
	"strings"
)

// Fact is one thing verified about the authenticator that proved the person. A
// fact is present only when it was verified, at registration and again at
// sign-in; absence claims nothing.
type Fact string

// The facts a token may carry in authenticator_attestation.
const (
	// FactUV: the UV flag of this sign-in's assertion was set (WebAuthn L3 section 6.1).
	FactUV Fact = "uv"
	// FactDeviceBound: the BE flag was 0 at registration and in this assertion.
	FactDeviceBound Fact = "device_bound"
	// FactAttested: the attestation statement verified up to a trust anchor of this very model.
	FactAttested Fact = "attested"
	// FactHardware: attested, and the metadata names hardware, secure element or TEE key protection and not software.
	FactHardware Fact = "hardware"
	// FactSecureElement: attested, and the metadata names a secure element.
	FactSecureElement Fact = "secure_element"
	// FactFIDOCertified: attested, and a FIDO certification is in force.
	FactFIDOCertified Fact = "fido_certified"
	// FactFIDOL1 and its followers: attested, and certified at this level or above.
	FactFIDOL1     Fact = "fido_l1"
	FactFIDOL1Plus Fact = "fido_l1plus"
	FactFIDOL2     Fact = "fido_l2"
	FactFIDOL2Plus Fact = "fido_l2plus"
	FactFIDOL3     Fact = "fido_l3"
	FactFIDOL3Plus Fact = "fido_l3plus"
	// FactFIPSL1 and its followers: attested, and FIPS 140 validated at this level or above.
	FactFIPSL1 Fact = "fips140_l1"
	FactFIPSL2 Fact = "fips140_l2"
	FactFIPSL3 Fact = "fips140_l3"
	FactFIPSL4 Fact = "fips140_l4"
	// FactMetadataCurrent: attested, no undesired status in force, and the BLOB is not stale.
	FactMetadataCurrent Fact = "metadata_current"
	// FactEnterprise: attested with enterprise attestation, and the serial is in the organisation's inventory.
	FactEnterprise Fact = "enterprise"
)

// factMeanings lists every fact with its meaning in words a developer reads in
// the playground and an auditor in docs/claims.md.
var factMeanings = map[Fact]string{
	FactUV:              "the authenticator verified the person (PIN or biometric) in this sign-in",
	FactDeviceBound:     "the passkey cannot be copied to another device",
	FactAttested:        "the make and model were proved by a certificate of this very model",
	FactHardware:        "the private key is protected by hardware",
	FactSecureElement:   "the private key is kept in a secure element",
	FactFIDOCertified:   "the model holds a FIDO certification",
	FactFIDOL1:          "the model is certified at FIDO level 1 or above",
	FactFIDOL1Plus:      "the model is certified at FIDO level 1+ or above",
	FactFIDOL2:          "the model is certified at FIDO level 2 or above",
	FactFIDOL2Plus:      "the model is certified at FIDO level 2+ or above",
	FactFIDOL3:          "the model is certified at FIDO level 3 or above",
	FactFIDOL3Plus:      "the model is certified at FIDO level 3+",
	FactFIPSL1:          "the model is validated at FIPS 140 level 1 or above",
	FactFIPSL2:          "the model is validated at FIPS 140 level 2 or above",
	FactFIPSL3:          "the model is validated at FIPS 140 level 3 or above",
	FactFIPSL4:          "the model is validated at FIPS 140 level 4",
	FactMetadataCurrent: "the FIDO metadata reports no problem with the model and is up to date",
	FactEnterprise:      "the serial number is in the organisation's inventory",
}

// Meaning says in words what the fact states, or "" for a fact that does not exist.
func (f Fact) Meaning() string { return factMeanings[f] }

// Known reports whether the fact is one of this package's constants.
func (f Fact) Known() bool { return factMeanings[f] != "" }

// AllFacts returns every fact, sorted.
func AllFacts() []Fact {
	all := make([]Fact, 0, len(factMeanings))
	for f := range factMeanings {
		all = append(all, f)
	}
	slices.Sort(all)
	return all
}

// Facts is a sorted set of facts without repetition, the value of the claim
// authenticator_attestation.
type Facts []Fact

// NewFacts sorts the facts and drops repetitions.
func NewFacts(facts ...Fact) Facts {
	set := append([]Fact{}, facts...)
	sort.Slice(set, func(i, j int) bool { return set[i] < set[j] })
	return Facts(slices.Compact(set))
}

// String lists the facts with spaces between.
func (s Facts) String() string {
	texts := make([]string, len(s))
	for i, f := range s {
		texts[i] = string(f)
	}
	return strings.Join(texts, " ")
}

// Has reports whether the set contains the fact.
func (s Facts) Has(f Fact) bool { return slices.Contains(s, f) }

// Missing returns those of the wanted facts that the set lacks, in the order wanted.
func (s Facts) Missing(wanted ...Fact) []Fact {
	var missing []Fact
	for _, f := range wanted {
		if !s.Has(f) {
			missing = append(missing, f)
		}
	}
	return missing
}
