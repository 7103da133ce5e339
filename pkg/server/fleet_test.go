package server

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/attest/mds"
	"github.com/touchstone-id/touchstone/pkg/passkey/passkeytest"
)

// watched is a world whose metadata comes from a file that a service signs.
type watched struct {
	*world
	vendor, service *passkeytest.CA
	path            string
	number          int
}

// model is that of the keys in these tests.
var model = [16]byte{0xac, 0x3e}

func newWatched(t *testing.T, trustText string, change ...func(*Options)) *watched {
	t.Helper()
	w := &watched{path: filepath.Join(t.TempDir(), "blob.jwt")}
	w.world = &world{T: t}
	w.vendor, w.service = w.ca("Acme Corp"), w.ca("Metadata root")
	w.publish()
	o := Options{Trust: []byte(trustText), Metadata: []mds.Source{{Name: "test", Path: w.path, Roots: []*x509.Certificate{w.service.Certificate}}}}
	for _, f := range change {
		f(&o)
	}
	w.world = newWorldOf(t, o)
	return w
}

func (w *watched) ca(name string) *passkeytest.CA {
	ca, err := passkeytest.NewCA(name, time.Now())
	if err != nil {
		w.Fatal(err)
	}
	return ca
}

// publish writes the next BLOB, in which the model has these statuses too.
func (w *watched) publish(statuses ...string) {
	w.Helper()
	w.number++
	status := [][2]string{{"FIDO_CERTIFIED_L1", "2020-01-01"}}
	for _, s := range statuses {
		status = append(status, [2]string{s, "2024-01-01"})
	}
	blob, err := w.service.BLOB(w.number, time.Now().AddDate(0, 1, 0), passkeytest.Model{AAGUID: model, Description: "Acme Key", Roots: []*x509.Certificate{w.vendor.Certificate},
		KeyProtection: []string{"hardware"}, Status: status})
	if err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(w.path, blob, 0o600); err != nil {
		w.Fatal(err)
	}
}

// take brings the published BLOB into force and has everything judged again, as Run does.
func (w *watched) take() {
	w.Helper()
	if _, err := w.server.Metadata.Refresh(context.Background()); err != nil {
		w.Fatal(err)
	}
	w.server.renew()
	if _, err := w.server.Judge.Pass(context.Background()); err != nil {
		w.Fatal(err)
	}
}

// keyed is a browser whose person enrolled an attested key.
func (w *watched) keyed() *browser {
	w.Helper()
	b := w.browser()
	b.key = &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.vendor}
	if status, out := b.enrol(w.link); status != 200 {
		w.Fatalf("enrol: %d %v", status, out)
	}
	return b
}

func factsOf(t *testing.T, token any) []any {
	t.Helper()
	facts, _ := decode(t, token.(string), 1)["authenticator_attestation"].([]any)
	return facts
}

func TestACompromiseReachesThoseWhoAreSignedIn(t *testing.T) {
	w := newWatched(t, trustFile)
	b := w.keyed()
	_, before := b.token(redemption(b.code(request())))
	if facts := factsOf(t, before["access_token"]); !slices.Contains(facts, any("metadata_current")) || decode(t, before["access_token"].(string), 1)["acr"] != "phrh" {
		t.Fatalf("facts before: %v", facts)
	}
	unspent := b.code(request()) // a code in the client's hands while the world changes
	w.publish("USER_KEY_REMOTE_COMPROMISE")
	w.take()
	if status, out := b.token(refresh(before["refresh_token"].(string))); status != 400 || out["error"] != "invalid_grant" {
		t.Errorf("refresh: %d %v", status, out)
	}
	if status, out := b.token(redemption(unspent)); status != 400 || out["error"] != "invalid_grant" {
		t.Errorf("a code from before: %d %v", status, out)
	}
	// The session is no longer good for single sign-on, and says so to a client that wants no page.
	answer, _ := b.do("GET", "/authorize?"+request("prompt", "none").Encode(), nil)
	if got := b.location(answer).Query().Get("error"); got != "login_required" {
		t.Errorf("prompt=none after the change: %q", got)
	}
	_, after := b.token(redemption(b.code(request())))
	if facts := factsOf(t, after["access_token"]); slices.Contains(facts, any("metadata_current")) || !slices.Contains(facts, any("attested")) || decode(t, after["access_token"].(string), 1)["acr"] != "phr" {
		t.Errorf("facts after: %v", facts)
	}
	if got := decode(t, after["access_token"].(string), 1)["authenticator_metadata"]; got != "2" {
		t.Errorf("judged under metadata %v", got)
	}
	// The story can be read in the record: BLOB, credential, grants.
	var story []string
	rows, err := w.server.Pool.Query(context.Background(), `
		select action || ' ' || coalesce(details->>'number', details->>'lost', details->>'changed', '') || ' ' || coalesce(details->>'grants_ended', '') from audit_entry
		where action in ('metadata.loaded', 'credential.rejudged', 'fleet.rejudged') order by id`)
	if err == nil {
		story, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if want := []string{"metadata.loaded 1 ", "metadata.loaded 2 ", "credential.rejudged metadata_current 1", "fleet.rejudged 1 "}; err != nil || !slices.Equal(story, want) {
		t.Errorf("the record says %q (%v), want %q", story, err, want)
	}
	// What improves later does not come back by itself: facts are never upgraded.
	w.publish()
	w.take()
	if status, again := b.token(refresh(after["refresh_token"].(string))); status != 200 || slices.Contains(factsOf(t, again["access_token"]), any("metadata_current")) {
		t.Errorf("refresh after the recovery: %d %v", status, again)
	}
	if _, page := b.do("GET", "/", nil); !strings.Contains(page, "has lost standing") || !strings.Contains(page, "has gained standing") {
		t.Error("the owner was not told")
	}
}

func TestASuspensionHoldsBeforeTheFleetIsJudged(t *testing.T) {
	w := newWatched(t, trustFile+"metadata: {consequences: {REVOKED: suspend}}\n")
	b := w.keyed()
	w.publish("REVOKED")
	if _, err := w.server.Metadata.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.server.renew() // and nobody has judged the fleet yet
	if status, out := b.signIn(""); status != 403 || out["reason"] != "credential_suspended" {
		t.Errorf("sign in: %d %v", status, out)
	}
	if status, out := b.signIn(""); status != 403 || out["reason"] != "credential_suspended" {
		t.Errorf("again: %d %v", status, out)
	}
}

func TestRulesRefuseWarnAndWatch(t *testing.T) {
	const rule = `
levels: [{name: company, facts: [uv, attested], models: {deny: [{vendor: acme}]}}]
rules: [{name: keys, groups: [staff], level: %LEVEL, at: [%AT], mode: %MODE}]
`
	file := func(level, at, mode string) string {
		return trustFile + strings.NewReplacer("%LEVEL", level, "%AT", at, "%MODE", mode).Replace(rule)
	}
	for _, tt := range []struct {
		name, trust string
		key         func(*watched) *passkeytest.Authenticator
		enrol, sign string // reasons of refusal
		text        string
	}{
		{"model denied at enrolment", file("company", "enrolment", "enforce"), attested, "model_not_accepted", "", "We found: Acme Key."},
		{"model denied at sign-in", file("company", "sign-in", "enforce"), attested, "", "model_not_accepted", "We found: Acme Key."},
		{"unattested", file("company", "enrolment", "enforce"), unattested, "attestation_required", "", "did not"},
		{"synced", file("phrh", "enrolment", "enforce"), synced, "synced_not_accepted", "", "can be copied"},
		{"watched", file("company", "enrolment, sign-in", "monitor"), attested, "", "", ""},
		{"announced", file("company", "enrolment, sign-in", "warn, from: 2999-01-31"), attested, "", "", ""},
		{"announced, and the day has come", file("company", "sign-in", "warn, from: 2020-01-31"), attested, "", "model_not_accepted", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWatched(t, tt.trust)
			if err := pgx.BeginFunc(context.Background(), w.server.Pool, func(tx pgx.Tx) error {
				return account.SetGroups(context.Background(), tx, w.user.ID, []string{"staff"})
			}); err != nil {
				t.Fatal(err)
			}
			b := w.browser()
			b.key = tt.key(w)
			status, out := b.enrol(w.link)
			if reason, _ := out["reason"].(string); reason != tt.enrol {
				t.Fatalf("enrol: %d %v, want %q", status, out, tt.enrol)
			}
			if warning, _ := out["warning"].(string); strings.Contains(tt.trust, "2999") != strings.Contains(warning, "From 31 January 2999 this passkey is no longer accepted") {
				t.Errorf("warning %q", warning)
			}
			if tt.enrol != "" {
				if text, _ := out["sentence"].(string); !strings.Contains(text, tt.text) {
					t.Errorf("sentence %q, want %q in it", text, tt.text)
				}
				var stored int
				if err := w.server.Pool.QueryRow(context.Background(), `select count(*) from credential`).Scan(&stored); err != nil || stored != 0 {
					t.Errorf("%d credentials stored (%v)", stored, err)
				}
				// The link was not spent: another key may follow.
				if status, out := b.post("/enrol/invitation", map[string]any{"link": w.link}); status != 200 {
					t.Errorf("the link afterwards: %d %v", status, out)
				}
				return
			}
			status, out = b.signIn("")
			if reason, _ := out["reason"].(string); reason != tt.sign {
				t.Errorf("sign in: %d %v, want %q", status, out, tt.sign)
			}
			var found string
			if err := w.server.Pool.QueryRow(context.Background(), `select coalesce(details->>'rules_not_met', '') from audit_entry where action = 'session.signed_in'`).Scan(&found); err != nil || tt.sign == "" && !strings.HasPrefix(found, "keys=") {
				t.Errorf("the record names the rules %q (%v)", found, err)
			}
		})
	}
}

func attested(w *watched) *passkeytest.Authenticator {
	return &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.vendor}
}

func unattested(*watched) *passkeytest.Authenticator {
	return &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestNone}
}

func synced(*watched) *passkeytest.Authenticator {
	return &passkeytest.Authenticator{Attestation: passkeytest.AttestNone, Synced: true}
}
