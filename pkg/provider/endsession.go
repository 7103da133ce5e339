package provider

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
)

// endSession is the end session endpoint (OpenID Connect RP-Initiated Logout
// section 2). Only an ID token of this browser's session speaks for the person;
// everybody else, a foreign page included, gets the page that asks them, and no
// redirect.
func (p *Provider) endSession(w http.ResponseWriter, r *http.Request) error {
	if repeatAsGet(w, r, p.SignIn.BrowserOf(r)) {
		return nil
	}
	session, err := p.SignIn.Current(r)
	_, signedOut := denial.ReasonOf(err)
	if err != nil && !signedOut {
		return err
	}
	hint, err := p.readHint(r.Form.Get("id_token_hint"))
	if err != nil || !signedOut && hint.SessionID != session.ID {
		seeOther(w, signOutPage)
		return nil
	}
	next, ok := p.afterSignOut(r.Form, grant.ClientID(hint.Audience))
	if !ok {
		seeOther(w, signOutPage)
		return nil
	}
	if err := p.SignIn.SignOut(r.Context(), w, r); err != nil {
		return err
	}
	seeOther(w, next)
	return nil
}

// afterSignOut returns where the browser goes: to the client's registered
// post-logout redirect URI, or to the start page when it named none.
func (p *Provider) afterSignOut(form url.Values, id grant.ClientID) (string, bool) {
	client, known := p.Clients.Get(id)
	if named := form.Get("client_id"); !known || named != "" && named != string(id) {
		return "", false
	}
	uri := form.Get("post_logout_redirect_uri")
	if uri == "" {
		return startPage, true
	}
	if !client.PostLogoutRegistered(uri) || !redirectable(uri) {
		return "", false
	}
	if state := form.Get("state"); state != "" {
		separator := "?"
		if strings.Contains(uri, "?") {
			separator = "&"
		}
		uri += separator + url.Values{"state": {state}}.Encode()
	}
	return uri, true
}
