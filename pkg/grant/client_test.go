package grant

import (
	"net/url"
	"strings"
	"testing"
)

func TestRedirectURIRegistered(t *testing.T) {
	web := Client{Kind: Confidential, RedirectURIs: []string{"https://rp.test/cb"}}
	native := Client{Kind: Public, RedirectURIs: []string{"http://127.0.0.1/cb", "http://[::1]/cb", "com.example.app:/cb"}}
	for _, tt := range []struct {
		client Client
		uri    string
		want   bool
	}{
		{web, "https://rp.test/cb", true},
		{web, "https://rp.test:443/cb", false}, {web, "https://rp.test/cb/", false}, {web, "https://rp.test/CB", false}, {web, "https://RP.test/cb", false},
		{web, "https://rp.test/cb?x", false}, {web, "https://rp.test/cb#", false}, {web, `https://rp.test\@evil.test/cb`, false}, {web, "", false},
		{native, "http://127.0.0.1/cb", true}, {native, "http://127.0.0.1:55555/cb", true}, {native, "http://[::1]:1/cb", true}, {native, "com.example.app:/cb", true},
		{native, "http://127.0.0.1:1/other", false}, {native, "https://127.0.0.1:1/cb", false}, {native, "http://localhost:1/cb", false}, {native, "http://127.0.0.2:1/cb", false},
		{native, "http://evil@127.0.0.1:1/cb", false}, {native, "http://127.0.0.1:1/cb#f", false}, {native, "http://127.0.0.1:1/cb?x=1", false}, {native, "http://127.0.0.1.evil.test/cb", false},
		{native, `http://127.0.0.1:1\@evil.test/cb`, false}, {native, "http://[::ffff:127.0.0.1]:1/cb", false},
		{Client{Kind: Confidential, RedirectURIs: []string{"http://127.0.0.1/cb"}}, "http://127.0.0.1:1/cb", false},
	} {
		if got := tt.client.RedirectURIRegistered(tt.uri); got != tt.want {
			t.Errorf("%s client, %q = %v", tt.client.Kind, tt.uri, got)
		}
	}
}

// FuzzRedirectURI holds that an address passes for a native client's registered
// one only when a parser of URLs finds nothing different but the port (RFC 8252
// section 7.3), and for another client's only when it is the same text.
func FuzzRedirectURI(f *testing.F) {
	for _, uri := range []string{"http://127.0.0.1:1/cb", "http://127.0.0.1:1@evil.test/cb", "http://127.0.0.1:/cb", "http://127.0.0.1:65536/cb", "http://[::1]:7/cb", "http://127.0.0.1/cb?x", "http://127.0.0.1:8/cb#f", "HTTP://127.0.0.1/cb"} {
		f.Add(uri)
	}
	native := Client{Kind: Public, RedirectURIs: []string{"http://127.0.0.1/cb"}}
	web := Client{Kind: Confidential, RedirectURIs: []string{"http://127.0.0.1/cb"}}
	f.Fuzz(func(t *testing.T, uri string) {
		if web.RedirectURIRegistered(uri) != (uri == "http://127.0.0.1/cb") {
			t.Errorf("%q at a web client", uri)
		}
		if !native.RedirectURIRegistered(uri) {
			return
		}
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "http" || u.Hostname() != "127.0.0.1" || u.User != nil || u.EscapedPath() != "/cb" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(uri, "#") {
			t.Errorf("%q passes for the registered one", uri)
		}
	})
}
