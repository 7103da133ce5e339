package frontend

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/secret"
	"github.com/touchstone-id/touchstone/pkg/signin"
)

// signIn shows the sign-in page, for an authorization request, for the console
// or for itself.
func (f *Frontend) signIn(w http.ResponseWriter, r *http.Request) error {
	p := page{Title: "Sign in", Script: "signin.js", Request: r.URL.Query().Get("request")}
	if to := f.consolePath(r.URL.Query().Get("return")); to != "" && p.Request == "" {
		var err error
		p.Return, p.Client = to, "the console"
		if p.StepUp, err = f.consoleAsks(r); err != nil {
			return err
		}
	}
	if p.Request != "" {
		request, err := grant.Find(r.Context(), f.options.Pool, f.options.Now(), secret.Of(p.Request), f.options.SignIn.BrowserOf(r))
		if err != nil {
			return err
		}
		client, ok := f.options.Clients.Get(request.ClientID)
		if !ok {
			return denial.New(denial.ClientUnknown, "client %s", request.ClientID)
		}
		p.Client, p.StepUp = client.Name, f.stepUp(request)
	}
	return f.draw(w, http.StatusOK, "signin", p)
}

// stepUp says in words what kind of passkey a request asks for, or "" when any will do.
func (f *Frontend) stepUp(request grant.Request) string {
	for _, level := range request.ACRValues {
		if words := f.kindOf(level); words != "" {
			return "It asks for " + words + "."
		}
	}
	if request.MaxAge != nil || slices.Contains(request.Prompt, "login") {
		return "It asks you to sign in anew, to be sure that it is still you."
	}
	return ""
}

// kindOf says in words which kind of passkey has a level, or "" when any has.
func (f *Frontend) kindOf(level string) string {
	var words []string
	for _, fact := range f.options.Trust().FactsOf(level) {
		if fact != claim.FactUV && fact != claim.FactMetadataCurrent {
			words = append(words, fact.Meaning())
		}
	}
	if len(words) == 0 {
		return ""
	}
	return "a passkey of which we know that " + strings.Join(words, ", and that ")
}

// answer is what a script sends about an authorization request.
type answer struct {
	Request secret.Value `json:"request"`
	Agree   bool         `json:"agree"`
}

// decline ends a sign-in that the person does not want; the application is told.
func (f *Frontend) decline(w http.ResponseWriter, r *http.Request) error {
	var in answer
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	return f.declined(w, r, in.Request)
}

func (f *Frontend) declined(w http.ResponseWriter, r *http.Request, id secret.Value) error {
	if _, err := grant.Decline(r.Context(), f.options.Pool, f.options.Now(), id, f.options.SignIn.BrowserOf(r)); err != nil {
		return err
	}
	f.back(w, id)
	return nil
}

// back sends the script to the callback of its request. A form's redirect would
// fall under the page's form-action policy, which knows no application.
func (f *Frontend) back(w http.ResponseWriter, id secret.Value) {
	writeJSON(w, http.StatusOK, map[string]string{"location": f.base + "/authorize/callback?" + url.Values{"request": {id.Reveal()}}.Encode()})
}

// signInOptions starts an assertion for this browser.
func (f *Frontend) signInOptions(w http.ResponseWriter, r *http.Request) error {
	var in struct{}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	offer, err := f.options.SignIn.Offer(r.Context(), f.options.SignIn.Browser(w, r))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"ceremony": offer.Ceremony.Reveal(), "options": offer.Options, "expiresAt": offer.ExpiresAt})
	return nil
}

// signInFinish verifies the answer and tells the script where to go.
func (f *Frontend) signInFinish(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Request    secret.Value    `json:"request"`
		Return     string          `json:"return"`
		Ceremony   secret.Value    `json:"ceremony"`
		Credential json.RawMessage `json:"credential"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	_, err := f.options.SignIn.Finish(r.Context(), w, r, signin.Attempt{Ceremony: in.Ceremony, Response: in.Credential, Request: in.Request})
	if err != nil {
		return err
	}
	next := "/"
	if to := f.consolePath(in.Return); to != "" {
		next = to
	}
	if !in.Request.Empty() {
		next = "/authorize/callback?" + url.Values{"request": {in.Request.Reveal()}}.Encode()
	}
	writeJSON(w, http.StatusOK, map[string]string{"location": f.base + next})
	return nil
}

// signOutPage asks before it signs out, so that no other site can do it with an image.
func (f *Frontend) signOutPage(w http.ResponseWriter, r *http.Request) error {
	session, signedIn, err := f.session(r)
	if err != nil {
		return err
	}
	return f.draw(w, http.StatusOK, "signout", page{Title: "Sign out", SignedIn: signedIn, Name: session.User.DisplayName})
}

// signOut ends this browser's session.
func (f *Frontend) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := f.options.SignIn.SignOut(r.Context(), w, r); err != nil {
		return err
	}
	http.Redirect(w, r, "/signout", http.StatusSeeOther)
	return nil
}

// session returns the browser's session, and false when nobody is signed in.
func (f *Frontend) session(r *http.Request) (signin.Session, bool, error) {
	s, err := f.options.SignIn.Current(r)
	if _, denied := denial.ReasonOf(err); denied {
		return signin.Session{}, false, nil
	}
	return s, err == nil, err
}
