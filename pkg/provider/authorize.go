package provider

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/secret"
	"github.com/touchstone-id/touchstone/pkg/signin"
)

// authorize is the authorization endpoint (RFC 6749 section 3.1, OpenID Connect
// Core section 3.1.2). It stores a valid request for this browser and sends the
// browser to sign in, or straight on when its session is good enough.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) error {
	if repeatAsGet(w, r, p.SignIn.BrowserOf(r)) {
		return nil
	}
	client, address, err := p.registeredAddress(r.Form)
	if err != nil {
		return err
	}
	if err := p.open(w, r, client); err != nil {
		return &redirected{address, err}
	}
	return nil
}

// open validates and stores the request and sends the browser on.
func (p *Provider) open(w http.ResponseWriter, r *http.Request, client grant.Client) error {
	params, err := p.readRequest(client, r.Form)
	if err != nil {
		return err
	}
	now := p.Now()
	session, err := p.SignIn.Current(r)
	if _, denied := denial.ReasonOf(err); err != nil && !denied {
		return err
	}
	suffices := err == nil && sufficient(session.Authentication, params.Prompt, params.MaxAge, now) &&
		p.hinted(session, r.Form.Get("id_token_hint"))
	if slices.Contains(params.Prompt, promptNone) && !suffices {
		return denial.New(denial.LoginRequired, "client %s", client.ID)
	}
	params.Browser = p.SignIn.Browser(w, r)
	id, err := grant.Open(r.Context(), p.Pool, now, params)
	if err != nil {
		return err
	}
	next := signInPage
	if suffices {
		if err := p.SignIn.Resume(r.Context(), session, id, params.Browser); err != nil {
			return err
		}
		next = callbackPath
	}
	seeOther(w, next+"?"+url.Values{"request": {id.Reveal()}}.Encode())
	return nil
}

// repeatAsGet answers a POST that came without our cookies by sending the
// browser back with the same parameters in a GET, and reports whether it did.
// Cookies are SameSite=Lax: a form that another site posts arrives without them,
// the GET that follows brings them. Nothing was stored for the POST, so it
// cannot replace the browser's binding cookie either.
func repeatAsGet(w http.ResponseWriter, r *http.Request, browser []byte) bool {
	query := r.Form.Encode()
	if r.Method != http.MethodPost || browser != nil || len(query) > maxQuery {
		return false
	}
	seeOther(w, r.URL.Path+"?"+query)
	return true
}

// sufficient reports whether a sign-in answers what a request asks for at this
// instant (OpenID Connect Core section 3.1.2.1, prompt and max_age). A request
// that asks for a page is answered only by a sign-in made after it was opened.
func sufficient(a grant.Authentication, prompt []string, maxAge *int, opened time.Time) bool {
	if slices.ContainsFunc(prompt, func(v string) bool { return v != promptNone }) && a.AuthTime.Before(opened) {
		return false
	}
	return maxAge == nil || !a.AuthTime.Add(time.Duration(*maxAge)*time.Second).Before(opened)
}

// hinted reports whether the session is that of the person in the
// id_token_hint; without a hint it is.
func (p *Provider) hinted(s signin.Session, hint string) bool {
	if hint == "" {
		return true
	}
	token, err := p.readHint(hint)
	return err == nil && token.Subject == string(s.User.ID)
}

// callback issues the code of a request that was signed in to, to the browser
// that opened it, and sends it back to the client. A person who declined to
// sign in comes here too.
func (p *Provider) callback(w http.ResponseWriter, r *http.Request) error {
	now, id, browser := p.Now(), secret.Of(r.Form.Get("request")), p.SignIn.BrowserOf(r)
	if r.Form.Get("declined") != "" {
		request, err := grant.Find(r.Context(), p.Pool, now, id, browser)
		if err != nil {
			return err
		}
		return p.answer(request, denial.New(denial.PersonDeclined, ""))
	}
	var request grant.Request
	var code secret.Value
	err := p.Log.Do(r.Context(), func(tx pgx.Tx) (audit.Event, error) {
		var err error
		if request, code, err = grant.IssueCode(r.Context(), tx, now, id, browser); err != nil {
			return audit.Event{}, err
		}
		a := request.Authentication
		event := audit.Event{Action: audit.CodeIssued, UserID: string(a.UserID), ClientID: string(request.ClientID),
			Credential: a.AuthenticatorID, Session: a.Session}
		if !sufficient(*a, request.Prompt, request.MaxAge, request.OpenedAt) {
			return event, denial.New(denial.LoginRequired, "the sign-in is older than the request allows")
		}
		return event, nil
	})
	switch {
	case denial.Is(err, denial.SignInRequired):
		seeOther(w, signInPage+"?"+url.Values{"request": {id.Reveal()}}.Encode())
		return nil
	case denial.Is(err, denial.LoginRequired):
		return p.answer(request, err)
	case err != nil:
		return err
	}
	address, err := p.stillRegistered(request)
	if err != nil {
		return err
	}
	seeOther(w, address.url(p.Issuer, url.Values{"code": {code.Reveal()}}))
	return nil
}

// answer makes the error of a request that is known to be this browser's one
// that its client is told.
func (p *Provider) answer(request grant.Request, err error) error {
	address, unregistered := p.stillRegistered(request)
	if unregistered != nil {
		return unregistered
	}
	return &redirected{address, err}
}

// stillRegistered checks a stored redirect URI against the registration in
// force: it may have changed while the person was signing in.
func (p *Provider) stillRegistered(request grant.Request) (returnAddress, error) {
	_, address, err := p.registeredAddress(url.Values{
		"client_id": {string(request.ClientID)}, "redirect_uri": {request.RedirectURI}, "state": {request.State}})
	return address, err
}
