package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/apim/expr"
)

// change is a compiled set-header or set-query-parameter.
type change struct {
	name   value
	action value
	values []value
}

func (c *compiler) change(e apim.Element) change {
	return change{c.attribute(e, "name", ""), c.attribute(e, "exists-action", "override"), c.texts(e, "value")}
}

// apply changes a header or a query by exists-action. get and set see all
// values of a name; set with none deletes.
func (c change) apply(r *run, check func(string) error, get func(string) []string, set func(string, []string)) error {
	name, err := c.name.text(r)
	if err != nil {
		return err
	}
	if err := check(name); err != nil {
		return err
	}
	action, err := c.action.text(r)
	if err != nil {
		return err
	}
	values, err := all(r, c.values)
	if err != nil {
		return err
	}
	present := get(name)
	switch action {
	case "override":
		set(name, values)
	case "skip":
		if len(present) == 0 {
			set(name, values)
		}
	case "append":
		set(name, append(slices.Clone(present), values...))
	case "delete":
		set(name, nil)
	default:
		return fmt.Errorf("exists-action %q is unknown", action)
	}
	return nil
}

// separate are headers whose values stay on lines of their own.
var separate = []string{"Set-Cookie", "Www-Authenticate", "User-Agent"}

// applyHeader changes a header. Several values become one list with commas,
// except where commas mean something else.
func (c change) applyHeader(r *run, h http.Header) error {
	var fault error
	err := c.apply(r, headerName, h.Values, func(name string, values []string) {
		for _, v := range values {
			if err := headerValue(v); err != nil {
				fault = err
				return
			}
		}
		h.Del(name)
		key := http.CanonicalHeaderKey(name)
		if len(values) > 1 && !slices.Contains(separate, key) {
			values = []string{strings.Join(values, ",")}
		}
		if len(values) > 0 {
			h[key] = values
		}
	})
	if err == nil {
		err = fault
	}
	return err
}

// header is the header that policies of a section change.
func (r *run) header(s apim.Section) (http.Header, error) {
	if s == apim.Inbound || s == apim.Backend && r.response == nil {
		return r.request.header, nil
	}
	if r.response == nil {
		return nil, fmt.Errorf("there is no response to change")
	}
	return r.response.header, nil
}

// compileSetHeader compiles set-header.
func compileSetHeader(c *compiler, e apim.Element, p *policy) {
	edit := c.change(e)
	if edit.name.isLiteral() {
		if err := headerName(edit.name.literal); err != nil {
			c.fault(e, "%s", err)
		}
	}
	section := c.section
	p.act = func(r *run) error {
		h, err := r.header(section)
		if err != nil {
			return err
		}
		return edit.applyHeader(r, h)
	}
}

// compileSetQueryParameter compiles set-query-parameter.
func compileSetQueryParameter(c *compiler, e apim.Element, p *policy) {
	edit := c.change(e)
	p.act = func(r *run) error {
		query, err := url.ParseQuery(r.request.rawQuery)
		if err != nil {
			return fmt.Errorf("the query cannot be read")
		}
		err = edit.apply(r, func(string) error { return nil }, func(name string) []string { return query[name] }, func(name string, values []string) {
			if query[name] = values; len(values) == 0 {
				delete(query, name)
			}
		})
		r.request.rawQuery = query.Encode()
		return err
	}
}

// compileSetMethod compiles set-method.
func compileSetMethod(c *compiler, e apim.Element, p *policy) {
	if c.section == apim.OnError {
		c.fault(e, "is not implemented in <on-error> by this gateway")
	}
	method := c.value(e, strings.TrimSpace(e.Text))
	p.act = func(r *run) error {
		text, err := method.text(r)
		if err == nil && headerName(text) != nil {
			err = fmt.Errorf("%q is not a method", text)
		}
		r.request.method = text
		return err
	}
}

// compileSetBody compiles set-body.
func compileSetBody(c *compiler, e apim.Element, p *policy) {
	body, section := c.body(e), c.section
	p.act = func(r *run) error {
		text, err := body.text(r)
		if err != nil {
			return err
		}
		if section == apim.Outbound {
			if r.response == nil {
				return fmt.Errorf("there is no response to change")
			}
			r.discard()
			r.response.stream, r.response.body, r.response.payload = nil, []byte(text), nil
			r.response.header.Del("Content-Length")
			return nil
		}
		r.request.body, r.request.length, r.request.payload = strings.NewReader(text), int64(len(text)), nil
		return nil
	}
}

// body compiles what set-body says.
func (c *compiler) body(e apim.Element) value {
	c.unimplemented(e, "xsi-nil", "parse-date")
	if e.Value("template") == "liquid" {
		c.fault(e, "liquid templates are not implemented by this gateway")
	}
	if len(e.Children) > 0 {
		c.fault(e, "markup as a body is not implemented by this gateway: write it escaped, or as CDATA")
	}
	return c.value(e, strings.TrimSpace(e.Text))
}

// status compiles what set-status says; the reason phrase goes nowhere, as
// HTTP/2 has none.
func (c *compiler) status(e apim.Element) value {
	code := c.attribute(e, "code", "200")
	if n, ok := apim.Int(code.literal); code.isLiteral() && (!ok || n < 200 || n > 599) {
		c.fault(e, "code %q is not the status of an answer", code.literal)
	}
	return code
}

func (v value) statusCode(r *run) (int, error) {
	n, err := v.integer(r)
	if err == nil && (n < 200 || n > 599) {
		err = fmt.Errorf("%d is not the status of an answer", n)
	}
	return n, err
}

// compileSetStatus compiles set-status.
func compileSetStatus(c *compiler, e apim.Element, p *policy) {
	if c.section == apim.Inbound || c.section == apim.Backend {
		c.fault(e, "is not implemented in <%s> by this gateway: there is no response yet", c.section)
	}
	code := c.status(e)
	p.act = func(r *run) error {
		n, err := code.statusCode(r)
		if err == nil && r.response == nil {
			err = fmt.Errorf("there is no response to change")
		}
		if err == nil {
			r.response.status = n
		}
		return err
	}
}

// compileReturnResponse compiles return-response: the request ends here.
func compileReturnResponse(c *compiler, e apim.Element, p *policy) {
	variable := e.Value("response-variable-name")
	if apim.IsExpression(variable) {
		c.fault(e, "a response-variable-name that is an expression is not implemented by this gateway")
	}
	_, codes := e.Child("set-status")
	_, bodies := e.Child("set-body")
	code, body := value{literal: "200"}, value{}
	var headers []change
	for _, child := range e.Children {
		switch child.Name {
		case "set-status":
			code = c.status(child)
		case "set-header":
			headers = append(headers, c.change(child))
		case "set-body":
			body = c.body(child)
		}
	}
	note := *p
	p.act = func(r *run) error {
		status, err := code.statusCode(r)
		if err != nil {
			return err
		}
		text, err := body.text(r)
		if err != nil {
			return err
		}
		answer := &response{status: status, header: http.Header{}, body: []byte(text)}
		if variable != "" {
			if kept, ok := r.variables[variable].(*expr.Response); ok {
				answer.adopt(kept, codes, bodies)
			} else if !codes {
				return fmt.Errorf("the variable %s holds no response", variable)
			}
		}
		for _, h := range headers {
			if err := h.applyHeader(r, answer.header); err != nil {
				return err
			}
		}
		r.discard()
		r.response = answer
		result := resultPassed
		if status >= http.StatusBadRequest {
			result = resultFailed
			if r.decision == decisionPassed {
				r.decision = decisionRefused
			}
		}
		note.note(r, result, fmt.Sprintf("answered %d", status))
		return errAnswered
	}
}

// adopt takes over a response that send-request kept, except for what the
// policy gives itself.
func (a *response) adopt(kept *expr.Response, ownStatus, ownBody bool) {
	a.header = kept.Header.Clone()
	removeHopByHop(a.header)
	a.header.Del("Content-Length")
	if !ownStatus {
		a.status = kept.StatusCode
	}
	if !ownBody {
		a.body = kept.Body.Content()
	}
}
