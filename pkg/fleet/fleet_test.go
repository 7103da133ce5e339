package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/passkey/passkeytest"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

func TestANewBLOBTakesStandingAndGivesItBack(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.enrol("ada", w.key(acme)), w.enrol("bob", w.key(zeta))
	if o := w.pass(); o.Judged != 2 || o.Changed != 0 {
		t.Errorf("nothing changed, yet %+v", o)
	}
	if o := w.pass(); o.Judged != 0 {
		t.Errorf("judged again without a reason: %+v", o)
	}
	w.report("USER_KEY_REMOTE_COMPROMISE")
	if o := w.pass(); o.Judged != 2 || o.Changed != 1 || !slices.Equal(o.Models, []string{"Acme Key"}) {
		t.Errorf("%+v", o)
	}
	now := w.stored(ada)
	if now.Facts.Has(claim.FactMetadataCurrent) || !now.Facts.Has(claim.FactAttested) || slices.Contains(now.Levels, "phrh") || !slices.Contains(now.Levels, "company") || now.Quarantined {
		t.Errorf("ada: %+v", now)
	}
	if b := w.stored(bob); !b.Facts.Has(claim.FactMetadataCurrent) {
		t.Errorf("bob: %+v", b)
	}
	notices, err := account.Notices(t.Context(), w.pool, ada.UserID)
	if err != nil || len(notices) != 1 || notices[0].Kind != account.NoticeLostStanding || !strings.Contains(notices[0].Explanation, "USER_KEY_REMOTE_COMPROMISE") {
		t.Errorf("notices %+v, %v", notices, err)
	}
	w.report()
	if o := w.pass(); o.Changed != 1 || len(o.Models) != 0 || !w.stored(ada).Facts.Has(claim.FactMetadataCurrent) {
		t.Errorf("%+v", o)
	}
	if w.record(audit.CredentialRejudged) != 2 || w.record(audit.FleetRejudged) != 3 {
		t.Errorf("%d and %d entries", w.record(audit.CredentialRejudged), w.record(audit.FleetRejudged))
	}
}

func TestADayAndATrustFileAreReasonsToo(t *testing.T) {
	w := newWorld(t)
	ada := w.enrol("ada", w.key(acme))
	w.pass()
	w.now = w.now.AddDate(0, 3, 0) // past the next update and the grace
	if o := w.pass(); o.Changed != 1 || w.stored(ada).Facts.Has(claim.FactMetadataCurrent) {
		t.Errorf("stale metadata: %+v", o)
	}
	w.now = w.now.AddDate(0, -3, 0)
	w.pass()
	w.trust(strings.Replace(levels, "Acme*", "Zeta*", 1))
	if o := w.pass(); o.Changed != 1 || slices.Contains(w.stored(ada).Levels, "company") {
		t.Errorf("another list of models: %+v", o)
	}
}

func TestAStatusSuspendsUntilReleased(t *testing.T) {
	w := newWorld(t)
	w.trust(levels + "metadata: {consequences: {REVOKED: suspend}}\n")
	ada := w.enrol("ada", w.key(acme))
	w.report("REVOKED")
	w.pass()
	if c := w.stored(ada); !c.Quarantined || c.QuarantinedWhy != passkey.QuarantineMetadata {
		t.Fatalf("%+v", c)
	}
	w.do(func(tx pgx.Tx) error {
		c, err := passkey.Release(t.Context(), tx, w.now, ada.AuthenticatorID)
		if c.QuarantinedWhy != passkey.QuarantineMetadata {
			t.Errorf("released from %q", c.QuarantinedWhy)
		}
		return err
	})
	// The same status does not suspend it again; another one does.
	w.trust(levels + "metadata: {consequences: {REVOKED: suspend, RETIRED: suspend}}\n")
	w.pass()
	if c := w.stored(ada); c.Quarantined || c.Facts.Has(claim.FactMetadataCurrent) {
		t.Errorf("after release: %+v", c)
	}
	w.report("REVOKED", "RETIRED")
	w.pass()
	if c := w.stored(ada); !c.Quarantined {
		t.Errorf("after another status: %+v", c)
	}
	err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		_, err := passkey.Release(t.Context(), tx, w.now, "nobody's")
		return err
	})
	if err == nil {
		t.Error("released nobody's")
	}
}

func TestAnInterruptedPassGoesOn(t *testing.T) {
	w := newWorld(t)
	w.fill(1200)
	w.report("RETIRED")
	ctx, cancel := context.WithCancel(t.Context())
	j, looks := w.judge(), 0
	basis := j.options.Basis
	j.options.Basis = func() Basis {
		if looks++; looks == 3 {
			cancel() // after the first batch, as kill -9 would
		}
		return basis()
	}
	if _, err := j.Pass(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	before := w.record(audit.CredentialRejudged)
	o := w.pass()
	if before == 0 || before == 1200 || o.Judged != 1200 || w.record(audit.CredentialRejudged) != 1200 || w.record(audit.FleetRejudged) != 1 {
		t.Errorf("%d changed before, %+v, %d entries", before, o, w.record(audit.CredentialRejudged))
	}
}

// TestACompromiseIsToldOnce has what follows from it decided in the act that
// ends the pass, whatever happened before: a replica that died after the models
// were met, and an owner who was judged at a sign-in meanwhile.
func TestACompromiseIsToldOnce(t *testing.T) {
	w := newWorld(t)
	ada := w.enrol("ada", w.key(acme))
	w.fill(600)
	w.pass()
	var told [][]string
	fault := errors.New("killed")
	pass := func(fail error) {
		t.Helper()
		j := w.judge()
		j.options.OnCompromise = func(_ context.Context, _ pgx.Tx, models []string, _ string) (string, error) {
			told = append(told, models)
			return "rotate", fail
		}
		if _, err := j.Pass(t.Context()); !errors.Is(err, fail) {
			t.Fatalf("pass: %v", err)
		}
	}
	w.report("USER_KEY_REMOTE_COMPROMISE")
	if _, err := w.pool.Exec(t.Context(), `update credential set facts = array_remove(facts, 'metadata_current') where id = $1`, ada.ID); err != nil {
		t.Fatal(err)
	}
	pass(fault) // dies in the last act
	if n := w.record(audit.FleetRejudged); n != 1 {
		t.Errorf("%d passes are on record as finished", n)
	}
	pass(nil)
	pass(nil)
	w.report("USER_KEY_REMOTE_COMPROMISE", "REVOKED")
	pass(nil) // fallen already
	w.report()
	pass(nil)
	w.report("REVOKED")
	pass(nil) // fallen again
	if got := fmt.Sprint(told); got != "[[Acme Key] [Acme Key] [Acme Key]]" {
		t.Errorf("told %s, want once for the replica that died, once for its successor, and once for the second fall", got)
	}
	var keys string
	if err := w.pool.QueryRow(t.Context(), `select string_agg(details->>'keys', ' ') from audit_entry where action = 'fleet.rejudged'`).Scan(&keys); err != nil || keys != "rotate rotate" {
		t.Errorf("the record says %q (%v)", keys, err)
	}
}

func TestManyReplicasJudgeOnce(t *testing.T) {
	w := newWorld(t)
	w.fill(300)
	w.report("RETIRED")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := w.judge().Pass(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	w.pass()
	if n := w.record(audit.CredentialRejudged); n != 300 {
		t.Errorf("%d changes on record, want 300", n)
	}
}

func TestABasisThatChangesMeanwhileStartsAnew(t *testing.T) {
	w := newWorld(t)
	w.fill(1200)
	j, looks := w.judge(), 0
	w.report("RETIRED")
	retired := w.basis
	w.report()
	basis := w.basis
	j.options.Basis = func() Basis {
		if looks++; looks <= 2 {
			return retired
		}
		return basis
	}
	if o, err := j.Pass(t.Context()); err != nil || o.Judged != 1200 {
		t.Fatalf("%+v, %v", o, err)
	}
	var lost int
	if err := w.pool.QueryRow(t.Context(), `select count(*) from credential where not 'metadata_current' = any(facts)`).Scan(&lost); err != nil || lost != 0 {
		t.Errorf("%d credentials are left judged on what is no longer in force (%v)", lost, err)
	}
}

func TestThePlanTellsWhatThePassDoes(t *testing.T) {
	w := newWorld(t)
	spare := w.key(zeta)
	w.enrol("ada", w.key(acme))
	w.enrol("bob", w.key(acme), "staff")
	w.enrol("bob", spare)
	w.enrol("eve", &passkeytest.Authenticator{Attestation: passkeytest.AttestNone, Synced: true}, "staff")
	before := w.basis

	set, version := w.blob("REVOKED")
	after := Basis{set, version, before.Trust}
	i, err := Plan(t.Context(), w.pool, before, after, w.now)
	w.must(err)
	if i.Credentials != 4 || i.People != 3 || len(i.Changes) != 2 || len(i.LockedOut) != 0 || len(i.NoSpare) != 0 {
		t.Errorf("%+v", i)
	}
	if len(i.APIs) != 1 || i.APIs[0].Operation != "refund" || fmt.Sprint(names(i.APIs[0].People)) != "[ada]" || i.Hit() != 1 {
		t.Errorf("APIs %+v", i.APIs)
	}
	if w.stored(w.enrol("mallory", w.key(acme))).Quarantined || w.record(audit.CredentialRejudged) != 0 {
		t.Error("the plan changed something")
	}

	strict, err := trust.Parse("trust.yaml", []byte(levels+`
rules: [{name: staff-keys, groups: [staff], level: company, mode: enforce}]
metadata: {consequences: {REVOKED: suspend}}
`))
	w.must(err)
	i, err = Plan(t.Context(), w.pool, before, Basis{set, version, strict}, w.now)
	w.must(err)
	if fmt.Sprint(names(i.LockedOut)) != "[ada bob eve mallory]" {
		t.Errorf("locked out %v", names(i.LockedOut))
	}
	i, err = Plan(t.Context(), w.pool, before, Basis{before.Metadata, before.MetadataVersion, strict}, w.now)
	w.must(err)
	if fmt.Sprint(names(i.LockedOut)) != "[eve]" || fmt.Sprint(names(i.NoSpare)) != "[bob]" || len(i.Changes) != 2 || i.Changes[0].Rule != "staff-keys" {
		t.Errorf("locked out %v, without a spare %v, changes %+v", names(i.LockedOut), names(i.NoSpare), i.Changes)
	}
}

func TestThePlanTellsWhoLosesTheConsole(t *testing.T) {
	w := newWorld(t)
	w.enrol("ada", w.key(acme), "administrators")
	w.enrol("bob", w.key(zeta), "administrators")
	w.enrol("bob", &passkeytest.Authenticator{Attestation: passkeytest.AttestNone}, "administrators")
	w.enrol("eve", w.key(acme), "staff")
	file := func(console string) Basis {
		t.Helper()
		f, err := trust.Parse("trust.yaml", []byte(levels+console))
		w.must(err)
		return Basis{w.basis.Metadata, w.basis.MetadataVersion, f}
	}
	open := file("console: {group: administrators}\n")
	for _, tt := range []struct {
		name          string
		before, after Basis
		want          string
		shut          bool
	}{
		{"the same", open, open, "[]", false},
		{"there was none", file(""), open, "[]", false},
		{"it is taken away", open, file(""), "[ada bob]", true},
		{"another group, whose members are others", open, file("console: {group: staff}\n"), "[ada bob]", false},
		{"a group of nobody's", open, file("console: {group: root}\n"), "[ada bob]", true},
		{"a level that only one model has", open, file("console: {group: administrators, level: company}\n"), "[bob]", false},
		{"a weaker one", open, file("console: {group: administrators, level: phr}\n"), "[]", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i, err := Plan(t.Context(), w.pool, tt.before, tt.after, w.now)
			w.must(err)
			if fmt.Sprint(names(i.Console)) != tt.want || i.ConsoleShut != tt.shut || i.Hit() != len(i.Console) {
				t.Errorf("lose the console: %v, shut %v, %d hit", names(i.Console), i.ConsoleShut, i.Hit())
			}
		})
	}
	set, version := w.blob("REVOKED")
	i, err := Plan(t.Context(), w.pool, open, Basis{set, version, open.Trust}, w.now)
	w.must(err)
	if fmt.Sprint(names(i.Console)) != "[ada]" {
		t.Errorf("after a revocation: %v", names(i.Console))
	}
}

func names(people []Person) []string {
	var out []string
	for _, p := range people {
		out = append(out, p.Name)
	}
	return out
}

func TestTheFleetIsListed(t *testing.T) {
	w := newWorld(t)
	w.enrol("ada", w.key(acme))
	w.enrol("eve", &passkeytest.Authenticator{AAGUID: acme, Attestation: passkeytest.AttestNone, Synced: true})
	var list []Member
	w.must(Walk(t.Context(), w.pool, w.basis, w.now, func(m Member) error { list = append(list, m); return nil }))
	slices.SortFunc(list, func(a, b Member) int { return strings.Compare(a.Owner.Name, b.Owner.Name) })
	if len(list) != 2 || !list[0].Proven || list[0].Model != "Acme Key" || list[0].WhyNotNext != "" || fmt.Sprint(list[0].Levels) != "[phr phrh company]" {
		t.Errorf("%+v", list)
	}
	if e := list[1]; e.Proven || e.WhyNotNext != "phrh: lacks attested, device_bound, hardware, metadata_current" && !strings.HasPrefix(e.WhyNotNext, "phrh: lacks ") {
		t.Errorf("%+v", e)
	}
}

func TestATrustFileIsAppliedEverywhereOnce(t *testing.T) {
	w := newWorld(t)
	one, err := OpenTrustFile(t.Context(), w.pool)
	w.must(err)
	two, err := OpenTrustFile(t.Context(), w.pool)
	w.must(err)
	changed, ctx := make(chan string, 4), t.Context()
	ctx, stop := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { two.Watch(ctx, zerolog.Nop(), func() { changed <- two.Current().Version }) })
	applied, err := one.Apply(t.Context(), w.log, w.now, "trust.yaml", []byte(levels), "test")
	w.must(err)
	if got := <-changed; got != applied.Version || one.Current().Version != got {
		t.Errorf("version %s, want %s", got, applied.Version)
	}
	if _, err := one.Apply(t.Context(), w.log, w.now, "trust.yaml", []byte("# the same\n"+levels), "test"); err != nil || w.record(audit.TrustApplied) != 1 {
		t.Errorf("applied again: %v, %d entries", err, w.record(audit.TrustApplied))
	}
	if _, err := one.Apply(t.Context(), w.log, w.now, "trust.yaml", []byte("levels: 5"), "test"); err == nil || one.Current().Version != applied.Version {
		t.Errorf("a faulty file: %v", err)
	}
	stop()
	done.Wait()
}

// fill stores many credentials with the evidence of one.
func (w *world) fill(n int) {
	w.Helper()
	c := w.enrol("many", w.key(acme))
	_, err := w.pool.Exec(context.Background(), `
		insert into credential (id, user_id, rp_id, credential_id, public_key, algorithm, authenticator_id, nickname, aaguid, format, attestation_type, attestation_object, client_data,
			chain, transports, attachment, flags, backup_eligible, backup_state, uv_initialised, sign_count, metadata_number, facts, levels, model, created_at)
		select gen_random_uuid(), user_id, rp_id, sha256(i::text::bytea), public_key, algorithm, 'copy ' || i, nickname, aaguid, format, attestation_type, attestation_object, client_data,
			chain, transports, attachment, flags, backup_eligible, backup_state, uv_initialised, sign_count, metadata_number, facts, levels, model, created_at
		from credential, generate_series(2, $2::int) i where id = $1`, c.ID, n)
	w.must(err)
}

// BenchmarkJudge judges a fleet of 100,000 in which nothing changes; it reports
// how long one credential takes.
func BenchmarkJudge(b *testing.B) {
	for _, tt := range []struct {
		name   string
		status []string
	}{{"unchanged", nil}, {"changed", []string{"RETIRED"}}} {
		b.Run(tt.name, func(b *testing.B) {
			const fleet = 100_000
			w := newWorld(b)
			w.fill(fleet)
			w.pass()
			w.report(tt.status...)
			began := time.Now()
			if o := w.pass(); o.Judged != fleet {
				b.Fatalf("%+v", o)
			}
			b.ReportMetric(float64(time.Since(began).Microseconds())/fleet, "µs/credential")
			b.ReportMetric(time.Since(began).Seconds(), "s/100k")
		})
	}
}
