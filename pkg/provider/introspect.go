package provider

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
)

// inspected is the answer about an active token (RFC 7662 section 2.2): its
// claims, and that it is active.
type inspected struct {
	Active    bool   `json:"active"`
	TokenType string `json:"token_type,omitempty"`
	*claim.AccessToken
}

// Introspect tells a client about an access token (RFC 7662): one for an API
// that it serves, or one that it was given itself. Everything else, the tokens
// of others included, is answered as inactive, with nothing more. It costs one
// verification and one read.
func (p *Provider) Introspect(ctx context.Context, r *op.Request[op.IntrospectionRequest]) (*op.Response, error) {
	authenticated, err := p.VerifyClient(ctx, &op.Request[op.ClientCredentials]{Method: r.Method, URL: r.URL, Header: r.Header, Form: r.Form, Data: r.Data.ClientCredentials})
	if err != nil {
		return nil, err
	}
	client := authenticated.(libraryClient).Client
	if client.Kind == grant.Public {
		return nil, p.forLibrary(request(ctx, r.URL), denial.New(denial.ClientAuthentication, "client %s proves nothing", client.ID))
	}
	a, grantID, err := p.accessToken(r.Data.Token)
	if err == nil && !slices.Contains(client.Settings.Serves, a.Audience) && a.ClientID != string(client.ID) {
		err = denial.New(denial.TokenInvalid, "client %s asks about a token for %s", client.ID, a.Audience)
	}
	if err == nil {
		_, err = grant.Standing(ctx, p.options.Pool, p.options.Now(), grantID)
	}
	if _, denied := denial.ReasonOf(err); err != nil && !denied {
		return nil, p.forLibrary(request(ctx, r.URL), err)
	}
	if err != nil {
		return op.NewResponse(inspected{}), nil
	}
	return op.NewResponse(inspected{true, "Bearer", &a}), nil
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
