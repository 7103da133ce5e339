package apim

import (
	"strconv"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// fresh refuses a sign-in that is too old, lies in the future, or whose time is
// missing, with the step-up challenge of RFC 9470 section 3. A time that is no
// number fails the expression, and the request with it.
func (r *renderer) fresh(q trust.Requirement) {
	seconds := strconv.Itoa(int(q.MaxAge.Seconds()))
	now := "DateTimeOffset.UtcNow.ToUnixTimeSeconds()"
	signedIn := `Convert.ToInt64(((Jwt)context.Variables["` + TokenVariable + `"]).Claims.GetValueOrDefault("` + string(claim.AuthTime) + `", "0"))`
	r.open("choose")
	r.open("when", "condition", "@("+now+" - "+signedIn+" > "+seconds+" || "+signedIn+" - "+now+" > "+strconv.Itoa(clockSkew)+")")
	r.refuse("401", "insufficient_user_authentication", "The sign-in is too old.", "This operation requires a sign-in within the last "+seconds+" seconds.", `max_age="`+seconds+`"`)
	r.close("when")
	r.close("choose")
}

// refuse answers with a challenge and a body of the form that API Management
// gives to its own refusals.
func (r *renderer) refuse(status, code, description, message string, params ...string) {
	reason := map[string]string{"401": "Unauthorized", "403": "Forbidden"}[status]
	r.open("return-response")
	r.empty("set-status", "code", status, "reason", reason)
	r.challenge(code, description, params...)
	r.list("set-header", "value", []string{"application/json"}, "name", "Content-Type", "exists-action", "override")
	r.text("set-body", `{"statusCode": `+status+`, "message": "`+message+`"}`)
	r.close("return-response")
}

// challenges adds the WWW-Authenticate header that API Management leaves out
// (RFC 6750 section 3): no error code without a token, insufficient_scope when
// permissions fall short, a step-up challenge (RFC 9470 section 3) when only
// the authenticator does. It goes by the ids of policies and by
// TokenNotPresent, since gateways disagree about other reasons.
func (r *renderer) challenges(q trust.Requirement, api bool) {
	permissions, authenticator := len(q.Scopes) > 0 || len(q.Roles) > 0, r.asksAuthenticator(q, api)
	if !api && !permissions && !authenticator {
		return
	}
	r.open("choose")
	if api {
		r.open("when", "condition", `@(context.LastError.Source == "validate-jwt" ? context.LastError.Reason == "TokenNotPresent" : false)`)
		r.challenge("", "")
		r.close("when")
	}
	if permissions {
		r.open("when", "condition", `@(context.LastError.PolicyId == "`+r.id+`-permissions")`)
		var scope []string
		if len(q.Scopes) > 0 {
			scope = append(scope, `scope="`+strings.Join(q.Scopes, " ")+`"`)
		}
		r.challenge("insufficient_scope", "The token lacks a scope or role.", scope...)
		r.close("when")
	}
	if authenticator {
		r.open("when", "condition", `@(context.LastError.PolicyId == "`+r.id+`-authenticator")`)
		var level []string
		if q.Level != "" {
			level = append(level, `acr_values="`+q.Level+`"`)
		}
		r.challenge("insufficient_user_authentication", "Another passkey is required.", level...)
		r.close("when")
	}
	if api {
		r.open("when", "condition", `@(context.LastError.Source == "validate-jwt")`)
		r.challenge("invalid_token", "The access token is not valid for this API.")
		r.close("when")
	}
	r.close("choose")
}

// challenge sets WWW-Authenticate. The realm is the API's audience, and
// resource_metadata says where the authorization server is found (RFC 9728
// section 5.1).
func (r *renderer) challenge(code, description string, params ...string) {
	value := `Bearer realm="` + r.audience + `"`
	if code != "" {
		value += `, error="` + code + `", error_description="` + description + `"`
	}
	for _, p := range params {
		value += ", " + p
	}
	value += `, resource_metadata="` + r.issuer + `/.well-known/oauth-protected-resource/` + r.api.Name + `"`
	r.list("set-header", "value", []string{value}, "name", "WWW-Authenticate", "exists-action", "override")
}
