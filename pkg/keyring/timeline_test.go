package keyring

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestKeysAreTiedToWhatTheySignedUnder(t *testing.T) {
	w := newWorld(t)
	r, other := w.ring(), w.ring()
	w.publish(w.now.AddDate(0, 1, 0))
	w.judge()
	w.pass(2*day, r)
	first := signer(r, ES256)
	w.publish(w.now.AddDate(0, 1, 0))
	w.turn(r)
	w.turn(other)
	w.turn(r)
	_, err := w.pool.Exec(t.Context(), `insert into trust_file (version, content, applied_at, applied_by) values ('0123456789ab', '', $1, 'test')`, w.now)
	w.must(err)
	w.pass(time.Hour, r, other)
	if kid, err := r.Rotate(t.Context(), ES256, "test"); err != nil || kid != "" {
		t.Fatalf("rotated before everything was judged: %q %v", kid, err)
	}
	w.judge()
	w.pass(time.Hour, r, other)
	second := signer(r, ES256)
	line, err := readTimeline(t.Context(), w.pool, DefaultRules(), w.now)
	w.must(err)
	var got []string
	for _, b := range line.Bases {
		for name, kid := range map[string]string{"first": first, "second": second} {
			if b.KeyID == kid {
				got = append(got, name+" "+b.Metadata+" "+b.TrustVersion)
			}
		}
	}
	const one, two = "fido:1:30303031", "fido:2:30303032"
	want := []string{"first  ", "first " + one + " ", "first " + two + " ", "first " + two + " 0123456789ab", "second " + two + " 0123456789ab"}
	if diff := cmp.Diff(want, got); diff != "" || first == second {
		t.Errorf("%s", diff)
	}
	if line.Under(second) != two+" / 0123456789ab" || line.Under("nobody") != "-" {
		t.Errorf("under %q", line.Under(second))
	}
	var updates []string
	for _, u := range line.Updates() {
		updates = append(updates, u.Metadata)
	}
	if !slices.Equal(updates, []string{one, two}) {
		t.Errorf("updates %v", updates)
	}
}

func TestARotationFollowsTheMetadataAndNeverOvertakesAJudgement(t *testing.T) {
	w := newWorld(t)
	r := w.ring()
	w.publish(w.now.AddDate(0, 0, 28))
	w.judge()
	first := signer(r, RS256)
	w.pass(28*day, r)
	w.publish(w.now.AddDate(0, 0, 28)) // two days before the interval is over
	w.pass(5*day, r)
	if signer(r, RS256) != first {
		t.Fatal("rotated between the update and the end of its judgement")
	}
	if codes := codesOf(r.Problems()); !slices.Equal(codes, slices.Repeat([]string{ProblemLate}, len(Algorithms()))) {
		t.Errorf("problems while a judgement does not end: %v", r.Problems())
	}
	w.judge()
	w.turn(r)
	if signer(r, RS256) == first {
		t.Error("not rotated at the end of the judgement")
	}
	// A source that is no longer configured holds nothing up and is followed no more.
	_, err := w.pool.Exec(t.Context(), `insert into metadata_blob (source, number, digest, blob, verified_at, next_update) values ('old', 9, 'x', '', $1, $2)`, w.now.Add(-time.Hour), w.now.AddDate(0, 0, -3))
	w.must(err)
	w.pass(time.Minute, r)
	if b := r.current.Load().read.basis; b.open || strings.Contains(b.metadata, "old:") || len(r.Problems()) != 0 {
		t.Errorf("%+v %v", b, r.Problems())
	}
}

func TestAJudgementIsOpenUntilAllIsJudged(t *testing.T) {
	w := newWorld(t)
	open := func(name string, want bool) {
		t.Helper()
		b, _, err := readBasis(t.Context(), w.pool)
		w.must(err)
		if b.open != want {
			t.Errorf("%s: open %v", name, b.open)
		}
	}
	exec := func(sql string, args ...any) {
		t.Helper()
		_, err := w.pool.Exec(t.Context(), sql, args...)
		w.must(err)
	}
	open("nothing to judge by", false)
	w.publish(w.now.AddDate(0, 1, 0))
	open("metadata that was never judged by", true)
	w.judge()
	open("judged", false)
	w.now = w.now.Add(day)
	exec(`update judgement set basis = replace(basis, ' / day /', ' / next day /'), started_at = $1, finished_at = null`, w.now)
	open("another day's judgement under way", true)
	w.judge()
	open("ended", false)
	w.now = w.now.Add(day)
	exec(`insert into trust_file (version, content, applied_at, applied_by) values ('0123456789ab', '', $1, 'test')`, w.now)
	open("another trust file", true)
	w.judge()
	open("judged by it", false)
	w.now = w.now.Add(day)
	exec(`update metadata_blob set digest = 'another', verified_at = $1`, w.now)
	open("another BLOB under the same number", true)
}

func TestProblemsOfOneRing(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	signing := func(age time.Duration) *Key {
		return &Key{CreatedAt: now.Add(-age), ActivatesAt: ptr(now.Add(-age))}
	}
	standing := func(age time.Duration) *Key { return &Key{CreatedAt: now.Add(-age)} }
	for _, tt := range []struct {
		name             string
		current, standby *Key
		want             []string
	}{
		{"young, nothing follows yet", signing(day), nil, nil},
		{"due within the wait, nothing follows", signing(29*day + time.Second), nil, []string{ProblemNoSuccessor}},
		{"due, something follows", signing(30 * day), standing(0), nil},
		{"the successor comes too late", signing(36*day + time.Second), standing(0), []string{ProblemNoSuccessor, ProblemLate}},
		{"late", signing(31*day + time.Second), standing(2 * day), []string{ProblemLate}},
		{"nothing signs", nil, standing(0), []string{ProblemNoSigner}},
		{"signs later", signing(-Lease), standing(0), []string{ProblemNoSigner}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := codesOf(problemsOf(view{now: now, current: tt.current, standby: tt.standby, rules: DefaultRules()}, RS256))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestProblems(t *testing.T) {
	w := newWorld(t)
	r := w.ring()
	check := func(name string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, slices.Compact(codesOf(r.Problems()))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	w.turn(r)
	check("good health")
	w.publish(w.now.AddDate(0, 0, 10))
	w.judge()
	w.pass(12*day, r)
	check("no update came", ProblemMetadataStale)
	w.publish(w.now.AddDate(0, 2, 0))
	w.judge()
	w.turn(r)
	check("it came")
	_, err := w.pool.Exec(t.Context(), `delete from signing_key where activates_at is null and algorithm = 'RS256'`)
	w.must(err)
	w.now = w.now.Add(17*day + 12*time.Hour)
	w.must(r.Reload(t.Context())) // follows only: something keeps it from publishing a successor
	check("nothing follows", ProblemNoSuccessor)
	w.turn(r)
	check("a successor in time")
	_, err = w.pool.Exec(t.Context(), `delete from signing_key_basis; `)
	w.must(err)
	_, err = w.pool.Exec(t.Context(), `update signing_key set honoured_at = $1, retires_at = $1 where activates_at is not null and algorithm = 'ES256'`, w.now)
	w.must(err)
	w.must(r.Reload(t.Context()))
	check("nobody signs", ProblemNoSigner)
	if _, err := r.Sign(ES256, "at+jwt", 1); err == nil {
		t.Error("signed without a key")
	}
	var metrics bytes.Buffer
	w.must(r.WriteMetrics(&metrics))
	for _, line := range []string{`touchstone_signing_keys{state="active",algorithm="RS256"} 1`, `touchstone_signing_keys{state="active",algorithm="ES256"} 0`,
		`touchstone_key_problem{problem="no_signer"} 1`, `touchstone_key_problem{problem="stale"} 0`, "touchstone_clock_skew_seconds 0.000", "touchstone_key_snapshot_age_seconds 0"} {
		if !strings.Contains(metrics.String(), line+"\n") {
			t.Errorf("metrics lack %s:\n%s", line, metrics.String())
		}
	}
	for _, code := range ProblemCodes() {
		if !strings.Contains(metrics.String(), `{problem="`+code+`"}`) {
			t.Errorf("metrics lack %s", code)
		}
	}
	if err := r.WriteMetrics(broken{}); err == nil {
		t.Error("metrics that could not be written are no error")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestSVG(t *testing.T) {
	w := newWorld(t)
	r := w.ring()
	for range 3 {
		w.publish(w.now.AddDate(0, 1, 0))
		w.judge()
		w.pass(31*day, r)
	}
	got, err := r.Emergency(t.Context(), ES256, `<script>alert("cause")</script>`, false)
	w.must(err)
	w.pass(30*time.Minute, r)
	line, err := readTimeline(t.Context(), w.pool, DefaultRules(), w.now)
	w.must(err)
	line.Bases[len(line.Bases)-1].Metadata = `<b>&"`
	svg := line.SVG()
	classes := map[string]int{}
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		if start, ok := token.(xml.StartElement); ok {
			if start.Name.Local == "script" || start.Name.Local == "b" {
				t.Error("text became an element")
			}
			for _, a := range start.Attr {
				if a.Name.Local == "class" {
					classes[a.Value]++
				}
			}
		}
	}
	for _, class := range []string{"pending", "active", "honoured", "planned", "window", "learn", "update", "update next", "now"} {
		if classes[class] == 0 {
			t.Errorf("the picture shows no %s", class)
		}
	}
	for _, text := range []string{got.Withdrawn[0] + ": left the key set on " + stamp(*line.Keys[slices.IndexFunc(line.Keys, func(k Key) bool { return k.ID == got.Withdrawn[0] })].WithdrawnAt) + "; gateways may accept it until " + stamp(got.AcceptedUntil),
		"planned to sign from", "next metadata update, promised for"} {
		if !strings.Contains(string(svg), text) {
			t.Errorf("the picture does not say %q", text)
		}
	}
	if again := line.SVG(); !bytes.Equal(svg, again) {
		t.Error("the same timeline gives another picture")
	}
}

func TestExplain(t *testing.T) {
	at := func(hours float64) *time.Time {
		return ptr(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(hours * float64(time.Hour))))
	}
	key := Key{ID: "k", CreatedAt: *at(0)}
	for _, tt := range []struct {
		name string
		key  Key
		now  float64
		want string
	}{
		{"standby, new", key, 1, "Published on 2027-01-01T00:00:00Z, does not sign yet: a token under it was not made here; gateways may hold the key set from before until 2027-01-01T01:10:00Z."},
		{"standby", key, 2, "Published on 2027-01-01T00:00:00Z, does not sign yet: a token under it was not made here; every gateway knows it."},
		{"fresh", Key{CreatedAt: *at(0), ActivatesAt: at(1)}, 0.5, "Published on 2027-01-01T00:00:00Z, signs from 2027-01-01T01:00:00Z; gateways may hold the key set from before until 2027-01-01T01:10:00Z."},
		{"active", Key{CreatedAt: *at(0), ActivatesAt: at(24)}, 25, "Signs since 2027-01-02T00:00:00Z; every gateway knows it."},
		{"honoured", Key{CreatedAt: *at(0), ActivatesAt: at(24), HonouredAt: at(48), RetiresAt: at(50)}, 49, "Signed until 2027-01-03T00:00:00Z, and stays in the key set until 2027-01-03T02:00:00Z: its tokens are accepted until they expire."},
		{"withdrawn", Key{CreatedAt: *at(0), ActivatesAt: at(24), HonouredAt: at(48), RetiresAt: at(48), WithdrawnAt: at(48)}, 48, "Taken out of the key set in an emergency on 2027-01-03T00:00:00Z; gateways may still accept it until 2027-01-03T01:10:00Z."},
		{"withdrawn, later", Key{CreatedAt: *at(0), ActivatesAt: at(24), HonouredAt: at(48), RetiresAt: at(48), WithdrawnAt: at(48)}, 50, "Taken out of the key set in an emergency on 2027-01-03T00:00:00Z; no gateway that reaches us has accepted it since 2027-01-03T01:10:00Z."},
		{"retired", Key{CreatedAt: *at(0), ActivatesAt: at(24), HonouredAt: at(48), RetiresAt: at(50)}, 50, "Left the key set on 2027-01-03T02:00:00Z; gateways may still accept it until 2027-01-03T03:10:00Z."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.key.explain(*at(tt.now))); diff != "" {
				t.Error(diff)
			}
		})
	}
	w := newWorld(t)
	r := w.ring()
	if said, err := Explain(t.Context(), w.pool, signer(r, RS256)); err != nil || strings.Contains(said, "ever had") {
		t.Errorf("%q %v", said, err)
	}
	if said, err := Explain(t.Context(), w.pool, "../../etc/passwd"); err != nil || !strings.Contains(said, "No key here ever had this id") {
		t.Errorf("%q %v", said, err)
	}
}
