package passkey

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/passkey/passkeytest"
)

func TestLoginNamesNobodyAndAsksForVerification(t *testing.T) {
	w := newWorld(t)
	w.enrolled()
	var o map[string]any
	if err := json.Unmarshal(w.offerLogin().Options, &o); err != nil {
		t.Fatal(err)
	}
	if o["userVerification"] != "required" || o["rpId"] != "idp.test" || o["timeout"] != 300000. || o["allowCredentials"] != nil {
		t.Errorf("options %v", o)
	}
}

func TestDishonestLogins(t *testing.T) {
	zero, one := uint32(0), uint32(1)
	type lie = passkeytest.Lie
	for _, tt := range []struct {
		name string
		lie  lie
		want denial.Reason
	}{
		{"subdomain", lie{Origin: "https://sub.idp.test"}, denial.OriginMismatch},
		{"cross-origin frame", lie{CrossOrigin: true, TopOrigin: "https://evil.test"}, denial.OriginMismatch},
		{"other RP", lie{RPID: "evil.test"}, denial.ResponseInvalid},
		{"other challenge", lie{Challenge: strings.Repeat("A", 43)}, denial.ResponseInvalid},
		{"registration's client data", lie{Type: "webauthn.create"}, denial.ResponseInvalid},
		{"person not present", lie{NoUP: true}, denial.ResponseInvalid},
		{"person not verified", lie{NoUV: true}, denial.UserVerificationMissing},
		{"broken signature", lie{BreakSignature: true}, denial.ResponseInvalid},
		{"other person's handle", lie{UserHandle: []byte("someone else")}, denial.ResponseInvalid},
		{"no handle", lie{UserHandle: []byte{}}, denial.ResponseInvalid},
		{"credential never registered", lie{CredentialID: []byte("credential of nobody")}, denial.CredentialUnknown},
		{"backup eligibility changed", lie{FlipBackup: true}, denial.BackupFlagsChanged},
		{"backed up without being eligible", lie{ImpossibleBackup: true}, denial.ResponseInvalid},
		{"counter went back", lie{Counter: &zero}, denial.CloneSuspected},
		{"counter stood still", lie{Counter: &one}, denial.CloneSuspected},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			a, c := w.enrolled()
			if _, err := w.login(a); err != nil {
				t.Fatal(err)
			}
			a.Lie = tt.lie
			p, err := w.login(a)
			w.wantReason(err, tt.want)
			if len(p.Facts) != 0 || len(p.AMR) != 0 {
				t.Errorf("a refused login proves %v, %v", p.Facts, p.AMR)
			}
			if p.Credential.ID != "" && p.Credential.ID != c.ID {
				t.Errorf("the record would name credential %s", p.Credential.ID)
			}
			a.Lie = lie{}
			_, err = w.login(a)
			if tt.want == denial.CloneSuspected {
				w.wantReason(err, denial.CredentialQuarantined)
				if list := w.passkeys(); !list[0].Quarantined {
					t.Error("the person is not shown that the passkey is paused")
				}
			} else if err != nil {
				t.Errorf("an honest login afterwards: %v", err)
			}
		})
	}
}

func TestCredentialOfOnePersonWithTheHandleOfAnother(t *testing.T) {
	w := newWorld(t)
	a, _ := w.enrolled()
	a.Lie.UserHandle = w.person("eve").Handle
	p, err := w.login(a)
	w.wantReason(err, denial.ResponseInvalid)
	if len(p.Facts) != 0 {
		t.Errorf("proves %v", p.Facts)
	}
}

func TestAnswerOfAnotherPersonsKeyUnderMyCredential(t *testing.T) {
	w := newWorld(t)
	ada := w.user
	_, mine := w.enrolled()
	var id []byte
	if err := w.pool.QueryRow(context.Background(), `select credential_id from credential where id = $1`, mine.ID).Scan(&id); err != nil {
		t.Fatal(err)
	}
	w.user = w.person("eve")
	eves, _ := w.enrolled()
	eves.Lie = passkeytest.Lie{CredentialID: id, UserHandle: ada.Handle}
	_, err := w.login(eves)
	w.wantReason(err, denial.ResponseInvalid)
}

func TestLoginsWithoutACounter(t *testing.T) {
	zero := uint32(0)
	for name, a := range map[string]*passkeytest.Authenticator{"synced": {Synced: true}, "device": {Lie: passkeytest.Lie{Counter: &zero}}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if _, err := w.register(a); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if _, err := w.login(a); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestLoginIsNoted(t *testing.T) {
	w := newWorld(t)
	a, _ := w.enrolled()
	five := uint32(5)
	a.Lie.Counter = &five
	w.now = w.now.Add(time.Hour)
	p, err := w.login(a)
	if err != nil {
		t.Fatal(err)
	}
	c := w.passkeys()[0]
	if c.LastUsedAt == nil || !c.LastUsedAt.Equal(w.now) || p.Credential.LastUsedAt == nil || !p.Credential.LastUsedAt.Equal(w.now) {
		t.Errorf("used at %v, want %v", c.LastUsedAt, w.now)
	}
	var counter int
	if err := w.pool.QueryRow(context.Background(), `select sign_count from credential where id = $1`, c.ID).Scan(&counter); err != nil || counter != 5 {
		t.Errorf("counter %d, %v, want 5", counter, err)
	}
}

func TestFactsAreJudgedAgainAtSignIn(t *testing.T) {
	w := newWorld(t)
	w.trustModel("UPDATE_AVAILABLE", w.vendor.Certificate)
	a := &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.vendor}
	if _, err := w.register(a); err != nil {
		t.Fatal(err)
	}
	healthy := w.metadata
	for _, tt := range []struct {
		name     string
		change   func()
		has, not claim.Fact
	}{
		{"compromised", func() { w.trustModel("USER_KEY_REMOTE_COMPROMISE", w.vendor.Certificate) }, claim.FactAttested, claim.FactMetadataCurrent},
		{"revoked", func() { w.trustModel("REVOKED", w.vendor.Certificate) }, claim.FactAttested, claim.FactFIDOCertified},
		{"anchored elsewhere", func() { w.trustModel("UPDATE_AVAILABLE", w.ca("Other").Certificate) }, claim.FactDeviceBound, claim.FactAttested},
		{"healthy again", func() { w.metadata = healthy }, claim.FactMetadataCurrent, ""},
		{"metadata past its update", func() { w.now = w.now.AddDate(0, 3, 0) }, claim.FactAttested, claim.FactMetadataCurrent},
		// The certificate lives for ten years from the registration; what counts is that day.
		{"certificate expired since", func() { w.now = w.now.AddDate(20, 0, 0) }, claim.FactAttested, claim.FactMetadataCurrent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.TB = t
			tt.change()
			p, err := w.login(a)
			if err != nil {
				t.Fatal(err)
			}
			if !p.Facts.Has(tt.has) || p.Facts.Has(tt.not) {
				t.Errorf("facts %v, want %s and not %s", p.Facts, tt.has, tt.not)
			}
			if stored := w.passkeys()[0]; stored.Facts.Has(tt.not) || stored.Model != p.Model {
				t.Errorf("stored facts %v, model %q", stored.Facts, stored.Model)
			}
		})
	}
}

func TestPeopleAndPasskeysOutOfUse(t *testing.T) {
	t.Run("suspended", func(t *testing.T) {
		w := newWorld(t)
		a, _ := w.enrolled()
		w.suspend()
		p, err := w.login(a)
		w.wantReason(err, denial.UserSuspended)
		if p.User.ID != w.user.ID {
			t.Error("the record would not say whose passkey it was")
		}
	})
	t.Run("removed", func(t *testing.T) {
		w := newWorld(t)
		a, c := w.enrolled()
		w.enrolled()
		if err := w.tx(func(tx pgx.Tx) error { return Remove(context.Background(), tx, w.now, w.user.ID, c.ID) }); err != nil {
			t.Fatal(err)
		}
		_, err := w.login(a)
		w.wantReason(err, denial.CredentialRemoved)
		// Only its holder learns that it was removed.
		a.Lie.BreakSignature = true
		_, err = w.login(a)
		w.wantReason(err, denial.ResponseInvalid)
	})
}

func TestRefusalsQuoteWhatTheBrowserSent(t *testing.T) {
	w := newWorld(t)
	a, _ := w.enrolled()
	a.Lie.Origin = "https://evil.test\nlevel=info msg=\"all is well\""
	_, err := w.login(a)
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}
