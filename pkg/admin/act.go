package admin

import (
	"errors"
	"net/http"
	"slices"

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
	// after, when not nil, follows once it is done.
	after func(*visit)
	// show, when not nil, is drawn in place of going back: what is seen once.
	show func(*visit) *shown
	// done names what the page says afterwards, in outcomes.
	done string
}

// deeds lists everything that can be done.
func (c *Console) deeds() []deed {
	return []deed{
		{pattern: "/new/person", ask: c.askInvitePerson, do: c.invitePerson, show: c.showLink},
		{pattern: "/people/{id}/invite", ask: c.askInvite, do: c.invite, show: c.showLink},
		{pattern: "/people/{id}/invite/withdraw", ask: c.askWithdraw, do: c.withdraw, done: "uninvited"},
		{pattern: "/people/{id}/suspend", ask: c.askSuspend, do: c.suspend, done: "suspended"},
		{pattern: "/people/{id}/resume", ask: c.askResume, do: c.resume, done: "resumed"},
		{pattern: "/people/{id}/groups", ask: c.askGroups, do: c.group, done: "grouped"},
		{pattern: "/people/{id}/signout", ask: c.askSignOut, do: c.signOut, done: "signed-out"},
		{pattern: "/people/{id}/sessions/{session}/end", ask: c.askEnd, do: c.end, done: "ended"},
		{pattern: "/people/{id}/passkeys/{passkey}/release", ask: c.askRelease, do: c.release, done: "released"},
		{pattern: "/people/{id}/passkeys/{passkey}/remove", ask: c.askRemove, do: c.remove, done: "removed"},
		{pattern: "/new/client", ask: c.askClient, do: c.registerClient, after: c.reload, show: c.showClient},
		{pattern: "/clients/{id}/secret", ask: c.askSecret, do: c.rotateSecret, after: c.reload, show: c.showSecret},
		{pattern: "/clients/{id}/delete", ask: c.askDelete, do: c.deleteClient, after: c.reload, done: "deleted"},
		{pattern: "/record/check", ask: c.askCheck, run: c.check, show: c.showCheck},
		{pattern: "/keys/{algorithm}/rotate", ask: c.askRotate, run: c.rotate, done: "rotated"},
		{pattern: "/keys/{algorithm}/emergency", ask: c.askEmergency, run: c.emergency, done: "withdrawn"},
	}
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
	// Choices makes it a list of which one is chosen, or with Many any; Check makes
	// it a box to tick.
	Choices     []choice
	Many, Check bool
	// Chosen are those of Many that were chosen.
	Chosen []string
}

type choice struct{ Value, Text string }

// Has reports whether a value was chosen.
func (f field) Has(value string) bool { return slices.Contains(f.Chosen, value) }

// shown is a page with something that is seen once.
type shown struct {
	Section, Title, Lead string
	// Label names what is shown, Text is it. It stands in the answer to a form and
	// in no address.
	Label, Text string
	Notes       []string
	// Picture is the text as a QR code, or nil.
	Picture *picture
	// Problem is what was found to be wrong.
	Problem string
	// Back is where the page leads, Leave what its button says.
	Back, Leave string
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
		if err := v.fresh(); err != nil {
			return err
		}
		q, err := d.ask(v)
		if err != nil {
			return err
		}
		return v.draw(c, http.StatusOK, "ask", frame{Title: q.Title, Section: q.Section, Data: q})
	}
}

// carryOut does what a form says, and goes back.
func (c *Console) carryOut(d deed) func(*visit) error {
	return func(v *visit) error {
		if err := v.fresh(); err != nil {
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
		if err != nil {
			return c.askAgain(v, q, err)
		}
		if d.after != nil {
			d.after(v)
		}
		if d.show != nil {
			s := d.show(v)
			return v.draw(c, http.StatusOK, "shown", frame{Title: s.Title, Section: s.Section, Copies: true, Data: s})
		}
		http.Redirect(v.w, v.r, front+q.Back+"?done="+d.done, http.StatusSeeOther)
		return nil
	}
}

// askAgain draws the question with what kept the deed from being done, for the
// administrator to read beside what they asked for. A fault, and what they may
// not know of, is answered as anywhere.
func (c *Console) askAgain(v *visit, q question, err error) error {
	status := http.StatusUnprocessableEntity
	var p problem
	reason, denied := denial.ReasonOf(err)
	switch {
	case errors.As(err, &p):
		q.Problem = string(p)
	case denied && reason != denial.PageNotFound:
		text := denial.TextOf(err)
		status, q.Problem = reason.Status(), text.Title+". "+text.Sentence+" "+text.Next
	default:
		return err
	}
	for i, f := range q.Fields {
		q.Fields[i].Value, q.Fields[i].Chosen = v.r.PostForm.Get(f.Name), v.r.PostForm[f.Name]
	}
	return v.draw(c, status, "ask", frame{Title: q.Title, Section: q.Section, Data: q})
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
