package trust

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSurfacesAreInherited(t *testing.T) {
	parsed, err := Parse("t", []byte(`
surfaces:
  administrative: {level: phrh, roles: [admin], max_age: 15m, rate_limit: {calls: 5, period: 1s}, single_use: true}
apis:
  - {name: a, audience: "https://api.example/a", path: /a, surface: administrative, require: {level: phr, roles: [clerk], max_age: 1h}}
  - {name: b, audience: "https://api.example/b", path: /b, surface: administrative, require: {max_age: 1m}}
  - {name: c, audience: "https://api.example/c", path: /c}
`))
	if err != nil {
		t.Fatal(err)
	}
	a, b, c := parsed.APIs[0].Require, parsed.APIs[1].Require, parsed.APIs[2].Require
	if diff := cmp.Diff(parsed.FactsOf("phrh"), parsed.Wanted(a)); diff != "" {
		t.Errorf("an API of a lower level escapes its surface:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"clerk", "admin"}, a.Roles); diff != "" || a.MaxAge != 15*time.Minute || !a.SingleUse || a.RateLimit.Calls != 5 {
		t.Errorf("%+v %s", a, diff)
	}
	if b.Level != "phrh" || b.MaxAge != time.Minute {
		t.Errorf("%+v", b)
	}
	if diff := cmp.Diff(Requirement{}, c); diff != "" {
		t.Errorf("another surface inherits:\n%s", diff)
	}
}

func TestFaultsOfSurfacesAndEnvironments(t *testing.T) {
	api := "\napis: [{name: a, audience: \"https://api.example/a\", path: /a, surface: administrative, require: {level: phr}}]\n"
	for _, tt := range []struct{ name, text, want string }{
		{"unknown surface", "surfaces: {adminstrative: {}}", `did you mean "administrative"`},
		{"scopes at a surface", "surfaces: {administrative: {scopes: [x]}}", "scopes belong to one API"},
		{"another level than one that lists models", "levels: [{name: own, facts: [attested], models: {allow: [{vendor: x}]}}]\nsurfaces: {administrative: {level: own}}" + api, "its APIs cannot have another"},
		{"unknown level", "surfaces: {administrative: {level: nope}}", "unknown level"},
		{"environment without gateway", "environments: [{name: x, issuer: \"https://i.example\", audience: \"https://a.example\"}]", "gateway: is required"},
		{"audience with a path", "environments: [{name: x, issuer: \"https://i.example/p\", audience: \"https://a.example/p\", gateway: \"https://a.example\"}]", "must be an origin"},
		{"issuer with a slash at its end", "environments: [{name: x, issuer: \"https://i.example/p/\", audience: \"https://a.example\", gateway: \"https://a.example\"}]", "must be an issuer"},
		{"environment twice", "environments: [{name: x, issuer: \"https://i.example\", audience: \"https://a.example\", gateway: \"https://a.example\"}, {name: x, issuer: \"https://i.example\", audience: \"https://a.example\", gateway: \"https://a.example\"}]", "two environments"},
		{"no calls", "surfaces: {administrative: {rate_limit: {calls: 0, period: 1s}}}", "not a number of calls"},
		{"a long period", "surfaces: {administrative: {rate_limit: {calls: 1, period: 301s}}}", "outside"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Parse("t", []byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
