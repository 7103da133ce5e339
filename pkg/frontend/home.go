package frontend

import (
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/signin"
)

type badge struct{ Kind, Text string }

type passkeyCard struct {
	ID, Nickname, Created, LastUsed string
	Badges                          []badge
	Used                            bool
	// Warning says from when on the passkey is no longer accepted, and why.
	Warning string
}

type sessionCard struct {
	ID, Device, Since, Seen, Address string
	This                             bool
}

// home is the account page of whoever is signed in, otherwise a welcome.
func (f *Frontend) home(w http.ResponseWriter, r *http.Request) error {
	session, signedIn, err := f.session(r)
	if err != nil {
		return err
	}
	p := page{Title: "Start", Playground: f.options.Playground != nil}
	if !signedIn {
		return f.draw(w, http.StatusOK, "home", p)
	}
	p.Title, p.Script, p.SignedIn, p.Name = "Your account", "home.js", true, session.User.DisplayName
	p.Console = f.administers(session.User)
	credentials, err := passkey.Credentials(r.Context(), f.options.Pool, session.User.ID)
	if err != nil {
		return err
	}
	for _, c := range credentials {
		card := cardOf(c)
		card.Warning = warning(f.options.Passkeys.Findings(session.User, c, f.options.Now()))
		card.Used = c.ID == session.Authentication.Credential
		p.Passkeys = append(p.Passkeys, card)
	}
	if p.Notices, err = f.notices(r, session.User.ID); err != nil {
		return err
	}
	if p.Applications, err = f.applications(r, session.User.ID); err != nil {
		return err
	}
	sessions, err := f.options.SignIn.Sessions(r.Context(), r)
	if err != nil {
		return err
	}
	for _, s := range sessions {
		p.Sessions = append(p.Sessions, sessionCard{s.ID, s.Device(), when(s.CreatedAt), when(s.SeenAt), s.Address, s.ThisBrowser})
	}
	return f.draw(w, http.StatusOK, "home", p)
}

// cardOf says in badges what a passkey is worth.
func cardOf(c passkey.Credential) passkeyCard {
	card := passkeyCard{ID: c.ID, Nickname: c.Nickname, Created: when(c.CreatedAt)}
	if c.LastUsedAt != nil {
		card.LastUsed = when(*c.LastUsedAt)
	}
	switch c.QuarantinedWhy {
	case passkey.QuarantineClone:
		card.Badges = append(card.Badges, badge{"bad", "Paused: a copy may exist"})
	case passkey.QuarantineMetadata:
		card.Badges = append(card.Badges, badge{"bad", "Paused: a problem with this model was reported"})
	}
	if c.Facts.Has(claim.FactAttested) && !c.Facts.Has(claim.FactMetadataCurrent) {
		card.Badges = append(card.Badges, badge{"bad", "Model not in good standing"})
	}
	if c.BackupEligible {
		card.Badges = append(card.Badges, badge{"", "Synced between devices"})
	} else {
		card.Badges = append(card.Badges, badge{"good", "Stays on one device"})
	}
	if c.Facts.Has(claim.FactAttested) {
		card.Badges = append(card.Badges, badge{"good", "Verified: " + c.Model})
	} else {
		card.Badges = append(card.Badges, badge{"", "Make and model not proved"})
	}
	if c.Facts.Has(claim.FactHardware) {
		card.Badges = append(card.Badges, badge{"good", "Hardware-protected"})
	}
	return card
}

// rename gives a passkey another name.
func (f *Frontend) rename(w http.ResponseWriter, r *http.Request) error {
	return f.change(w, r, func(tx pgx.Tx, in change) (audit.Event, error) {
		err := passkey.Rename(r.Context(), tx, in.session.User.ID, in.ID, in.Nickname)
		return audit.Event{Action: audit.CredentialRenamed}, err
	})
}

// remove takes a passkey off the account and ends the grants it proved.
func (f *Frontend) remove(w http.ResponseWriter, r *http.Request) error {
	return f.change(w, r, func(tx pgx.Tx, in change) (audit.Event, error) {
		now := f.options.Now()
		if err := passkey.Remove(r.Context(), tx, now, in.session.User.ID, in.ID); err != nil {
			return audit.Event{}, err
		}
		n, err := grant.RevokeCredential(r.Context(), tx, now, in.ID, string(audit.CredentialRemoved))
		return audit.Event{Action: audit.CredentialRemoved, Details: map[string]string{"grants": strconv.Itoa(n)}}, err
	})
}

// revoke ends another session of the same person.
func (f *Frontend) revoke(w http.ResponseWriter, r *http.Request) error {
	var in change
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	session, err := f.options.SignIn.Current(r)
	if err != nil {
		return err
	}
	if err := f.options.SignIn.Revoke(r.Context(), session, in.ID); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]string{})
	return nil
}

// revokeAll ends every session of the person, this one included.
func (f *Frontend) revokeAll(w http.ResponseWriter, r *http.Request) error {
	if err := f.options.SignIn.RevokeAll(r.Context(), w, r); err != nil {
		return err
	}
	http.Redirect(w, r, "/signout", http.StatusSeeOther)
	return nil
}

// change is a person's wish about one of their passkeys.
type change struct {
	ID       string `json:"id"`
	Nickname string `json:"nickname"`
	session  signin.Session
}

// change runs an act of the person who is signed in.
func (f *Frontend) change(w http.ResponseWriter, r *http.Request, act func(pgx.Tx, change) (audit.Event, error)) error {
	var in change
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	var err error
	if in.session, err = f.options.SignIn.Current(r); err != nil {
		return err
	}
	err = f.options.Log.Do(r.Context(), func(tx pgx.Tx) (audit.Event, error) {
		event, err := act(tx, in)
		if err != nil {
			return audit.Event{}, err // nothing was consumed
		}
		event.UserID, event.Session, event.Credential = string(in.session.User.ID), in.session.ID, in.ID
		return event, nil
	})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]string{})
	return nil
}

// when writes an instant the way people do.
func when(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }
