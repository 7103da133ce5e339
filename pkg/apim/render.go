package apim

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

const (
	// clockSkew is what gateways tolerate, in seconds: their default of none
	// turns the smallest difference of clocks into refusals.
	clockSkew = 30
	// TokenVariable is the context variable that holds the validated token.
	TokenVariable = "jwt"
)

// identityHeaders are set for the backend from the validated token, and deleted
// before, so that nobody sends their own.
var identityHeaders = []struct {
	name  string
	claim claim.Name
}{
	{"X-Touchstone-Subject", claim.Subject},
	{"X-Touchstone-Client", claim.ClientID},
	{"X-Touchstone-Acr", claim.ACR},
	{"X-Touchstone-Attestation", claim.Attestation},
	{"X-Touchstone-Authenticator", claim.AuthenticatorID},
}

// File is one rendered policy document.
type File struct {
	// Name is the file's name: API.policy.xml or API.OPERATION.policy.xml.
	Name string
	// API and Operation name the scope; Operation is empty at API scope.
	API, Operation string
	Body           []byte
}

// Render writes the policies that the trust file means, for tokens of the issuer.
func Render(t *trust.Trust, issuer string) []File {
	var files []File
	for _, a := range t.APIs {
		files = append(files, File{a.Name + ".policy.xml", a.Name, "", apiPolicy(t, a, issuer)})
		for _, o := range a.Operations {
			if body := operationPolicy(t, a, o, issuer); body != nil {
				files = append(files, File{a.Name + "." + o.Name + ".policy.xml", a.Name, o.Name, body})
			}
		}
	}
	return files
}

// writer writes indented, escaped XML.
type writer struct {
	bytes.Buffer
	depth int
}

// open writes a start tag; attributes come in pairs.
func (w *writer) open(name string, attrs ...string) { w.tag(name, ">", attrs...); w.depth++ }

func (w *writer) close(name string) {
	w.depth--
	w.line("</" + name + ">")
}

func (w *writer) empty(name string, attrs ...string) { w.tag(name, " />", attrs...) }

// text writes an element that holds nothing but text.
func (w *writer) text(name, content string) {
	w.line("<" + name + ">" + escape(content) + "</" + name + ">")
}

func (w *writer) tag(name, closing string, attrs ...string) {
	var b strings.Builder
	b.WriteString("<" + name)
	for i := 0; i+1 < len(attrs); i += 2 {
		fmt.Fprintf(&b, ` %s="%s"`, attrs[i], escape(attrs[i+1]))
	}
	w.line(b.String() + closing)
}

func (w *writer) line(text string) {
	w.WriteString(strings.Repeat("    ", w.depth) + text + "\n")
}

func escape(text string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(text))
	return strings.ReplaceAll(b.String(), "&#34;", "&quot;")
}

// apiPolicy renders the policy at API scope.
func apiPolicy(t *trust.Trust, a trust.API, issuer string) []byte {
	w := &writer{}
	w.line("<!-- " + a.Title + ": rendered from trust file version " + t.Version + "; change the trust file, not this file. -->")
	w.open("policies")
	w.open("inbound")
	w.empty("base")
	cors(w, a)
	identity(w, a, issuer, "touchstone-"+a.Name, a.Require.Scopes)
	authenticator(w, t, a, issuer, "touchstone-"+a.Name, a.Require)
	for _, h := range identityHeaders {
		w.empty("set-header", "name", h.name, "exists-action", "delete")
	}
	for _, h := range identityHeaders {
		w.open("set-header", "name", h.name, "exists-action", "override")
		w.text("value", `@(((Jwt)context.Variables["`+TokenVariable+`"]).Claims.GetValueOrDefault("`+string(h.claim)+`", ""))`)
		w.close("set-header")
	}
	w.empty("set-header", "name", "Ocp-Apim-Subscription-Key", "exists-action", "delete")
	if !narrowed(t, a) {
		// An operation's own validate-jwt still needs it; see operationPolicy.
		w.empty("set-header", "name", "Authorization", "exists-action", "delete")
	}
	w.close("inbound")
	w.open("backend")
	w.empty("base")
	w.close("backend")
	w.open("outbound")
	w.empty("base")
	w.close("outbound")
	w.open("on-error")
	w.empty("base")
	challenge(w, t, a)
	w.close("on-error")
	w.close("policies")
	return w.Bytes()
}

// narrowed reports whether an operation asks for more than its API.
func narrowed(t *trust.Trust, a trust.API) bool {
	for _, o := range a.Operations {
		if asks(t, o.Require) {
			return true
		}
	}
	return false
}

func asks(t *trust.Trust, r trust.Requirement) bool {
	return len(t.Wanted(r)) > 0 || len(r.Scopes) > 0 || len(r.Roles) > 0 || r.MaxAge > 0
}

// operationPolicy renders the policy of an operation that asks for more than
// its API, or nil.
func operationPolicy(t *trust.Trust, a trust.API, o trust.Operation, issuer string) []byte {
	if !asks(t, o.Require) {
		return nil
	}
	w := &writer{}
	id := "touchstone-" + a.Name + "-" + o.Name
	w.line("<!-- " + a.Title + ", " + o.Name + ": rendered from trust file version " + t.Version + "; change the trust file, not this file. -->")
	w.open("policies")
	w.open("inbound")
	w.empty("base")
	if len(o.Require.Scopes) > 0 {
		identity(w, a, issuer, id, o.Require.Scopes)
	}
	authenticator(w, t, a, issuer, id, o.Require)
	w.empty("set-header", "name", "Authorization", "exists-action", "delete")
	w.close("inbound")
	for _, section := range []string{"backend", "outbound", "on-error"} {
		w.open(section)
		w.empty("base")
		w.close(section)
	}
	w.close("policies")
	return w.Bytes()
}

// cors lets the listed browser origins call, and read why they were refused.
func cors(w *writer, a trust.API) {
	if len(a.Origins) == 0 {
		return
	}
	w.open("cors", "allow-credentials", "false")
	lists := []struct {
		outer, inner string
		values       []string
	}{
		{"allowed-origins", "origin", a.Origins},
		{"allowed-methods", "method", []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}},
		{"allowed-headers", "header", []string{"Authorization", "Content-Type"}},
		{"expose-headers", "header", []string{"WWW-Authenticate", "Apim-Trace-Id"}},
	}
	for _, l := range lists {
		if l.outer == "allowed-methods" {
			w.open(l.outer, "preflight-result-max-age", "300")
		} else {
			w.open(l.outer)
		}
		for _, v := range l.values {
			w.text(l.inner, v)
		}
		w.close(l.outer)
	}
	w.close("cors")
}

// validate opens a validate-jwt with the parts that every one has, in schema order.
func validate(w *writer, a trust.API, issuer, id string, attrs ...string) {
	w.open("validate-jwt", append([]string{"id", id, "header-name", "Authorization", "require-scheme", "Bearer", "failed-validation-httpcode", "401",
		"require-expiration-time", "true", "require-signed-tokens", "true", "clock-skew", strconv.Itoa(clockSkew)}, attrs...)...)
	w.empty("openid-config", "url", issuer+"/.well-known/openid-configuration")
	w.open("audiences")
	w.text("audience", a.Audience)
	w.close("audiences")
	w.open("issuers")
	w.text("issuer", issuer)
	w.close("issuers")
}

// identity checks who issued the token and for whom: signature, lifetime,
// audience, issuer and scopes.
func identity(w *writer, a trust.API, issuer, id string, scopes []string) {
	validate(w, a, issuer, id, "output-token-variable-name", TokenVariable)
	w.open("required-claims")
	w.open("claim", "name", string(claim.IdentityType), "match", "any")
	w.text("value", claim.IdentityUser)
	if len(a.Automation) > 0 {
		w.text("value", claim.IdentityApp)
	}
	w.close("claim")
	if len(scopes) > 0 {
		w.open("claim", "name", string(claim.Scope), "match", "all", "separator", " ")
		for _, s := range scopes {
			w.text("value", s)
		}
		w.close("claim")
	}
	w.close("required-claims")
	w.close("validate-jwt")
}

// authenticator checks what proved the person: the facts, the roles and the age
// of the sign-in. Automation tokens of the listed workloads have no
// authenticator and are let past, after they were validated.
func authenticator(w *writer, t *trust.Trust, a trust.API, issuer, id string, r trust.Requirement) {
	facts := t.Wanted(r)
	if len(facts) == 0 && len(r.Roles) == 0 && r.MaxAge == 0 {
		return
	}
	if len(a.Automation) > 0 {
		conditions := make([]string, len(a.Automation))
		for i, client := range a.Automation {
			conditions[i] = tokenClaim(claim.ClientID) + ` == "` + client + `"`
		}
		w.open("choose")
		w.open("when", "condition", "@("+tokenClaim(claim.IdentityType)+` == "app" && (`+strings.Join(conditions, " || ")+"))")
		w.empty("set-variable", "name", "automation", "value", "true")
		w.close("when")
		w.open("otherwise")
		defer func() {
			w.close("otherwise")
			w.close("choose")
		}()
	}
	if len(facts) > 0 || len(r.Roles) > 0 {
		texts := make([]string, len(facts))
		for i, f := range facts {
			texts[i] = string(f)
		}
		validate(w, a, issuer, id+"-authenticator", "failed-validation-error-message", "This operation needs a passkey with: "+strings.Join(append(texts, r.Roles...), ", ")+".")
		w.open("required-claims")
		list := func(name claim.Name, values []string) {
			if len(values) == 0 {
				return
			}
			w.open("claim", "name", string(name), "match", "all")
			for _, v := range values {
				w.text("value", v)
			}
			w.close("claim")
		}
		list(claim.Attestation, texts)
		list(claim.Roles, r.Roles)
		w.close("required-claims")
		w.close("validate-jwt")
	}
	if r.MaxAge > 0 {
		fresh(w, r)
	}
}

// fresh refuses a sign-in that is too old, or whose age cannot be read, with the
// challenge of RFC 9470 section 3.
func fresh(w *writer, r trust.Requirement) {
	seconds := strconv.Itoa(int(r.MaxAge.Seconds()))
	w.open("choose")
	w.open("when", "condition", "@(DateTimeOffset.UtcNow.ToUnixTimeSeconds() - Convert.ToInt64(((Jwt)context.Variables[\""+TokenVariable+"\"]).Claims.GetValueOrDefault(\"auth_time\", \"0\")) > "+seconds+")")
	w.open("return-response")
	w.empty("set-status", "code", "401", "reason", "Unauthorized")
	w.open("set-header", "name", "WWW-Authenticate", "exists-action", "override")
	w.text("value", `Bearer error="insufficient_user_authentication", error_description="Sign in again", max_age="`+seconds+`"`)
	w.close("set-header")
	w.open("set-header", "name", "Content-Type", "exists-action", "override")
	w.text("value", "application/json")
	w.close("set-header")
	w.text("set-body", `{"statusCode": 401, "message": "The sign-in is older than `+seconds+` seconds. Sign in again."}`)
	w.close("return-response")
	w.close("when")
	w.close("choose")
}

// tokenClaim is the expression for a claim of the validated token.
func tokenClaim(name claim.Name) string {
	return `((Jwt)context.Variables["` + TokenVariable + `"]).Claims.GetValueOrDefault("` + string(name) + `", "")`
}

// challenge adds the WWW-Authenticate header that API Management leaves out
// (RFC 6750 section 3, RFC 9470 section 3): no error code without a token, and
// a step-up challenge when only the passkey falls short.
func challenge(w *writer, t *trust.Trust, a trust.API) {
	level := a.Require.Level
	for _, o := range a.Operations {
		if o.Require.Level != "" {
			level = o.Require.Level
		}
	}
	stepUp := `Bearer realm=\"` + a.Audience + `\", error=\"insufficient_user_authentication\", error_description=\"A passkey of another kind is needed\"`
	if level != "" {
		stepUp += `, acr_values=\"` + level + `\"`
	}
	w.open("set-header", "name", "WWW-Authenticate", "exists-action", "override")
	w.text("value", `@(context.LastError.Reason == "TokenNotPresent" ? "Bearer realm=\"`+a.Audience+`\"" : (context.LastError.PolicyId ?? "").EndsWith("-authenticator") ? "`+stepUp+
		`" : "Bearer realm=\"`+a.Audience+`\", error=\"invalid_token\"")`)
	w.close("set-header")
}
