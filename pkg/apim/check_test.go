package apim

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// jwt is a validate-jwt without a mistake; tests break it.
const jwt = `<validate-jwt header-name="Authorization" clock-skew="30">
<openid-config url="https://login.example/.well-known/openid-configuration" />
<audiences><audience>https://api.example</audience></audiences>
<issuers><issuer>https://login.example</issuer></issuers>
<required-claims><claim name="scope" match="all" separator=" "><value>read</value></claim></required-claims>
</validate-jwt>`

// broken replaces one part of the faultless validate-jwt.
func broken(t *testing.T, old, new string) string {
	t.Helper()
	if !strings.Contains(jwt, old) {
		t.Fatalf("nothing to break: %q", old)
	}
	return strings.Replace(jwt, old, new, 1)
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct{ name, inbound, rule string }{
		{"faultless", jwt, ""},
		{"faultless set of others", `<set-header name="A" exists-action="append"><value>1</value></set-header><rate-limit-by-key calls="1" renewal-period="60" counter-key='@(context.Request.IpAddress)' /><trace source="a"><message>b</message></trace>`, ""},
		{"other policies are left alone", `<quota calls="5" renewal-period="3600" />`, ""},
		{"unknown policy", `<validate-jwts />`, "unknown-element"},
		{"unknown child", broken(t, "<issuers>", "<isuers/><issuers>"), "unknown-element"},
		{"unknown attribute", broken(t, `clock-skew=`, `clockskew="1" clock-skew=`), "unknown-attribute"},
		{"wrong boolean", broken(t, `clock-skew=`, `require-signed-tokens="TRUE" clock-skew=`), "attribute-value"},
		{"skew as a time span", broken(t, `"30"`, `"00:00:30"`), "attribute-value"},
		{"unknown match", broken(t, `"all"`, `"every"`), "attribute-value"},
		{"expression where none may be", broken(t, `clock-skew=`, `output-token-variable-name='@("a")' clock-skew=`), "literal-only"},
		{"missing attribute", broken(t, ` url="https://login.example/.well-known/openid-configuration"`, ""), "missing-attribute"},
		{"issuers before audiences", broken(t, "<audiences><audience>https://api.example</audience></audiences>\n<issuers><issuer>https://login.example</issuer></issuers>",
			"<issuers><issuer>https://login.example</issuer></issuers><audiences><audience>https://api.example</audience></audiences>"), "child-order"},
		{"audiences twice", broken(t, `<issuers>`, `<audiences><audience>b</audience></audiences><issuers>`), "child-count"},
		{"choose without when", `<choose><otherwise /></choose>`, "child-count"},
		{"otherwise before when", `<choose><otherwise /><when condition="true" /></choose>`, "child-order"},
		{"text between policies", broken(t, "<audience>https", "x<audience>https"), "unexpected-text"},
		{"outbound policy inbound", `<cache-store duration="1" />`, "wrong-section"},
		{"wrong section inside choose", `<choose><when condition="true"><forward-request /></when></choose>`, "wrong-section"},
		{"base inside choose", `<choose><when condition="true"><base /></when></choose>`, "base-place"},
		{"base twice", `<base />`, "base-twice"},
		{"two token sources", broken(t, `clock-skew=`, `query-parameter-name="t" clock-skew=`), "token-source"},
		{"no token source", broken(t, ` header-name="Authorization"`, ""), "token-source"},
		{"no keys", broken(t, `<openid-config url="https://login.example/.well-known/openid-configuration" />`, ""), "no-keys"},
		{"no audiences", broken(t, `<audiences><audience>https://api.example</audience></audiences>`, ""), "missing-audiences"},
		{"empty audiences", broken(t, `<audience>https://api.example</audience>`, ""), "missing-audiences"},
		{"no issuers", broken(t, `<issuers><issuer>https://login.example</issuer></issuers>`, ""), "missing-issuers"},
		{"comma in a value", broken(t, `<value>read</value>`, `<value>read,write</value>`), "comma-in-value"},
		{"scope without separator", broken(t, ` separator=" "`, ""), "scope-separator"},
		{"scheme on a custom header", broken(t, `"Authorization"`, `"X-Token" require-scheme="Bearer"`), "scheme-on-custom-header"},
		{"own token first", `<authentication-managed-identity resource="https://x" />` + jwt, "authorization-overwritten"},
		{"header deleted first", `<set-header name="authorization" exists-action="delete" />` + jwt, "authorization-overwritten"},
		{"http metadata", broken(t, `"https://login`, `"http://login`), "metadata-url"},
		{"no clock skew", broken(t, ` clock-skew="30"`, ""), "no-clock-skew"},
		{"unsigned tokens", broken(t, `clock-skew=`, `require-signed-tokens="false" clock-skew=`), "unsigned-tokens"},
		{"no expiry", broken(t, `clock-skew=`, `require-expiration-time="false" clock-skew=`), "no-expiration"},
		{"certificate as key", broken(t, `<audiences>`, `<issuer-signing-keys><key>MIIBIjANBgkqhkiG9w0B</key></issuer-signing-keys><audiences>`), "unusable-key"},
		{"JWK as key", broken(t, `<audiences>`, `<issuer-signing-keys><key>{"kty":"RSA"}</key></issuer-signing-keys><audiences>`), "unusable-key"},
		{"short key", broken(t, `<audiences>`, `<issuer-signing-keys><key>c2VjcmV0</key></issuer-signing-keys><audiences>`), "unusable-key"},
		{"plain text key", broken(t, `<audiences>`, `<issuer-signing-keys><key>my-secret!</key></issuer-signing-keys><audiences>`), "unusable-key"},
		{"n without e", broken(t, `<audiences>`, `<issuer-signing-keys><key n="AQAB" /></issuer-signing-keys><audiences>`), "unusable-key"},
		{"cors late", jwt + `<cors><allowed-origins><origin>*</origin></allowed-origins></cors>`, "cors-not-first"},
		{"expression of a forbidden type", `<set-variable name="a" value="@(System.IO.File.ReadAllText(&quot;x&quot;))" />`, "expression"},
		{"expression of a type that is not here", `<set-variable name="a" value="@(XElement.Parse(&quot;x&quot;).Value)" />`, "expression"},
		{"expression with a named value", `<set-variable name="a" value="@({{seconds}} + 1)" />`, ""},
		{"text that is no text", `<set-header name="a"><value>@(1 + true)</value></set-header>`, "expression"},
		{"claim taken blindly", jwt + `<set-variable name="a" value='@(((Jwt)context.Variables["jwt"]).Claims["x"][0])' />`, "claim-indexer"},
		{"claim taken with care", jwt + `<set-variable name="a" value='@(((Jwt)context.Variables["jwt"]).Claims.ContainsKey("x") ? ((Jwt)context.Variables["jwt"]).Claims["x"][0] : "")' />`, ""},
		{"part of a joined claim", jwt + `<set-variable name="a" value='@(((Jwt)context.Variables["jwt"]).Claims.GetValueOrDefault("roles", "").Contains("admin"))' />`, "claim-substring"},
		{"token read without validation", `<choose><when condition='@(context.Request.Headers.GetValueOrDefault("Authorization", "").AsJwt()?.Subject == "root")'><set-method>GET</set-method></when></choose>`, "token-not-validated"},
		{"alternatives in a row", jwt + strings.Replace(jwt, "login.example/.well", "other.example/.well", 1), "validations-in-a-row"},
		{"the same issuer twice", jwt + jwt, ""},
		{"token in a trace", `<trace source="a"><message>@(context.Request.Headers.GetValueOrDefault("Authorization", ""))</message></trace>`, "token-in-trace"},
		{"long rate window", `<rate-limit-by-key calls="1" renewal-period="301" counter-key="k" />`, "period"},
		{"short quota", `<quota-by-key calls="1" renewal-period="299" counter-key="k" />`, "period"},
		{"endless quota", `<quota-by-key calls="1" renewal-period="0" counter-key="k" />`, ""},
		{"limit by a raw header", `<rate-limit-by-key calls="1" renewal-period="60" counter-key='@(context.Request.Headers.GetValueOrDefault("X-Key", ""))' />`, "limit-by-raw-header"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Read([]byte("<policies><inbound><base />" + tt.inbound + "</inbound></policies>"))
			if err != nil {
				t.Fatal(err)
			}
			findings := Check(d)
			if tt.rule == "" {
				if len(findings) > 0 {
					t.Fatalf("findings in a faultless document: %v", findings)
				}
				return
			}
			if len(findings) != 1 || findings[0].Rule != tt.rule {
				t.Fatalf("findings = %v, want one %s", findings, tt.rule)
			}
			if f := findings[0]; f.Line == 0 || f.Column == 0 || f.Message == "" || f.Cause == "" || f.Fix == "" {
				t.Errorf("finding is incomplete: %+v", f)
			}
		})
	}
}

func TestCheckSections(t *testing.T) {
	for _, tt := range []struct{ name, document, rule string }{
		{"absent sections inherit", `<policies />`, ""},
		{"empty section drops the wider scope", `<policies><outbound /></policies>`, "missing-base"},
		{"own response hides the message", `<policies><inbound><base />` + strings.Replace(jwt, "clock-skew", `failed-validation-error-message="x" clock-skew`, 1) + `</inbound><on-error><base /><return-response /></on-error></policies>`, "message-overridden"},
		{"validate-jwt outbound", `<policies><outbound><base />` + jwt + `</outbound></policies>`, "wrong-section"},
		{"set-body on error", `<policies><on-error><base /><set-body>x</set-body></on-error></policies>`, "wrong-section"},
		{"fragment", `<fragment>` + jwt + `</fragment>`, ""},
		{"fragment with base", `<fragment><base /></fragment>`, "base-place"},
		{"fragment with a mistake", `<fragment><set-variable name="a" /></fragment>`, "missing-attribute"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Read([]byte(tt.document))
			if err != nil {
				t.Fatal(err)
			}
			var rules []string
			for _, f := range Check(d) {
				rules = append(rules, f.Rule)
			}
			if got := strings.Join(rules, " "); got != tt.rule {
				t.Errorf("rules = %q, want %q", got, tt.rule)
			}
		})
	}
}

func TestCheckPointsAtTheLine(t *testing.T) {
	d, err := Read([]byte("<policies>\n<inbound>\n<base />\n  <set-header\n    name='A' exist-action='delete' />\n</inbound>\n</policies>"))
	if err != nil {
		t.Fatal(err)
	}
	findings := Check(d)
	if len(findings) != 1 || findings[0].Line != 5 || findings[0].Column != 14 {
		t.Errorf("findings = %v, want one at line 5, column 14", findings)
	}
}

func TestSubstitute(t *testing.T) {
	got, err := Substitute([]byte(`<a b="{{host.name}}" c="{{x}}/{{x}}" d="{{ no }}"/>`), map[string]string{"host.name": "api", "x": "{{y}}"})
	if want := `<a b="api" c="{{y}}/{{y}}" d="{{ no }}"/>`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if _, err := Substitute([]byte("{{a}}{{b}}{{a}}"), map[string]string{"c": ""}); err == nil || !strings.HasSuffix(err.Error(), ": a, b") {
		t.Errorf("err = %v, want a and b named", err)
	}
}

func TestExplainKnowsEveryFailure(t *testing.T) {
	for _, f := range []Failure{TokenTooLong, TokenMalformed, TokenEncrypted, Unsigned, BadAlgorithm, NoMetadata, NoKeys, BadSignature, KeyUnknown, KeyUnnamed,
		NoExpiry, InvertedLifetime, NotYetValid, Expired, NoAudience, WrongAudience, NoIssuer, WrongIssuer} {
		if e, ok := Explain(f.IDX); !ok || e.Meaning == "" || e.Cause == "" {
			t.Errorf("%s is not explained", f.IDX)
		}
	}
	if _, ok := Explain("IDX99999"); ok {
		t.Error("an unknown code is explained")
	}
}

// ruleForm finds the rules in this package's source.
var ruleForm = regexp.MustCompile(`rule\{"([a-z-]+)"`)

func TestEveryRuleIsDocumentedAndTried(t *testing.T) {
	read := func(pattern string) string {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		var all strings.Builder
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
		return all.String()
	}
	documented, tried := read("../../docs/policy-lints.md"), read("check_test.go")
	rules := ruleForm.FindAllStringSubmatch(read("check*.go"), -1)
	if len(rules) < 35 {
		t.Fatalf("%d rules were found", len(rules))
	}
	for _, r := range rules {
		if !strings.Contains(documented, "| `"+r[1]+"` |") {
			t.Errorf("docs/policy-lints.md lacks %s", r[1])
		}
		if !strings.Contains(tried, `"`+r[1]+`"}`) {
			t.Errorf("no case provokes %s", r[1])
		}
	}
}
