package frontend

import (
	"testing"

	"github.com/touchstone-id/touchstone/pkg/trust"
)

func TestASignInLeadsNowhereButTheConsole(t *testing.T) {
	on, err := trust.Parse("trust.yaml", []byte("console: {group: administrators}"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, given, want string
		trust             *trust.Trust
	}{
		{"its front", "/console", "/console", on},
		{"a page of it", "/console/people/abc/suspend", "/console/people/abc/suspend", on},
		{"with a search", "/console/people?q=ada", "/console/people?q=ada", on},
		{"an id with a slash", "/console/clients/a%2fb", "/console/clients/a%2fb", on},
		{"a raw path that is another", "/console/%2e/people", "", on},
		{"there is no console", "/console", "", trust.Empty()},
		{"nothing", "", "", on},
		{"another page", "/account", "", on},
		{"a page that begins like it", "/consolex", "", on},
		{"another site", "https://evil.test/console", "", on},
		{"another site, its scheme left out", "//evil.test/console", "", on},
		{"another site, after the front", "/console//evil.test", "", on},
		{"a backslash, which browsers take for a slash", `/\evil.test/console`, "", on},
		{"a backslash in the path", `/console/\evil.test`, "", on},
		{"an escaped backslash", "/console/%5cevil.test", "", on},
		{"up and away", "/console/../signout", "", on},
		{"up and away, escaped", "/console/%2e%2e/signout", "", on},
		{"up and away, slashes escaped", "/console/..%2f..%2fsignout", "", on},
		{"a script", "javascript:alert(1)//console", "", on},
		{"a line break before a header", "/console/%0d%0aSet-Cookie:x", "", on},
		{"a space before the slash", " /console", "", on},
		{"somebody's name", "//user@evil.test/console", "", on},
		{"a fragment goes nowhere", "/console#//evil.test", "/console", on},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &Frontend{options: Options{Trust: func() *trust.Trust { return tt.trust }}}
			if got := f.consolePath(tt.given); got != tt.want {
				t.Errorf("a sign-in leads to %q, want %q", got, tt.want)
			}
		})
	}
}
