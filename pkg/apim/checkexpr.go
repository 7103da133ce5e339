package apim

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/apim/expr"
)

// The rules about expressions and about how policies work together.
var (
	ruleExpression   = rule{"expression", SeverityError, "API Management refuses the expression, or fails each request that evaluates it.", "Correct the expression."}
	ruleExpressionW  = rule{"expression", SeverityWarning, "The local gateway interprets the part of C# that policies use most, and refuses the rest.", "Nothing, if it runs in API Management; the local gateway cannot try it."}
	ruleIndexer      = rule{"claim-indexer", SeverityWarning, "Claims[…] throws when the claim is absent, which answers 500.", "Use Claims.GetValueOrDefault, or ask ContainsKey first."}
	ruleSubstring    = rule{"claim-substring", SeverityWarning, "GetValueOrDefault joins the values of an array with commas, so Contains finds parts of words: admin in not-admin.", "Use required-claims, or Claims[…].Contains(…) behind ContainsKey."}
	ruleUnvalidated  = rule{"token-not-validated", SeverityWarning, "AsJwt and TryParseJwt read a token without verifying anything; anybody can write one.", "Put validate-jwt before it, and read its output variable."}
	ruleOverridden   = rule{"message-overridden", SeverityWarning, "<on-error> builds its own response, so failed-validation-error-message is not seen.", "Use context.LastError in <on-error>, or leave the body to validate-jwt."}
	ruleInARow       = rule{"validations-in-a-row", SeverityWarning, "The first validate-jwt that fails ends the request; the next is not an alternative.", "List several openid-config in one validate-jwt, or choose by the unvalidated issuer."}
	ruleTokenInTrace = rule{"token-in-trace", SeverityWarning, "Traces and metrics are kept and read by many; a token in them can be used by all of them.", "Trace a claim that is no secret, such as jti."}
	rulePeriod       = rule{"period", SeverityError, "rate-limit-by-key takes 1 to 300 seconds, quota-by-key at least 300, or 0 for ever.", "Correct renewal-period."}
)

// substringForm is a substring test on a joined claim.
var substringForm = regexp.MustCompile(`Claims\s*\.\s*GetValueOrDefault\s*\([^()]*\)\s*\.\s*(Contains|IndexOf|StartsWith)\s*\(`)

// expressions checks every expression of a document.
func (c *checker) expressions(elements []Element, validated bool) {
	for _, e := range elements {
		walk(e, func(e Element) {
			for _, a := range e.Attributes {
				c.expression(e, a.ValueAt, a.Value, validated)
			}
			c.expression(e, e.TextAt, e.Text, validated)
		})
	}
}

// expression checks one value.
func (c *checker) expression(e Element, at Position, value string, validated bool) {
	if value = strings.TrimSpace(value); !IsExpression(value) {
		return
	}
	var fault *expr.Error
	// A named value may stand for any part of an expression.
	if _, err := expr.Compile(value); errors.As(err, &fault) && !strings.Contains(value, "{{") {
		r := ruleExpression
		if strings.HasSuffix(fault.Msg, "implemented by the local gateway") {
			r = ruleExpressionW
		}
		c.report(at, r, "the expression cannot be compiled: %s", fault)
	}
	if strings.Contains(value, ".Claims[") && !strings.Contains(value, "ContainsKey(") && !strings.Contains(value, "TryGetValue(") {
		c.report(at, ruleIndexer, "the expression takes a claim that may be absent")
	}
	if substringForm.MatchString(value) {
		c.report(at, ruleSubstring, "the expression looks for a part of a joined claim")
	}
	if !validated && (strings.Contains(value, ".AsJwt(") || strings.Contains(value, "TryParseJwt(")) {
		c.report(at, ruleUnvalidated, "the expression reads a token that no validate-jwt of this document has verified")
	}
	if slices.Contains([]string{"trace", "message", "metadata", "emit-metric", "dimension"}, e.Name) && strings.Contains(value, `"Authorization"`) {
		c.report(at, ruleTokenInTrace, "<%s> shows the Authorization header", e.Name)
	}
}

// together checks what several policies of a document do to each other.
func (c *checker) together(d *Document) {
	answers := false
	for _, e := range d.OnError {
		walk(e, func(e Element) { answers = answers || e.Name == "return-response" || e.Name == "set-body" })
	}
	for _, e := range d.Inbound {
		walk(e, func(e Element) {
			if a, ok := e.Attribute("failed-validation-error-message"); ok && answers && e.Name == "validate-jwt" {
				c.report(a.Position, ruleOverridden, "failed-validation-error-message is not seen")
			}
		})
	}
	c.inARow(d.Inbound)
}

// inARow finds validate-jwt policies that were meant as alternatives: the same
// source of the token, other issuers.
func (c *checker) inARow(elements []Element) {
	seen := map[string]string{}
	for _, e := range elements {
		if e.Name != "validate-jwt" {
			continue
		}
		var urls []string
		for _, child := range e.Children {
			if child.Name == "openid-config" {
				urls = append(urls, child.Value("url"))
			}
		}
		source, issuers := e.Value("header-name")+e.Value("query-parameter-name")+e.Value("token-value"), strings.Join(urls, " ")
		if before, ok := seen[source]; ok && before != issuers {
			c.report(e.Position, ruleInARow, "a second <validate-jwt> reads the same token for another issuer")
		}
		seen[source] = issuers
	}
}

// period checks the literal period of a limit.
func (c *checker) period(e Element) {
	a, ok := e.Attribute("renewal-period")
	seconds, number := Int(a.Value)
	if !ok || !number {
		return
	}
	if e.Name == "rate-limit-by-key" && (seconds < 1 || seconds > 300) || e.Name == "quota-by-key" && seconds != 0 && seconds < 300 {
		c.report(a.ValueAt, rulePeriod, "renewal-period=%q of <%s>", a.Value, e.Name)
	}
}
