package gateway

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/apim/expr"
)

// The decisions of a trace.
const (
	decisionPassed  = "passed"  // the policies let the request through
	decisionRefused = "refused" // a policy said no, or nothing matched
	decisionFailed  = "failed"  // something broke
)

// errAnswered ends a request whose answer a policy has given.
var errAnswered = errors.New("answered")

// run is one request on its way through the policies. It belongs to one goroutine.
type run struct {
	gateway    *Gateway
	id         string
	now        time.Time
	remote     string
	preflight  bool
	client     *http.Request
	api        *api
	operation  *operation
	parameters map[string]string
	// product and subscription are how the call came in; nil without any.
	product      *Product
	subscription *expr.Subscription

	// request is what policies change and the backend gets.
	request request
	// response is what policies change and the client gets; nil before there is one.
	response *response
	// added are headers that go on the response, whoever makes it.
	added     http.Header
	variables map[string]any
	lastError *expr.LastError
	decision  string
	steps     []step
	// parsed are the tokens that were read in this request.
	parsed map[string]*readToken
	// seen and requested are what expressions see.
	seen      *expr.Context
	requested *expr.Request
	// turn and calls are set while a wait runs.
	turn  *sync.Mutex
	calls context.Context
	// after are done when the response is known.
	after []func()
}

// request is the request to the backend.
type request struct {
	method   string
	backend  *url.URL
	path     string // escaped, below the backend's
	rawQuery string
	header   http.Header
	body     io.Reader
	// length is the body's, -1 when it is not known.
	length int64
	// payload is the body as expressions see it: read when one asks.
	payload *expr.Body
}

// response is an answer, of the backend or of the gateway itself.
type response struct {
	status int
	header http.Header
	body   []byte
	// stream, when not nil, is the body instead.
	stream io.ReadCloser
	// reason is the phrase beside the status, for expressions.
	reason string
	// payload is the body as expressions see it: read when one asks.
	payload *expr.Body
}

func newRun(g *Gateway, w http.ResponseWriter, req *http.Request) *run {
	host, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		host = req.RemoteAddr
	}
	var id expr.Guid
	rand.Read(id[:])                                // never fails: see crypto/rand.Read
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // a random UUID (RFC 9562 section 5.4)
	r := &run{gateway: g, id: id.String(), now: g.options.Now(), remote: host, client: req,
		added: http.Header{}, variables: map[string]any{}, parsed: map[string]*readToken{}, decision: decisionPassed}
	r.request = request{method: req.Method, rawQuery: req.URL.RawQuery, header: arrived(req.Header), body: http.MaxBytesReader(w, req.Body, maxBody), length: req.ContentLength}
	origin, asks := req.Header.Get("Origin"), req.Header.Get("Access-Control-Request-Method")
	r.preflight = req.Method == http.MethodOptions && origin != "" && asks != ""
	return r
}

// serve finds what the request is for, runs the sections and leaves a response.
func (r *run) serve() {
	path, ok := segments(r.client.URL)
	method := r.client.Method
	if r.preflight {
		method = r.client.Header.Get("Access-Control-Request-Method")
	}
	var rest []string
	if ok {
		r.api, r.operation, r.parameters, rest = r.gateway.match(method, path)
	}
	switch {
	case r.preflight && r.api != nil && r.answerPreflight():
		return
	case r.operation == nil || r.preflight:
		r.refuse("configuration", "OperationNotFound", http.StatusNotFound, "Resource not found", nil)
		return
	case r.request.length > maxBody:
		r.refuse("configuration", "RequestTooLarge", http.StatusRequestEntityTooLarge, "The request body is larger than 4 MiB.", nil)
		return
	case !r.subscribed():
		return
	}
	r.request.backend, r.request.path = r.api.backend, escapePath(rest)
	if path := r.client.URL.Path; len(path) > 1 && path[len(path)-1] == '/' {
		r.request.path += "/"
	}
	r.sections()
	for _, f := range r.after {
		f()
	}
}

// pipeline is the policies in effect: those of the product, when the call came
// through one.
func (r *run) pipeline() pipeline {
	switch {
	case r.operation == nil && r.api == nil:
		return r.gateway.around
	case r.operation == nil:
		return r.api.pipeline
	}
	if r.product != nil {
		if p, ok := r.operation.through[r.product.Name]; ok {
			return p
		}
	}
	return r.operation.pipeline
}

// sections runs inbound, backend and outbound, and on-error when one fails.
func (r *run) sections() {
	for _, s := range []apim.Section{apim.Inbound, apim.Backend, apim.Outbound} {
		err := r.execute(r.pipeline()[s])
		if err == nil {
			continue
		}
		if !errors.Is(err, errAnswered) {
			r.fail(err)
		}
		return
	}
	if r.response == nil {
		r.response = &response{status: http.StatusOK, header: http.Header{}}
	}
}

// execute runs policies until one fails or answers.
func (r *run) execute(policies []policy) error {
	for _, p := range policies {
		if err := p.act(r); err != nil {
			return p.locate(err)
		}
	}
	return nil
}

// fail prepares the response of a failed policy and runs on-error over it.
func (r *run) fail(err error) {
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{status: http.StatusInternalServerError, message: "Internal server error"}
	}
	r.decision = decisionRefused
	if f.status >= http.StatusInternalServerError {
		r.decision = decisionFailed
		r.note(step{Policy: f.Source, ID: f.PolicyID, Scope: f.Scope, Section: f.Section, Result: resultFailed, Message: f.Message})
	}
	r.discard()
	r.lastError, r.response = &f.LastError, jsonResponse(f.status, f.message)
	maps.Copy(r.response.header, f.header)
	if err := r.execute(r.pipeline()[apim.OnError]); err != nil && !errors.Is(err, errAnswered) {
		r.gateway.options.Log.Error().Err(err).Str("id", r.id).Msg("the on-error section failed")
		r.decision, r.response = decisionFailed, jsonResponse(http.StatusInternalServerError, "Internal server error")
	}
}

// refuse answers before any policy runs, except for on-error: of the API, or of
// the global scope when there is none.
func (r *run) refuse(source, reason string, status int, message string, header http.Header) {
	r.note(step{Policy: source, Result: resultFailed, Message: reason + ": " + message})
	f := refused(status, reason, message, message)
	f.Source, f.Section, f.header = source, string(apim.Inbound), header
	r.fail(f)
}

// discard closes a response that will not be sent.
func (r *run) discard() {
	if r.response != nil && r.response.stream != nil {
		r.response.stream.Close()
	}
}

// write sends the response. The trace is kept first, so that whoever reads the
// answer finds it.
func (r *run) write(w http.ResponseWriter) {
	defer r.discard()
	if r.gateway.traces != nil {
		r.added.Set(traceHeader, r.id)
		r.gateway.traces.keep(r)
	}
	h := w.Header()
	maps.Copy(h, r.response.header)
	for name, values := range r.added {
		if name == "Vary" {
			values = append(h.Values(name), values...)
		}
		h[name] = values
	}
	r.response.settle()
	w.WriteHeader(r.response.status)
	if r.response.stream == nil {
		w.Write(r.response.body)
		return
	}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	if _, err := io.CopyBuffer(flushing{w, http.NewResponseController(w)}, r.response.stream, *buffer); err != nil {
		r.gateway.options.Log.Warn().Err(err).Str("id", r.id).Msg("the response broke off")
	}
}

// buffers are reused for streaming responses.
var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// flushing hands each piece of a stream on at once.
type flushing struct {
	http.ResponseWriter
	controller *http.ResponseController
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	if err == nil {
		// A writer that cannot flush sends what it has at the end.
		_ = f.controller.Flush()
	}
	return n, err
}

// jsonResponse is the body that API Management gives to its own refusals.
func jsonResponse(status int, message string) *response {
	body, err := json.Marshal(struct {
		StatusCode int    `json:"statusCode"`
		Message    string `json:"message"`
	}{status, message})
	if err != nil {
		panic(err) // a number and a text always marshal
	}
	return &response{status: status, header: http.Header{"Content-Type": {"application/json"}}, body: body}
}
