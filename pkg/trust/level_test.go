package trust

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/touchstone-id/touchstone/pkg/claim"
)

// ruled is a trust file with levels, rules and consequences.
const ruled = `
levels:
  - name: company
    facts: [uv, device_bound, attested, hardware]
    certification: [fido_l1]
    models:
      allow:
        - {vendor: yubico}
        - {name: "Acme * (NFC)"}
        - {aaguid: 00010203-0405-0607-0809-0a0b0c0d0e0f}
      deny:
        - {name: "YubiKey 4*"}
rules:
  - {name: everybody, level: phr, mode: enforce, at: [sign-in]}
  - {name: staff, groups: [staff, board], level: company, mode: warn, from: 2026-06-01}
  - {name: look, level: phrh, mode: monitor, at: [enrolment]}
metadata:
  grace: 24h
  consequences:
    REVOKED: suspend
    USER_KEY_REMOTE_COMPROMISE: downgrade
  inventory:
    - {aaguid: 00010203-0405-0607-0809-0a0b0c0d0e0f, serials: ["0a0b"]}
`

func parsed(t *testing.T, text string) *Trust {
	t.Helper()
	f, err := Parse("trust.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// proven is an authenticator with all that the level company asks for, but for the model.
func proven(model, aaguid string, vendors ...string) Authenticator {
	return Authenticator{Facts: claim.NewFacts("uv", "device_bound", "attested", "hardware", "fido_certified", "fido_l1"), Model: model, AAGUID: aaguid, Vendors: vendors}
}

func TestModelListsDecideAndDenyWins(t *testing.T) {
	f := parsed(t, ruled)
	for _, tt := range []struct {
		name string
		a    Authenticator
		want string // what keeps it out; empty when it has the level
	}{
		{"vendor of the anchor", proven("Some key", "", "Yubico AB"), ""},
		{"vendor in the description", proven("Yubico thing", ""), ""},
		{"part of a word is no vendor", proven("Yubicon key", "", "Notyubico"), "allow does not list Yubicon key"},
		{"name with wildcards", proven("acme super (nfc)", ""), ""},
		{"name that goes on", proven("Acme Super (NFC) 2", ""), "allow does not list Acme Super (NFC) 2"},
		{"AAGUID", proven("Zebra", "00010203-0405-0607-0809-0a0b0c0d0e0f"), ""},
		{"denied though allowed", proven("YubiKey 4 FIPS", "", "Yubico AB"), "deny name YubiKey 4*"},
		{"hearsay", Authenticator{Facts: claim.NewFacts("uv", "device_bound"), AAGUID: "00010203-0405-0607-0809-0a0b0c0d0e0f"}, "lacks attested, hardware, fido_l1; allow lists models, and this one is not proved"},
		{"not certified", Authenticator{Facts: claim.NewFacts("uv", "device_bound", "attested", "hardware"), Model: "Zebra", AAGUID: "00010203-0405-0607-0809-0a0b0c0d0e0f"}, "lacks fido_l1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := f.Shortfall(tt.a, "company")
			if got := f.HasLevel(tt.a, "company"); got != (tt.want == "") {
				t.Errorf("has the level: %v", got)
			}
			if tt.want != "" && (s == nil || s.String() != "company: "+tt.want) {
				t.Errorf("because %v, want %q", s, tt.want)
			}
		})
	}
	if f.HasLevel(proven("", ""), "gold") {
		t.Error("somebody has a level that the file does not define")
	}
}

func TestLevelsAreExplained(t *testing.T) {
	f := parsed(t, ruled)
	met, missed := f.LevelsOf(proven("Zebra", ""))
	if diff := cmp.Diff([]string{"phr"}, met); diff != "" {
		t.Error(diff)
	}
	if len(missed) != 2 || missed[0].String() != "phrh: lacks metadata_current" || missed[1].String() != "company: allow does not list Zebra" {
		t.Errorf("%v", missed)
	}
	if diff := cmp.Diff([]string{"company"}, f.Accepting("company")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"phr", "phrh", "company"}, f.Accepting("phr")); diff != "" {
		t.Error(diff)
	}
	if f.Accepting("gold") != nil || !f.ListsModels("company") || f.ListsModels("phrh") {
		t.Error("lists of levels")
	}
}

func TestRulesAreForTheirPeopleOccasionAndDay(t *testing.T) {
	f := parsed(t, ruled)
	weak := Authenticator{Facts: claim.NewFacts("device_bound")}
	before, after := time.Date(2026, 5, 31, 23, 59, 0, 0, time.UTC), time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name     string
		occasion string
		groups   []string
		at       time.Time
		want     string
	}{
		{"everybody signs in", AtSignIn, nil, before, "everybody=enforce"},
		{"staff sign in", AtSignIn, []string{"board"}, before, "everybody=enforce staff=warn"},
		{"the day comes", AtSignIn, []string{"other", "staff"}, after, "everybody=enforce staff=enforce"},
		{"enrolment", AtEnrolment, []string{"guests"}, after, "look=monitor"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := f.Findings(tt.occasion, tt.groups, weak, tt.at)
			if Names(got) != tt.want {
				t.Errorf("%s, want %s", Names(got), tt.want)
			}
			if (Enforced(got) != nil) != strings.Contains(tt.want, "enforce") || (Warned(got) != nil) != strings.Contains(tt.want, "warn") {
				t.Errorf("enforced %v, warned %v", Enforced(got), Warned(got))
			}
		})
	}
	if got := f.Findings(AtSignIn, []string{"staff"}, proven("Yubico", ""), after); len(got) != 0 {
		t.Errorf("found %v", got)
	}
}

func TestConsequencesAndInventory(t *testing.T) {
	f := parsed(t, ruled)
	if f.MetadataGrace != 24*time.Hour || !f.Suspends([]string{"UPDATE", "REVOKED"}) || f.Suspends([]string{"USER_KEY_REMOTE_COMPROMISE", "RETIRED"}) || f.Suspends(nil) {
		t.Errorf("%+v", f.Consequences)
	}
	const model = "00010203-0405-0607-0809-0a0b0c0d0e0f"
	if !f.Owns(model, "0a0b") || f.Owns(model, "") || f.Owns("other", "0a0b") {
		t.Error("inventory")
	}
}

func TestFaultsOfLevelsAndRules(t *testing.T) {
	for _, tt := range []struct{ name, from, to, want string }{
		{"unknown certification", "[fido_l1]", "[fido_l9]", `levels[0].certification[0]: "fido_l9" is not one of`},
		{"two ways in one pattern", "{vendor: yubico}", "{vendor: yubico, name: x}", "exactly one of vendor, name and aaguid"},
		{"upper case AAGUID", "{aaguid: 00010203-0405-0607-0809-0a0b0c0d0e0f}", "{aaguid: 00010203-0405-0607-0809-0A0B0C0D0E0F}", "a lower-case UUID"},
		{"bad wildcard", "Acme * (NFC)", "Acme [", "wildcards"},
		{"lists without attestation", "facts: [uv, device_bound, attested, hardware]", "facts: [uv]", "needs the fact attested"},
		{"unknown mode", "mode: enforce", "mode: enforced", `did you mean "enforce"?`},
		{"warning without a day", ", from: 2026-06-01", "", "belongs to mode warn"},
		{"a day without a warning", "mode: enforce,", "mode: enforce, from: 2026-06-01,", "belongs to mode warn"},
		{"not a day", "2026-06-01", "2026-6-1", "is not a date"},
		{"unknown occasion", "at: [sign-in]", "at: [signin]", `did you mean "sign-in"?`},
		{"unknown level", "level: company,", "level: compny,", `did you mean "company"?`},
		{"two rules of one name", "name: look", "name: staff", "already defined"},
		{"unknown status", "REVOKED:", "REVOKE:", `did you mean "REVOKED"?`},
		{"unknown consequence", "suspend", "suspended", `did you mean "suspend"?`},
		{"serial", `"0a0b"`, `"0A:0B"`, "lower-case hexadecimal"},
		{"reserved level", "- name: company", "- name: recovery", "recovery pass"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changed := strings.Replace(ruled, tt.from, tt.to, 1)
			if _, err := Parse("trust.yaml", []byte(changed)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
