package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/apim/expr"
)

// algorithms are those that API Management documents for keys from discovery.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS512, jose.PS256, jose.ES256}

// maxToken bounds a token, in bytes, as the validating library does.
const maxToken = 250 << 10

// required is one <claim> of required-claims.
type required struct {
	name, separator string
	any             bool
	values          []string
}

// jwtPolicy is a compiled validate-jwt.
type jwtPolicy struct {
	id, header, scheme, message, output string
	status                              int
	skew                                time.Duration
	configs                             []string
	audiences, issuers                  []string
	claims                              []required
	scope                               string
	keys                                *metadata
}

// validateJWT compiles a validate-jwt.
func (c *compiler) validateJWT(e apim.Element) policy {
	c.attributes(e, "id", "header-name", "require-scheme", "failed-validation-httpcode", "failed-validation-error-message",
		"require-expiration-time", "require-signed-tokens", "clock-skew", "output-token-variable-name")
	c.children(e, "openid-config", "audiences", "issuers", "required-claims")
	p := &jwtPolicy{id: attr(e, "id", ""), header: attr(e, "header-name", ""), scheme: attr(e, "require-scheme", ""),
		message: attr(e, "failed-validation-error-message", ""), output: attr(e, "output-token-variable-name", ""), keys: c.keys, scope: c.level}
	if p.header == "" {
		c.fault(e, "needs header-name; other sources of the token are not implemented by this gateway")
	}
	for _, name := range []string{"require-expiration-time", "require-signed-tokens"} {
		if attr(e, name, "true") != "true" {
			c.fault(e, "%s other than true is not implemented by this gateway", name)
		}
	}
	p.status = c.integer(e, "failed-validation-httpcode", 401)
	p.skew = time.Duration(c.integer(e, "clock-skew", 0)) * time.Second
	for _, child := range e.Children {
		switch child.Name {
		case "openid-config":
			c.attributes(child, "url")
			p.configs = append(p.configs, attr(child, "url", ""))
		case "audiences":
			p.audiences = append(p.audiences, c.list(child, "audience")...)
		case "issuers":
			p.issuers = append(p.issuers, c.list(child, "issuer")...)
		case "required-claims":
			for _, claim := range child.Children {
				c.attributes(claim, "name", "match", "separator")
				r := required{name: attr(claim, "name", ""), separator: attr(claim, "separator", ""), any: attr(claim, "match", "all") == "any", values: c.list(claim, "value")}
				if !slices.Contains([]string{"all", "any"}, attr(claim, "match", "all")) {
					c.fault(claim, "match must be all or any")
				}
				p.claims = append(p.claims, r)
			}
		}
	}
	if len(p.configs) == 0 {
		c.fault(e, "needs openid-config; inline keys are not implemented by this gateway")
	}
	if len(p.audiences) == 0 {
		c.fault(e, "has no audiences: a token of any API of the issuer would pass")
	}
	return p.run
}

func (c *compiler) integer(e apim.Element, name string, fallback int) int {
	a, ok := e.Attribute(name)
	if !ok {
		return fallback
	}
	text := a.Value
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		c.fault(e, "%s %q is not a number; expressions are not implemented here by this gateway", name, text)
	}
	return n
}

// list reads literal texts of child elements.
func (c *compiler) list(e apim.Element, name string) []string {
	c.children(e, name)
	var texts []string
	for _, child := range e.Children {
		text := strings.TrimSpace(child.Text)
		if apim.IsExpression(text) {
			c.fault(child, "expressions are not implemented here by this gateway")
		}
		texts = append(texts, text)
	}
	return texts
}

// verdict is how a validation failed.
type verdict struct {
	apim.Failure
	found, wanted string
}

// run validates the request's token.
func (p *jwtPolicy) run(r *run, _ string) error {
	jwt, v := p.validate(r)
	s := step{Policy: "validate-jwt", ID: p.id, Scope: p.scope, Result: "passed", Message: "the token is valid"}
	if v == nil {
		r.note(s)
		if p.output != "" {
			r.variables[p.output] = jwt
		}
		return nil
	}
	s.Result, s.Message, s.IDX, s.Found, s.Wanted, s.Hint = "failed", v.Message, v.IDX, v.found, v.wanted, v.Hint
	r.note(s)
	body := v.Body
	if p.message != "" {
		body = p.message
	}
	return &failure{expr.LastError{Source: "validate-jwt", Reason: v.Reason, Message: v.Message, PolicyID: p.id}, p.status, body}
}

// validate checks in the order of the library that API Management uses:
// signature, lifetime, audience, issuer, then required claims.
func (p *jwtPolicy) validate(r *run) (*expr.Jwt, *verdict) {
	fail := func(f apim.Failure, found, wanted string) (*expr.Jwt, *verdict) {
		return nil, &verdict{f, found, wanted}
	}
	text := r.request.Header.Get(p.header)
	scheme, token, has := strings.Cut(text, " ")
	switch {
	case text == "":
		return fail(apim.TokenMissing, "no "+p.header+" header", "")
	case p.scheme != "" && p.header == "Authorization" && (!has || !strings.EqualFold(scheme, p.scheme)):
		return fail(apim.TokenMissing, "no scheme "+p.scheme, p.scheme)
	case !has || p.header != "Authorization":
		token = text
	}
	token = strings.TrimSpace(token)
	jwt, err := expr.ParseJwt(token)
	if err != nil || len(token) > maxToken {
		return fail(apim.TokenMalformed, "", "")
	}
	keys, issuers, err := p.keys.get(r, p.configs)
	if err != nil {
		return fail(apim.NoMetadata, err.Error(), strings.Join(p.configs, ", "))
	}
	payload, v := p.signature(r, token, keys)
	if v != nil {
		return nil, v
	}
	if v := p.lifetime(r.now, payload); v != nil {
		return nil, v
	}
	if audiences := jwt.Claims["aud"]; !slices.ContainsFunc(audiences, func(a string) bool { return slices.Contains(p.audiences, a) }) {
		return fail(apim.WrongAudience, strings.Join(audiences, ", "), strings.Join(p.audiences, " or "))
	}
	if accepted := append(issuers, p.issuers...); !slices.Contains(accepted, jwt.Issuer) {
		return fail(apim.WrongIssuer, jwt.Issuer, strings.Join(accepted, " or "))
	}
	for _, c := range p.claims {
		if v := c.check(jwt); v != nil {
			return nil, v
		}
	}
	return jwt, nil
}

// signature verifies the token with the key its kid names, or with every key
// when none has that name.
func (p *jwtPolicy) signature(r *run, token string, keys []jose.JSONWebKey) ([]byte, *verdict) {
	jws, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		head, decodeErr := header(token)
		switch {
		case decodeErr != nil:
			return nil, &verdict{apim.TokenMalformed, "", ""}
		case strings.EqualFold(head.Alg, "none"):
			return nil, &verdict{apim.Unsigned, "alg none", ""}
		}
		return nil, &verdict{apim.BadAlgorithm, head.Alg, "RS256, RS512, PS256 or ES256"}
	}
	kid := jws.Signatures[0].Protected.KeyID
	named := slices.DeleteFunc(slices.Clone(keys), func(k jose.JSONWebKey) bool { return k.KeyID != kid })
	if len(named) == 0 {
		if fresh, err := p.keys.refetch(r, p.configs); err == nil {
			keys = fresh
			named = slices.DeleteFunc(slices.Clone(keys), func(k jose.JSONWebKey) bool { return k.KeyID != kid })
		}
	}
	if len(named) > 0 {
		payload, err := jws.Verify(named[0].Key)
		if err != nil {
			return nil, &verdict{apim.BadSignature, "kid " + kid, ""}
		}
		return payload, nil
	}
	for _, k := range keys {
		if payload, err := jws.Verify(k.Key); err == nil {
			return payload, nil
		}
	}
	return nil, &verdict{apim.KeyUnknown, "kid " + kid, kids(keys)}
}

func kids(keys []jose.JSONWebKey) string {
	var names []string
	for _, k := range keys {
		names = append(names, k.KeyID)
	}
	return strings.Join(names, ", ")
}

type jwtHeader struct {
	Alg string `json:"alg"`
}

// lifetime checks exp and nbf.
func (p *jwtPolicy) lifetime(now time.Time, payload []byte) *verdict {
	var t struct {
		Exp *float64 `json:"exp"`
		Nbf *float64 `json:"nbf"`
	}
	if err := json.Unmarshal(payload, &t); err != nil {
		return &verdict{apim.TokenMalformed, "", ""}
	}
	seconds := float64(now.UnixNano()) / 1e9
	switch {
	case t.Exp == nil:
		return &verdict{apim.NoExpiry, "no exp", "exp"}
	case *t.Exp < seconds-p.skew.Seconds():
		return &verdict{apim.Expired, stamp(*t.Exp), "after " + stamp(seconds-p.skew.Seconds())}
	case t.Nbf != nil && *t.Nbf > seconds+p.skew.Seconds():
		return &verdict{apim.NotYetValid, stamp(*t.Nbf), "before " + stamp(seconds+p.skew.Seconds())}
	}
	return nil
}

func stamp(seconds float64) string { return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339) }

// check compares a claim, ordinally.
func (c required) check(jwt *expr.Jwt) *verdict {
	values, present := jwt.Claims[c.name]
	wanted := strings.Join(c.values, ", ")
	if !present {
		f := apim.ClaimMissing
		f.Message += ": " + c.name
		return &verdict{f, "no claim " + c.name, wanted}
	}
	if c.separator != "" {
		var split []string
		for _, v := range values {
			split = append(split, strings.Split(v, c.separator)...)
		}
		values = split
	}
	missing := slices.DeleteFunc(slices.Clone(c.values), func(v string) bool { return slices.Contains(values, v) })
	if len(c.values) == 0 || !c.any && len(missing) == 0 || c.any && len(missing) < len(c.values) {
		return nil
	}
	f := apim.ClaimMismatch
	f.Message = fmt.Sprintf("%s: %s=%s", f.Message, c.name, strings.Join(values, ","))
	f.Hint = "Missing in " + c.name + ": " + strings.Join(missing, ", ") + "."
	for _, m := range missing {
		if slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, m) }) {
			f.Hint += " " + m + " is there in another case; comparison is case-sensitive."
		}
	}
	return &verdict{f, strings.Join(values, ", "), wanted}
}
