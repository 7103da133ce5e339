package gateway

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/apim/expr"
)

// value is what a policy document gives: a text, or an expression that makes
// one for each request.
type value struct {
	literal string
	program *expr.Program
}

// value compiles a value. The element says where it stands.
func (c *compiler) value(at apim.Element, text string) value {
	if !apim.IsExpression(text) {
		return value{literal: text}
	}
	p, err := expr.Compile(text)
	if err != nil {
		c.fault(at, "%s", err)
	}
	return value{program: p}
}

// attribute compiles the value of an attribute; an absent one gives the fallback.
func (c *compiler) attribute(e apim.Element, name, fallback string) value {
	if a, ok := e.Attribute(name); ok {
		return c.value(e, a.Value)
	}
	return value{literal: fallback}
}

// texts compiles the texts of the child elements of that name.
func (c *compiler) texts(e apim.Element, name string) []value {
	var values []value
	for _, child := range e.Children {
		if child.Name == name {
			values = append(values, c.value(child, strings.TrimSpace(child.Text)))
		}
	}
	return values
}

// literal reports whether no expression stands here.
func (v value) isLiteral() bool { return v.program == nil }

// eval returns what the expression gives, or the text.
func (v value) eval(r *run) (any, error) {
	if v.program == nil {
		return v.literal, nil
	}
	return v.program.Eval(r.client.Context(), r.context())
}

// text returns the value as text.
func (v value) text(r *run) (string, error) {
	x, err := v.eval(r)
	return expr.Text(x), err
}

// boolean returns the value as a truth: true, false, 1 or 0 when it is literal.
func (v value) boolean(r *run) (bool, error) {
	x, err := v.eval(r)
	if err != nil {
		return false, err
	}
	switch x := x.(type) {
	case bool:
		return x, nil
	case string:
		if b, ok := apim.Bool(strings.ToLower(x)); ok {
			return b, nil
		}
	}
	return false, fmt.Errorf("a boolean is expected")
}

// integer returns the value as a whole number.
func (v value) integer(r *run) (int, error) {
	text, err := v.text(r)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("a whole number is expected")
	}
	return n, nil
}

// all evaluates values to texts.
func all(r *run, values []value) ([]string, error) {
	out := make([]string, len(values))
	for i, v := range values {
		var err error
		if out[i], err = v.text(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// headerValue refuses what would end a header line.
func headerValue(text string) error {
	for _, c := range []byte(text) {
		if c < 0x20 && c != '\t' || c == 0x7f {
			return fmt.Errorf("a header value holds a control character")
		}
	}
	return nil
}

// headerName refuses what is no token (RFC 9110 section 5.6.2), and the headers
// that API Management lets nobody change.
func headerName(name string) error {
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return fmt.Errorf("header name %q holds a character that none may", name)
		}
	}
	switch http.CanonicalHeaderKey(name) {
	case "", "Connection", "Content-Length", "Keep-Alive", "Transfer-Encoding":
		return fmt.Errorf("header %q cannot be changed", name)
	}
	return nil
}
