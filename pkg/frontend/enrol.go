package frontend

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/secret"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// enrolRequest is what the enrolment page's script sends. The link's secret
// stands in the address's fragment, which browsers send to nobody, and arrives
// here in a body.
type enrolRequest struct {
	Link       secret.Value    `json:"link"`
	Ceremony   secret.Value    `json:"ceremony"`
	Credential json.RawMessage `json:"credential"`
}

func (f *Frontend) enrol(w http.ResponseWriter, r *http.Request) error {
	p := page{Title: "Set up your passkey", Script: "enrol.js", Next: "/signin", NextLabel: "Sign in with it"}
	if f.options.Playground != nil {
		p.Next, p.NextLabel = "/playground", "Open the playground"
	}
	return f.draw(w, http.StatusOK, "enrol", p)
}

// invitation tells whom a link is for. It changes nothing.
func (f *Frontend) invitation(w http.ResponseWriter, r *http.Request) error {
	var in enrolRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	i, err := account.LookUpInvitation(r.Context(), f.options.Pool, f.options.Now(), in.Link)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"displayName": i.User.DisplayName, "expiresAt": i.ExpiresAt})
	return nil
}

// enrolOptions starts a registration for the person of a live link.
func (f *Frontend) enrolOptions(w http.ResponseWriter, r *http.Request) error {
	var in enrolRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	i, err := account.LookUpInvitation(r.Context(), f.options.Pool, f.options.Now(), in.Link)
	if err != nil {
		return err
	}
	offer, err := f.options.Passkeys.OfferRegistration(r.Context(), f.options.Pool, f.options.Now(), i.User, f.options.SignIn.Browser(w, r))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"ceremony": offer.Ceremony.Reveal(), "options": offer.Options, "expiresAt": offer.ExpiresAt})
	return nil
}

// enrolFinish is one act: the ceremony is consumed, the answer verified, the
// credential stored and the link spent. A failed ceremony does not spend the
// link; a spent link leaves no credential behind.
func (f *Frontend) enrolFinish(w http.ResponseWriter, r *http.Request) error {
	var in enrolRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	ctx, now, browser := r.Context(), f.options.Now(), f.options.SignIn.BrowserOf(r)
	var c passkey.Credential
	err := f.options.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		i, err := account.LookUpInvitation(ctx, tx, now, in.Link)
		if err != nil {
			return audit.Event{}, err // nothing was consumed
		}
		c, err = f.options.Passkeys.AcceptRegistration(ctx, tx, now, passkey.Registration{
			Ceremony: in.Ceremony, Browser: browser, UserID: i.User.ID, Response: in.Credential, UserAgent: r.UserAgent()})
		if err != nil && !passkey.Consumed(err) {
			return audit.Event{}, err
		}
		event := registered(c, i.User.ID, "")
		if err != nil {
			return event, err
		}
		// Of many who finish with one link at once, one spends it; the others'
		// passkeys must not stay, so their denial undoes the act as a fault would.
		if _, err = account.SpendInvitation(ctx, tx, now, in.Link); err != nil {
			return audit.Event{}, undone{err}
		}
		return event, tell(ctx, tx, now, i.User.ID, c, "an enrolment link was used")
	})
	if late, ok := err.(undone); ok {
		err = late.denial
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]string{"nickname": c.Nickname, "summary": summary(c), "warning": warning(c.Findings)})
	return nil
}

// tell leaves a notice for somebody who had a passkey before: whoever got hold
// of a link or of an open browser does not stay unnoticed.
func tell(ctx context.Context, tx pgx.Tx, now time.Time, id account.ID, c passkey.Credential, how string) error {
	all, err := passkey.Credentials(ctx, tx, id)
	if err != nil || len(all) < 2 {
		return err
	}
	return account.Notify(ctx, tx, now, id, account.NoticeAdded, c.Nickname, how+" from "+audit.OriginOf(ctx).Address)
}

// registered is the event of a registration, also of one that was refused.
func registered(c passkey.Credential, user account.ID, session string) audit.Event {
	e := audit.Event{Action: audit.CredentialRegistered, UserID: string(user), Session: session, Credential: c.AuthenticatorID,
		Details: map[string]string{"format": c.Format, "facts": c.Facts.String()}}
	if len(c.Findings) > 0 {
		e.Details["rules_not_met"] = trust.Names(c.Findings)
	}
	return e
}

// summary says in a sentence what was verified about a new passkey.
func summary(c passkey.Credential) string {
	var known []string
	if c.Facts.Has(claim.FactAttested) {
		known = append(known, "its make and model are proved ("+c.Model+")")
	} else {
		known = append(known, "it did not prove its make and model, so services that need a certain kind of key will ask for another")
	}
	if c.Facts.Has(claim.FactDeviceBound) {
		known = append(known, "it stays on one device")
	} else {
		known = append(known, "it can be copied to your other devices")
	}
	return "Stored. What we verified: " + strings.Join(known, "; ") + "."
}

// warning tells a person of a rule that their passkey will not meet, or "".
func warning(findings []trust.Finding) string {
	f := trust.Warned(findings)
	if f == nil {
		return ""
	}
	return "From " + f.Rule.From.Format("2 January 2006") + " this passkey is no longer accepted: " + need(f.Missing) + " Please set up another one before then."
}

// need says in words what a passkey lacks.
func need(missing []claim.Fact) string {
	if len(missing) == 0 {
		return "its model is not on your organisation's list."
	}
	var words []string
	for _, f := range missing {
		words = append(words, f.Meaning())
	}
	return "it must be one of which we know that " + strings.Join(words, ", and that ") + "."
}

// undone carries a denial out of an act that must leave nothing behind. It does
// not unwrap, so that audit.Log.Do takes it for a fault and rolls back.
type undone struct{ denial error }

func (u undone) Error() string { return u.denial.Error() }
