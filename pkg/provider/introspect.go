package provider

import (
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/keyring"
)

// inspected is the answer about an active token (RFC 7662 section 2.2): its
// claims, and that it is active.
type inspected struct {
	Active    bool   `json:"active"`
	TokenType string `json:"token_type,omitempty"`
	*claim.AccessToken
}

// signedInspection is the answer to who asks for a signed one (RFC 9701 section
// 5). It names no subject and does not expire, so that it is no token of any kind.
type signedInspection struct {
	Issuer   string    `json:"iss"`
	Audience string    `json:"aud"`
	IssuedAt int64     `json:"iat"`
	Result   inspected `json:"token_introspection"`
}

// introspect tells a client about an access token (RFC 7662): one for an API
// that it serves, or one that it was given itself. Everything else, the tokens
// of others included, is answered as inactive, with nothing more. It costs one
// verification and one read, and a signature when the client's Accept asks for
// one (RFC 9701 section 4).
func (p *Provider) introspect(w http.ResponseWriter, r *http.Request) {
	client, err := p.authenticate(r.Context(), r.Header, r.Form, credentials(r))
	if err == nil && client.Kind == grant.Public {
		err = denial.New(denial.ClientAuthentication, "client %s proves nothing", client.ID)
	}
	if err == nil && r.Form.Get("token") == "" {
		err = denial.New(denial.RequestMalformed, "token is missing")
	}
	var result inspected
	if err == nil {
		result, err = p.inspect(r.Context(), client, r.Form.Get("token"))
	}
	if err != nil {
		p.writeError(w, r, err)
		return
	}
	if !accepts(r, "application/"+claim.TypeIntrospection) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(result)
		return
	}
	token, err := p.options.Ring.Sign(keyring.RS256, claim.TypeIntrospection, signedInspection{p.options.Issuer, string(client.ID), p.options.Now().Unix(), result})
	if err != nil {
		p.writeError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/"+claim.TypeIntrospection)
	io.WriteString(w, token)
}

// inspect decides what a client is told about a token.
func (p *Provider) inspect(ctx context.Context, client grant.Client, token string) (inspected, error) {
	a, grantID, err := p.accessToken(token)
	if err == nil && !slices.Contains(client.Settings.Serves, a.Audience) && a.ClientID != string(client.ID) {
		err = denial.New(denial.TokenInvalid, "client %s asks about a token for %s", client.ID, a.Audience)
	}
	if err == nil {
		_, err = grant.Standing(ctx, p.options.Pool, p.options.Now(), grantID)
	}
	if _, denied := denial.ReasonOf(err); denied {
		return inspected{}, nil
	}
	return inspected{true, "Bearer", &a}, err
}

// accepts reports whether a request names a media type in Accept; wildcards do
// not count, because the plain answer comes first.
func accepts(r *http.Request, media string) bool {
	for _, header := range r.Header.Values("Accept") {
		for _, part := range strings.Split(header, ",") {
			if kind, _, err := mime.ParseMediaType(part); err == nil && kind == media {
				return true
			}
		}
	}
	return false
}

// resourceMetadata describes a protected API (RFC 9728 section 2).
type resourceMetadata struct {
	Resource             string   `json:"resource"`
	Name                 string   `json:"resource_name"`
	AuthorizationServers []string `json:"authorization_servers"`
	Scopes               []string `json:"scopes_supported"`
	Methods              []string `json:"bearer_methods_supported"`
}

// protectedResource serves the metadata of the API with this name in the trust
// file. RFC 9728 section 3 has it on the API's own host; gateways point here by
// the resource_metadata parameter of their challenge (section 5.1), and can
// serve it themselves.
func (p *Provider) protectedResource(w http.ResponseWriter, r *http.Request) {
	t := p.options.Trust()
	for _, a := range t.APIs {
		if a.Name != r.PathValue("path") {
			continue
		}
		m := resourceMetadata{Resource: a.Audience, Name: a.Title, AuthorizationServers: []string{p.options.Issuer}, Scopes: []string{}, Methods: []string{"header"}}
		for _, s := range a.Scopes {
			m.Scopes = append(m.Scopes, s.Name)
		}
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Cache-Control", cacheFor)
		h.Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(m)
		return
	}
	p.options.ShowError(w, r, denial.New(denial.PageNotFound, "no such API"))
}
