package passkey

import (
	"context"
	"crypto/x509"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/attest/mds"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/passkey/passkeytest"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

const origin = "https://idp.test"

var model = [16]byte{1, 2, 3}

// world is a relying party with one person, on a real database.
type world struct {
	testing.TB
	pool     *pgxpool.Pool
	rp       *RelyingParty
	vendor   *passkeytest.CA
	service  *passkeytest.CA
	metadata attest.Metadata
	user     account.User
	browser  []byte
	now      time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, pool: pgtest.New(t), browser: secret.Of("browser").Digest(), now: time.Now().Truncate(time.Microsecond), metadata: attest.NoMetadata()}
	var err error
	if w.rp, err = New(Options{ID: "idp.test", Name: "Test", Origin: origin, Metadata: func() attest.Metadata { return w.metadata }}); err != nil {
		t.Fatal(err)
	}
	w.vendor, w.service = w.ca("Vendor root"), w.ca("Metadata root")
	w.user = w.person("ada")
	return w
}

func (w *world) person(name string) account.User {
	w.Helper()
	var u account.User
	denied := w.tx(func(tx pgx.Tx) (err error) {
		u, err = account.Create(context.Background(), tx, name, "Person "+name)
		return err
	})
	if denied != nil {
		w.Fatal(denied)
	}
	return u
}

func (w *world) ca(name string) *passkeytest.CA {
	w.Helper()
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

// tx runs fn and commits on success and on a denial, as audit.Log.Do does. It
// returns the denial; a fault ends the test.
func (w *world) tx(fn func(pgx.Tx) error) error {
	w.Helper()
	denied, err := attempt(w.pool, fn)
	if err != nil {
		w.Fatal(err)
	}
	return denied
}

// attempt is tx without a test to end, for use by many at once.
func attempt(pool *pgxpool.Pool, fn func(pgx.Tx) error) (denied, fault error) {
	fault = pgx.BeginFunc(context.Background(), pool, func(tx pgx.Tx) error {
		err := fn(tx)
		if _, ok := denial.ReasonOf(err); ok {
			denied, err = err, nil
		}
		return err
	})
	return denied, fault
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
	w.Helper()
	err = w.tx(func(tx pgx.Tx) error {
		c, err = w.rp.AcceptRegistration(context.Background(), tx, w.now, p)
		return err
	})
	return c, err
}

// answerRegistration returns what the authenticator says to a new ceremony.
func (w *world) answerRegistration(a *passkeytest.Authenticator) Registration {
	w.Helper()
	o := w.offerRegistration()
	response, err := a.Create(o.Options, origin)
	if err != nil {
		w.Fatal(err)
	}
	return Registration{Ceremony: o.Ceremony, Browser: w.browser, UserID: w.user.ID, Response: response}
}

// register enrols the authenticator.
func (w *world) register(a *passkeytest.Authenticator) (Credential, error) {
	w.Helper()
	return w.accept(w.answerRegistration(a))
}

// enrolled returns an honest authenticator with a registered credential.
func (w *world) enrolled() (*passkeytest.Authenticator, Credential) {
	w.Helper()
	a := &passkeytest.Authenticator{Attestation: passkeytest.AttestNone}
	c, err := w.register(a)
	if err != nil {
		w.Fatal(err)
	}
	return a, c
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
	w.Helper()
	err = w.tx(func(tx pgx.Tx) error {
		p, err = w.rp.VerifyLogin(context.Background(), tx, w.now, l)
		return err
	})
	return p, err
}

// answerLogin returns what the authenticator says to a new ceremony.
func (w *world) answerLogin(a *passkeytest.Authenticator) Login {
	w.Helper()
	o := w.offerLogin()
	response, err := a.Get(o.Options, origin)
	if err != nil {
		w.Fatal(err)
	}
	return Login{Ceremony: o.Ceremony, Browser: w.browser, Response: response}
}

// login signs in with the authenticator.
func (w *world) login(a *passkeytest.Authenticator) (Proof, error) {
	w.Helper()
	return w.verify(w.answerLogin(a))
}

func (w *world) wantReason(err error, want denial.Reason) {
	w.Helper()
	if got, _ := denial.ReasonOf(err); got != want {
		w.Errorf("got %v, want the denial %q", err, want)
	}
}

// passkeys returns what the person has.
func (w *world) passkeys() []Credential {
	w.Helper()
	list, err := Credentials(context.Background(), w.pool, w.user.ID)
	if err != nil {
		w.Fatal(err)
	}
	return list
}

// on returns the same world for a subtest.
func (w *world) on(t *testing.T) *world {
	sub := *w
	sub.TB = t
	return &sub
}

// newWorldLike returns a world on a database of its own with the same authorities.
func newWorldLike(t *testing.T, like *world) *world {
	w := newWorld(t)
	w.vendor, w.service = like.vendor, like.service
	return w
}

// suspend takes the person's account out of use.
func (w *world) suspend() {
	w.Helper()
	if err := w.tx(func(tx pgx.Tx) error { return account.Suspend(context.Background(), tx, w.user.ID) }); err != nil {
		w.Fatal(err)
	}
}
