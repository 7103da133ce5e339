package frontend

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/signin"
)

const (
	// maxWrongCodes bounds how many wrong user codes a person may type in
	// wrongCodesWindow (RFC 8628 section 5.1): with 20 to the 8th codes, guessing is hopeless.
	maxWrongCodes    = 10
	wrongCodesWindow = 10 * time.Minute
)

// device shows the page on which a person approves a device (RFC 8628 section
// 3.3). A code in the address's fragment is typed in for them; they still
// compare it, because whoever sent the link may have started the flow.
func (f *Frontend) device(w http.ResponseWriter, r *http.Request) error {
	_, signedIn, err := f.session(r)
	if err != nil {
		return err
	}
	return f.draw(w, http.StatusOK, "device", page{Title: "Connect a device", Script: "device.js", SignedIn: signedIn})
}

// deviceRequest is a code that somebody who is signed in typed.
type deviceRequest struct {
	Code    string `json:"code"`
	Approve bool   `json:"approve"`
	session signin.Session
	at      time.Time
}

// typed reads a code, unless the person typed too many wrong ones.
func (f *Frontend) typed(w http.ResponseWriter, r *http.Request) (deviceRequest, error) {
	in := deviceRequest{at: f.options.Now()}
	if err := readJSON(w, r, &in); err != nil {
		return in, err
	}
	var err error
	if in.session, err = f.options.SignIn.Current(r); err != nil {
		return in, err
	}
	return in, f.codes.allow(string(in.session.User.ID), in.at)
}

// findDevice tells the person who is signed in what a code is for.
func (f *Frontend) findDevice(w http.ResponseWriter, r *http.Request) error {
	in, err := f.typed(w, r)
	if err != nil {
		return err
	}
	d, err := grant.FindDevice(r.Context(), f.options.Pool, in.at, in.Code)
	f.codes.judge(err, in)
	if err != nil {
		return err
	}
	client, ok := f.options.Clients.Get(d.ClientID)
	if !ok {
		return denial.New(denial.ClientUnknown, "client %s", d.ClientID)
	}
	writeJSON(w, http.StatusOK, map[string]any{"client": client.Name, "permissions": f.inWords(d.Scopes, []string{d.Audience}), "address": d.Address, "opened": when(d.OpenedAt)})
	return nil
}

// decideDevice approves or declines the device, once. Approving needs a sign-in
// of the last minutes: whoever finds an open session cannot connect a device.
func (f *Frontend) decideDevice(w http.ResponseWriter, r *http.Request) error {
	in, err := f.typed(w, r)
	if err != nil {
		return err
	}
	a := in.session.Authentication
	if in.Approve && in.at.Sub(a.AuthTime) > recentSignIn {
		f.codes.judge(nil, in)
		return denial.New(denial.SignInRequired, "the sign-in is %s old", in.at.Sub(a.AuthTime))
	}
	var d grant.Device
	err = f.options.Log.Do(r.Context(), func(tx pgx.Tx) (audit.Event, error) {
		var err error
		if d, err = grant.DecideDevice(r.Context(), tx, in.at, in.Code, in.Approve, a); err != nil {
			return audit.Event{}, err // nothing was consumed
		}
		decision := "declined"
		if in.Approve {
			decision = "approved"
		}
		return audit.Event{Action: audit.DeviceDecided, UserID: string(a.UserID), ClientID: string(d.ClientID), Session: in.session.ID, Credential: a.AuthenticatorID,
			Details: map[string]string{"decision": decision, "scopes": strings.Join(d.Scopes, " "), "audience": d.Audience}}, nil
	})
	f.codes.judge(err, in)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]string{})
	return nil
}

// recentSignIn is how old a sign-in may be that approves a device.
const recentSignIn = 10 * time.Minute

// attempts counts wrong codes, in this process: with several replicas a person
// has as many times more.
type attempts struct {
	mu    sync.Mutex
	wrong map[string][]time.Time
}

// allow refuses somebody with too many wrong codes, and counts this one as wrong
// until judge knows better: many at once get no more tries than one by one.
func (a *attempts) allow(user string, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	recent := slices.DeleteFunc(a.wrong[user], func(at time.Time) bool { return now.Sub(at) >= wrongCodesWindow })
	if len(recent) >= maxWrongCodes {
		a.wrong[user] = recent
		return denial.New(denial.TooManyAttempts, "")
	}
	a.wrong[user] = append(recent, now)
	return nil
}

// judge takes back what allow counted, unless the code turned out to be wrong.
func (a *attempts) judge(err error, in deviceRequest) {
	if denial.Is(err, denial.DeviceCodeUnknown) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	user := string(in.session.User.ID)
	if i := slices.Index(a.wrong[user], in.at); i >= 0 {
		a.wrong[user] = slices.Delete(a.wrong[user], i, i+1)
	}
	if len(a.wrong[user]) == 0 {
		delete(a.wrong, user)
	}
}
