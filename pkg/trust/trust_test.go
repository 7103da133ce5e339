package trust

import (
	"strings"
	"testing"

	"github.com/touchstone-id/touchstone/pkg/claim"
)

const good = `
levels:
  - {name: gold, facts: [uv, attested, fido_l2]}
apis:
  - name: orders
    audience: https://api.example/orders
    path: /orders
    scopes: [{name: orders.read, title: See}]
    automation: [batch]
    require: {level: gold, scopes: [orders.read], max_age: 5m}
clients:
  - {id: web, name: Web, redirect_uris: ["https://rp.example/cb"], scopes: [openid, orders.read], apis: [orders]}
  - {id: batch, name: Batch, kind: workload, grant_types: [client_credentials], scopes: [orders.read], apis: [orders]}
`

func TestParse(t *testing.T) {
	f, err := Parse("trust.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Version) != versionLength || len(f.Levels) != 3 || f.APIs[0].TokenLifetime != defaultTokenLifetime || f.Clients[0].Kind != "public" {
		t.Errorf("%+v", f)
	}
	same, err := Parse("other.yaml", []byte("# a comment changes nothing\n"+good))
	if err != nil || same.Version != f.Version {
		t.Errorf("a comment changes the version: %v", err)
	}
	other, err := Parse("trust.yaml", []byte(strings.Replace(good, "max_age: 5m", "max_age: 6m", 1)))
	if err != nil || other.Version == f.Version {
		t.Errorf("a change keeps the version: %v", err)
	}
}

func TestLevels(t *testing.T) {
	f, err := Parse("trust.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		want  string
		facts []claim.Fact
	}{
		{"", nil}, {"phr", []claim.Fact{"uv"}}, {"phr", []claim.Fact{"uv", "attested"}}, {"gold", []claim.Fact{"uv", "attested", "fido_l2"}},
		{"phrh", []claim.Fact{"uv", "device_bound", "attested", "hardware", "metadata_current"}},
	} {
		if got := f.LevelOf(Authenticator{Facts: claim.NewFacts(tt.facts...)}); got != tt.want {
			t.Errorf("LevelOf(%v) = %q, want %q", tt.facts, got, tt.want)
		}
	}
}

func TestFaultsNameLineAndKeyAndTheNearestWord(t *testing.T) {
	for _, tt := range []struct{ name, from, to, want string }{
		{"unknown key", "path: /orders", "pth: /orders", `trust.yaml:7: apis[0].pth: unknown key; did you mean "path"?`},
		{"missing key", "    path: /orders\n", "", "apis[0].path: is required"},
		{"unknown fact", "attested", "atested", `unknown fact "atested"; did you mean "attested"?`},
		{"unknown level", "level: gold", "level: golt", `unknown level "golt"; did you mean "gold"?`},
		{"audience with a slash", "https://api.example/orders", "https://api.example/orders/", "without trailing slash"},
		{"unknown scope of a client", "scopes: [openid, orders.read]", "scopes: [openid, orders.reed]", `did you mean "orders.read"?`},
		{"wildcard", "https://rp.example/cb", "https://*.example/cb", "wildcard"},
		{"script", "https://rp.example/cb", "javascript:alert(1)", "must be https"},
		{"plain http", "https://rp.example/cb", "http://rp.example/cb", "must be https"},
		{"fragment", "https://rp.example/cb", "https://rp.example/cb#x", "fragment"},
		{"userinfo", "https://rp.example/cb", "https://rp.example@evil.example/cb", "userinfo"},
		{"long token life", "path: /orders", "path: /orders\n    token_lifetime: 2h", "outside"},
		{"EdDSA", "path: /orders", "path: /orders\n    signing_algorithm: EdDSA", "is not one of"},
		{"workload with codes", "grant_types: [client_credentials]", "grant_types: [authorization_code]", "a workload has client_credentials alone"},
		{"duplicate key", "path: /orders", "path: /orders\n    path: /x", "already defined"},
		{"alias", "levels:", "x: &a [1]\nlevels:", "unknown key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("trust.yaml", []byte(strings.Replace(good, tt.from, tt.to, 1)))
			if err == nil || !strings.Contains(err.Error(), tt.want) && !(tt.name == "duplicate key" && strings.Contains(err.Error(), "given twice")) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAllFaultsAreToldAtOnce(t *testing.T) {
	_, err := Parse("trust.yaml", []byte("apis:\n  - {name: A, audience: x, path: y}\n"))
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("got %v, want three faults", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Fuzz(func(t *testing.T, data []byte) { Parse("fuzz.yaml", data) })
}
