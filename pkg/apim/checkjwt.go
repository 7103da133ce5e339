package apim

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// The rules about what people get wrong around validate-jwt, each from reports
// of users.
var (
	ruleTokenSource = rule{"token-source", SeverityError, "The token must come from exactly one place.", "Give one of header-name, query-parameter-name and token-value."}
	ruleKeys        = rule{"no-keys", SeverityError, "Without keys no signature can be verified (IDX10500).", "Add <openid-config url=\"…\" />."}
	ruleAudiences   = rule{"missing-audiences", SeverityError, "Without audiences a token for any other API of the issuer passes.", "List the audience of this API in <audiences>."}
	ruleAudiencesK  = rule{"missing-audiences", SeverityWarning, ruleAudiences.cause, ruleAudiences.fix}
	ruleIssuers     = rule{"missing-issuers", SeverityWarning, "Only the issuer in discovery documents is accepted, and none is checked with inline keys.", "List the issuer in <issuers>."}
	ruleComma       = rule{"comma-in-value", SeverityWarning, "A list in one <value> is compared as one text; the separator splits the token's claim, never the policy's value.", "Write one <value> per entry."}
	ruleSeparator   = rule{"scope-separator", SeverityWarning, "The claim is one text with spaces (RFC 8693 section 4.2), so a single value matches only when it is alone.", "Add separator=\" \"."}
	ruleScheme      = rule{"scheme-on-custom-header", SeverityWarning, "require-scheme has no effect on a header other than Authorization, which must then hold the bare token.", "Remove require-scheme, or read Authorization."}
	ruleOverwritten = rule{"authorization-overwritten", SeverityError, "validate-jwt would look at what the policy before it left, not at what the client sent.", "Put validate-jwt first."}
	ruleMetadataURL = rule{"metadata-url", SeverityError, "Metadata is fetched over https (IDX20108).", "Write the https address of the discovery document."}
	ruleKey         = rule{"unusable-key", SeverityError, "The text of <key> is a base64 symmetric key of at least 128 bits; RSA keys are written as n and e, and EC keys come by openid-config.", "Use openid-config, or n and e."}
	ruleUnsigned    = rule{"unsigned-tokens", SeverityWarning, "Anybody can write an unsigned token.", "Remove require-signed-tokens=\"false\"."}
	ruleNoExpiry    = rule{"no-expiration", SeverityWarning, "A token without exp is valid for ever.", "Remove require-expiration-time=\"false\"."}
	ruleSkew        = rule{"no-clock-skew", SeverityWarning, "The default is 0 seconds: a clock that is a moment ahead turns fresh tokens away (IDX10222).", "Add clock-skew=\"30\"."}
	ruleCorsFirst   = rule{"cors-not-first", SeverityWarning, "Answers of the policies before it lack the headers that let a browser read them.", "Put <cors> first, behind <base />."}
	ruleRawHeader   = rule{"limit-by-raw-header", SeverityWarning, "A client chooses its headers, and so its own counter.", "Count by a claim of the validated token, or by context.Request.IpAddress."}
)

// inbound checks what depends on the order of policies.
func (c *checker) inbound(elements []Element) {
	validated, overwritten := false, ""
	for i, e := range elements {
		switch e.Name {
		case "cors":
			if i > 0 && !(i == 1 && elements[0].Name == "base") {
				c.report(e.Position, ruleCorsFirst, "<cors> stands behind <%s>", elements[i-1].Name)
			}
		case "rate-limit-by-key", "quota-by-key":
			if key := e.Value("counter-key"); strings.Contains(key, "context.Request.Headers") {
				c.report(e.Position, ruleRawHeader, "<%s> counts by a header of the request", e.Name)
			}
		}
		walk(e, func(e Element) {
			switch {
			case e.Name == "validate-jwt":
				if reads := e.Value("header-name"); overwritten != "" && !validated && strings.EqualFold(reads, "Authorization") {
					c.report(e.Position, ruleOverwritten, "%s changes Authorization before <validate-jwt> reads it", overwritten)
				}
				validated = true
				c.validateJWT(e)
			case changesAuthorization(e) && !validated:
				overwritten = "<" + e.Name + ">"
			}
		})
	}
}

// walk visits an element and everything in it, in the order of the document.
func walk(e Element, visit func(Element)) {
	visit(e)
	for _, inner := range e.Children {
		walk(inner, visit)
	}
}

func changesAuthorization(e Element) bool {
	switch e.Name {
	case "set-header":
		return strings.EqualFold(e.Value("name"), "Authorization") && e.Value("exists-action") != "skip"
	case "authentication-managed-identity":
		return e.Value("output-token-variable-name") == ""
	case "authentication-basic":
		return true
	}
	return false
}

// validateJWT checks one validate-jwt beyond its shape.
func (c *checker) validateJWT(e Element) {
	sources := 0
	for _, name := range []string{"header-name", "query-parameter-name", "token-value"} {
		if _, present := e.Attribute(name); present {
			sources++
		}
	}
	if sources != 1 {
		c.report(e.Position, ruleTokenSource, "<validate-jwt> names %d sources of the token", sources)
	}
	if scheme, present := e.Attribute("require-scheme"); present && !strings.EqualFold(e.Value("header-name"), "Authorization") {
		c.report(scheme.Position, ruleScheme, "require-scheme with a header other than Authorization")
	}
	if a, _ := e.Attribute("require-signed-tokens"); a.Value == "false" || a.Value == "0" {
		c.report(a.Position, ruleUnsigned, "unsigned tokens are accepted")
	}
	if a, _ := e.Attribute("require-expiration-time"); a.Value == "false" || a.Value == "0" {
		c.report(a.Position, ruleNoExpiry, "tokens without exp are accepted")
	}
	if _, present := e.Attribute("clock-skew"); !present {
		c.report(e.Position, ruleSkew, "no clock-skew")
	}
	c.trusted(e)
	if claims, present := e.Child("required-claims"); present {
		for _, claim := range claims.Children {
			c.claim(claim)
		}
	}
}

// trusted checks whose tokens pass, and for whom.
func (c *checker) trusted(e Element) {
	discovery, keys := false, false
	for _, inner := range e.Children {
		switch inner.Name {
		case "openid-config":
			discovery = true
			c.metadataURL(inner)
		case "issuer-signing-keys", "issuer-signing-tokens":
			keys = keys || len(inner.Children) > 0
			for _, key := range inner.Children {
				c.key(key)
			}
		}
	}
	if !discovery && !keys {
		c.report(e.Position, ruleKeys, "<validate-jwt> has neither <openid-config> nor keys")
	}
	if audiences, _ := e.Child("audiences"); len(audiences.Children) == 0 {
		r := ruleAudiences
		if !discovery {
			r = ruleAudiencesK
		}
		c.report(e.Position, r, "<validate-jwt> has no audiences: a token of any API of the issuer would pass")
	}
	if issuers, _ := e.Child("issuers"); len(issuers.Children) == 0 {
		c.report(e.Position, ruleIssuers, "<validate-jwt> has no issuers")
	}
}

// metadataURL refuses http, except on the loopback of a developer's machine.
func (c *checker) metadataURL(e Element) {
	a, present := e.Attribute("url")
	if !present || IsExpression(a.Value) || strings.Contains(a.Value, "{{") {
		return
	}
	u, err := url.Parse(a.Value)
	local := err == nil && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname())
	if err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && local) {
		c.report(a.ValueAt, ruleMetadataURL, "url=%q cannot be fetched", a.Value)
	}
}

// key checks one inline key.
func (c *checker) key(e Element) {
	material := strings.TrimSpace(e.Text)
	n, hasN := e.Attribute("n")
	exponent, hasE := e.Attribute("e")
	if e.Name != "key" || IsExpression(material) {
		return
	}
	if _, certificate := e.Attribute("certificate-id"); certificate {
		return
	}
	if hasN || hasE {
		_, errN := base64.RawURLEncoding.DecodeString(n.Value)
		_, errE := base64.RawURLEncoding.DecodeString(exponent.Value)
		if n.Value == "" || exponent.Value == "" || errN != nil || errE != nil {
			c.report(e.Position, ruleKey, "an RSA key needs both n and e in base64url")
		}
		return
	}
	bytes, err := base64.StdEncoding.DecodeString(material)
	switch {
	case err != nil && strings.Contains(material, "-----BEGIN"), err == nil && len(bytes) > 2 && bytes[0] == 0x30 && bytes[1] >= 0x80:
		c.report(e.Position, ruleKey, "a certificate or public key stands where a symmetric key is read (IDX10634)")
	case err != nil && strings.HasPrefix(material, "{"), err == nil && json.Valid(bytes) && len(bytes) > 0 && bytes[0] == '{':
		c.report(e.Position, ruleKey, "a JWK stands where a symmetric key is read (IDX10634)")
	case err != nil:
		c.report(e.Position, ruleKey, "the key is not base64")
	case len(bytes) < 16:
		c.report(e.Position, ruleKey, "the key has %d bits (IDX10653)", len(bytes)*8)
	}
}

// claim checks one required claim.
func (c *checker) claim(e Element) {
	separator := e.Value("separator")
	for _, v := range e.Children {
		value := strings.TrimSpace(v.Text)
		if !IsExpression(value) && strings.Contains(value, ",") {
			c.report(v.TextAt, ruleComma, "%q holds a comma", value)
		}
	}
	if name := e.Value("name"); (name == "scope" || name == "scp") && separator == "" && len(e.Children) > 0 {
		c.report(e.Position, ruleSeparator, "the claim %s has no separator", name)
	}
}
