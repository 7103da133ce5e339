package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/apim"
)

// cors is a compiled cors policy (Fetch standard, section 3.2).
type cors struct {
	policy      policy
	origins     []value
	methods     []string
	headers     []string
	exposed     []string
	maxAge      string
	credentials bool
	// terminate answers a GET or HEAD of a stranger's origin with an empty 200.
	terminate bool
}

// compileCors compiles cors.
func compileCors(c *compiler, e apim.Element, p *policy) {
	k := &cors{methods: []string{http.MethodGet, http.MethodPost}, policy: *p}
	list := func(name, inner string) []string {
		child, _ := e.Child(name)
		var texts []string
		for _, v := range c.texts(child, inner) {
			if !v.isLiteral() {
				c.fault(child, "expressions are not implemented here by this gateway")
			}
			texts = append(texts, v.literal)
		}
		return texts
	}
	literal := func(name, fallback string) bool {
		v := c.attribute(e, name, fallback)
		if !v.isLiteral() {
			c.fault(e, "an expression in %s is not implemented by this gateway", name)
		}
		yes, _ := apim.Bool(v.literal)
		return yes
	}
	origins, _ := e.Child("allowed-origins")
	k.origins = c.texts(origins, "origin")
	if methods, present := e.Child("allowed-methods"); present {
		k.methods = list("allowed-methods", "method")
		k.maxAge = methods.Value("preflight-result-max-age")
		if apim.IsExpression(k.maxAge) {
			c.fault(methods, "an expression in preflight-result-max-age is not implemented by this gateway")
		}
	}
	k.headers, k.exposed = list("allowed-headers", "header"), list("expose-headers", "header")
	k.credentials, k.terminate = literal("allow-credentials", "false"), literal("terminate-unmatched-request", "true")
	if k.credentials && slices.Contains(k.named(), "*") {
		c.fault(e, "allow-credentials with any origin would let every page act for the person")
	}
	p.cors = k
	p.act = k.act
}

// named lists the origins that are written out.
func (k *cors) named() []string {
	var names []string
	for _, o := range k.origins {
		if o.isLiteral() {
			names = append(names, o.literal)
		}
	}
	return names
}

// allows reports whether an origin is listed. Origins are compared ignoring
// case, since scheme and host have none.
func (k *cors) allows(r *run, origin string) (bool, error) {
	listed, err := all(r, k.origins)
	return slices.ContainsFunc(listed, func(o string) bool { return o == "*" || strings.EqualFold(o, origin) }), err
}

// act adds what lets a browser read the answer.
func (k *cors) act(r *run) error {
	origin := r.client.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	allowed, err := k.allows(r, origin)
	if err != nil {
		return err
	}
	r.added.Set("Vary", "Origin")
	if allowed {
		k.permit(r, origin)
		exposed := k.exposed
		if r.gateway.traces != nil {
			exposed = append(slices.Clip(exposed), traceHeader)
		}
		if len(exposed) > 0 {
			r.added.Set("Access-Control-Expose-Headers", strings.Join(exposed, ", "))
		}
		k.policy.note(r, resultPassed, "origin "+origin+" may read the answer")
		return nil
	}
	method := r.client.Method
	if k.terminate && (method == http.MethodGet || method == http.MethodHead) {
		k.policy.note(r, resultFailed, "origin "+origin+" is not listed: answered with an empty 200")
		r.decision = decisionRefused
		r.discard()
		r.response = &response{status: http.StatusOK, header: http.Header{}}
		return errAnswered
	}
	k.policy.note(r, resultSkipped, "origin "+origin+" is not listed")
	return nil
}

func (k *cors) permit(r *run, origin string) {
	r.added.Set("Access-Control-Allow-Origin", origin)
	if k.credentials {
		r.added.Set("Access-Control-Allow-Credentials", "true")
	}
}

// answerPreflight lets the cors policies in effect answer a preflight; nothing
// else is evaluated. It reports false when there is none.
func (r *run) answerPreflight() bool {
	p := r.api.pipeline
	if r.operation != nil {
		p = r.operation.pipeline
	}
	origin := r.client.Header.Get("Origin")
	for _, candidate := range p[apim.Inbound] {
		k := candidate.cors
		if k == nil {
			continue
		}
		matched, err := k.matches(r, origin)
		if err != nil {
			r.fail(candidate.locate(err))
			return true
		}
		if !matched && !k.terminate {
			continue
		}
		r.response = &response{status: http.StatusOK, header: http.Header{"Vary": {"Origin"}}}
		if !matched {
			r.decision = decisionRefused
			k.policy.note(r, resultFailed, "the preflight of "+origin+" asks for what is not allowed")
			return true
		}
		k.permit(r, origin)
		h := r.response.header
		h.Set("Access-Control-Allow-Methods", strings.Join(k.methods, ", "))
		if slices.Contains(k.methods, "*") {
			h.Set("Access-Control-Allow-Methods", r.client.Header.Get("Access-Control-Request-Method"))
		}
		if asked := r.client.Header.Get("Access-Control-Request-Headers"); asked != "" {
			h.Set("Access-Control-Allow-Headers", asked)
		}
		if k.maxAge != "" {
			h.Set("Access-Control-Max-Age", k.maxAge)
		}
		k.policy.note(r, resultPassed, "the preflight of "+origin+" is answered")
		return true
	}
	return false
}

// matches reports whether a preflight asks for nothing but what is allowed.
func (k *cors) matches(r *run, origin string) (bool, error) {
	allowed, err := k.allows(r, origin)
	if err != nil || !allowed {
		return false, err
	}
	method := r.client.Header.Get("Access-Control-Request-Method")
	if !slices.Contains(k.methods, "*") && !slices.Contains(k.methods, method) {
		return false, nil
	}
	for asked := range strings.SplitSeq(r.client.Header.Get("Access-Control-Request-Headers"), ",") {
		asked = strings.TrimSpace(asked)
		if asked != "" && !slices.Contains(k.headers, "*") && !slices.ContainsFunc(k.headers, func(h string) bool { return strings.EqualFold(h, asked) }) {
			return false, nil
		}
	}
	return true, nil
}
