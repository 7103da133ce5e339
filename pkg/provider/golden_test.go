package provider_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/provider"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a text with a file below testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// indent formats JSON with sorted members.
func indent(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestDiscoveryTellsTheTruth(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	a := b.get("/.well-known/openid-configuration")
	golden(t, "discovery.json", indent(t, a.JSON))
	if other := b.get("/.well-known/oauth-authorization-server"); other.Text != a.Text {
		t.Error("the two documents differ")
	}
	for name, value := range a.JSON {
		if !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" {
			continue
		}
		path := strings.TrimPrefix(value.(string), issuer)
		if got := b.get(path).StatusCode; got == 404 {
			t.Errorf("%s: nothing at %s", name, path)
		}
	}
}

// The document follows the trust file in force.
func TestDiscoveryFollowsTheTrustFile(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	before := b.get("/.well-known/openid-configuration")
	w.useTrust(strings.ReplaceAll(trustFile, "ledger.read", "ledger.view"))
	after := b.get("/.well-known/openid-configuration")
	if !strings.Contains(after.Text, "ledger.view") || before.Header.Get("ETag") == after.Header.Get("ETag") {
		t.Errorf("the document did not follow: %s", after.Text)
	}
}

func TestRoutes(t *testing.T) {
	w := newWorld(t)
	p, err := provider.New(provider.Options{Issuer: issuer, Pool: w.pool, Log: w.log, Ring: w.ring, Clients: w.clients, SignIn: w.flow, Trust: w.inForce, ShowError: w.show, Now: w.clock})
	w.must(err)
	golden(t, "routes.txt", strings.Join(p.Routes(), "\n")+"\n")
}

func TestIssuerIsAHostAndAPath(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name, issuer string
		ok           bool
	}{
		{"https", "https://login.example", true},
		{"https with a port", "https://login.example:8443", true},
		{"loopback", "http://localhost:8080", true},
		{"http elsewhere", "http://login.example", false},
		{"trailing slash", "https://login.example/", false},
		{"path", "https://login.example/tenant", true},
		{"longer path", "https://login.example/a/b-c.d~1", true},
		{"path with a trailing slash", "https://login.example/tenant/", false},
		{"empty segment", "https://login.example/a//b", false},
		{"dot segment", "https://login.example/a/../b", false},
		{"escapes", "https://login.example/a%2fb", false},
		{"space", "https://login.example/a b", false},
		{"query", "https://login.example?x", false},
		{"fragment", "https://login.example#x", false},
		{"userinfo", "https://a@login.example", false},
		{"no scheme", "login.example", false},
		{"empty", "", false},
	} {
		_, err := provider.New(provider.Options{Issuer: tt.issuer, Pool: w.pool, Log: w.log, Ring: w.ring, Clients: w.clients, SignIn: w.flow, Trust: w.inForce, ShowError: w.show, Now: w.clock})
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestTokens holds the token contract: header and claims of every kind of token.
func TestTokens(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	ada, bob := b.obtain("ada", params()), w.browser().obtain("bob", params("scope", "openid orders.read"))
	info := b.obtain("ada", identity())
	ledgers := b.obtain("ada", params("resource", ledger, "scope", "openid ledger.read"))
	robot := b.tokens(w.exchange("", "code", "", "grant_type", "client_credentials", "client_id", "robot", "client_secret", w.secrets["robot"]))
	for _, tt := range []struct{ file, token, typ string }{
		{"access-hardware.json", ada.access, claim.TypeAccessToken},
		{"access-synced.json", bob.access, claim.TypeAccessToken},
		{"access-userinfo.json", info.access, claim.TypeAccessToken},
		{"access-es256.json", ledgers.access, claim.TypeAccessToken},
		{"access-automation.json", robot.access, claim.TypeAccessToken},
		{"id-authenticator.json", ada.id, claim.TypeIDToken},
		{"id-plain.json", bob.id, claim.TypeIDToken},
		{"id-refreshed.json", b.tokens(w.refresh(ada.refresh)).id, claim.TypeIDToken},
	} {
		header, c := w.decode(tt.token, tt.typ)
		jti, _ := c["jti"].(string)
		if _, random, ok := strings.Cut(jti, "."); tt.typ == claim.TypeAccessToken && (!ok || len(random) != 11) {
			t.Errorf("%s: jti %q is not a grant id, a dot and eight random bytes", tt.file, jti)
		}
		life := c["exp"].(float64) - c["iat"].(float64)
		if int64(c["iat"].(float64)) != w.clock().Unix() {
			t.Errorf("%s: iat %v", tt.file, c["iat"])
		}
		for _, name := range []string{"sub", "jti", "sid", "iat", "auth_time", "authenticator_id", "at_hash", "trust_version"} {
			if c[name] != nil && c[name] != "robot" {
				c[name] = "(varies)"
			}
		}
		c["exp"], header["kid"] = "iat + "+indentNumber(life), "(varies)"
		golden(t, tt.file, indent(t, map[string]any{"header": header, "claims": c}))
	}
}

// indentNumber writes seconds.
func indentNumber(f float64) string {
	b, _ := json.Marshal(f)
	return string(b)
}
