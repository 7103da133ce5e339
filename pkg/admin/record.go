package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/audit/record"
	"github.com/touchstone-id/touchstone/pkg/denial"
)

// recordPage is how many entries stand on a page.
const recordPage = 40

// wanted are the wishes of a search, as they were typed.
type wanted struct{ Person, By, Client, Action, Outcome, From, To string }

// record searches the record.
func (c *Console) record(v *visit) error {
	ctx, in := v.r.Context(), v.r.URL.Query()
	data := struct {
		Wanted       wanted
		Actions      []choice
		Entries      []line
		Newer, Older string
		Problem      string
		Checkpoint   *checkpoint
		Signed       *moment
		Key          string
	}{Wanted: wanted{strings.TrimSpace(in.Get("person")), strings.TrimSpace(in.Get("by")), strings.TrimSpace(in.Get("client")), in.Get("action"), in.Get("outcome"), in.Get("from"), in.Get("to")}}
	for _, a := range audit.Actions() {
		data.Actions = append(data.Actions, choice{string(a), phrases[a].name})
	}
	query, wrong, err := c.queryOf(ctx, data.Wanted)
	if err != nil {
		return err
	}
	if data.Problem = wrong; wrong == "" {
		query.Cursor = in.Get("cursor")
		page, err := c.options.Search.Page(ctx, c.options.Pool, query)
		if err != nil {
			return err
		}
		if data.Entries, err = c.lines(ctx, v, page.Entries); err != nil {
			return err
		}
		data.Newer, data.Older = turn(in, page.Newer), turn(in, page.Older)
	}
	if data.Checkpoint, err = c.newestCheckpoint(ctx); err != nil {
		return err
	}
	if data.Checkpoint != nil {
		data.Signed = v.when(data.Checkpoint.SignedAt)
	}
	if data.Key, err = audit.Key(ctx, c.options.Pool); err != nil {
		return err
	}
	return v.draw(c, http.StatusOK, "record", frame{Title: "Record", Section: "record", Copies: true, Data: data})
}

// turn is the address of the page that a cursor begins, or "".
func turn(in url.Values, cursor string) string {
	if cursor == "" {
		return ""
	}
	q := url.Values{}
	for _, name := range []string{"person", "by", "client", "action", "outcome", "from", "to"} {
		if in.Get(name) != "" {
			q.Set(name, in.Get(name))
		}
	}
	q.Set("cursor", cursor)
	return "?" + q.Encode()
}

// queryOf understands what was typed, or says what it does not understand.
func (c *Console) queryOf(ctx context.Context, w wanted) (audit.Query, string, error) {
	q := audit.Query{ClientID: w.Client, Action: audit.Action(w.Action), Outcome: w.Outcome, Limit: recordPage}
	for _, name := range []struct {
		text string
		into *string
	}{{w.Person, &q.UserID}, {w.By, &q.Actor}} {
		if name.text == "" {
			continue
		}
		u, err := account.ByName(ctx, c.options.Pool, name.text)
		if denial.Is(err, denial.UserUnknown) {
			u, err = account.ByID(ctx, c.options.Pool, account.ID(name.text))
		}
		if denial.Is(err, denial.UserUnknown) {
			return q, "Nobody is called “" + name.text + "”.", nil
		}
		if err != nil {
			return q, "", err
		}
		*name.into = string(u.ID)
	}
	for _, day := range []struct {
		text string
		add  time.Duration
		into *time.Time
	}{{w.From, 0, &q.From}, {w.To, 24 * time.Hour, &q.To}} {
		if day.text == "" {
			continue
		}
		t, err := time.Parse(time.DateOnly, day.text)
		if err != nil {
			return q, "A day is written like 2026-11-23.", nil
		}
		*day.into = t.Add(day.add)
	}
	return q, "", nil
}

// entry shows one entry in words, whole, and with what proves that it was logged.
func (c *Console) entry(v *visit) error {
	ctx := v.r.Context()
	e, err := c.found(v)
	if err != nil {
		return err
	}
	told, err := c.lines(ctx, v, []audit.Entry{e})
	if err != nil {
		return err
	}
	raw, err := indented(e)
	if err != nil {
		return err
	}
	data := struct {
		Line   line
		Entry  audit.Entry
		Reason string
		Raw    string
		// Index is the entry's place, from zero; Size the checkpoint's.
		Index, Size int64
		Logged      bool
		Fault, Key  string
	}{Line: told[0], Entry: e, Raw: raw}
	if e.Reason != "" {
		data.Reason = e.Reason.Text().Title
	}
	if data.Key, err = audit.Key(ctx, c.options.Pool); err != nil {
		return err
	}
	proof, err := audit.Prove(ctx, c.options.Pool, e.ID)
	switch {
	case errors.Is(err, audit.ErrNotLogged):
	case err != nil:
		return err
	default:
		data.Logged, data.Index, data.Size = true, proof.Line.Index, proof.Size
		verifier, err := record.NewVerifier(data.Key)
		if err == nil {
			_, _, err = proof.Verify(verifier)
		}
		if err != nil {
			data.Fault = err.Error()
		}
	}
	return v.draw(c, http.StatusOK, "entry", frame{Title: "Entry of the record", Section: "record", Copies: true, Data: data})
}

func (c *Console) found(v *visit) (audit.Entry, error) {
	e, err := audit.ByID(v.r.Context(), c.options.Pool, v.r.PathValue("id"))
	if errors.Is(err, audit.ErrNoEntry) {
		err = denial.New(denial.PageNotFound, "no entry %q", v.r.PathValue("id"))
	}
	return e, err
}

// proof serves the file that touchstone audit prove writes.
func (c *Console) proof(v *visit) error {
	e, err := c.found(v)
	if err != nil {
		return err
	}
	proof, err := audit.Prove(v.r.Context(), c.options.Pool, e.ID)
	if errors.Is(err, audit.ErrNotLogged) {
		return denial.New(denial.PageNotFound, "entry %s has no place yet", e.ID)
	}
	if err != nil {
		return err
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(proof); err != nil {
		return fmt.Errorf("encode proof: %w", err)
	}
	v.w.Header().Set("Content-Type", "application/json")
	v.w.Header().Set("Content-Disposition", `attachment; filename="proof-`+e.ID+`.json"`)
	body.WriteTo(v.w) // a browser that went away misses nothing
	return nil
}

func indented(e audit.Entry) (string, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(e); err != nil {
		return "", fmt.Errorf("encode entry: %w", err)
	}
	return body.String(), nil
}

// checked is the outcome of a check of the whole record.
type checked struct {
	entries int64
	// fault is what is wrong, and where.
	fault string
}

func (c *Console) askCheck(*visit) (question, error) {
	return question{Section: "record", Back: "/record", Title: "Check the whole record?", Button: "Check the record",
		Lead:   "Every entry is compared with its place in the log, the log with every checkpoint, each checkpoint with its signature.",
		Impact: []string{"It changes nothing, and reads everything: in a long record that takes a while.", "What was cut off at the end shows only against a checkpoint that is kept elsewhere."}}, nil
}

// check compares the record with itself. What it finds is no fault of the request.
func (c *Console) check(v *visit) error {
	n, err := audit.Check(v.r.Context(), c.options.Pool)
	var refused *pgconn.PgError
	var unreached *pgconn.ConnectError
	switch {
	case errors.Is(err, context.DeadlineExceeded) || v.r.Context().Err() != nil:
		return problem("The record is too long to be checked within a request. Use touchstone audit check on the command line.")
	case errors.As(err, &refused) || errors.As(err, &unreached):
		return err // nothing is known of the record
	case err != nil:
		v.checked.fault = err.Error()
	}
	v.checked.entries = n
	return nil
}

func (c *Console) showCheck(v *visit) *shown {
	s := &shown{Section: "record", Title: "The record is as it was logged", Lead: count(int(v.checked.entries), "entry") + " fit the log, and the log every checkpoint.", Back: "/record", Leave: "Back to the record",
		Notes: []string{"Compare the newest checkpoint with one that is kept elsewhere: only that shows whether the end was cut off."}}
	if v.checked.fault != "" {
		s.Title, s.Lead, s.Problem = "The record is not what was logged", "Touch nothing, keep a copy of the database, and follow the runbook for a broken record.", v.checked.fault
		s.Notes = nil
	}
	return s
}
