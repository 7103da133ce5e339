package admin

import (
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// identityWords say what the scopes are for that belong to no API.
var identityWords = map[string]string{
	"openid":         "who the person is (an ID token)",
	"profile":        "their name",
	"email":          "their e-mail address",
	"phone":          "their phone number",
	"address":        "where they live",
	"authenticator":  "what kind of passkey they use",
	"offline_access": "access while they are away, for up to 30 days",
}

// scopes are what a client may be registered for, in words.
func (c *Console) scopes() []choice {
	var list []choice
	for _, s := range trust.IdentityScopes() {
		text := s
		if words := identityWords[s]; words != "" {
			text += ": " + words
		}
		list = append(list, choice{s, text})
	}
	for _, a := range c.options.Trust().APIs {
		for _, s := range a.Scopes {
			list = append(list, choice{s.Name, s.Name + ": " + a.Title + ", " + s.Title})
		}
	}
	return list
}

func (c *Console) apis() []choice {
	var list []choice
	for _, a := range c.options.Trust().APIs {
		list = append(list, choice{a.Audience, a.Title + " (" + a.Audience + ")"})
	}
	return list
}

func (c *Console) askClient(*visit) (question, error) {
	q := question{Section: "clients", Back: "/clients", Title: "Register a client", Button: "Register the client",
		Lead: "An application or service that asks for tokens. What should be reviewed belongs in the trust file; this is for trying out, and for what belongs to somebody else.",
		Fields: []field{
			{Name: "id", Label: "client_id", Hint: "For example shop. It cannot be changed later, nor used again."},
			{Name: "name", Label: "Name that people read", Hint: "It stands on the sign-in page."},
			{Name: "kind", Label: "Kind", Value: string(grant.Public), Choices: []choice{{string(grant.Public), kindWords[grant.Public]}, {string(grant.Confidential), kindWords[grant.Confidential]}, {string(grant.Workload), kindWords[grant.Workload]}}},
			{Name: "redirect_uris", Label: "Redirect URIs, with spaces between them", Hint: "Exactly as the client sends them: https, or http on 127.0.0.1 for a native app. None for what acts for itself."},
			{Name: "scopes", Label: "It may ask for", Choices: c.scopes(), Many: true},
			{Name: "first_party", Label: "It is our own", Check: true, Hint: "People are not asked to agree."},
			{Name: "jwks_uri", Label: "Where it publishes its keys", Hint: "For private_key_jwt, which is better than a secret. Empty: it gets a secret, unless it is public."},
			{Name: "logout_uri", Label: "Where it is told that a session ended", Hint: "Back-channel logout; may be empty."},
		}}
	if apis := c.apis(); len(apis) > 0 {
		q.Fields = slices.Insert(q.Fields, 5, field{Name: "apis", Label: "It may call", Choices: apis, Many: true})
	}
	return q, nil
}

func (c *Console) registerClient(v *visit, tx pgx.Tx) (audit.Event, error) {
	in := v.r.PostForm
	k := grant.Client{ID: grant.ClientID(strings.TrimSpace(in.Get("id"))), Name: strings.TrimSpace(in.Get("name")), Kind: grant.Kind(in.Get("kind")),
		RedirectURIs: strings.Fields(in.Get("redirect_uris")), GrantTypes: []string{"authorization_code", "refresh_token"}, Scopes: in["scopes"], Audiences: in["apis"],
		Settings: grant.Settings{FirstParty: in.Get("first_party") != "", JWKSURI: strings.TrimSpace(in.Get("jwks_uri")), BackchannelLogoutURI: strings.TrimSpace(in.Get("logout_uri"))}}
	if k.Kind == grant.Workload {
		k.GrantTypes = []string{"client_credentials"}
	}
	if k.Settings.JWKSURI != "" {
		k.Settings.AuthMethod = grant.AuthPrivateKeyJWT
	}
	for _, one := range []struct{ given, known []string }{{k.Scopes, values(c.scopes())}, {k.Audiences, values(c.apis())}} {
		if slices.ContainsFunc(one.given, func(text string) bool { return !slices.Contains(one.known, text) }) {
			return audit.Event{}, problem("The trust file knows no such scope or API.")
		}
	}
	var err error
	v.made, err = grant.CreateClient(v.r.Context(), tx, k)
	var wrong grant.Misregistered
	switch {
	case errors.As(err, &wrong):
		return audit.Event{}, problem("Not registered: " + string(wrong) + ".")
	case errors.Is(err, grant.ErrClientExists):
		return audit.Event{}, problem("This client_id is taken, or was once.")
	}
	v.client = k
	return audit.Event{Action: audit.ClientCreated, ClientID: string(k.ID)}, err
}

func values(choices []choice) []string {
	var list []string
	for _, c := range choices {
		list = append(list, c.Value)
	}
	return list
}

func (c *Console) showClient(v *visit) *shown {
	s := &shown{Section: "clients", Title: v.client.Name + " is registered", Lead: "It can ask for tokens from now on.", Label: "client_id", Text: string(v.client.ID), Back: clientAt(v.client.ID)}
	if !v.made.Empty() {
		s.Lead, s.Label, s.Text = "Its secret is shown this once and kept only as a hash.", "Client secret", v.made.Reveal()
		s.Notes = []string{"Put it where the client reads it, and nowhere else."}
	}
	return s
}
