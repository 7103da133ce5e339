package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/apim/expr"
)

// policy is a compiled policy: it acts on the run or fails.
type policy func(r *run, section string) error

// scope is a document whose sections take the outer scope's policies where
// <base/> stands. A section without it drops them, as API Management does.
type scope struct{ inbound, onError func(base []policy) []policy }

// compiler turns documents into policies and refuses what it does not implement.
type compiler struct {
	keys   *metadata
	faults []error
	file   string
	level  string
}

// load reads and compiles a policy file.
func (c *compiler) load(path, level string) (scope, error) {
	d, err := readPolicy(path)
	if err != nil {
		return scope{}, err
	}
	c.file, c.level, c.faults = path, level, nil
	s := scope{inbound: c.section("inbound", d.Inbound), onError: c.section("on-error", d.OnError)}
	for _, section := range []struct {
		name     string
		elements []apim.Element
	}{{"backend", d.Backend}, {"outbound", d.Outbound}} {
		for _, e := range section.elements {
			if e.Name != "base" && e.Name != "forward-request" {
				c.fault(e, "policies in the %s section are not implemented by this gateway", section.name)
			}
		}
	}
	return s, errors.Join(c.faults...)
}

func (c *compiler) fault(e apim.Element, format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf("%s:%d: <%s>: %s", c.file, e.Line, e.Name, fmt.Sprintf(format, args...)))
}

// attr returns an attribute, or the fallback when it is absent.
func attr(e apim.Element, name, fallback string) string {
	if a, ok := e.Attribute(name); ok {
		return a.Value
	}
	return fallback
}

// section compiles a section around its <base/>.
func (c *compiler) section(name string, elements []apim.Element) func([]policy) []policy {
	var before, after []policy
	based := false
	for _, e := range elements {
		switch {
		case e.Name == "base" && based:
			c.fault(e, "stands twice")
		case e.Name == "base":
			based = true
		case based:
			after = append(after, c.compile(name, e))
		default:
			before = append(before, c.compile(name, e))
		}
	}
	return func(base []policy) []policy {
		if !based {
			base = nil
		}
		return slices.Concat(before, base, after)
	}
}

// attributes refuses attributes that are not listed.
func (c *compiler) attributes(e apim.Element, known ...string) {
	for _, a := range e.Attributes {
		if !slices.Contains(known, a.Name) {
			c.fault(e, "attribute %s is not implemented by this gateway", a.Name)
		}
	}
}

// children refuses child elements that are not listed, and a wrong order of those that are.
func (c *compiler) children(e apim.Element, ordered ...string) {
	last := 0
	for _, child := range e.Children {
		i := slices.Index(ordered, child.Name)
		switch {
		case i < 0:
			c.fault(child, "is not implemented by this gateway inside <%s>", e.Name)
		case i < last:
			c.fault(child, "must stand before <%s>: the order inside <%s> is %s", ordered[last], e.Name, strings.Join(ordered, ", "))
		default:
			last = i
		}
	}
}

// value compiles a value that may be an expression.
func (c *compiler) value(e apim.Element, text string) func(*run) (any, error) {
	if !apim.IsExpression(text) {
		return func(*run) (any, error) { return text, nil }
	}
	p, err := expr.Compile(text)
	if err != nil {
		c.fault(e, "%s", err)
		return nil
	}
	return func(r *run) (any, error) { return p.Eval(r.context()) }
}

// inboundOnly lists the policies that other sections do not allow.
var inboundOnly = []string{"validate-jwt", "cors"}

// compile compiles one policy.
func (c *compiler) compile(section string, e apim.Element) policy {
	if section != "inbound" && slices.Contains(inboundOnly, e.Name) {
		c.fault(e, "is allowed in the inbound section only")
	}
	switch e.Name {
	case "validate-jwt":
		return c.validateJWT(e)
	case "cors":
		return c.cors(e)
	case "choose":
		return c.choose(section, e)
	case "set-header":
		return c.setHeader(e)
	case "set-variable":
		return c.setVariable(e)
	case "return-response":
		return c.returnResponse(e)
	}
	c.fault(e, "is not implemented by this gateway")
	return nil
}

func (c *compiler) choose(section string, e apim.Element) policy {
	c.attributes(e)
	c.children(e, "when", "otherwise")
	type branch struct {
		test func(*run) (any, error)
		then []policy
	}
	var branches []branch
	for _, child := range e.Children {
		b := branch{}
		if child.Name == "when" {
			c.attributes(child, "condition")
			if !apim.IsExpression(attr(child, "condition", "")) {
				c.fault(child, "condition must be an expression")
			}
			b.test = c.value(child, attr(child, "condition", ""))
		} else {
			c.attributes(child)
		}
		for _, p := range child.Children {
			b.then = append(b.then, c.compile(section, p))
		}
		branches = append(branches, b)
	}
	if len(branches) == 0 || branches[0].test == nil && len(c.faults) == 0 {
		c.fault(e, "needs at least one <when>")
	}
	return func(r *run, section string) error {
		for _, b := range branches {
			if b.test != nil {
				v, err := b.test(r)
				if err != nil {
					return err
				}
				yes, ok := v.(bool)
				if !ok {
					return errors.New("a condition must be a boolean")
				}
				if !yes {
					continue
				}
			}
			return r.execute(section, b.then)
		}
		return nil
	}
}

func (c *compiler) setVariable(e apim.Element) policy {
	c.attributes(e, "name", "value")
	c.children(e)
	value := c.value(e, attr(e, "value", ""))
	return func(r *run, _ string) error {
		v, err := value(r)
		if err != nil {
			return err
		}
		r.variables[attr(e, "name", "")] = v
		return nil
	}
}

// header compiles a set-header into a change of a header collection.
func (c *compiler) header(e apim.Element) func(r *run, h http.Header) error {
	c.attributes(e, "name", "exists-action")
	c.children(e, "value")
	name, action := http.CanonicalHeaderKey(attr(e, "name", "")), attr(e, "exists-action", "override")
	if name == "" || slices.Contains([]string{"Connection", "Content-Length", "Keep-Alive", "Transfer-Encoding"}, name) {
		c.fault(e, "header %q cannot be changed", name)
	}
	if !slices.Contains([]string{"override", "skip", "append", "delete"}, action) {
		c.fault(e, "exists-action %q is unknown", action)
	}
	var values []func(*run) (any, error)
	for _, v := range e.Children {
		values = append(values, c.value(v, strings.TrimSpace(v.Text)))
	}
	return func(r *run, h http.Header) error {
		if action == "delete" {
			h.Del(name)
			return nil
		}
		if action == "skip" && len(h.Values(name)) > 0 {
			return nil
		}
		if action == "override" {
			h.Del(name)
		}
		for _, value := range values {
			v, err := value(r)
			if err != nil {
				return err
			}
			h.Add(name, strings.Map(func(c rune) rune {
				if c == '\r' || c == '\n' || c == 0 {
					return -1
				}
				return c
			}, expr.Text(v)))
		}
		return nil
	}
}

// setHeader changes the request's headers inbound and the response's on error.
func (c *compiler) setHeader(e apim.Element) policy {
	change := c.header(e)
	return func(r *run, section string) error {
		if section == "on-error" {
			return change(r, r.answer.header)
		}
		return change(r, r.request.Header)
	}
}

func (c *compiler) returnResponse(e apim.Element) policy {
	c.attributes(e)
	c.children(e, "set-status", "set-header", "set-body")
	status := http.StatusOK
	var headers []func(*run, http.Header) error
	body := func(*run) (any, error) { return "", nil }
	for _, child := range e.Children {
		switch child.Name {
		case "set-status":
			c.attributes(child, "code", "reason")
			n, err := strconv.Atoi(attr(child, "code", ""))
			if err != nil || n < 200 || n > 599 {
				c.fault(child, "code %q is not a status", attr(child, "code", ""))
			}
			status = n
		case "set-header":
			headers = append(headers, c.header(child))
		case "set-body":
			c.attributes(child)
			body = c.value(child, strings.TrimSpace(child.Text))
		}
	}
	return func(r *run, _ string) error {
		a := &response{status: status, header: http.Header{}}
		for _, h := range headers {
			if err := h(r, a.header); err != nil {
				return err
			}
		}
		v, err := body(r)
		if err != nil {
			return err
		}
		a.body = expr.Text(v)
		r.answer = a
		r.note(step{Policy: "return-response", Result: "failed", Message: fmt.Sprintf("answered %d", status)})
		return nil
	}
}

// cors answers preflights and lets listed origins read answers.
func (c *compiler) cors(e apim.Element) policy {
	c.attributes(e, "allow-credentials")
	if attr(e, "allow-credentials", "false") != "false" {
		c.fault(e, "allow-credentials other than false is not implemented by this gateway")
	}
	lists, maxAge := map[string][]string{}, ""
	for _, list := range e.Children {
		if !slices.Contains([]string{"allowed-origins", "allowed-methods", "allowed-headers", "expose-headers"}, list.Name) {
			c.fault(list, "is unknown inside <cors>")
		}
		c.attributes(list, "preflight-result-max-age")
		maxAge = attr(list, "preflight-result-max-age", maxAge)
		for _, item := range list.Children {
			lists[list.Name] = append(lists[list.Name], strings.TrimSpace(item.Text))
		}
	}
	return func(r *run, _ string) error {
		origin := r.request.Header.Get("Origin")
		if origin == "" {
			return nil
		}
		r.header.Add("Vary", "Origin")
		allowed := slices.Contains(lists["allowed-origins"], origin) || slices.Contains(lists["allowed-origins"], "*")
		if allowed {
			r.header.Set("Access-Control-Allow-Origin", origin)
			exposed := lists["expose-headers"]
			if r.gateway.traces != nil {
				exposed = append(slices.Clip(exposed), "Apim-Trace-Id")
			}
			if len(exposed) > 0 {
				r.header.Set("Access-Control-Expose-Headers", strings.Join(exposed, ", "))
			}
		}
		if r.request.Method != http.MethodOptions || r.request.Header.Get("Access-Control-Request-Method") == "" {
			return nil
		}
		// On a preflight only cors is evaluated.
		r.answer = &response{status: http.StatusOK, header: http.Header{}}
		if allowed {
			r.answer.header.Set("Access-Control-Allow-Methods", strings.Join(lists["allowed-methods"], ", "))
			r.answer.header.Set("Access-Control-Allow-Headers", strings.Join(lists["allowed-headers"], ", "))
			if maxAge != "" {
				r.answer.header.Set("Access-Control-Max-Age", maxAge)
			}
		}
		return nil
	}
}
