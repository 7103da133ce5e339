package frontend

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
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

type deviceRequest struct {
	Code    string `json:"code"`
	Approve bool   `json:"approve"`
}

// findDevice tells the person who is signed in what a code is for.
func (f *Frontend) findDevice(w http.ResponseWriter, r *http.Request) error {
	var in deviceRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	session, err := f.options.SignIn.Current(r)
	if err != nil {
		return err
	}
	now, user := f.options.Now(), string(session.User.ID)
	if err := f.codes.allow(user, now); err != nil {
		return err
	}
	d, err := grant.FindDevice(r.Context(), f.options.Pool, now, in.Code)
	if denial.Is(err, denial.DeviceCodeUnknown) {
		f.codes.note(user, now)
	}
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
	var in deviceRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	session, err := f.options.SignIn.Current(r)
	if err != nil {
		return err
	}
	now, user := f.options.Now(), string(session.User.ID)
	if err := f.codes.allow(user, now); err != nil {
		return err
	}
	if in.Approve && now.Sub(session.Authentication.AuthTime) > recentSignIn {
		return denial.New(denial.SignInRequired, "the sign-in is %s old", now.Sub(session.Authentication.AuthTime))
	}
	var d grant.Device
	err = f.options.Log.Do(r.Context(), func(tx pgx.Tx) (audit.Event, error) {
		var err error
		if d, err = grant.DecideDevice(r.Context(), tx, now, in.Code, in.Approve, session.Authentication); err != nil {
			return audit.Event{}, err // nothing was consumed
		}
		decision := "declined"
		if in.Approve {
			decision = "approved"
		}
		return audit.Event{Action: audit.DeviceDecided, UserID: user, ClientID: string(d.ClientID), Session: session.ID, Credential: session.Authentication.AuthenticatorID,
			Details: map[string]string{"decision": decision, "scopes": strings.Join(d.Scopes, " "), "audience": d.Audience}}, nil
	})
	if denial.Is(err, denial.DeviceCodeUnknown) {
		f.codes.note(user, now)
	}
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

// allow refuses somebody with too many wrong codes.
func (a *attempts) allow(user string, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	recent := a.wrong[user][:0]
	for _, at := range a.wrong[user] {
		if now.Sub(at) < wrongCodesWindow {
			recent = append(recent, at)
		}
	}
	if a.wrong[user] = recent; len(recent) == 0 {
		delete(a.wrong, user)
	}
	if len(recent) >= maxWrongCodes {
		return denial.New(denial.TooManyAttempts, "")
	}
	return nil
}

// note counts a wrong code.
func (a *attempts) note(user string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wrong[user] = append(a.wrong[user], now)
}
