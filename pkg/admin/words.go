package admin

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/touchstone-id/touchstone/pkg/claim"
)

// moment is an instant as people read it, and exactly.
type moment struct{ ISO, Exact, Ago string }

// at tells an instant from where the visit stands; nil gives nil.
func (v *visit) at(t *time.Time) *moment {
	if t == nil {
		return nil
	}
	return v.when(*t)
}

func (v *visit) when(t time.Time) *moment {
	return &moment{t.UTC().Format(time.RFC3339), exact(t), apart(t, v.now)}
}

// exact writes an instant the way people do.
func exact(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

// apart says how long ago an instant was, or how far ahead it is.
func apart(t, now time.Time) string {
	d, form := now.Sub(t), "%s ago"
	if d < 0 {
		d, form = -d, "in %s"
	}
	switch {
	case d < time.Minute && form == "%s ago":
		return "just now"
	case d < time.Minute:
		return "in a moment"
	case d < time.Hour:
		return fmt.Sprintf(form, count(int(d/time.Minute), "minute"))
	case d < 48*time.Hour:
		return fmt.Sprintf(form, count(int(d/time.Hour), "hour"))
	}
	return fmt.Sprintf(form, count(int(d/(24*time.Hour)), "day"))
}

// span writes a duration in the largest unit that does not round it.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour && d%(24*time.Hour) == 0:
		return count(int(d/(24*time.Hour)), "day")
	case d >= time.Hour && d%time.Hour == 0:
		return count(int(d/time.Hour), "hour")
	case d%time.Minute == 0:
		return count(int(d/time.Minute), "minute")
	}
	return count(int(d/time.Second), "second")
}

// count writes a number with its noun.
func count(n int, noun string) string { return fmt.Sprintf("%d %s", n, nounFor(n, noun)) }

// nounFor is the noun in the form that a number takes.
func nounFor(n int, noun string) string {
	stem, consonant := strings.CutSuffix(noun, "y")
	consonant = consonant && !strings.ContainsAny(stem[len(stem)-1:], "aeo")
	switch {
	case n == 1:
		return noun
	case noun == "person":
		return "people"
	case consonant:
		return stem + "ies"
	}
	return noun + "s"
}

// badge is a state in a word; its kind, good or bad, is also an icon.
type badge struct{ Kind, Text string }

// sentence is a statement about the installation's health.
type sentence struct {
	// Kind is good, bad or empty.
	Kind, Text string
	// To is where to see more, below the console's front; Label names it.
	To, Label string
}

// kinds says in words which passkeys have the facts.
func kinds(facts claim.Facts) []string {
	var words []string
	for _, f := range facts {
		words = append(words, f.Meaning())
	}
	return words
}

// maxCause bounds what an administrator gives as a reason, in characters.
const maxCause = 200

// printable reports whether a text may stand in the record as a reason.
func printable(text string) bool {
	return strings.TrimSpace(text) != "" && utf8.ValidString(text) && utf8.RuneCountInString(text) <= maxCause && !strings.ContainsFunc(text, unicode.IsControl)
}
