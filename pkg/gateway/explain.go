package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// Question is a request whose fate is to be explained. No backend and no other
// service is called; discovery documents are.
type Question struct {
	// Policies are the files of the API and, perhaps, the operation.
	API, Operation string
	NamedValues    map[string]string
	Fragments      map[string]string
	// OpenIDConfig maps metadata URLs as Config.OpenIDConfig does.
	OpenIDConfig map[string]string
	// Token goes into the Authorization header, unless it is empty.
	Token  secret.Value
	Method string
	// URL is what the client calls; the host is only for expressions.
	URL    *url.URL
	Header http.Header
	Body   string
}

// Answer says what the policies do with a request, step by step.
type Answer struct {
	// Passed reports whether the backend would have been called.
	Passed bool
	Status int
	// Body and Challenge are what the client would read.
	Body, Challenge string
	Steps           []Step
}

// Step is what one policy did.
type Step struct {
	Policy, ID, Scope, Section string
	// Result is passed, failed or skipped.
	Result, Message string
	// Trace is the line that API Management's trace would show.
	Trace string
	// Found and Wanted are the values that were compared.
	Found, Wanted string
	// Cause says what usually lies behind it, Hint what to do.
	Cause, Hint string
}

// errNotCalled stands for services that an explanation does not call.
var errNotCalled = errors.New("no service is called for an explanation")

// silent answers in place of backends.
type silent struct{ called bool }

// RoundTrip answers an empty 200.
func (s *silent) RoundTrip(r *http.Request) (*http.Response, error) {
	s.called = true
	return &http.Response{StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

// written keeps what is answered.
type written struct {
	header http.Header
	status int
	body   strings.Builder
}

// Header returns the header to be answered.
func (w *written) Header() http.Header { return w.header }

// WriteHeader keeps the status.
func (w *written) WriteHeader(status int) { w.status = status }

// Write keeps the body.
func (w *written) Write(p []byte) (int, error) { return w.body.Write(p) }

type refusing struct{}

// RoundTrip refuses.
func (refusing) RoundTrip(*http.Request) (*http.Response, error) { return nil, errNotCalled }

// Explain runs the policies over the request and says what each did.
func Explain(ctx context.Context, q Question, o Options) (Answer, error) {
	operation := Operation{Name: "operation", Method: q.Method, URLTemplate: "/*", Policy: q.Operation}
	g, err := New(Config{Trace: true, NamedValues: q.NamedValues, Fragments: q.Fragments, OpenIDConfig: q.OpenIDConfig,
		APIs: []API{{Name: "api", Path: "/", Backend: "http://backend.invalid", Policy: q.API, Operations: []Operation{operation}}}}, o)
	if err != nil {
		return Answer{}, err
	}
	backend := &silent{}
	g.forwarder, g.sender = backend, &http.Client{Transport: refusing{}}
	r, err := http.NewRequestWithContext(ctx, q.Method, q.URL.String(), strings.NewReader(q.Body))
	if err != nil {
		return Answer{}, fmt.Errorf("explain: %w", err)
	}
	r.RemoteAddr = "127.0.0.1:0"
	for name, values := range q.Header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	if !q.Token.Empty() {
		r.Header.Set("Authorization", "Bearer "+q.Token.Reveal())
	}
	w := &written{header: http.Header{}}
	g.ServeHTTP(w, r)
	kept := g.traces.byID[w.header.Get(traceHeader)]
	answer := Answer{Passed: backend.called && kept.Decision == decisionPassed, Status: w.status, Body: w.body.String(), Challenge: w.header.Get("WWW-Authenticate")}
	for _, s := range kept.Steps {
		answer.Steps = append(answer.Steps, s.explained(g.options.Now()))
	}
	return answer, nil
}

// explained adds what an administrator needs to a step.
func (s step) explained(now time.Time) Step {
	out := Step{Policy: s.Policy, ID: s.ID, Scope: s.Scope, Section: s.Section, Result: s.Result, Message: s.Message, Found: s.Found, Wanted: s.Wanted, Hint: s.Hint}
	if e, ok := apim.Explain(s.IDX); ok {
		out.Trace = "JWT Validation Failed: " + s.IDX + ": " + s.Message
		out.Cause = e.Cause
	}
	if s.Policy == "validate-jwt" && s.Result == resultPassed {
		out.Hint = "API Management may still hold the keys of an hour ago: a key published just now can be refused (IDX10503) until " + now.Add(refreshEvery).UTC().Format("15:04") + " UTC."
	}
	return out
}
