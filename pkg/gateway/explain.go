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

	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// Question is a call whose fate under two policy files is to be explained.
type Question struct {
	// Policies are the files of the API and, perhaps, the operation.
	API, Operation string
	NamedValues    map[string]string
	Fragments      map[string]string
	// OpenIDConfig maps metadata URLs as Config.OpenIDConfig does.
	OpenIDConfig map[string]string
	Call
}

// Call is a request that is not made: no backend and no other service is called
// for its explanation, only discovery documents are.
type Call struct {
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
	Passed bool `json:"passed"`
	Status int  `json:"status"`
	// Body and Challenge are what the client would read.
	Body      string `json:"body"`
	Challenge string `json:"challenge,omitempty"`
	Steps     []Step `json:"steps"`
}

// Step is what one policy did.
type Step struct {
	Policy  string `json:"policy"`
	ID      string `json:"id,omitempty"`
	Scope   string `json:"scope,omitempty"`
	Section string `json:"section,omitempty"`
	// Result is passed, failed or skipped.
	Result  string `json:"result"`
	Message string `json:"message"`
	// Trace is the line that API Management's trace would show.
	Trace string `json:"trace,omitempty"`
	// Found and Wanted are the values that were compared.
	Found  string `json:"found,omitempty"`
	Wanted string `json:"wanted,omitempty"`
	// Cause says what usually lies behind it, Hint what to do.
	Cause string `json:"cause,omitempty"`
	Hint  string `json:"hint,omitempty"`
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

// Explain runs the policies of the question's files over its call and says what
// each did.
func Explain(ctx context.Context, q Question, o Options) (Answer, error) {
	operation := Operation{Name: "operation", Method: q.Method, URLTemplate: "/*", Policy: q.Operation}
	g, err := New(Config{NamedValues: q.NamedValues, Fragments: q.Fragments, OpenIDConfig: q.OpenIDConfig,
		APIs: []API{{Name: "api", Path: "/", Backend: "http://backend.invalid", Policy: q.API, Operations: []Operation{operation}}}}, o)
	if err != nil {
		return Answer{}, err
	}
	return g.Explain(ctx, q.Call)
}

// Explain says what the gateway would do with a call now, with the keys that it
// holds now. The call leaves nothing behind: no limit, quota or cache counts it,
// no trace and no log keeps it.
func (g *Gateway) Explain(ctx context.Context, c Call) (Answer, error) {
	r, err := http.NewRequestWithContext(ctx, c.Method, c.URL.String(), strings.NewReader(c.Body))
	if err != nil {
		return Answer{}, fmt.Errorf("explain: %w", err)
	}
	r.RemoteAddr = "127.0.0.1:0"
	for name, values := range c.Header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	if !c.Token.Empty() {
		r.Header.Set("Authorization", "Bearer "+c.Token.Reveal())
	}
	backend, rehearsal := &silent{}, *g
	rehearsal.memory, rehearsal.traces = memory{newLimiter(), newQuotas(), newCache(), newSlots()}, newTraces()
	rehearsal.options.Log = zerolog.Nop()
	rehearsal.forwarder, rehearsal.sender = backend, &http.Client{Transport: refusing{}}
	w := &written{header: http.Header{}}
	rehearsal.ServeHTTP(w, r)
	kept := rehearsal.traces.byID[w.header.Get(traceHeader)]
	answer := Answer{Passed: backend.called && kept.Decision == decisionPassed, Status: w.status, Body: w.body.String(), Challenge: w.header.Get("WWW-Authenticate"), Steps: []Step{}}
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
