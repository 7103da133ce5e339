package trust

import (
	"encoding/json"
	"net/url"
	"slices"

	"go.yaml.in/yaml/v3"
)

// grantTypes are those a client may be registered for.
var grantTypes = []string{"authorization_code", "refresh_token", "client_credentials",
	"urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange"}

// client reads one declared client.
func (r *reader) client(n *yaml.Node, at string, t *Trust) {
	c := Client{Kind: "public", GrantTypes: []string{"authorization_code", "refresh_token"}}
	r.mapping(n, at, map[string]func(*yaml.Node, string){
		"id":                           r.text(&c.ID, identifier),
		"name":                         r.text(&c.Name, anything),
		"kind":                         r.text(&c.Kind, oneOf("public", "confidential", "workload")),
		"redirect_uris":                r.texts(&c.RedirectURIs, redirectURI),
		"post_logout_redirect_uris":    r.texts(&c.PostLogoutRedirectURIs, redirectURI),
		"grant_types":                  r.texts(&c.GrantTypes, oneOf(grantTypes...)),
		"scopes":                       r.texts(&c.Scopes, scopeToken),
		"apis":                         r.texts(&c.APIs, identifier),
		"serves":                       r.texts(&c.Serves, identifier),
		"first_party":                  r.truth(&c.FirstParty),
		"token_endpoint_auth_method":   r.text(&c.AuthMethod, oneOf(authMethods...)),
		"jwks":                         r.text(&c.JWKS, keySet),
		"jwks_uri":                     r.text(&c.JWKSURI, remoteURL),
		"pkce_exempt":                  r.truth(&c.PKCEExempt),
		"id_token_signed_response_alg": r.text(&c.IDTokenAlgorithm, oneOf("RS256", "PS256", "ES256", "EdDSA")),
		"backchannel_logout_uri":       r.text(&c.BackchannelLogoutURI, remoteURL),
		"sector":                       r.text(&c.Sector, identifier),
		"token_lifetime":               r.duration(&c.TokenLifetime, minTokenLifetime, maxTokenLifetime),
	}, "id", "name")
	switch {
	case c.Kind == "public" && !slices.Contains([]string{"", "none"}, c.AuthMethod):
		r.fault(n, at+".token_endpoint_auth_method", "a public client has none")
	case c.Kind != "public" && c.AuthMethod == "none":
		r.fault(n, at+".token_endpoint_auth_method", "a %s client must prove itself", c.Kind)
	case (c.AuthMethod == "private_key_jwt") != (c.JWKS != "" || c.JWKSURI != ""):
		r.fault(n, at+".jwks", "private_key_jwt and the client's keys (jwks or jwks_uri) belong together")
	case c.PKCEExempt && c.Kind != "confidential":
		r.fault(n, at+".pkce_exempt", "is for confidential clients")
	}
	t.Clients = append(t.Clients, c)
}

// authMethods are the ways in which clients prove themselves (OpenID Connect Core section 9).
var authMethods = []string{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"}

// truth reads true or false.
func (r *reader) truth(into *bool) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) {
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
			r.fault(n, at, "%q is neither true nor false", n.Value)
			return
		}
		*into = n.Value == "true"
	}
}

// remoteURL accepts what we call ourselves: https, or http on a loopback host.
func remoteURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || httpURL(text) != "" || u.Scheme != "https" && !isLoopback(u.Hostname()) {
		return "must be https, or http on a loopback host"
	}
	return ""
}

func keySet(text string) string {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal([]byte(text), &set); err != nil || len(set.Keys) == 0 {
		return "is not a JWK Set with keys"
	}
	return ""
}
