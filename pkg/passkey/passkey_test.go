package passkey

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/attest/mds"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/passkey/passkeytest"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

const origin = "https://idp.test"

var model = [16]byte{1, 2, 3}

// world is a relying party with one person, on a real database.
type world struct {
	*testing.T
	pool     *pgxpool.Pool
	rp       *RelyingParty
	vendor   *passkeytest.CA
	service  *passkeytest.CA
	metadata attest.Metadata
	user     account.User
	browser  []byte
	now      time.Time
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, pool: pgtest.New(t), browser: secret.Of("browser").Digest(), now: time.Now()}
	w.metadata = attest.NoMetadata()
	var err error
	if w.rp, err = New(Options{ID: "idp.test", Name: "Test", Origin: origin, Metadata: func() attest.Metadata { return w.metadata }}); err != nil {
		t.Fatal(err)
	}
	w.vendor = w.ca("Vendor root")
	w.service = w.ca("Metadata root")
	w.tx(func(tx pgx.Tx) error {
		w.user, err = account.Create(context.Background(), tx, "ada", "Ada Lovelace")
		return err
	})
	return w
}

func (w *world) ca(name string) *passkeytest.CA {
	ca, err := passkeytest.NewCA(name, w.now)
	if err != nil {
		w.Fatal(err)
	}
	return ca
}

// trustModel loads metadata that anchors the test model at the roots.
func (w *world) trustModel(status string, roots ...*x509.Certificate) {
	w.Helper()
	blob, err := w.service.BLOB(7, w.now.AddDate(0, 1, 0), passkeytest.Model{AAGUID: model, Description: "Acme Key", Roots: roots,
		KeyProtection: []string{"hardware", "secure_element"}, Status: [][2]string{{"FIDO_CERTIFIED_L2", "2020-01-01"}, {status, "2021-01-01"}}})
	if err != nil {
		w.Fatal(err)
	}
	set, err := mds.Parse(blob, []*x509.Certificate{w.service.Certificate}, w.now)
	if err != nil {
		w.Fatal(err)
	}
	w.metadata = set
}

// tx runs fn and commits on success and on a denial, as audit.Log.Do does.
func (w *world) tx(fn func(pgx.Tx) error) error {
	w.Helper()
	var denied error
	err := pgx.BeginFunc(context.Background(), w.pool, func(tx pgx.Tx) error {
		err := fn(tx)
		if _, ok := denial.ReasonOf(err); ok {
			denied, err = err, nil
		}
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return denied
}

func (w *world) offerRegistration() Offer {
	w.Helper()
	o, err := w.rp.OfferRegistration(context.Background(), w.pool, w.now, w.user, w.browser)
	if err != nil {
		w.Fatal(err)
	}
	return o
}

func (w *world) accept(p Registration) (c Credential, err error) {
	err = w.tx(func(tx pgx.Tx) error {
		c, err = w.rp.AcceptRegistration(context.Background(), tx, w.now, p)
		return err
	})
	return c, err
}

// register enrols the authenticator.
func (w *world) register(a *passkeytest.Authenticator) (Credential, error) {
	w.Helper()
	o := w.offerRegistration()
	response, err := a.Create(o.Options, origin)
	if err != nil {
		w.Fatal(err)
	}
	return w.accept(Registration{Ceremony: o.Ceremony, Browser: w.browser, UserID: w.user.ID, Response: response})
}

func (w *world) offerLogin() Offer {
	w.Helper()
	o, err := w.rp.OfferLogin(context.Background(), w.pool, w.now, w.browser)
	if err != nil {
		w.Fatal(err)
	}
	return o
}

func (w *world) verify(l Login) (p Proof, err error) {
	err = w.tx(func(tx pgx.Tx) error {
		p, err = w.rp.VerifyLogin(context.Background(), tx, w.now, l)
		return err
	})
	return p, err
}

// login signs in with the authenticator.
func (w *world) login(a *passkeytest.Authenticator) (Proof, error) {
	w.Helper()
	o := w.offerLogin()
	response, err := a.Get(o.Options, origin)
	if err != nil {
		w.Fatal(err)
	}
	return w.verify(Login{Ceremony: o.Ceremony, Browser: w.browser, Response: response})
}

func (w *world) wantReason(err error, want denial.Reason) {
	w.Helper()
	if got, _ := denial.ReasonOf(err); got != want {
		w.Errorf("got %v, want the denial %q", err, want)
	}
}

func TestFactsFollowTheEvidence(t *testing.T) {
	for _, tt := range []struct {
		name          string
		authenticator func(w *world) *passkeytest.Authenticator
		metadata      func(w *world)
		want          []claim.Fact
	}{
		{"no attestation, certified AAGUID claimed",
			func(*world) *passkeytest.Authenticator {
				return &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestNone}
			},
			func(w *world) { w.trustModel("UPDATE_AVAILABLE", w.vendor.Certificate) }, []claim.Fact{"device_bound", "uv"}},
		{"self attestation, certified AAGUID claimed",
			func(*world) *passkeytest.Authenticator {
				return &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestSelf}
			},
			func(w *world) { w.trustModel("UPDATE_AVAILABLE", w.vendor.Certificate) }, []claim.Fact{"device_bound", "uv"}},
		{"attested, hardware, certified",
			func(w *world) *passkeytest.Authenticator {
				return &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.vendor}
			},
			func(w *world) { w.trustModel("UPDATE_AVAILABLE", w.vendor.Certificate) },
			[]claim.Fact{"attested", "device_bound", "fido_certified", "fido_l1", "fido_l1plus", "fido_l2", "hardware", "metadata_current", "secure_element", "uv"}},
		{"attested by another CA",
			func(w *world) *passkeytest.Authenticator {
				return &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.ca("Vendor root")}
			},
			func(w *world) { w.trustModel("UPDATE_AVAILABLE", w.vendor.Certificate) }, []claim.Fact{"device_bound", "uv"}},
		{"attested, model revoked",
			func(w *world) *passkeytest.Authenticator {
				return &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.vendor}
			},
			func(w *world) { w.trustModel("REVOKED", w.vendor.Certificate) },
			[]claim.Fact{"attested", "device_bound", "hardware", "secure_element", "uv"}},
		{"attested, no metadata",
			func(w *world) *passkeytest.Authenticator {
				return &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.vendor}
			},
			func(*world) {}, []claim.Fact{"device_bound", "uv"}},
		{"synced",
			func(*world) *passkeytest.Authenticator {
				return &passkeytest.Authenticator{Attestation: passkeytest.AttestNone, Synced: true}
			},
			func(*world) {}, []claim.Fact{"uv"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.metadata(w)
			a := tt.authenticator(w)
			if _, err := w.register(a); err != nil {
				t.Fatal(err)
			}
			p, err := w.login(a)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal([]claim.Fact(p.Facts), tt.want) {
				t.Errorf("facts %v, want %v", p.Facts, tt.want)
			}
			if attested := p.Facts.Has(claim.FactAttested); attested != (p.AAGUID != "") {
				t.Errorf("attested %v but AAGUID %q", attested, p.AAGUID)
			}
			if p.User.ID != w.user.ID {
				t.Errorf("proved %s, want %s", p.User.ID, w.user.ID)
			}
		})
	}
}

func TestFactsAreJudgedAgainAtSignIn(t *testing.T) {
	w := newWorld(t)
	w.trustModel("UPDATE_AVAILABLE", w.vendor.Certificate)
	a := &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.vendor}
	if _, err := w.register(a); err != nil {
		t.Fatal(err)
	}
	w.trustModel("USER_KEY_REMOTE_COMPROMISE", w.vendor.Certificate)
	p, err := w.login(a)
	if err != nil {
		t.Fatal(err)
	}
	if p.Facts.Has(claim.FactMetadataCurrent) || !p.Facts.Has(claim.FactAttested) {
		t.Errorf("facts after the compromise: %v", p.Facts)
	}
}

func TestDishonestRegistrations(t *testing.T) {
	for _, tt := range []struct {
		name string
		lie  passkeytest.Lie
		want denial.Reason
	}{
		{"other origin", passkeytest.Lie{Origin: "https://idp.test.evil.test"}, denial.OriginMismatch},
		{"other port", passkeytest.Lie{Origin: "https://idp.test:8443"}, denial.OriginMismatch},
		{"plain http", passkeytest.Lie{Origin: "http://idp.test"}, denial.OriginMismatch},
		{"cross-origin frame", passkeytest.Lie{CrossOrigin: true}, denial.OriginMismatch},
		{"other RP", passkeytest.Lie{RPID: "evil.test"}, denial.ResponseInvalid},
		{"other challenge", passkeytest.Lie{Challenge: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, denial.ResponseInvalid},
		{"assertion's client data", passkeytest.Lie{Type: "webauthn.get"}, denial.ResponseInvalid},
		{"person not verified", passkeytest.Lie{NoUV: true}, denial.UserVerificationMissing},
		{"not discoverable", passkeytest.Lie{NoResidentKey: true}, denial.NotDiscoverable},
		{"broken statement", passkeytest.Lie{BreakSignature: true}, denial.AttestationInvalid},
		{"AAGUID differs from the certificate", passkeytest.Lie{CertifiedAAGUID: make([]byte, 16)}, denial.AttestationInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			_, err := w.register(&passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.vendor, Lie: tt.lie})
			w.wantReason(err, tt.want)
			if list, err := Credentials(context.Background(), w.pool, w.user.ID); err != nil || len(list) != 0 {
				t.Errorf("stored %d credentials, %v", len(list), err)
			}
		})
	}
}

func TestDishonestLogins(t *testing.T) {
	zero := uint32(0)
	for _, tt := range []struct {
		name string
		lie  passkeytest.Lie
		want denial.Reason
	}{
		{"other origin", passkeytest.Lie{Origin: "https://sub.idp.test"}, denial.OriginMismatch},
		{"other RP", passkeytest.Lie{RPID: "evil.test"}, denial.ResponseInvalid},
		{"other challenge", passkeytest.Lie{Challenge: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, denial.ResponseInvalid},
		{"registration's client data", passkeytest.Lie{Type: "webauthn.create"}, denial.ResponseInvalid},
		{"person not verified", passkeytest.Lie{NoUV: true}, denial.UserVerificationMissing},
		{"broken signature", passkeytest.Lie{BreakSignature: true}, denial.ResponseInvalid},
		{"other person's handle", passkeytest.Lie{UserHandle: []byte("someone else")}, denial.ResponseInvalid},
		{"backup eligibility changed", passkeytest.Lie{FlipBackup: true}, denial.BackupFlagsChanged},
		{"counter went back", passkeytest.Lie{Counter: &zero}, denial.CloneSuspected},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			a := &passkeytest.Authenticator{Attestation: passkeytest.AttestNone}
			if _, err := w.register(a); err != nil {
				t.Fatal(err)
			}
			if _, err := w.login(a); err != nil {
				t.Fatal(err)
			}
			a.Lie = tt.lie
			_, err := w.login(a)
			w.wantReason(err, tt.want)
			a.Lie = passkeytest.Lie{}
			_, err = w.login(a)
			if tt.want == denial.CloneSuspected {
				w.wantReason(err, denial.CredentialQuarantined)
			} else if err != nil {
				t.Errorf("an honest login afterwards: %v", err)
			}
		})
	}
}

func TestCeremonyIsUsedOnceByItsBrowserInTime(t *testing.T) {
	w := newWorld(t)
	a := &passkeytest.Authenticator{Attestation: passkeytest.AttestNone}
	if _, err := w.register(a); err != nil {
		t.Fatal(err)
	}
	o := w.offerLogin()
	response, err := a.Get(o.Options, origin)
	if err != nil {
		t.Fatal(err)
	}
	l := Login{Ceremony: o.Ceremony, Browser: secret.Of("other").Digest(), Response: response}
	_, err = w.verify(l)
	w.wantReason(err, denial.CeremonyOtherBrowser)
	if Consumed(err) {
		t.Error("an attempt from another browser consumed the ceremony")
	}
	l.Browser = w.browser
	if _, err := w.verify(l); err != nil {
		t.Errorf("the right browser after a wrong one: %v", err)
	}
	_, err = w.verify(l)
	w.wantReason(err, denial.CeremonyUnknown)

	late := w.offerLogin()
	w.now = w.now.Add(CeremonyLife + time.Second)
	_, err = w.verify(Login{Ceremony: late.Ceremony, Browser: w.browser, Response: response})
	w.wantReason(err, denial.CeremonyExpired)

	// A registration's ceremony does not serve an assertion.
	_, err = w.verify(Login{Ceremony: w.offerRegistration().Ceremony, Browser: w.browser, Response: response})
	w.wantReason(err, denial.CeremonyUnknown)
}

func TestFailedAttemptSpendsTheCeremony(t *testing.T) {
	w := newWorld(t)
	o := w.offerRegistration()
	_, err := w.accept(Registration{Ceremony: o.Ceremony, Browser: w.browser, UserID: w.user.ID, Response: []byte("{}")})
	w.wantReason(err, denial.ResponseMalformed)
	_, err = w.accept(Registration{Ceremony: o.Ceremony, Browser: w.browser, UserID: w.user.ID, Response: []byte("{}")})
	w.wantReason(err, denial.CeremonyUnknown)
}

func TestFiftyAnswersToOneCeremony(t *testing.T) {
	w := newWorld(t)
	a := &passkeytest.Authenticator{Attestation: passkeytest.AttestNone}
	if _, err := w.register(a); err != nil {
		t.Fatal(err)
	}
	o := w.offerLogin()
	response, err := a.Get(o.Options, origin)
	if err != nil {
		t.Fatal(err)
	}
	var wins, refused int
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			err := pgx.BeginFunc(context.Background(), w.pool, func(tx pgx.Tx) error {
				_, err := w.rp.VerifyLogin(context.Background(), tx, w.now, Login{Ceremony: o.Ceremony, Browser: w.browser, Response: response})
				return err
			})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				wins++
			} else if denial.Is(err, denial.CeremonyUnknown) {
				refused++
			}
		})
	}
	group.Wait()
	if wins != 1 || refused != 49 {
		t.Errorf("%d won and %d were refused, want 1 and 49", wins, refused)
	}
}

func TestSameKeyIsExcludedAndNeverStoredTwice(t *testing.T) {
	w := newWorld(t)
	a := &passkeytest.Authenticator{Attestation: passkeytest.AttestNone}
	if _, err := w.register(a); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Create(w.offerRegistration().Options, origin); !errors.Is(err, passkeytest.ErrExcluded) {
		t.Errorf("a second registration = %v, want it excluded", err)
	}
}

func TestLastCredentialStays(t *testing.T) {
	w := newWorld(t)
	first, err := w.register(&passkeytest.Authenticator{Attestation: passkeytest.AttestNone})
	if err != nil {
		t.Fatal(err)
	}
	remove := func(id string) error {
		return w.tx(func(tx pgx.Tx) error { return Remove(context.Background(), tx, w.now, w.user.ID, id) })
	}
	w.wantReason(remove(first.ID), denial.LastCredential)
	if _, err := w.register(&passkeytest.Authenticator{Attestation: passkeytest.AttestNone}); err != nil {
		t.Fatal(err)
	}
	if err := remove(first.ID); err != nil {
		t.Error(err)
	}
	w.wantReason(remove(first.ID), denial.CredentialUnknown)
}
