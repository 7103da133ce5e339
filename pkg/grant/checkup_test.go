package grant

import (
	"testing"
	"time"
)

func TestCheckUp(t *testing.T) {
	best := Client{Kind: Confidential, RedirectURIs: []string{"https://rp.example/cb"}, GrantTypes: []string{"authorization_code"}, Scopes: []string{"openid"},
		Settings: Settings{AuthMethod: AuthPrivateKeyJWT, IDTokenAlgorithm: "ES256", TokenLifetime: 5 * time.Minute}}
	with := func(change func(*Client)) Client {
		c := best
		change(&c)
		return c
	}
	for _, tt := range []struct {
		name          string
		client        Client
		oauth2, fapi2 int // rules that are not met
	}{
		{"best", best, 0, 1}, // sender constraint is not offered
		{"exempt from PKCE", with(func(c *Client) { c.Settings.PKCEExempt = true }), 1, 1},
		{"localhost by name", with(func(c *Client) { c.RedirectURIs = []string{"http://localhost/cb"} }), 1, 2},
		{"native loopback", with(func(c *Client) { c.RedirectURIs = []string{"http://127.0.0.1/cb"} }), 0, 2},
		{"two secrets", with(func(c *Client) { c.SecretDigests = [][]byte{{1}, {2}}; c.Settings.AuthMethod = "" }), 1, 2},
		{"public", with(func(c *Client) { c.Kind = Public; c.Settings = Settings{} }), 0, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			missed := map[string]int{}
			for _, p := range tt.client.CheckUp() {
				if !p.Met {
					missed[p.Profile]++
				}
				if p.Met != (p.Fix == "") || p.Rule == "" {
					t.Errorf("%+v", p)
				}
			}
			if missed[ProfileOAuth21] != tt.oauth2 || missed[ProfileFAPI2] != tt.fapi2 {
				t.Errorf("missed %v, want %d and %d", missed, tt.oauth2, tt.fapi2)
			}
		})
	}
}
