package admin

import (
	"errors"
	"net/http"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
)

// deed is something that an administrator may do: a page that asks, and a form
// on it that does it.
type deed struct {
	// pattern is the path below the console's front.
	pattern string
	// ask says what is about to happen. It is asked again before it does.
	ask func(*visit) (question, error)
	// do happens in one act, in which the administrator is asked for again.
	do func(*visit, pgx.Tx) (audit.Event, error)
	// run happens in acts of its own; it stands in place of do.
	run func(*visit) error
	// show, when not nil, is drawn in place of going back: what is seen once.
	show func(*visit) *shown
	// lasting marks a deed that asks for no fresh sign-in: it can be undone at will.
	lasting bool
	// done names what the page says afterwards, in outcomes.
	done string
}

// question is what a page asks before something is done.
type question struct {
	Section, Title, Lead string
	// Impact says what follows, a sentence each.
	Impact []string
	Fields []field
	Button string
	// Grave colours the button.
	Grave bool
	// Back is where the page came from, and leads to; below the console's front.
	Back string
	// Problem says what was wrong with what was typed.
	Problem string
}

// field is one input of a form.
type field struct {
	Name, Label, Hint, Value string
	// Choices makes it a list, Check a box to tick.
	Choices []choice
	Check   bool
}

type choice struct{ Value, Text string }

// shown is a page with something that is seen once.
type shown struct {
	Section, Title, Lead string
	// Label names what is shown, Text is it. It stands in the answer to a form and
	// in no address.
	Label, Text string
	Notes       []string
	Back        string
}

// problem is something wrong with what an administrator typed. It is no denial:
// nothing of the act stays.
type problem string

func (p problem) Error() string { return string(p) }

// maxForm bounds what a form may hold, in bytes.
const maxForm = 64 << 10

// outcomes are the sentences that a page may begin with; the address names one.
var outcomes = map[string]string{
	"created":    "Created.",
	"uninvited":  "The enrolment link works no more.",
	"suspended":  "Suspended. Every session and all access have ended.",
	"resumed":    "The account can be used again.",
	"signed-out": "Every session has ended, with the access that was given in it.",
	"ended":      "The session has ended, with the access that was given in it.",
	"grouped":    "The groups are changed.",
	"released":   "The passkey can be used again.",
	"removed":    "The passkey is removed, and the access that it gave has ended.",
	"deleted":    "The client is deleted, and its access has ended.",
	"rotated":    "The rotation is under way: another key signs now, or as soon as every gateway knows it.",
	"withdrawn":  "The keys have left the key set. Below is until when gateways may still accept them.",
}

// ask draws the page that asks.
func (c *Console) ask(d deed) func(*visit) error {
	return func(v *visit) error {
		if err := d.fresh(v); err != nil {
			return err
		}
		q, err := d.ask(v)
		if err != nil {
			return err
		}
		return v.draw(c, http.StatusOK, "ask", frame{Title: q.Title, Section: q.Section, Data: q})
	}
}

func (d deed) fresh(v *visit) error {
	if d.lasting {
		return nil
	}
	return v.fresh()
}

// carryOut does what a form says, and goes back.
func (c *Console) carryOut(d deed) func(*visit) error {
	return func(v *visit) error {
		if err := d.fresh(v); err != nil {
			return err
		}
		v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
		if err := v.r.ParseForm(); err != nil {
			return malformed(err)
		}
		q, err := d.ask(v)
		if err != nil {
			return err
		}
		if d.run != nil {
			err = d.run(v)
		} else {
			err = c.act(v, d)
		}
		var p problem
		switch {
		case errors.As(err, &p):
			q.Problem = string(p)
			for i := range q.Fields {
				q.Fields[i].Value = v.r.PostForm.Get(q.Fields[i].Name)
			}
			return v.draw(c, http.StatusUnprocessableEntity, "ask", frame{Title: q.Title, Section: q.Section, Data: q})
		case err != nil:
			return err
		}
		if d.show != nil {
			s := d.show(v)
			return v.draw(c, http.StatusOK, "shown", frame{Title: s.Title, Section: s.Section, Copies: true, Data: s})
		}
		http.Redirect(v.w, v.r, front+q.Back+"?done="+d.done, http.StatusSeeOther)
		return nil
	}
}

// undone carries a denial out of an act that must leave nothing behind. It does
// not unwrap, so that audit.Log.Do takes it for a fault and rolls back.
type undone struct{ denial error }

func (u undone) Error() string { return u.denial.Error() }

// act does a deed in one act with its entry, or not at all: a refusal is told to
// the administrator and has consumed nothing.
func (c *Console) act(v *visit, d deed) error {
	err := c.options.Log.Do(v.r.Context(), func(tx pgx.Tx) (audit.Event, error) {
		err := v.still(v.r.Context(), tx)
		var event audit.Event
		if err == nil {
			event, err = d.do(v, tx)
		}
		if _, denied := denial.ReasonOf(err); denied {
			err = undone{err}
		}
		return event, err
	})
	if u, ok := err.(undone); ok {
		return u.denial
	}
	return err
}

// malformed is the denial of a form that cannot be read.
func malformed(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return denial.New(denial.RequestTooLarge, "")
	}
	return denial.New(denial.RequestMalformed, "form cannot be read")
}
