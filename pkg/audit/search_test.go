package audit_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
)

// search is another replica's.
func (w *world) search() *audit.Search {
	w.Helper()
	s, err := audit.NewSearch(make([]byte, 32))
	w.must(err)
	return s
}

// numbered records an act that a page can be told by.
func (w *world) numbered(user string, n int) {
	w.Helper()
	w.must(w.log.Do(w.Context(), func(pgx.Tx) (audit.Event, error) {
		return audit.Event{Action: audit.SignIn, UserID: user, Session: fmt.Sprint(n), ClientID: "web", Credential: "c" + user}, nil
	}))
}

func (w *world) page(q audit.Query) (audit.Page, string) {
	w.Helper()
	p, err := w.search().Page(w.Context(), w.pool, q)
	w.must(err)
	var sessions []string
	for _, e := range p.Entries {
		sessions = append(sessions, e.Session)
	}
	return p, strings.Join(sessions, " ")
}

func TestPagesStandStillWhileEntriesArrive(t *testing.T) {
	w := newWorld(t)
	for i := range 7 {
		w.numbered("ada", i)
		w.numbered("bob", 100+i)
	}
	q := audit.Query{UserID: "ada", Limit: 3}
	first, got := w.page(q)
	if got != "6 5 4" || first.Newer != "" {
		t.Fatalf("first page %q, %+v", got, first)
	}
	w.numbered("ada", 7)
	q.Cursor = first.Older
	second, got := w.page(q)
	if got != "3 2 1" {
		t.Errorf("second page %q", got)
	}
	w.numbered("ada", 8)
	q.Cursor = second.Older
	third, got := w.page(q)
	if got != "0" || third.Older != "" {
		t.Errorf("third page %q, %+v", got, third)
	}
	q.Cursor = third.Newer
	back, got := w.page(q)
	if got != "3 2 1" || back.Older == "" {
		t.Errorf("back to %q, %+v", got, back)
	}
	q.Cursor = back.Newer
	back, got = w.page(q)
	if got != "6 5 4" {
		t.Errorf("back to %q", got)
	}
	q.Cursor = back.Newer
	back, got = w.page(q)
	if got != "8 7" || back.Newer != "" {
		t.Errorf("back to %q, %+v", got, back)
	}
	q.Cursor = back.Older
	if _, got = w.page(q); got != "6 5 4" {
		t.Errorf("and forth again to %q", got)
	}
	q.Cursor, q.Limit = "", 9
	if whole, got := w.page(q); got != "8 7 6 5 4 3 2 1 0" || whole.Older != "" || whole.Newer != "" {
		t.Errorf("exactly one page: %q, %+v", got, whole)
	}
}

func TestEntriesAreFoundByWhatTheyAreAbout(t *testing.T) {
	w := newWorld(t)
	w.numbered("ada", 1)
	w.numbered("bob", 2)
	err := w.log.Do(t.Context(), func(pgx.Tx) (audit.Event, error) {
		return audit.Event{Action: audit.CodeRedeemed, UserID: "bob", Session: "3", ClientID: "spa"}, denial.New(denial.CodeReplayed, "")
	})
	if !denial.Is(err, denial.CodeReplayed) {
		t.Fatal(err)
	}
	recent, err := audit.Recent(t.Context(), w.pool, 3)
	w.must(err)
	middle := recent[1].At
	for _, tt := range []struct {
		name  string
		query audit.Query
		want  string
	}{
		{"everything", audit.Query{}, "3 2 1"},
		{"person", audit.Query{UserID: "bob"}, "3 2"},
		{"client", audit.Query{ClientID: "spa"}, "3"},
		{"credential", audit.Query{Credential: "cada"}, "1"},
		{"action", audit.Query{Action: audit.SignIn}, "2 1"},
		{"outcome", audit.Query{Outcome: "refused"}, "3"},
		{"from", audit.Query{From: middle}, "3 2"},
		{"to", audit.Query{To: middle}, "1"},
		{"both", audit.Query{From: middle, To: middle.Add(time.Microsecond)}, "2"},
		{"nobody", audit.Query{UserID: "ada", ClientID: "spa"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, got := w.page(tt.query); got != tt.want {
				t.Error(cmp.Diff(tt.want, got))
			}
		})
	}
}

func TestCursorsAreNeitherMadeUpNorCrossed(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		w.numbered("ada", i)
	}
	own := audit.Query{UserID: "ada", ClientID: "web", From: time.Unix(0, 0), Limit: 1}
	first, _ := w.page(own)
	foreign, err := audit.NewSearch([]byte("another installation's secret 32"))
	w.must(err)
	other, err := foreign.Page(t.Context(), w.pool, own)
	w.must(err)
	raw, err := base64.RawURLEncoding.DecodeString(first.Older)
	w.must(err)
	with := func(change func(*audit.Query)) audit.Query {
		q := own
		q.Cursor = first.Older
		change(&q)
		return q
	}
	tests := map[string]audit.Query{
		"another person":      with(func(q *audit.Query) { q.UserID = "bob" }),
		"another client":      with(func(q *audit.Query) { q.ClientID = "" }),
		"another credential":  with(func(q *audit.Query) { q.Credential = "c" }),
		"another action":      with(func(q *audit.Query) { q.Action = audit.SignIn }),
		"another outcome":     with(func(q *audit.Query) { q.Outcome = "done" }),
		"another beginning":   with(func(q *audit.Query) { q.From = q.From.Add(time.Second) }),
		"another end":         with(func(q *audit.Query) { q.To = time.Unix(1<<40, 0) }),
		"fields exchanged":    with(func(q *audit.Query) { q.UserID, q.ClientID = q.ClientID, q.UserID }),
		"another secret":      with(func(q *audit.Query) { q.Cursor = other.Older }),
		"rubbish":             with(func(q *audit.Query) { q.Cursor = "rubbish" }),
		"cut":                 with(func(q *audit.Query) { q.Cursor = q.Cursor[:40] }),
		"longer":              with(func(q *audit.Query) { q.Cursor += "AAAA" }),
		"without a signature": with(func(q *audit.Query) { q.Cursor = base64.RawURLEncoding.EncodeToString(raw[:25]) }),
		"with an empty one": with(func(q *audit.Query) {
			q.Cursor = base64.RawURLEncoding.EncodeToString(append(raw[:25:25], make([]byte, 32)...))
		}),
		"in another encoding":  with(func(q *audit.Query) { q.Cursor = base64.URLEncoding.EncodeToString(raw) + "=" }),
		"with a line break in": with(func(q *audit.Query) { q.Cursor = q.Cursor[:8] + "\n" + q.Cursor[8:] }),
	}
	for i := range raw { // every byte counts
		edited := append([]byte(nil), raw...)
		edited[i] ^= 1
		tests[fmt.Sprintf("byte %d edited", i)] = with(func(q *audit.Query) { q.Cursor = base64.RawURLEncoding.EncodeToString(edited) })
	}
	for name, q := range tests {
		if p, err := w.search().Page(t.Context(), w.pool, q); !denial.Is(err, denial.CursorInvalid) || len(p.Entries) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, got := w.page(with(func(q *audit.Query) { q.Limit = 2 })); got != "1 0" {
		t.Errorf("another size of page: %q", got)
	}
}
