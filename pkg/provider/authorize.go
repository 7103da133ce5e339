package provider

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/secret"
	"github.com/touchstone-id/touchstone/pkg/signin"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// challengeForm is an S256 code challenge: 43 characters of base64url (RFC 7636 section 4.2).
var challengeForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// maxParameter bounds state, nonce and login_hint, in bytes.
const maxParameter = 2048

// redirected is an error that may be told to the client, because client and
// redirect URI were validated before. Every other error is shown as a page.
type redirected struct {
	error
	to    string
	state string
	// mode is the response mode: query or form_post.
	mode string
}

func (e redirected) Unwrap() error { return e.error }

// authorize serves the authorization endpoint (OpenID Connect Core section 3.1.2).
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	form, err := singleValued(w, r)
	if err != nil {
		p.options.ShowError(w, r, err)
		return
	}
	params, err := p.validate(form)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	if r.Method == http.MethodPost {
		// A cross-site POST carries no SameSite=Lax cookies: come back by GET.
		http.Redirect(w, r, pathAuthorize+"?"+form.Encode(), http.StatusSeeOther)
		return
	}
	if err := p.begin(w, r, params); err != nil {
		p.refuse(w, r, redirected{err, params.RedirectURI, params.State, params.ResponseMode})
	}
}

// refuse shows an error, or redirects it when its type says that this is safe.
func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, err error) {
	back, ok := err.(redirected)
	if !ok {
		p.options.ShowError(w, r, err)
		return
	}
	code, description, _ := p.explain(r, back.error)
	p.redirect(w, r, back, url.Values{"error": {code}, "error_description": {description}})
}

// redirect sends the browser to a validated redirect URI, with state and iss
// (RFC 6749 section 4.1.2, RFC 9207 section 2), in the query or in a form that
// the browser posts (OAuth 2.0 Form Post Response Mode).
func (p *Provider) redirect(w http.ResponseWriter, r *http.Request, to redirected, values url.Values) {
	if to.state != "" {
		values.Set("state", to.state)
	}
	values.Set("iss", p.options.Issuer)
	w.Header().Set("Referrer-Policy", "no-referrer")
	if to.mode == modeFormPost {
		p.options.PostForm(w, r, to.to, values)
		return
	}
	separator := "?"
	if strings.Contains(to.to, "?") {
		separator = "&"
	}
	http.Redirect(w, r, to.to+separator+values.Encode(), http.StatusSeeOther)
}

// The response modes (OAuth 2.0 Multiple Response Types section 2.1).
const (
	modeQuery    = "query"
	modeFormPost = "form_post"
)

// validate checks a request. Client and redirect URI come first, and until they
// hold nothing is redirected.
func (p *Provider) validate(form url.Values) (grant.OpenParams, error) {
	client, ok := p.options.Clients.Get(grant.ClientID(form.Get("client_id")))
	if !ok {
		return grant.OpenParams{}, denial.New(denial.ClientUnknown, "client_id %.80q", form.Get("client_id"))
	}
	uri := form.Get("redirect_uri")
	if !client.RedirectURIRegistered(uri) || !redirectable(uri) {
		return grant.OpenParams{}, denial.New(denial.RedirectURIUnregistered, "client %s, redirect_uri %.200q", client.ID, uri)
	}
	o := grant.OpenParams{ClientID: client.ID, RedirectURI: uri, ResponseMode: modeQuery, State: form.Get("state"), Nonce: form.Get("nonce"),
		CodeChallenge: form.Get("code_challenge"), LoginHint: form.Get("login_hint")}
	if form.Get("response_mode") == modeFormPost {
		o.ResponseMode = modeFormPost
	}
	if err := p.validateRest(form, client, &o); err != nil {
		return o, redirected{err, uri, o.State, o.ResponseMode}
	}
	return o, nil
}

// redirectable refuses addresses that a browser would run, or that end before
// our parameters, whoever registered them (RFC 6749 section 3.1.2).
func redirectable(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.IsAbs() && !strings.Contains(uri, "#") &&
		!slices.Contains([]string{"javascript", "data", "vbscript", "file", "blob", "about"}, strings.ToLower(u.Scheme))
}

// validateRest checks everything but client and redirect URI.
func (p *Provider) validateRest(form url.Values, client grant.Client, o *grant.OpenParams) error {
	for _, text := range []string{o.State, o.Nonce, o.LoginHint} {
		if len(text) > maxParameter {
			return denial.New(denial.RequestMalformed, "a parameter is too long")
		}
	}
	switch {
	case form.Has("request"):
		return denial.New(denial.RequestObjectRefused, "")
	case form.Has("request_uri"):
		return denial.New(denial.RequestURIRefused, "")
	case form.Get("response_type") == "":
		return denial.New(denial.RequestMalformed, "response_type is missing")
	case form.Get("response_type") != "code" || !client.AllowsGrant("authorization_code"):
		return denial.New(denial.ResponseTypeUnsupported, "response_type %.80q", form.Get("response_type"))
	case form.Get("response_mode") != "" && form.Get("response_mode") != o.ResponseMode:
		return denial.New(denial.ResponseModeUnsupported, "response_mode %.80q", form.Get("response_mode"))
	case o.CodeChallenge == "" && client.Settings.PKCEExempt && !form.Has("code_challenge_method"):
		// Such a request must have a nonce, or its code is not redeemed: see grant.Redeem.
	case o.CodeChallenge == "":
		return denial.New(denial.PKCERequired, "")
	case form.Get("code_challenge_method") != "S256" || !challengeForm.MatchString(o.CodeChallenge):
		return denial.New(denial.PKCEMethodRefused, "code_challenge_method %.20q", form.Get("code_challenge_method"))
	}
	var err error
	if o.Scopes, o.Audiences, err = p.permissions(client, form.Get("scope"), form["resource"]); err != nil {
		return err
	}
	o.Audience = o.Audiences[0]
	if err := p.wishes(form, client, o); err != nil {
		return err
	}
	o.Prompt = strings.Fields(form.Get("prompt"))
	for _, value := range o.Prompt {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, value) || value == "none" && len(o.Prompt) > 1 {
			return denial.New(denial.PromptInvalid, "prompt %.80q", form.Get("prompt"))
		}
	}
	if form.Get("max_age") != "" {
		seconds, err := strconv.Atoi(form.Get("max_age"))
		if err != nil || seconds < 0 || seconds > math.MaxInt32 {
			return denial.New(denial.RequestMalformed, "max_age %.20q", form.Get("max_age"))
		}
		o.MaxAge = &seconds
	}
	return nil
}

// permissions checks scopes and resource indicators (RFC 8707) against what the
// client is registered for, and returns them with the audiences of its tokens:
// the APIs named, or userinfo alone.
func (p *Provider) permissions(client grant.Client, scope string, resources []string) ([]string, []string, error) {
	var audiences []string
	allowed := trust.IdentityScopes()
	if strings.Join(resources, "") == "" {
		resources = p.implied(client, strings.Fields(scope))
	}
	for _, resource := range resources {
		if resource == "" || slices.Contains(audiences, resource) {
			continue
		}
		audiences = append(audiences, resource)
		if resource == p.userinfoAudience() {
			continue
		}
		api, ok := p.options.Trust().API(resource)
		if !ok || !client.AllowsAudience(resource) {
			return nil, nil, denial.New(denial.ResourceInvalid, "resource %.200q", resource)
		}
		for _, s := range api.Scopes {
			allowed = append(allowed, s.Name)
		}
	}
	if len(audiences) == 0 {
		audiences = []string{p.userinfoAudience()}
	}
	scopes := strings.Fields(scope)
	for i, s := range scopes {
		if !slices.Contains(allowed, s) || !client.AllowsScope(s) || slices.Contains(scopes[:i], s) {
			return nil, nil, denial.New(denial.ScopeInvalid, "scope %.80q; an API's scopes need its resource", s)
		}
		if s == grant.ScopeOffline && !client.AllowsGrant("refresh_token") {
			return nil, nil, denial.New(denial.ScopeInvalid, "client %s may not refresh", client.ID)
		}
	}
	if len(scopes) == 0 {
		return nil, nil, denial.New(denial.ScopeInvalid, "scope is missing")
	}
	if audiences[0] == p.userinfoAudience() && !slices.Contains(scopes, "openid") {
		return nil, nil, denial.New(denial.ScopeInvalid, "neither openid nor a resource: the token would be good for nothing")
	}
	return scopes, audiences, nil
}

// implied is the API that scopes mean when no resource is named (RFC 8707 section
// 2 leaves that to the server): the only one of the client's that has them. The
// developer portal's console cannot name one.
func (p *Provider) implied(client grant.Client, scopes []string) []string {
	var found []string
	for _, api := range p.options.Trust().APIs {
		has := func(s string) bool {
			return slices.ContainsFunc(api.Scopes, func(a trust.Scope) bool { return a.Name == s })
		}
		if client.AllowsAudience(api.Audience) && slices.ContainsFunc(scopes, has) {
			found = append(found, api.Audience)
		}
	}
	if len(found) != 1 {
		return nil
	}
	return found
}

// begin opens the request and sends the browser on: to the callback when its
// session is good enough, otherwise to sign in.
func (p *Provider) begin(w http.ResponseWriter, r *http.Request, o grant.OpenParams) error {
	session, err := p.options.SignIn.Current(r)
	now := p.options.Now()
	signedIn := err == nil && !wantsSignIn(o.Prompt, o.MaxAge) && sufficient(session.Authentication, o.Prompt, o.MaxAge, now) &&
		session.Authentication.Meets(o.ACRValues) && p.expected(o, session, r.Form.Get("id_token_hint"))
	if _, denied := denial.ReasonOf(err); err != nil && !denied {
		return err
	}
	if slices.Contains(o.Prompt, "none") {
		if !signedIn {
			return denial.New(denial.LoginRequired, "")
		}
		agreed, err := p.agreed(r.Context(), p.options.Pool, session.User.ID, grant.Request{ClientID: o.ClientID, Scopes: o.Scopes, Audiences: o.Audiences})
		if err != nil {
			return err
		}
		if !agreed {
			return denial.New(denial.ConsentRequired, "client %s", o.ClientID)
		}
	}
	o.Browser = p.options.SignIn.Browser(w, r)
	id, err := grant.Open(r.Context(), p.options.Pool, now, o)
	if err != nil {
		return err
	}
	next := "/signin?request="
	if signedIn {
		if err := p.options.SignIn.Resume(r.Context(), session, id, o.Browser); err != nil {
			return err
		}
		next = pathCallback + "?request="
	}
	http.Redirect(w, r, next+id.Reveal(), http.StatusSeeOther)
	return nil
}

// wantsSignIn reports whether a request asks for a new sign-in, whatever session
// there is (OpenID Connect Core section 3.1.2.1). With a passkey, choosing an
// account and signing in are one gesture, so select_account asks for the same as
// login.
func wantsSignIn(prompt []string, maxAge *int) bool {
	return slices.Contains(prompt, "login") || slices.Contains(prompt, "select_account") || maxAge != nil && *maxAge == 0
}

// sufficient reports whether a sign-in is young enough for a request opened at
// this instant; when the request asks for a new one, it was made afterwards.
func sufficient(a grant.Authentication, prompt []string, maxAge *int, opened time.Time) bool {
	if wantsSignIn(prompt, maxAge) && a.AuthTime.Before(opened) {
		return false
	}
	return maxAge == nil || !a.AuthTime.Add(time.Duration(*maxAge)*time.Second).Before(opened)
}

// expects notes the sub of the one person who may answer a request: the one whom
// an ID token of this client names as a hint, or whose sub the claims parameter
// asks for. Nobody else gets an answer (OpenID Connect Core sections 3.1.2.1,
// 3.1.2.2 and 5.5.1). A hint that cannot be verified, such as one signed by a key
// that is long gone, names nobody: it costs a new sign-in, no more.
func (p *Provider) expects(o *grant.OpenParams, hint, claimed string) error {
	o.Subject = claimed
	token, ok := p.hint(hint)
	switch {
	case !ok || token.Audience != string(o.ClientID):
		return nil
	case claimed != "" && claimed != token.Subject:
		return denial.New(denial.ClaimsInvalid, "the claims parameter and the hint name two people")
	}
	o.Subject = token.Subject
	return nil
}

// expected reports whether a session is of the person who may answer.
func (p *Provider) expected(o grant.OpenParams, s signin.Session, hint string) bool {
	return o.Subject == "" && hint == "" || o.Subject == p.subject(o.ClientID, s.User.ID)
}

// callback issues the code of a bound request to the browser that opened it.
// Its errors are shown: a request that is not this browser's says nothing about
// where its browser should go. The one exception is a request whose code was
// consumed because the sign-in bound to it is too old for it, or somebody
// else's: that one is known to be this browser's.
func (p *Provider) callback(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	form, err := singleValued(w, r)
	if err != nil {
		p.options.ShowError(w, r, err)
		return
	}
	id, browser := secret.Of(form.Get("request")), p.options.SignIn.BrowserOf(r)
	var request grant.Request
	var code secret.Value
	err = p.options.Log.Do(r.Context(), func(tx pgx.Tx) (event audit.Event, err error) {
		if request, err = grant.Find(r.Context(), tx, p.options.Now(), id, browser); err != nil {
			return audit.Event{}, err
		}
		if err := p.mayAsk(r.Context(), tx, request); err != nil {
			return audit.Event{}, err
		}
		request, code, err = grant.IssueCode(r.Context(), tx, p.options.Now(), id, browser)
		if err != nil {
			return audit.Event{}, err // nothing was consumed
		}
		a := request.Authentication
		event = audit.Event{Action: audit.CodeIssued, UserID: string(a.UserID), ClientID: string(request.ClientID), Credential: a.AuthenticatorID, Session: a.Session}
		if err := p.stillRegistered(request); err != nil {
			return event, err
		}
		if !sufficient(*a, request.Prompt, request.MaxAge, request.OpenedAt) {
			return event, denial.New(denial.LoginRequired, "the sign-in is older than the request allows")
		}
		if request.Subject != "" && request.Subject != p.subject(request.ClientID, a.UserID) {
			return event, denial.New(denial.OtherPerson, "client %s", request.ClientID)
		}
		return event, nil
	})
	back := redirected{err, request.RedirectURI, request.State, request.ResponseMode}
	switch reason, _ := denial.ReasonOf(err); reason {
	case denial.LoginRequired, denial.OtherPerson:
		p.refuse(w, r, back)
		return
	case denial.PersonDeclined:
		if fault := p.stillRegistered(request); fault != nil {
			p.options.ShowError(w, r, fault)
			return
		}
		if len(request.ACRValues) > 0 && request.Authentication == nil {
			back.error = denial.New(denial.LevelUnmet, "client %s asked for %v", request.ClientID, request.ACRValues)
		}
		p.refuse(w, r, back)
		return
	case denial.SignInRequired:
		http.Redirect(w, r, "/signin?request="+url.QueryEscape(id.Reveal()), http.StatusSeeOther)
		return
	case denial.ConsentRequired:
		http.Redirect(w, r, "/consent?request="+url.QueryEscape(id.Reveal()), http.StatusSeeOther)
		return
	}
	if err != nil {
		p.options.ShowError(w, r, err)
		return
	}
	p.redirect(w, r, back, url.Values{"code": {code.Reveal()}})
}

// mayAsk holds whatever must be decided before a code is issued: a sign-in, and
// the person's agreement, or their refusal.
func (p *Provider) mayAsk(ctx context.Context, q postgres.Querier, request grant.Request) error {
	switch {
	case request.Declined || request.Authentication == nil || request.Consented:
		return nil // grant.IssueCode tells which
	}
	agreed, err := p.agreed(ctx, q, request.Authentication.UserID, request)
	if err == nil && (!agreed || slices.Contains(request.Prompt, "consent")) {
		err = denial.New(denial.ConsentRequired, "client %s", request.ClientID)
	}
	return err
}

// agreed reports whether a person need not be asked about a request: the client
// is the operator's own, or they agreed to all of it before.
func (p *Provider) agreed(ctx context.Context, q postgres.Querier, user account.ID, request grant.Request) (bool, error) {
	if client, ok := p.options.Clients.Get(request.ClientID); ok && client.Settings.FirstParty {
		return true, nil
	}
	c, err := grant.ConsentOf(ctx, q, user, request.ClientID)
	return c.Covers(request), err
}

// stillRegistered checks a stored redirect URI against the registration in
// force: it may have changed while the person was signing in.
func (p *Provider) stillRegistered(request grant.Request) error {
	client, known := p.options.Clients.Get(request.ClientID)
	switch {
	case !known:
		return denial.New(denial.ClientUnknown, "client %s is gone", request.ClientID)
	case !client.RedirectURIRegistered(request.RedirectURI) || !redirectable(request.RedirectURI):
		return denial.New(denial.RedirectURIUnregistered, "client %s registers it no more", request.ClientID)
	}
	return nil
}
