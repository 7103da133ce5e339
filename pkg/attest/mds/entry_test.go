package mds

import (
	"crypto/x509"
	"encoding/base64"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/touchstone-id/touchstone/pkg/attest"
)

const acme = "00010203-0405-0607-0809-0a0b0c0d0e0f"

// byContent compares certificates by their encoding.
var byContent = cmp.Comparer(func(a, b *x509.Certificate) bool { return a.Equal(b) })

// entry is one of a BLOB's entries, changed by the members given.
func entry(members ...any) map[string]any {
	e := map[string]any{"aaguid": acme, "statusReports": []any{}, "metadataStatement": map[string]any{"description": "Acme Key"}}
	for i := 0; i < len(members); i += 2 {
		e[members[i].(string)] = members[i+1]
	}
	return e
}

func TestEntries(t *testing.T) {
	s := newService(t)
	root := base64.StdEncoding.EncodeToString(s.root.Raw)
	status := func(name, from string) map[string]any { return map[string]any{"status": name, "effectiveDate": from} }
	day := time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
	plain := attest.Entry{AAGUID: acme, Description: "Acme Key"}
	for _, tt := range []struct {
		name    string
		entries []any
		want    attest.Entry // zero when there must be none
		skipped int
	}{
		{"plain", []any{entry()}, plain, 0},
		{"capital letters", []any{entry("aaguid", "00010203-0405-0607-0809-0A0B0C0D0E0F")}, plain, 0},
		{"unknown members", []any{entry("biometricStatusReports", []any{}, "tomorrow", map[string]any{"x": 1})}, plain, 0},
		{"U2F model", []any{entry("aaguid", "", "attestationCertificateKeyIdentifiers", []string{"00"})}, attest.Entry{}, 0},
		{"no model", []any{entry("aaguid", "00000000-0000-0000-0000-000000000000")}, attest.Entry{}, 1},
		{"AAGUID is no UUID", []any{entry("aaguid", "acme")}, attest.Entry{}, 1},
		{"not an object", []any{7, entry()}, plain, 1},
		{"root with line breaks", []any{entry("metadataStatement", map[string]any{"attestationRootCertificates": []string{root[:64] + "\r\n " + root[64:]}})},
			attest.Entry{AAGUID: acme, Roots: s.roots()}, 0},
		{"root that is no base64", []any{entry("metadataStatement", map[string]any{"attestationRootCertificates": []string{root, "%"}})}, attest.Entry{}, 1},
		{"root that is no certificate", []any{entry("metadataStatement", map[string]any{"attestationRootCertificates": []string{"AAAA"}})}, attest.Entry{}, 1},
		{"status", []any{entry("statusReports", []any{status("FIDO_CERTIFIED_L1", "2024-02-29")})},
			attest.Entry{AAGUID: acme, Description: "Acme Key", Status: []attest.StatusReport{{Status: "FIDO_CERTIFIED_L1", Effective: day}}}, 0},
		{"status without a date", []any{entry("statusReports", []any{map[string]any{"status": "REVOKED"}})},
			attest.Entry{AAGUID: acme, Description: "Acme Key", Status: []attest.StatusReport{{Status: "REVOKED"}}}, 0},
		{"status with an end", []any{entry("statusReports", []any{map[string]any{"status": "FIPS140_CERTIFIED_L2", "sunsetDate": "2024-02-29"}})},
			attest.Entry{AAGUID: acme, Description: "Acme Key", Status: []attest.StatusReport{{Status: "FIPS140_CERTIFIED_L2", Sunset: day}}}, 0},
		{"impossible date", []any{entry("statusReports", []any{status("REVOKED", "2023-02-29")})}, attest.Entry{}, 1},
		{"a second entry cannot hide a revocation", []any{entry("statusReports", []any{status("REVOKED", "2024-02-29")}), entry("metadataStatement", map[string]any{"description": "Other", "attestationRootCertificates": []string{root}})},
			attest.Entry{AAGUID: acme, Description: "Acme Key", Status: []attest.StatusReport{{Status: "REVOKED", Effective: day}}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set, err := Parse(s.sign("mds.invalid", numbered(3, tt.entries...)), s.roots(), issued)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := set.Lookup(acme)
			if ok != (tt.want.AAGUID != "") || set.Unreadable != tt.skipped {
				t.Errorf("found %v, %d skipped, want %d", ok, set.Unreadable, tt.skipped)
			}
			if diff := cmp.Diff(tt.want, got, byContent); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMergedSetsKeepTheFirstAnchorsAndAllStatuses(t *testing.T) {
	s := newService(t)
	parse := func(payload any) *Set {
		t.Helper()
		set, err := Parse(s.sign("mds.invalid", payload), s.roots(), issued)
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	private := numbered(4, entry("metadataStatement", map[string]any{"description": "Acme Key of ours"}), 7)
	private["nextUpdate"] = "2024-12-01"
	public := numbered(122, entry("statusReports", []any{map[string]any{"status": "REVOKED"}}))
	first, second := parse(private), parse(public)
	got := Merge(first, second)
	e, _ := got.Lookup(acme)
	want := attest.Entry{AAGUID: acme, Description: "Acme Key of ours", Status: []attest.StatusReport{{Status: "REVOKED"}}}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	if got.Number() != 4 || got.Unreadable != 1 || got.Len() != 1 || !got.NextUpdate().Equal(first.NextUpdate()) {
		t.Errorf("number %d, %d skipped, %d models, next update %s", got.Number(), got.Unreadable, got.Len(), got.NextUpdate())
	}
	if e, _ := first.Lookup(acme); len(e.Status) != 0 {
		t.Error("merging changed a set that was merged")
	}
	if nothing := Merge(); nothing.Number() != 0 || terms.Current(nothing, issued) {
		t.Error("no sources give current metadata")
	}
}
