package frontend

import (
	"encoding/json"
	"net/http"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/secret"
	"github.com/touchstone-id/touchstone/pkg/signin"
)

// proved returns the session of somebody who signed in within the last minutes:
// whoever finds an open browser cannot add a passkey of their own.
func (f *Frontend) proved(r *http.Request) (signin.Session, error) {
	s, err := f.options.SignIn.Current(r)
	if err == nil && f.options.Now().Sub(s.Authentication.AuthTime) > recentSignIn {
		err = denial.New(denial.SignInRequired, "the sign-in is %s old", f.options.Now().Sub(s.Authentication.AuthTime))
	}
	return s, err
}

// addOptions starts the registration of another passkey.
func (f *Frontend) addOptions(w http.ResponseWriter, r *http.Request) error {
	var in struct{}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	session, err := f.proved(r)
	if err != nil {
		return err
	}
	offer, err := f.options.Passkeys.OfferRegistration(r.Context(), f.options.Pool, f.options.Now(), session.User, f.options.SignIn.BrowserOf(r))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"ceremony": offer.Ceremony.Reveal(), "options": offer.Options, "expiresAt": offer.ExpiresAt})
	return nil
}

// addFinish stores the passkey, in one act with the end of its ceremony.
func (f *Frontend) addFinish(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Ceremony   secret.Value    `json:"ceremony"`
		Credential json.RawMessage `json:"credential"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	session, err := f.proved(r)
	if err != nil {
		return err
	}
	ctx, now := r.Context(), f.options.Now()
	var c passkey.Credential
	err = f.options.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		var err error
		c, err = f.options.Passkeys.AcceptRegistration(ctx, tx, now, passkey.Registration{
			Ceremony: in.Ceremony, Browser: f.options.SignIn.BrowserOf(r), UserID: session.User.ID, Response: in.Credential, UserAgent: r.UserAgent()})
		if err != nil && !passkey.Consumed(err) {
			return audit.Event{}, err
		}
		event := registered(c, session.User.ID, session.ID)
		if err != nil {
			return event, err
		}
		return event, tell(ctx, tx, now, session.User.ID, c, "it was added on this page")
	})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]string{"nickname": c.Nickname, "summary": summary(c), "warning": warning(c.Findings)})
	return nil
}
