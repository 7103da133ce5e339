package apim

import (
	"bytes"
	"strconv"

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
// before anything else, so that nobody sends their own.
var identityHeaders = []struct {
	name  string
	claim claim.Name
}{
	{"X-Touchstone-Subject", claim.Subject},
	{"X-Touchstone-Client", claim.ClientID},
	{"X-Touchstone-Session", claim.SessionID},
	{"X-Touchstone-Acr", claim.ACR},
	{"X-Touchstone-Attestation", claim.Attestation},
	{"X-Touchstone-Authenticator", claim.AuthenticatorID},
}

// The scopes of rendered policies.
const (
	ScopeGlobal    = "global"
	ScopeProduct   = "product"
	ScopeAPI       = "api"
	ScopeOperation = "operation"
	ScopeFragment  = "fragment"
)

// Target is where rendered policies will run.
type Target struct {
	// Issuer signs the tokens; its discovery document is at
	// ISSUER/.well-known/openid-configuration.
	Issuer string
	// NamedValues writes issuer and audiences as named values, so that the same
	// documents serve every environment: see NamedValues.
	NamedValues bool
	// Fragments puts what an API's documents hold into reusable fragments.
	Fragments bool
	// Surroundings adds the documents of the global and the product scope.
	Surroundings bool
}

// The named values that documents refer to; an API's audience is
// AudienceValue and its name.
const (
	IssuerValue   = "touchstone-issuer"
	AudienceValue = "touchstone-audience-"
)

// NamedValues are the values of an environment, by name.
func NamedValues(t *trust.Trust, e trust.Environment) map[string]string {
	values := map[string]string{IssuerValue: e.Issuer}
	for _, a := range t.APIs {
		values[AudienceValue+a.Name] = e.AudienceOf(a)
	}
	return values
}

// File is one rendered policy document.
type File struct {
	// Name is the file's name: API.policy.xml, API.OPERATION.policy.xml, or
	// ID.fragment.xml.
	Name string
	// Scope is where the policy belongs, such as ScopeAPI.
	Scope string
	// API and Operation name the place; Operation is empty at API scope, both
	// around all APIs.
	API, Operation string
	// Body is well-formed XML that means the same as xml and as rawxml.
	Body []byte
}

// Render writes the policies that the trust file means.
//
// Each API gets one document. When an operation asks for more than its API,
// each declared operation gets one too: the Authorization header then has to
// survive the API's policy, and the operation's removes it. Nothing in a token
// is used before a validate-jwt has accepted it. The trust file must have come
// from trust.Parse, which keeps identifiers to characters that need no escaping
// in expressions.
func Render(t *trust.Trust, target Target) []File {
	var files []File
	if target.Surroundings {
		files = surroundings(t)
	}
	for _, a := range t.APIs {
		r := newRenderer(t, a, target, "touchstone-"+a.Name)
		files = append(files, r.documents(a.Name, ScopeAPI, "", a.Title, r.apiInbound, func() { r.challenges(a.Require, true) })...)
		if !r.narrowed() {
			continue
		}
		for _, o := range a.Operations {
			r := newRenderer(t, a, target, "touchstone-"+a.Name+"-"+o.Name)
			files = append(files, r.documents(a.Name+"."+o.Name, ScopeOperation, o.Name, a.Title+", "+o.Name, func() { r.operationInbound(o) }, func() { r.challenges(o.Require, false) })...)
		}
	}
	return files
}

// renderer writes one document after the other.
type renderer struct {
	writer
	trust     *trust.Trust
	api       trust.API
	issuer    string
	audience  string
	fragments bool
	// id begins the ids of the document's policies.
	id string
}

func newRenderer(t *trust.Trust, a trust.API, target Target, id string) *renderer {
	r := &renderer{trust: t, api: a, issuer: target.Issuer, audience: a.Audience, fragments: target.Fragments, id: id}
	if target.NamedValues {
		r.issuer, r.audience = "{{"+IssuerValue+"}}", "{{"+AudienceValue+a.Name+"}}"
	}
	return r
}

// documents writes a document whose sections hold what inbound and onError
// write, or include it as fragments.
func (r *renderer) documents(name, scope, operation, title string, inbound, onError func()) []File {
	var files []File
	part := func(id string, write func()) {
		if !r.fragments {
			write()
			return
		}
		outer := r.writer
		r.writer = writer{}
		r.head(title)
		r.open("fragment")
		write()
		r.close("fragment")
		if lines := bytes.Count(r.Bytes(), []byte("\n")); lines > 3 {
			files = append(files, File{id + ".fragment.xml", ScopeFragment, r.api.Name, operation, r.Bytes()})
			outer.empty("include-fragment", "fragment-id", id)
		}
		r.writer = outer
	}
	r.writer = writer{}
	r.head(title)
	r.open("policies")
	r.open("inbound")
	r.empty("base")
	part(r.id, inbound)
	r.close("inbound")
	r.inherit("backend", "outbound")
	r.open("on-error")
	r.empty("base")
	part(r.id+"-on-error", onError)
	r.close("on-error")
	r.close("policies")
	return append([]File{{name + ".policy.xml", scope, r.api.Name, operation, r.Bytes()}}, files...)
}

// narrowed reports whether an operation asks for more than its API.
func (r *renderer) narrowed() bool {
	for _, o := range r.api.Operations {
		if r.asks(o.Require) {
			return true
		}
	}
	return false
}

func (r *renderer) asks(q trust.Requirement) bool {
	return len(r.trust.Wanted(q)) > 0 || len(q.Scopes) > 0 || len(q.Roles) > 0 || q.MaxAge > 0 || q.RateLimit.Calls > 0 || q.CertificateBound || q.SingleUse || q.Approval
}

// apiInbound writes the inbound section at API scope.
func (r *renderer) apiInbound() {
	r.cors()
	for _, h := range identityHeaders {
		r.empty("set-header", "name", h.name, "exists-action", "delete")
	}
	r.token()
	r.permissions(r.api.Require)
	r.person(r.api.Require, true)
	r.binding(r.api.Require)
	for _, h := range identityHeaders {
		r.list("set-header", "value", []string{"@(" + tokenClaim(h.claim) + ")"}, "name", h.name, "exists-action", "override")
	}
	r.empty("set-header", "name", "Ocp-Apim-Subscription-Key", "exists-action", "delete")
	if !r.narrowed() {
		r.empty("set-header", "name", "Authorization", "exists-action", "delete")
	}
}

// operationInbound writes what an operation asks for beyond its API, and the
// end of the Authorization header.
func (r *renderer) operationInbound(o trust.Operation) {
	r.permissions(o.Require)
	r.person(o.Require, false)
	r.binding(o.Require)
	r.empty("set-header", "name", "Authorization", "exists-action", "delete")
}

func (r *renderer) head(title string) {
	r.comment(title + ": rendered from trust file version " + r.trust.Version + "; change the trust file, not this file.")
}

func (r *renderer) inherit(sections ...string) {
	for _, section := range sections {
		r.open(section)
		r.empty("base")
		r.close(section)
	}
}

// consoleHeaders are what the developer portal's console sends besides.
var consoleHeaders = map[string][]string{"developer-portal": {"Ocp-Apim-Subscription-Key", "Cache-Control"}}

// cors lets the listed browser origins call, and read why they were refused.
func (r *renderer) cors() {
	if len(r.api.Origins) == 0 {
		return
	}
	r.open("cors", "allow-credentials", "false")
	r.list("allowed-origins", "origin", r.api.Origins)
	r.list("allowed-methods", "method", []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}, "preflight-result-max-age", "300")
	r.list("allowed-headers", "header", append([]string{"Authorization", "Content-Type"}, consoleHeaders[r.api.Surface]...))
	r.list("expose-headers", "header", []string{"WWW-Authenticate"})
	r.close("cors")
}

// validate opens a validate-jwt with the parts that every one has, in the
// order of the schema.
func (r *renderer) validate(id, status string, attrs ...string) {
	r.open("validate-jwt", append([]string{"id", id, "header-name", "Authorization", "require-scheme", "Bearer", "failed-validation-httpcode", status,
		"require-expiration-time", "true", "require-signed-tokens", "true", "clock-skew", strconv.Itoa(clockSkew)}, attrs...)...)
	r.empty("openid-config", "url", r.issuer+"/.well-known/openid-configuration")
	r.list("audiences", "audience", []string{r.audience})
	r.list("issuers", "issuer", []string{r.issuer})
}

// claim writes a required claim, of which all or any values must be there.
func (r *renderer) claim(name claim.Name, match string, values []string, attrs ...string) {
	if len(values) > 0 {
		r.list("claim", "value", values, append([]string{"name", string(name), "match", match}, attrs...)...)
	}
}

// token checks that this is an access token of the issuer for this API:
// signature, lifetime, audience, issuer. Only access tokens carry idtyp, so an
// ID token or a logout token does not pass for one (RFC 8725 section 3.11).
func (r *renderer) token() {
	r.validate(r.id, "401", "output-token-variable-name", TokenVariable)
	kinds := []string{claim.IdentityUser}
	if len(r.api.Automation) > 0 {
		kinds = append(kinds, claim.IdentityApp)
	}
	r.open("required-claims")
	r.claim(claim.IdentityType, "any", kinds)
	r.close("required-claims")
	r.close("validate-jwt")
}

// permissions checks scopes and roles, of people and workloads alike.
func (r *renderer) permissions(q trust.Requirement) {
	if len(q.Scopes) == 0 && len(q.Roles) == 0 {
		return
	}
	r.validate(r.id+"-permissions", "403", "failed-validation-error-message", "The access token lacks a scope or role that this operation requires.")
	r.open("required-claims")
	r.claim(claim.Scope, "all", q.Scopes, "separator", " ")
	r.claim(claim.Roles, "all", q.Roles)
	r.close("required-claims")
	r.close("validate-jwt")
}

// asksAuthenticator reports whether the document holds a validate-jwt about the
// authenticator: for the facts, and at API scope to keep out the automation
// tokens of clients that the trust file does not list.
func (r *renderer) asksAuthenticator(q trust.Requirement, api bool) bool {
	return len(r.trust.Wanted(q)) > 0 || api && len(r.api.Automation) > 0
}

// person checks what proved the person: the facts about the authenticator and
// the age of the sign-in. An automation token has no authenticator; it is let
// past when the trust file lists its client, and then only. Any token that is
// not such a one must show a person's facts.
func (r *renderer) person(q trust.Requirement, api bool) {
	authenticator := r.asksAuthenticator(q, api)
	if !authenticator && q.MaxAge == 0 {
		return
	}
	if len(r.api.Automation) > 0 {
		r.open("choose")
		r.open("when", "condition", r.notAutomation())
		defer func() {
			r.close("when")
			r.close("choose")
		}()
	}
	if authenticator {
		var values []string
		for _, f := range r.trust.Wanted(q) {
			values = append(values, string(f))
		}
		r.validate(r.id+"-authenticator", "401", "failed-validation-error-message", "This operation requires a sign-in with a stronger passkey.")
		r.open("required-claims")
		r.claim(claim.IdentityType, "any", []string{claim.IdentityUser})
		r.claim(claim.Attestation, "all", values)
		if r.trust.ListsModels(q.Level) {
			// Facts alone cannot hold a list of models; the level's name stands for it.
			r.claim(claim.ACR, "any", r.trust.Accepting(q.Level))
		}
		r.close("required-claims")
		r.close("validate-jwt")
	}
	if q.MaxAge > 0 {
		r.fresh(q)
	}
}

// notAutomation is true unless the validated token is an automation token of a
// listed client.
func (r *renderer) notAutomation() string {
	clients := ""
	for i, client := range r.api.Automation {
		if i > 0 {
			clients += " || "
		}
		clients += tokenClaim(claim.ClientID) + ` == "` + client + `"`
	}
	return "@(" + tokenClaim(claim.IdentityType) + ` != "` + claim.IdentityApp + `" || !(` + clients + "))"
}

// tokenClaim is the expression for a claim of the validated token.
func tokenClaim(name claim.Name) string {
	return `((Jwt)context.Variables["` + TokenVariable + `"]).Claims.GetValueOrDefault("` + string(name) + `", "")`
}
