package attest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/touchstone-id/touchstone/pkg/claim"
)

const acme = "00010203-0405-0607-0809-0a0b0c0d0e0f"

// now is the instant of judging; passkeys were registered a month before.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// catalogue is metadata with chosen entries.
type catalogue struct {
	entries map[string]Entry
	stale   bool
}

func (c catalogue) Lookup(aaguid string) (Entry, bool) { e, ok := c.entries[aaguid]; return e, ok }
func (c catalogue) Number() int                        { return 9 }
func (c catalogue) NextUpdate() time.Time {
	if c.stale {
		return now.Add(-week)
	}
	return now.Add(-week + 1)
}

const week = 7 * 24 * time.Hour

// serial is on the operator's list.
var terms = Terms{Grace: week, Owns: func(aaguid, serial string) bool { return aaguid == acme && serial == "0a0b" }}

// listing is metadata that knows one model, anchored at the authority.
func listing(ca *authority, protection []string, status ...StatusReport) catalogue {
	return catalogue{entries: map[string]Entry{acme: {AAGUID: acme, Description: "Acme Key", Roots: ca.anchors(), KeyProtection: protection, Status: status}}}
}

// day is a report in force since a date.
func day(status, date string) StatusReport {
	effective, err := time.Parse(time.DateOnly, date)
	if err != nil {
		panic(err)
	}
	return StatusReport{Status: status, Effective: effective}
}

func TestJudge(t *testing.T) {
	vendor := newAuthority(t, "Acme root")
	hardware := []string{"hardware", "secure_element"}
	genuine := Evidence{Format: "packed", AAGUID: acme, Chain: vendor.chain(t), DeviceBound: true, RegisteredAt: now.AddDate(0, -1, 0)}
	with := func(change func(*Evidence)) Evidence {
		e := genuine
		change(&e)
		return e
	}
	owned := vendor.numbered(t, []byte{0x0a, 0x0b})
	const certified = "FIDO_CERTIFIED_L2"
	proved := []claim.Fact{"attested", "device_bound", "fido_certified", "fido_l1", "fido_l1plus", "fido_l2", "hardware", "metadata_current", "secure_element"}
	for _, tt := range []struct {
		name     string
		evidence Evidence
		metadata Metadata
		facts    []claim.Fact
		because  []string
		// undesired is compared with the verdict's.
		undesired []string
	}{
		{"genuine", genuine, listing(vendor, hardware, day(certified, "2020-01-01")), proved, nil, nil},
		{"genuine, synced", with(func(e *Evidence) { e.DeviceBound = false }), listing(vendor, hardware, day(certified, "2020-01-01")),
			[]claim.Fact{"attested", "fido_certified", "fido_l1", "fido_l1plus", "fido_l2", "hardware", "metadata_current", "secure_element"}, nil, nil},
		{"genuine, and on the organisation's list", with(func(e *Evidence) { e.Chain = owned }), listing(vendor, nil), []claim.Fact{"attested", "device_bound", "enterprise", "metadata_current"}, nil, nil},
		{"a serial number of somebody else's", with(func(e *Evidence) { e.Chain = vendor.numbered(t, []byte{0x0a, 0x0c}) }), listing(vendor, nil), []claim.Fact{"attested", "device_bound", "metadata_current"}, nil, nil},
		{"a listed serial number in a stranger's certificate", with(func(e *Evidence) { e.Chain = newAuthority(t, "Acme root").numbered(t, []byte{0x0a, 0x0b}) }), listing(vendor, nil), []claim.Fact{"device_bound"},
			[]string{"the certificate did not lead to a trust anchor of model " + acme + " when the passkey was registered"}, nil},
		{"no metadata", genuine, NoMetadata(), []claim.Fact{"device_bound"}, []string{"no metadata is loaded"}, nil},
		{"no certificate", with(func(e *Evidence) { e.Chain = nil }), listing(vendor, hardware), []claim.Fact{"device_bound"},
			[]string{"the authenticator sent no certificate about its model"}, nil},
		{"unlisted model", with(func(e *Evidence) { e.AAGUID = "11111111-1111-1111-1111-111111111111" }), listing(vendor, hardware), []claim.Fact{"device_bound"},
			[]string{"the metadata has no entry for model 11111111-1111-1111-1111-111111111111"}, nil},
		{"no model named", with(func(e *Evidence) { e.AAGUID = zeroAAGUID }), listing(vendor, hardware), []claim.Fact{"device_bound"},
			[]string{"the authenticator does not name its model"}, nil},
		{"U2F statement with a model it does not sign", with(func(e *Evidence) { e.Format = "fido-u2f" }), listing(vendor, hardware), []claim.Fact{"device_bound"},
			[]string{"a statement of format fido-u2f does not sign the model"}, nil},
		{"SafetyNet statement with a borrowed chain", with(func(e *Evidence) { e.Format = "android-safetynet" }), listing(vendor, hardware), []claim.Fact{"device_bound"},
			[]string{"a statement of format android-safetynet does not sign the model"}, nil},
		{"none with a borrowed chain", with(func(e *Evidence) { e.Format = "none" }), listing(vendor, hardware), []claim.Fact{"device_bound"},
			[]string{"a statement of format none does not sign the model"}, nil},
		{"unreadable certificate", with(func(e *Evidence) { e.Chain = [][]byte{{0x30, 0}} }), listing(vendor, hardware), []claim.Fact{"device_bound"},
			[]string{"a certificate of the statement cannot be read"}, nil},
		{"another vendor's chain", with(func(e *Evidence) { e.Chain = newAuthority(t, "Acme root").chain(t) }), listing(vendor, hardware), []claim.Fact{"device_bound"},
			[]string{"the certificate did not lead to a trust anchor of model " + acme + " when the passkey was registered"}, nil},
		{"software beside hardware", genuine, listing(vendor, []string{"hardware", "software"}), []claim.Fact{"attested", "device_bound", "metadata_current"}, nil, nil},
		{"trusted execution environment", genuine, listing(vendor, []string{"hardware", "tee"}), []claim.Fact{"attested", "device_bound", "hardware", "metadata_current"}, nil, nil},
		{"protection unknown", genuine, listing(vendor, nil), []claim.Fact{"attested", "device_bound", "metadata_current"}, nil, nil},
		{"stale metadata", genuine, func() Metadata { c := listing(vendor, nil); c.stale = true; return c }(), []claim.Fact{"attested", "device_bound"},
			[]string{"the metadata is past its next update"}, nil},
		{"revoked, and listed first", genuine, listing(vendor, hardware, day("REVOKED", "2026-02-01"), day("NOT_FIDO_CERTIFIED", "2020-01-01")),
			[]claim.Fact{"attested", "device_bound", "hardware", "secure_element"}, []string{"the metadata reports REVOKED for this model"}, []string{"REVOKED"}},
		{"revocation takes the certification", genuine, listing(vendor, nil, day("USER_KEY_REMOTE_COMPROMISE", "2021-01-01"), day(certified, "2020-01-01"), day("REVOKED", "2026-02-01")),
			[]claim.Fact{"attested", "device_bound"},
			[]string{"the metadata reports USER_KEY_REMOTE_COMPROMISE for this model", "the metadata reports REVOKED for this model"}, []string{"USER_KEY_REMOTE_COMPROMISE", "REVOKED"}},
		{"compromise before an update", genuine, listing(vendor, nil, day("USER_KEY_PHYSICAL_COMPROMISE", "2021-01-01"), day("UPDATE_AVAILABLE", "2022-01-01")),
			[]claim.Fact{"attested", "device_bound"}, []string{"the metadata reports USER_KEY_PHYSICAL_COMPROMISE for this model"}, []string{"USER_KEY_PHYSICAL_COMPROMISE"}},
		{"revocation yet to come", genuine, listing(vendor, nil, day("REVOKED", "2026-03-02")), []claim.Fact{"attested", "device_bound", "metadata_current"}, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Judge(tt.evidence, tt.metadata, terms, now)
			want := Verdict{Facts: tt.facts, MetadataNumber: tt.metadata.Number(), Because: tt.because, Undesired: tt.undesired}
			if slices.Contains(tt.facts, claim.FactAttested) {
				want.AAGUID, want.Model, want.Vendors = acme, "Acme Key", []string{"Acme root"}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCertificationsAreThoseInForce(t *testing.T) {
	for _, tt := range []struct {
		name    string
		reports []StatusReport
		want    []claim.Fact
	}{
		{"none", nil, nil},
		{"never certified", []StatusReport{day("NOT_FIDO_CERTIFIED", "2020-01-01")}, nil},
		{"certified before there were levels", []StatusReport{day("FIDO_CERTIFIED", "2020-01-01")}, []claim.Fact{"fido_certified"}},
		{"levels hold those below", []StatusReport{day("FIDO_CERTIFIED_L3plus", "2020-01-01")},
			[]claim.Fact{"fido_certified", "fido_l1", "fido_l1plus", "fido_l2", "fido_l2plus", "fido_l3", "fido_l3plus"}},
		{"the highest of several", []StatusReport{day("FIDO_CERTIFIED_L1plus", "2024-01-01"), day("FIDO_CERTIFIED_L1", "2025-01-01")},
			[]claim.Fact{"fido_certified", "fido_l1", "fido_l1plus"}},
		{"an update is not the end of a certification", []StatusReport{day("FIDO_CERTIFIED_L1", "2020-01-01"), day("UPDATE_AVAILABLE", "2021-01-01")}, []claim.Fact{"fido_certified", "fido_l1"}},
		{"yet to come", []StatusReport{day("FIDO_CERTIFIED_L1", "2026-03-02")}, nil},
		{"today", []StatusReport{day("FIDO_CERTIFIED_L1", "2026-03-01")}, []claim.Fact{"fido_certified", "fido_l1"}},
		{"over", []StatusReport{{Status: "FIDO_CERTIFIED_L1", Sunset: now}}, nil},
		{"not yet over", []StatusReport{{Status: "FIDO_CERTIFIED_L1", Sunset: now.Add(1)}}, []claim.Fact{"fido_certified", "fido_l1"}},
		{"no date", []StatusReport{{Status: "FIPS140_CERTIFIED_L2"}}, []claim.Fact{"fips140_l1", "fips140_l2"}},
		{"FIPS has four levels", []StatusReport{day("FIPS140_CERTIFIED_L5", "2020-01-01"), day("FIPS140_CERTIFIED_L4", "2020-01-01")},
			[]claim.Fact{"fips140_l1", "fips140_l2", "fips140_l3", "fips140_l4"}},
		{"retired", []StatusReport{day("FIDO_CERTIFIED_L2", "2020-01-01"), day("RETIRED", "2021-01-01")}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := standing(tt.reports, now)
			if !slices.Equal(got, tt.want) {
				t.Errorf("certifications %v, want %v", got, tt.want)
			}
		})
	}
}

func BenchmarkJudge(b *testing.B) {
	vendor := newAuthority(b, "Acme root")
	m := listing(vendor, []string{"hardware"}, day("FIDO_CERTIFIED_L2", "2020-01-01"))
	e := Evidence{Format: "packed", AAGUID: acme, Chain: vendor.chain(b), RegisteredAt: now}
	b.ReportAllocs()
	for b.Loop() {
		if v := Judge(e, m, terms, now); !v.Facts.Has(claim.FactAttested) {
			b.Fatal(v.Because)
		}
	}
}
