package provider

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// Identity scopes that this package gives a meaning to; the list of all is
// trust.IdentityScopes.
const (
	scopeOpenID        = "openid"
	scopeProfile       = "profile"
	scopeAuthenticator = "authenticator"
)

// Values of prompt (OpenID Connect Core section 3.1.2.1).
const (
	promptNone          = "none"
	promptLogin         = "login"
	promptConsent       = "consent"
	promptSelectAccount = "select_account"
)

// prompts are the values we understand. With a passkey, choosing an account and
// signing in are one gesture, and the page of that gesture names the client: so
// consent and select_account ask for the same as login.
var prompts = []string{promptNone, promptLogin, promptConsent, promptSelectAccount}

// challengeForm is the code_challenge of RFC 7636 section 4.2.
var challengeForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// registeredAddress finds the client and the address its answers go to. Until
// it succeeds nothing is redirected (RFC 6749 section 4.1.2.1): its errors are
// shown.
func (p *Provider) registeredAddress(form url.Values) (grant.Client, returnAddress, error) {
	client, ok := p.Clients.Get(grant.ClientID(form.Get("client_id")))
	if !ok {
		return grant.Client{}, returnAddress{}, denial.New(denial.ClientUnknown, "")
	}
	uri := form.Get("redirect_uri")
	if uri == "" {
		return grant.Client{}, returnAddress{}, denial.New(denial.RequestMalformed, "client %s: no redirect_uri", client.ID)
	}
	if !client.RedirectURIRegistered(uri) || !redirectable(uri) {
		return grant.Client{}, returnAddress{}, denial.New(denial.RedirectURIUnregistered, "client %s", client.ID)
	}
	return client, returnAddress{uri, form.Get("state")}, nil
}

// redirectable refuses addresses that a browser would run or that end before
// our parameters, whoever registered them (RFC 6749 section 3.1.2).
func redirectable(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.IsAbs() && !strings.Contains(uri, "#") &&
		!slices.Contains([]string{"javascript", "data", "vbscript", "file", "blob", "about"}, strings.ToLower(u.Scheme))
}

// readRequest validates an authorization request of a known client. Its errors
// are the client's to know. Parameters that are not named here, claims,
// acr_values, display and ui_locales among them, change nothing: in particular
// nothing that a client sends reaches a claim but nonce.
func (p *Provider) readRequest(client grant.Client, form url.Values) (grant.OpenParams, error) {
	o := grant.OpenParams{ClientID: client.ID, RedirectURI: form.Get("redirect_uri"), State: form.Get("state"),
		Nonce: form.Get("nonce"), CodeChallenge: form.Get("code_challenge"), LoginHint: form.Get("login_hint")}
	if err := checkResponse(client, form); err != nil {
		return o, err
	}
	if err := checkChallenge(form); err != nil {
		return o, err
	}
	var err error
	if o.Audience, o.Scopes, err = p.readTarget(client, form); err != nil {
		return o, err
	}
	if o.Prompt, err = readPrompt(form); err != nil {
		return o, err
	}
	o.MaxAge, err = readMaxAge(form)
	return o, err
}

// checkResponse refuses everything but a plain request for a code in the query.
func checkResponse(client grant.Client, form url.Values) error {
	switch {
	case form.Get("request") != "":
		return denial.New(denial.RequestObjectRefused, "")
	case form.Get("request_uri") != "":
		return denial.New(denial.RequestURIRefused, "")
	case form.Get("response_type") == "":
		return denial.New(denial.RequestMalformed, "no response_type")
	case form.Get("response_type") != "code":
		return denial.New(denial.ResponseTypeUnsupported, "")
	case form.Get("response_mode") != "" && form.Get("response_mode") != "query":
		return denial.New(denial.ResponseModeUnsupported, "")
	case !client.AllowsGrant("authorization_code"):
		return denial.New(denial.ClientNotAllowed, "client %s may not ask for codes", client.ID)
	}
	return nil
}

// checkChallenge requires PKCE with S256 of every client (RFC 7636, RFC 9700
// section 2.1.1). An absent method means plain.
func checkChallenge(form url.Values) error {
	switch challenge := form.Get("code_challenge"); {
	case challenge == "":
		return denial.New(denial.PKCERequired, "")
	case form.Get("code_challenge_method") != "S256":
		return denial.New(denial.PKCEMethodRefused, "")
	case !challengeForm.MatchString(challenge):
		return denial.New(denial.RequestMalformed, "code_challenge is not 43 to 128 unreserved characters")
	}
	return nil
}

// readTarget reads resource (RFC 8707) and scope: one API and its scopes, or no
// API and identity scopes alone, for a token that only the userinfo endpoint
// accepts.
func (p *Provider) readTarget(client grant.Client, form url.Values) (string, []string, error) {
	t := p.Trust()
	audience, api := p.userInfoAudience(), trust.API{}
	if asked := form[resourceParameter]; len(asked) > 1 {
		return "", nil, denial.New(denial.ResourceInvalid, "%d resources, want one", len(asked))
	} else if len(asked) == 1 && asked[0] != "" {
		var known bool
		if api, known = t.API(asked[0]); !known || !client.AllowsAudience(api.Audience) {
			return "", nil, denial.New(denial.ResourceInvalid, "client %s asked for another API", client.ID)
		}
		audience = api.Audience
	}
	scopes := readScopes(form)
	if len(scopes) == 0 {
		return "", nil, denial.New(denial.ScopeInvalid, "no scope")
	}
	for _, s := range scopes {
		identity := slices.Contains(trust.IdentityScopes(), s)
		switch {
		case !client.AllowsScope(s), s == grant.ScopeOffline && !client.AllowsGrant("refresh_token"):
			return "", nil, denial.New(denial.ScopeInvalid, "client %s may not have a scope it asked for", client.ID)
		case !identity && api.Name == "":
			return "", nil, denial.New(denial.ResourceInvalid, "client %s asked for a scope of an API without naming the API in resource", client.ID)
		case !identity && !offers(api, s):
			return "", nil, denial.New(denial.ScopeInvalid, "client %s asked for a scope that %s does not have", client.ID, api.Name)
		}
	}
	if api.Name == "" && !slices.Contains(scopes, scopeOpenID) {
		return "", nil, denial.New(denial.ScopeInvalid, "neither openid nor a resource")
	}
	return audience, scopes, nil
}

// readScopes returns the requested scopes without repetition, in order.
func readScopes(form url.Values) []string {
	var scopes []string
	for s := range strings.SplitSeq(form.Get("scope"), " ") {
		if s != "" && !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	return scopes
}

// offers reports whether the scope belongs to the API.
func offers(api trust.API, scope string) bool {
	return slices.ContainsFunc(api.Scopes, func(s trust.Scope) bool { return s.Name == scope })
}

// readPrompt reads prompt; none stands alone.
func readPrompt(form url.Values) ([]string, error) {
	values := strings.Fields(form.Get("prompt"))
	for _, v := range values {
		if !slices.Contains(prompts, v) {
			return nil, denial.New(denial.RequestMalformed, "unknown prompt")
		}
	}
	if slices.Contains(values, promptNone) && len(values) > 1 {
		return nil, denial.New(denial.PromptInvalid, "")
	}
	return values, nil
}

// maxMaxAge bounds max_age, in seconds: the column's limit, 68 years.
const maxMaxAge = 1<<31 - 1

// readMaxAge reads max_age in seconds; nil when absent.
func readMaxAge(form url.Values) (*int, error) {
	text := form.Get("max_age")
	if text == "" {
		return nil, nil
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 0 || seconds > maxMaxAge {
		return nil, denial.New(denial.RequestMalformed, "max_age is not a number of seconds")
	}
	return &seconds, nil
}
