// Package denial is the closed list of reasons for which Touchstone says no.
//
// It decides which refusals exist and how each one reads to its three readers:
// a person (title, sentence, what to do next), a client (OAuth error code and
// HTTP status) and the record (the reason itself). It refuses to know where a
// denial arose and what it consumed. Everything that is not a denial is a
// fault: unexpected, logged, and told to nobody in detail.
package denial

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// Reason names one refusal. The text is stable: it appears in the audit log,
// in metrics and under "details for your developer" on pages.
type Reason string

// Error is a refusal. Err, when present, explains it to an operator; it is
// logged and never shown to a person or a client.
type Error struct {
	Reason Reason
	Err    error
	// Told, when not empty, is one more sentence for the person, such as which
	// model was found. It holds nothing secret.
	Told string
}

// New returns a denial for the reason. The format explains it to an operator
// and must hold no secret; it may be empty.
func New(reason Reason, format string, args ...any) *Error {
	if format == "" {
		return &Error{Reason: reason}
	}
	return &Error{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// Error returns the reason, then the explanation.
func (e *Error) Error() string {
	if e.Err == nil {
		return "denied: " + string(e.Reason)
	}
	return "denied: " + string(e.Reason) + ": " + e.Err.Error()
}

// Unwrap returns the explanation.
func (e *Error) Unwrap() error { return e.Err }

// ReasonOf returns the reason of the first denial in err's chain. It reports
// false for nil and for faults.
func ReasonOf(err error) (Reason, bool) {
	var d *Error
	if errors.As(err, &d) {
		return d.Reason, true
	}
	return "", false
}

// TextOf returns what a person reads about the first denial in err's chain: the
// reason's text, and what this denial adds to it.
func TextOf(err error) Text {
	var d *Error
	if !errors.As(err, &d) {
		return Text{}
	}
	text := d.Reason.Text()
	if d.Told != "" {
		text.Sentence += " " + d.Told
	}
	return text
}

// Is reports whether err is a denial for this reason.
func Is(err error, reason Reason) bool {
	r, ok := ReasonOf(err)
	return ok && r == reason
}

// Text is what a person reads: neutral, without protocol words, with one thing to do next.
type Text struct{ Title, Sentence, Next string }

// Text returns the page text of the reason.
func (r Reason) Text() Text { return catalogue[r].text }

// OAuth returns the error code for a client (RFC 6749 sections 4.1.2.1 and 5.2,
// OpenID Connect Core section 3.1.2.6, RFC 6750 section 3.1).
func (r Reason) OAuth() string { return catalogue[r].oauth }

// Status returns the HTTP status for a direct answer.
func (r Reason) Status() int { return catalogue[r].status }

// Known reports whether the reason is in the catalogue.
func (r Reason) Known() bool { _, ok := catalogue[r]; return ok }

// All returns every reason, sorted.
func All() []Reason {
	all := make([]Reason, 0, len(catalogue))
	for r := range catalogue {
		all = append(all, r)
	}
	slices.Sort(all)
	return all
}

// entry is one line of the catalogue.
type entry struct {
	oauth  string
	status int
	text   Text
}

const (
	bad       = http.StatusBadRequest
	forbidden = http.StatusForbidden
)
