package grant

import (
	"strings"
	"testing"
)

func TestRegistrations(t *testing.T) {
	good := func() Client {
		return Client{ID: "app", Name: "App", Kind: Confidential, RedirectURIs: []string{"https://app.example/cb"}, GrantTypes: []string{"authorization_code"}, Scopes: []string{"openid"}}
	}
	for _, tt := range []struct {
		name   string
		change func(*Client)
		want   string
	}{
		{"a good one", func(*Client) {}, ""},
		{"a client_id that is a URL", func(c *Client) { c.ID = "https://app.example/id?x=1" }, ""},
		{"keys for private_key_jwt", func(c *Client) {
			c.Settings.AuthMethod, c.Settings.JWKSURI = AuthPrivateKeyJWT, "https://app.example/jwks"
		}, ""},
		{"no id", func(c *Client) { c.ID = "" }, "a client_id has"},
		{"a space in the id", func(c *Client) { c.ID = "a b" }, "a client_id has"},
		{"an id that is a path", func(c *Client) { c.ID = ".." }, "a client_id has"},
		{"an id without end", func(c *Client) { c.ID = ClientID(strings.Repeat("a", 201)) }, "a client_id has"},
		{"no name", func(c *Client) { c.Name = " " }, "a client's name has"},
		{"a name with a control character", func(c *Client) { c.Name = "A\x00" }, "a client's name has"},
		{"no kind", func(c *Client) { c.Kind = "" }, "a client is public"},
		{"no redirect URI", func(c *Client) { c.RedirectURIs = nil }, "a confidential client needs a redirect URI"},
		{"a script for a redirect URI", func(c *Client) { c.RedirectURIs = []string{"javascript:alert(1)"} }, "must be https"},
		{"a workload that redirects", func(c *Client) { c.Kind, c.GrantTypes = Workload, []string{"client_credentials"} }, "a workload has client_credentials alone"},
		{"a person's client that acts for itself", func(c *Client) { c.GrantTypes = append(c.GrantTypes, "client_credentials") }, "client_credentials is for workloads"},
		{"private_key_jwt without keys", func(c *Client) { c.Settings.AuthMethod = AuthPrivateKeyJWT }, "belong together"},
		{"keys without private_key_jwt", func(c *Client) { c.Settings.JWKSURI = "https://app.example/jwks" }, "belong together"},
		{"keys in the clear", func(c *Client) {
			c.Settings.AuthMethod, c.Settings.JWKSURI = AuthPrivateKeyJWT, "http://app.example/jwks"
		}, "must be"},
		{"a public client with a secret", func(c *Client) { c.Kind, c.Settings.AuthMethod = Public, AuthSecretPost }, "cannot prove itself"},
		{"a public client without PKCE", func(c *Client) { c.Kind, c.Settings.PKCEExempt = Public, true }, "for confidential clients"},
		{"told of logouts at no URL", func(c *Client) { c.Settings.BackchannelLogoutURI = "file:///etc/passwd" }, "must be"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := good()
			tt.change(&c)
			err := c.check()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}
