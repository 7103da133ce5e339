package apim

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	wrap := func(inbound string) string {
		return "<policies><inbound><base/>" + inbound + "</inbound></policies>"
	}
	jwt := `<validate-jwt header-name="Authorization" clock-skew="30"><audiences><audience>a</audience></audiences></validate-jwt>`
	for _, tt := range []struct{ name, deployed, meant, want string }{
		{"the same", wrap(jwt), wrap(jwt), ""},
		{"white space, comments, order of attributes", "<!-- x -->" + wrap("\n<validate-jwt clock-skew='30' header-name='Authorization'>\n<audiences>\n<audience> a </audience></audiences></validate-jwt>"), wrap(jwt), ""},
		{"raw and escaped", wrap(`<choose><when condition="@(1 < 2 && "a" == "b")"/></choose>`), wrap(`<choose><when condition="@(1 &lt; 2 &amp;&amp; &quot;a&quot; == &quot;b&quot;)"/></choose>`), ""},
		{"an attribute changed", wrap(strings.Replace(jwt, "30", "0", 1)), wrap(jwt), `line 1: inbound/validate-jwt[1]: clock-skew is "0", meant is "30"`},
		{"an attribute more", wrap(strings.Replace(jwt, "<validate-jwt", `<validate-jwt require-signed-tokens="false"`, 1)), wrap(jwt), `line 1: inbound/validate-jwt[1]: require-signed-tokens="false" is not meant`},
		{"an attribute less", wrap(strings.Replace(jwt, ` clock-skew="30"`, "", 1)), wrap(jwt), `line 1: inbound/validate-jwt[1]: clock-skew is missing, meant is "30"`},
		{"an audience more", wrap(strings.Replace(jwt, "<audience>", "<audience>b</audience><audience>", 1)), wrap(jwt), `line 1: inbound/validate-jwt[1]/audiences[1]: <audience> "b" is not meant to be here`},
		{"another audience", wrap(strings.Replace(jwt, ">a<", ">b<", 1)), wrap(jwt), `line 1: inbound/validate-jwt[1]/audiences[1]/audience[1]: the text is "b", meant is "a"`},
		{"a policy in front", wrap(`<set-method>GET</set-method>` + jwt), wrap(jwt), `line 1: inbound: <set-method> "GET" is not meant to be here`},
		{"removed", wrap(""), wrap(jwt), `inbound: <validate-jwt> is missing`},
		{"no base", strings.Replace(wrap(jwt), "<base/>", "", 1), wrap(jwt), "inbound: <base> is missing"},
		{"another order", wrap(`<cors/>` + jwt), wrap(jwt + `<cors/>`), "line 1: inbound: <cors> is not meant to be here; inbound: <cors> is missing"},
		{"a section more", "<policies><inbound><base/></inbound><on-error/></policies>", wrap(""), "on-error: the section is not meant to be here"},
		{"a section less", wrap(""), "<policies><inbound><base/></inbound><on-error><base/></on-error></policies>", "on-error: the section is missing, so the wider scope's stays in force"},
		{"a fragment", "<fragment><base/></fragment>", wrap(""), "document: one is a fragment, the other is not"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			deployed, err := Read([]byte(tt.deployed))
			if err != nil {
				t.Fatal(err)
			}
			meant, err := Read([]byte(tt.meant))
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, d := range Diff(deployed, meant) {
				lines = append(lines, d.String())
			}
			if diff := cmp.Diff(tt.want, strings.Join(lines, "; ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}
