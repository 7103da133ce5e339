package apim

import (
	"strconv"
	"strings"
	"time"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// binding checks what ties a token to this client, this request and this time.
func (r *renderer) binding(q trust.Requirement) {
	if q.CertificateBound {
		r.certificateBound()
	}
	if q.Approval {
		r.approved()
	}
	if q.RateLimit.Calls > 0 {
		r.limited(q.RateLimit)
	}
	if q.SingleUse {
		r.once()
	}
}

// tokenVariable is the expression for the validated token.
const tokenVariable = `(Jwt)context.Variables["` + TokenVariable + `"]`

// digest is the expression for the unpadded base64url of the SHA-256 of bytes.
func digest(bytes string) string {
	return `Convert.ToBase64String(SHA256.Create().ComputeHash(` + bytes + `)).Replace("=", "").Replace("+", "-").Replace("/", "_")`
}

// when refuses if the condition holds.
func (r *renderer) when(condition string, refuse func()) {
	r.open("choose")
	r.open("when", "condition", condition)
	refuse()
	r.close("when")
	r.close("choose")
}

// certificateBound refuses a token that is not bound to the certificate of this
// connection (RFC 8705 section 3.1): no certificate, no cnf and an unreadable
// one are refused alike.
func (r *renderer) certificateBound() {
	r.when(`@{ try { var certificate = context.Request.Certificate; if (certificate == null) { return true; } `+
		`var cnf = JObject.Parse((`+tokenVariable+`).Claims.GetValueOrDefault("cnf", "{}")); `+
		`return (string)cnf["x5t#S256"] != `+digest("certificate.RawData")+`; } catch (Exception) { return true; } }`, func() {
		r.refuse("401", "invalid_token", "The token is not bound to this client certificate.", "This API requires a token that is bound to your client certificate.")
	})
}

// approved refuses a token that does not approve exactly this request: method,
// path and body. The body's digest is compared when there is a body or the
// token names one.
func (r *renderer) approved() {
	r.when(`@{ var claims = (`+tokenVariable+`).Claims; `+
		`if (claims.GetValueOrDefault("approved_method", "") != context.Request.Method) { return true; } `+
		`if (claims.GetValueOrDefault("approved_path", "") != context.Request.OriginalUrl.Path) { return true; } `+
		`var body = context.Request.Body == null ? new byte[0] : context.Request.Body.As<byte[]>(preserveContent: true); `+
		`var approved = claims.GetValueOrDefault("approved_body_sha256", ""); `+
		`if (body == null || body.Length == 0) { return approved != "" ? approved != `+digest("new byte[0]")+` : false; } `+
		`return approved != `+digest("body")+`; }`, func() {
		r.refuse("403", "insufficient_scope", "The token does not approve this request.", "This operation requires an approval of exactly this request.")
	})
}

// limited bounds the calls of one authenticator; a workload has none and counts
// by its client. The key names the policy, since API Management keeps one
// counter per key for all APIs.
func (r *renderer) limited(l trust.RateLimit) {
	r.empty("rate-limit-by-key", "id", r.id+"-rate", "calls", strconv.Itoa(l.Calls), "renewal-period", strconv.Itoa(int(l.Period/time.Second)),
		"counter-key", `@("`+r.id+` " + (`+tokenVariable+`).Claims.GetValueOrDefault("`+string(claim.AuthenticatorID)+`", `+tokenClaim(claim.ClientID)+`))`,
		"remaining-calls-header-name", "X-RateLimit-Remaining")
}

// once refuses a token whose jti the gateway's cache has seen. It is best
// effort: the cache is kept per gateway and region, and two requests at the
// same instant can both find it empty.
func (r *renderer) once() {
	r.comment("Best effort: the cache is per gateway and region, and not atomic. Where a second use must be impossible, the backend has to remember jti.")
	key := `@("` + r.id + ` " + (` + tokenVariable + `).Claims.GetValueOrDefault("` + string(claim.TokenID) + `", ""))`
	used := strings.ReplaceAll(r.id, ".", "-") + "-used"
	r.empty("cache-lookup-value", "key", key, "variable-name", used, "caching-type", "internal")
	r.when(`@(context.Variables.ContainsKey("`+used+`") || `+tokenClaim(claim.TokenID)+` == "")`, func() {
		r.refuse("401", "invalid_token", "The token was used before.", "This operation accepts each token once.")
	})
	seconds := int(r.api.TokenLifetime/time.Second) + 2*clockSkew
	r.empty("cache-store-value", "key", key, "value", "used", "duration", strconv.Itoa(seconds), "caching-type", "internal")
}

// surroundings are the documents around those of the APIs. The global one
// forwards, and lets nobody send the headers that say who the caller is; the
// product's adds nothing, so that it cannot drop what the global one does.
func surroundings(t *trust.Trust) []File {
	global := &renderer{trust: t}
	global.head("All APIs")
	global.open("policies")
	global.open("inbound")
	for _, h := range identityHeaders {
		global.empty("set-header", "name", h.name, "exists-action", "delete")
	}
	global.close("inbound")
	global.open("backend")
	global.empty("forward-request")
	global.close("backend")
	global.line("<outbound />")
	global.line("<on-error />")
	global.close("policies")
	product := &renderer{trust: t}
	product.head("A product: a place for quotas; validate-jwt belongs to the APIs, where every call passes")
	product.open("policies")
	product.inherit("inbound", "backend", "outbound", "on-error")
	product.close("policies")
	return []File{{"global.policy.xml", ScopeGlobal, "", "", global.Bytes()}, {"product.policy.xml", ScopeProduct, "", "", product.Bytes()}}
}
