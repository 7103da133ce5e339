package fleet

import (
	"context"
	"crypto/x509"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/attest/mds"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/passkey/passkeytest"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
	"github.com/touchstone-id/touchstone/pkg/secret"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// The models of these tests.
var (
	acme = [16]byte{1, 2, 3}
	zeta = [16]byte{9, 9, 9}
)

const levels = `
levels:
  - name: company
    facts: [uv, attested]
    models: {allow: [{name: "Acme*"}]}
apis:
  - {name: orders, audience: "https://api.test/orders", path: /orders, require: {level: phr}, operations: [{name: refund, method: POST, url: /refund, require: {level: phrh}}]}
`

// world is a fleet on a real database, with a metadata service of its own.
type world struct {
	testing.TB
	pool            *pgxpool.Pool
	log             *audit.Log
	rp              *passkey.RelyingParty
	vendor, service *passkeytest.CA
	basis           Basis
	now             time.Time
	number          int
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, pool: pgtest.New(t), now: time.Now().Truncate(time.Microsecond)}
	w.log = audit.New(w.pool)
	w.vendor, w.service = w.ca("Acme Corp"), w.ca("Metadata root")
	w.trust(levels)
	w.report()
	var err error
	w.rp, err = passkey.New(passkey.Options{ID: "idp.test", Name: "Test", Origin: "https://idp.test",
		Metadata: func() attest.Metadata { return w.basis.Metadata }, Trust: func() *trust.Trust { return w.basis.Trust }})
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) ca(name string) *passkeytest.CA {
	w.Helper()
	ca, err := passkeytest.NewCA(name, time.Now())
	w.must(err)
	return ca
}

// trust puts another trust file in force.
func (w *world) trust(text string) {
	w.Helper()
	t, err := trust.Parse("trust.yaml", []byte(text))
	w.must(err)
	w.basis.Trust = t
}

// report publishes the next BLOB, in which the model acme has more statuses.
func (w *world) report(status ...string) {
	w.Helper()
	w.basis.Metadata, w.basis.MetadataVersion = w.blob(status...)
}

func (w *world) blob(status ...string) (*mds.Set, string) {
	w.Helper()
	w.number++
	reports := [][2]string{{"FIDO_CERTIFIED_L2", "2020-01-01"}}
	for _, s := range status {
		reports = append(reports, [2]string{s, "2024-01-01"})
	}
	entry := func(aaguid [16]byte, name string, reports [][2]string) passkeytest.Model {
		return passkeytest.Model{AAGUID: aaguid, Description: name, Roots: []*x509.Certificate{w.vendor.Certificate}, KeyProtection: []string{"hardware"}, Status: reports}
	}
	blob, err := w.service.BLOB(w.number, w.now.AddDate(0, 1, 0), entry(acme, "Acme Key", reports), entry(zeta, "Zeta Key", [][2]string{{"FIDO_CERTIFIED_L1", "2020-01-01"}}))
	w.must(err)
	set, err := mds.Parse(blob, []*x509.Certificate{w.service.Certificate}, time.Now())
	w.must(err)
	return set, string(rune('a' + w.number))
}

// do runs a step of an act.
func (w *world) do(step func(pgx.Tx) error) {
	w.Helper()
	w.must(pgx.BeginFunc(context.Background(), w.pool, step))
}

// enrol gives a person, made when new, a passkey.
func (w *world) enrol(name string, key *passkeytest.Authenticator, groups ...string) passkey.Credential {
	w.Helper()
	ctx, browser := context.Background(), secret.Of("browser").Digest()
	var c passkey.Credential
	w.do(func(tx pgx.Tx) error {
		u, err := account.ByName(ctx, tx, name)
		if err != nil {
			if u, err = account.Create(ctx, tx, name, ""); err != nil {
				return err
			}
			if err := account.SetGroups(ctx, tx, u.ID, groups); err != nil {
				return err
			}
		}
		o, err := w.rp.OfferRegistration(ctx, tx, w.now, u, browser)
		if err != nil {
			return err
		}
		response, err := key.Create(o.Options, "https://idp.test")
		if err != nil {
			return err
		}
		c, err = w.rp.AcceptRegistration(ctx, tx, w.now, passkey.Registration{Ceremony: o.Ceremony, Browser: browser, UserID: u.ID, Response: response})
		return err
	})
	return c
}

func (w *world) key(model [16]byte) *passkeytest.Authenticator {
	return &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.vendor}
}

// judge is a replica that judges.
func (w *world) judge() *Judge {
	return NewJudge(Options{Pool: w.pool, Log: w.log, Basis: func() Basis { return w.basis }, Logger: zerolog.Nop(), Now: func() time.Time { return w.now }})
}

// pass has everything judged again.
func (w *world) pass() Outcome {
	w.Helper()
	o, err := w.judge().Pass(context.Background())
	w.must(err)
	return o
}

// stored returns the credential as it is now.
func (w *world) stored(c passkey.Credential) passkey.Credential {
	w.Helper()
	all, err := passkey.Credentials(context.Background(), w.pool, c.UserID)
	w.must(err)
	for _, other := range all {
		if other.ID == c.ID {
			return other
		}
	}
	w.Fatalf("no credential %s", c.ID)
	return c
}

// record counts the entries of an action.
func (w *world) record(action audit.Action) int {
	w.Helper()
	var n int
	w.must(w.pool.QueryRow(context.Background(), `select count(*) from audit_entry where action = $1`, action).Scan(&n))
	return n
}
