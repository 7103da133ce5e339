package frontend

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// identityWords say what the scopes mean that belong to no API.
var identityWords = map[string]string{
	"openid":         "Know that it is you, each time you sign in",
	"profile":        "See your name and profile",
	"email":          "See your e-mail address",
	"phone":          "See your telephone number",
	"address":        "See your postal address",
	"authenticator":  "See what kind of passkey you use",
	"offline_access": "Keep its access for up to 30 days, also while you are away",
}

// inWords says what scopes and audiences let a client do.
func (f *Frontend) inWords(scopes, audiences []string) []string {
	var words []string
	for _, s := range scopes {
		if text := identityWords[s]; text != "" {
			words = append(words, text)
		}
	}
	for _, a := range f.options.Trust().APIs {
		if !slices.Contains(audiences, a.Audience) {
			continue
		}
		var own []string
		for _, s := range a.Scopes {
			if slices.Contains(scopes, s.Name) {
				own = append(own, s.Title)
			}
		}
		if len(own) == 0 {
			own = []string{"Call it in your name"}
		}
		words = append(words, a.Title+": "+strings.Join(own, "; "))
	}
	return words
}

// consent asks the person who is signed in whether a client may have what it
// asks for (OpenID Connect Core section 3.1.2.4).
func (f *Frontend) consent(w http.ResponseWriter, r *http.Request) error {
	id := r.URL.Query().Get("request")
	request, err := grant.Find(r.Context(), f.options.Pool, f.options.Now(), secret.Of(id), f.options.SignIn.BrowserOf(r))
	if err != nil {
		return err
	}
	client, ok := f.options.Clients.Get(request.ClientID)
	if !ok {
		return denial.New(denial.ClientUnknown, "client %s", request.ClientID)
	}
	if request.Authentication == nil {
		http.Redirect(w, r, "/signin?"+url.Values{"request": {id}}.Encode(), http.StatusSeeOther)
		return nil
	}
	who, err := account.ByID(r.Context(), f.options.Pool, request.Authentication.UserID)
	if err != nil {
		return err
	}
	return f.draw(w, http.StatusOK, "consent", page{Title: "Your agreement", Script: "consent.js", Request: id, Client: client.Name, Name: who.DisplayName,
		Permissions: f.inWords(request.Scopes, request.Audiences)})
}

// agree notes the person's answer and returns to the application with it.
func (f *Frontend) agree(w http.ResponseWriter, r *http.Request) error {
	var in answer
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if !in.Agree {
		return f.declined(w, r, in.Request)
	}
	session, err := f.options.SignIn.Current(r)
	if err != nil {
		return err
	}
	err = f.options.Log.Do(r.Context(), func(tx pgx.Tx) (audit.Event, error) {
		request, err := grant.Agree(r.Context(), tx, f.options.Now(), in.Request, f.options.SignIn.BrowserOf(r), session.User.ID)
		if err != nil {
			return audit.Event{}, err // nothing was consumed
		}
		return audit.Event{Action: audit.ConsentGiven, UserID: string(session.User.ID), ClientID: string(request.ClientID), Session: session.ID,
			Details: map[string]string{"scopes": strings.Join(request.Scopes, " "), "audiences": strings.Join(request.Audiences, " ")}}, nil
	})
	if err != nil {
		return err
	}
	f.back(w, in.Request)
	return nil
}

type applicationCard struct {
	ID, Name, Since string
	Permissions     []string
}

// applications lists what the person agreed to.
func (f *Frontend) applications(r *http.Request, id account.ID) ([]applicationCard, error) {
	list, err := grant.Consents(r.Context(), f.options.Pool, id)
	if err != nil {
		return nil, err
	}
	var cards []applicationCard
	for _, c := range list {
		if client, ok := f.options.Clients.Get(c.ClientID); ok {
			cards = append(cards, applicationCard{string(c.ClientID), client.Name, when(c.GrantedAt), f.inWords(c.Scopes, c.Audiences)})
		}
	}
	return cards, nil
}

// withdraw takes the person's agreement back and ends the application's access.
func (f *Frontend) withdraw(w http.ResponseWriter, r *http.Request) error {
	return f.change(w, r, func(tx pgx.Tx, in change) (audit.Event, error) {
		n, err := grant.Withdraw(r.Context(), tx, f.options.Now(), in.session.User.ID, grant.ClientID(in.ID), string(audit.ConsentWithdrawn))
		return audit.Event{Action: audit.ConsentWithdrawn, ClientID: in.ID, Details: map[string]string{"grants": strconv.Itoa(n)}}, err
	})
}
