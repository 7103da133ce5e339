package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/apim/expr"
)

// sendTimeout is how long another service may take, as in API Management.
const sendTimeout = 60 * time.Second

// sendRequest is a compiled send-request.
type sendRequest struct {
	policy               policy
	mode                 value
	url, method          *value
	headers              []change
	body                 *value
	seconds, millis      value
	ignoreError          value
	variable             string
	failsOnErrorResponse bool
}

// compileSendRequest compiles send-request.
func compileSendRequest(c *compiler, e apim.Element, p *policy) {
	s := &sendRequest{policy: *p, mode: c.attribute(e, "mode", "new"), seconds: c.attribute(e, "timeout", "0"), millis: c.attribute(e, "timeout-ms", "0"),
		ignoreError: c.attribute(e, "ignore-error", "false"), variable: e.Value("response-variable-name")}
	s.failsOnErrorResponse, _ = apim.Bool(e.Value("fail-on-error-status-code"))
	for _, child := range e.Children {
		text := c.value(child, strings.TrimSpace(child.Text))
		switch child.Name {
		case "set-url":
			s.url = &text
		case "set-method":
			s.method = &text
		case "set-header":
			s.headers = append(s.headers, c.change(child))
		case "set-body":
			body := c.body(child)
			s.body = &body
		default:
			c.fault(child, "is not implemented by this gateway")
		}
	}
	if s.url == nil && s.mode.literal == "new" {
		c.fault(e, "mode new needs a <set-url>")
	}
	p.act = s.act
}

// act calls the service and keeps its response in the variable.
func (s *sendRequest) act(r *run) error {
	ignore, err := s.ignoreError.boolean(r)
	if err != nil {
		return err
	}
	answer, err := s.call(r)
	if r.calls != nil && r.calls.Err() != nil {
		return errAbandoned
	}
	if err != nil && !ignore {
		return err
	}
	if err != nil {
		s.policy.note(r, resultSkipped, "the call failed, which is ignored")
	} else {
		s.policy.note(r, resultPassed, fmt.Sprintf("answered %d", answer.StatusCode))
	}
	if s.variable != "" {
		r.variables[s.variable] = nil
		if answer != nil {
			r.variables[s.variable] = answer
		}
	}
	return nil
}

// call makes the request and reads the whole response, up to the bound of bodies.
func (s *sendRequest) call(r *run) (*expr.Response, error) {
	request, timeout, err := s.request(r)
	if err != nil {
		return nil, err
	}
	defer r.yield()()
	within := r.client.Context()
	if r.calls != nil {
		within = r.calls
	}
	ctx, cancel := context.WithTimeout(within, timeout)
	defer cancel()
	answer, err := r.gateway.sender.Do(request.WithContext(ctx))
	if err != nil {
		return nil, refused(http.StatusInternalServerError, "BackendConnectionFailure", "The service does not answer.", "Internal server error")
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = errTooLarge
	}
	if err != nil {
		return nil, refused(http.StatusInternalServerError, "BackendConnectionFailure", "The service's answer cannot be read.", "Internal server error")
	}
	if s.failsOnErrorResponse && answer.StatusCode >= http.StatusBadRequest {
		return nil, refused(http.StatusInternalServerError, "BackendConnectionFailure", fmt.Sprintf("The service answered %d.", answer.StatusCode), "Internal server error")
	}
	return &expr.Response{StatusCode: answer.StatusCode, StatusReason: http.StatusText(answer.StatusCode), Header: answer.Header, Body: expr.NewBody(body)}, nil
}

// request evaluates what is sent.
func (s *sendRequest) request(r *run) (*http.Request, time.Duration, error) {
	mode, err := s.mode.text(r)
	if err != nil {
		return nil, 0, err
	}
	method, target, header, body := http.MethodGet, (*url.URL)(nil), http.Header{}, ""
	if mode == "copy" {
		if err := r.requestSeen().Body.Keep(); err != nil {
			return nil, 0, err
		}
		content, _ := r.request.payload.Read()
		method, target, header, body = r.request.method, r.target(), r.request.header.Clone(), string(content)
	}
	texts := make([]string, 3)
	for i, v := range []*value{s.url, s.method, s.body} {
		if v != nil {
			if texts[i], err = v.text(r); err != nil {
				return nil, 0, err
			}
		}
	}
	if s.url != nil {
		if target, err = backendURL(texts[0]); err != nil {
			return nil, 0, fmt.Errorf("set-url gives no http or https URL")
		}
	}
	if s.method != nil {
		method = texts[1]
	}
	if s.body != nil {
		body = texts[2]
	}
	for _, h := range s.headers {
		if err := h.applyHeader(r, header); err != nil {
			return nil, 0, err
		}
	}
	request, err := http.NewRequest(method, target.String(), strings.NewReader(body))
	if err != nil {
		return nil, 0, fmt.Errorf("the request cannot be made")
	}
	request.Header = header
	timeout, err := duration(r, s.seconds, s.millis, sendTimeout)
	return request, timeout, err
}

// duration adds seconds and milliseconds; none is the fallback.
func duration(r *run, seconds, millis value, fallback time.Duration) (time.Duration, error) {
	s, err := seconds.integer(r)
	if err != nil {
		return 0, err
	}
	ms, err := millis.integer(r)
	if total := time.Duration(s)*time.Second + time.Duration(ms)*time.Millisecond; total > 0 {
		return total, err
	}
	return fallback, err
}
