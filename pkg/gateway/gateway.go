package gateway

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/apim/expr"
)

// maxBody bounds a request's body, in bytes.
const maxBody = 4 << 20

// Options are what surrounds a gateway.
type Options struct {
	Log zerolog.Logger
	// Now is the clock; nil is the system's.
	Now func() time.Time
	// Client fetches discovery and key sets; nil is one with a time-out.
	Client *http.Client
}

// Gateway serves the APIs of its configuration.
type Gateway struct {
	options Options
	apis    []api
	traces  *traces
}

// api is an API with its policies compiled.
type api struct {
	API
	policy     scope
	operations []operation
	proxy      *httputil.ReverseProxy
}

type operation struct {
	Operation
	segments []string
	policy   *scope
}

// New reads and compiles every policy. Each fault names file, line and reason.
func New(c Config, o Options) (*Gateway, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 5 * time.Second}
	}
	g := &Gateway{options: o}
	if c.Trace {
		g.traces = newTraces()
	}
	compiler := &compiler{keys: newMetadata(o, c.OpenIDConfig)}
	for _, configured := range c.APIs {
		a := api{API: configured}
		backend, err := url.Parse(configured.Backend)
		if err != nil {
			return nil, err
		}
		a.proxy = g.proxyTo(backend, configured.Path)
		if a.policy, err = compiler.load(configured.Policy, "api"); err != nil {
			return nil, err
		}
		for _, o := range configured.Operations {
			op := operation{Operation: o, segments: strings.Split(strings.Trim(o.URLTemplate, "/"), "/")}
			if o.Policy != "" {
				s, err := compiler.load(o.Policy, "operation")
				if err != nil {
					return nil, err
				}
				op.policy = &s
			}
			a.operations = append(a.operations, op)
		}
		g.apis = append(g.apis, a)
	}
	return g, nil
}

// proxyTo forwards to a backend; the path below the API's is appended to its own.
func (g *Gateway) proxyTo(backend *url.URL, mount string) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Path = strings.TrimPrefix(p.In.URL.Path, mount)
			p.Out.URL.RawPath = ""
			p.SetURL(backend)
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			g.options.Log.Warn().Err(err).Msg("backend does not answer")
			writeBody(w, http.StatusInternalServerError, "Internal server error")
		},
	}
}

// ServeHTTP finds the API and the operation, runs the policies and forwards.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.traces != nil && strings.HasPrefix(r.URL.Path, tracePath) {
		g.traces.serve(w, r)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	run := &run{gateway: g, request: r, id: newID(), variables: map[string]any{}, now: g.options.Now()}
	a, op, ok := g.match(r)
	if !ok {
		writeBody(w, http.StatusNotFound, "Resource not found")
		return
	}
	run.api, run.operation = a, op
	run.serve(w)
	g.options.Log.Info().Str("api", a.Name).Str("operation", run.operationName()).Str("method", r.Method).Int("status", run.status).Str("decision", run.decision).Str("id", run.id).Msg("request")
}

// match finds what a request is for. Paths that a backend might read in another
// way than we do (encoded slashes and dots, dot segments, empty segments) match
// nothing, so that the operation judged is the operation served.
func (g *Gateway) match(r *http.Request) (*api, *operation, bool) {
	if r.URL.RawPath != "" || strings.Contains(r.URL.Path, "//") || strings.Contains(r.URL.Path, "\\") || strings.Contains(r.URL.Path, ";") {
		return nil, nil, false
	}
	segments := strings.Split(r.URL.Path, "/")
	for _, s := range segments {
		if s == "." || s == ".." {
			return nil, nil, false
		}
	}
	for i := range g.apis {
		a := &g.apis[i]
		rest, ok := strings.CutPrefix(r.URL.Path, a.Path)
		if !ok || rest != "" && rest[0] != '/' {
			continue
		}
		if r.Method == http.MethodOptions {
			return a, nil, true // a preflight: only cors looks at it
		}
		path := strings.Split(strings.Trim(rest, "/"), "/")
		for j := range a.operations {
			if op := &a.operations[j]; op.Method == r.Method && op.fits(path) {
				return a, op, true
			}
		}
		return nil, nil, false
	}
	return nil, nil, false
}

// fits reports whether a path has the template's shape.
func (o *operation) fits(path []string) bool {
	if len(path) != len(o.segments) {
		return false
	}
	for i, s := range o.segments {
		if s != path[i] && !(strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") && path[i] != "") {
			return false
		}
	}
	return true
}

// run is one request on its way through the policies.
type run struct {
	gateway   *Gateway
	request   *http.Request
	api       *api
	operation *operation
	id        string
	now       time.Time
	variables map[string]any
	lastError *expr.LastError
	steps     []step
	// header is added to the response, whoever makes it.
	header http.Header
	// answer, when set, ends the request.
	answer   *response
	decision string
	status   int
}

// response is an answer of the gateway itself.
type response struct {
	status int
	header http.Header
	body   string
}

func (r *run) operationName() string {
	if r.operation == nil {
		return ""
	}
	return r.operation.Name
}

// serve runs inbound, forwards, and on a failure runs on-error.
func (r *run) serve(w http.ResponseWriter) {
	r.header = http.Header{}
	policy := r.api.policy
	inbound, onError := policy.inbound(nil), policy.onError(nil)
	if r.operation != nil && r.operation.policy != nil {
		inbound, onError = r.operation.policy.inbound(inbound), r.operation.policy.onError(onError)
	}
	err := r.execute("inbound", inbound)
	if err != nil {
		r.fail(err, onError)
	}
	if r.gateway.traces != nil {
		r.header.Set("Apim-Trace-Id", r.id)
	}
	recorder := &recorder{ResponseWriter: w, add: r.header, status: http.StatusOK}
	switch {
	case r.answer != nil:
		if r.decision == "" {
			r.decision = "refused"
			if r.answer.status < 400 {
				r.decision = "passed"
			}
		}
		r.keep(r.answer.status)
		h := w.Header()
		for name, values := range r.answer.header {
			h[name] = values
		}
		recorder.WriteHeader(r.answer.status)
		recorder.Write([]byte(r.answer.body))
	case r.operation == nil:
		r.decision = "refused"
		r.keep(http.StatusNotFound)
		writeBody(recorder, http.StatusNotFound, "Resource not found")
	default:
		r.decision = "passed"
		r.keep(0)
		r.api.proxy.ServeHTTP(recorder, r.request)
	}
	r.status = recorder.status
}

// fail prepares the response of a failed policy and runs on-error over it.
func (r *run) fail(err error, onError []policy) {
	r.decision = "refused"
	failed, ok := err.(*failure)
	if !ok {
		r.decision = "failed"
		failed = &failure{LastError: expr.LastError{Source: "expression", Reason: "ExpressionValueEvaluationFailure", Message: err.Error()}, status: http.StatusInternalServerError, body: "Internal server error"}
	}
	r.lastError = &failed.LastError
	r.answer = jsonResponse(failed.status, failed.body)
	if err := r.execute("on-error", onError); err != nil {
		r.gateway.options.Log.Error().Err(err).Str("id", r.id).Msg("the on-error section failed")
		r.answer = jsonResponse(http.StatusInternalServerError, "Internal server error")
	}
}

// execute runs policies until one fails or answers.
func (r *run) execute(section string, policies []policy) error {
	for _, p := range policies {
		if r.answer != nil && section == "inbound" {
			return nil
		}
		if err := p(r, section); err != nil {
			return err
		}
	}
	return nil
}

// context is what an expression sees of this request.
func (r *run) context() *expr.Context {
	host, _, err := net.SplitHostPort(r.request.RemoteAddr)
	if err != nil {
		host = r.request.RemoteAddr
	}
	return &expr.Context{Method: r.request.Method, URL: r.request.URL.String(), IPAddress: host, Header: r.request.Header,
		Variables: r.variables, LastError: r.lastError, RequestID: r.id, Now: r.now}
}

// failure is a policy's no.
type failure struct {
	expr.LastError
	status int
	body   string
}

func (f *failure) Error() string { return f.Source + ": " + f.Message }

// jsonResponse is the body that API Management gives to its own refusals.
func jsonResponse(status int, message string) *response {
	body, err := json.Marshal(struct {
		StatusCode int    `json:"statusCode"`
		Message    string `json:"message"`
	}{status, message})
	if err != nil {
		panic(err) // two plain fields
	}
	return &response{status, http.Header{"Content-Type": {"application/json"}}, string(body)}
}

func writeBody(w http.ResponseWriter, status int, message string) {
	a := jsonResponse(status, message)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write([]byte(a.body))
}

// recorder adds headers to a response and notes its status.
type recorder struct {
	http.ResponseWriter
	add    http.Header
	status int
}

func (w *recorder) WriteHeader(status int) {
	h := w.Header()
	for name, values := range w.add {
		h[name] = values
	}
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets the proxy flush.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func newID() string {
	b := make([]byte, 12)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Run serves until the context ends, then finishes what is under way.
func (g *Gateway) Run(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: g, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(bound)
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return fmt.Errorf("gateway: %w", err)
	}
	return <-stopped
}

// readPolicy reads a policy file.
func readPolicy(path string) (*apim.Document, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	d, err := apim.Read(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if d.Fragment != nil {
		return nil, fmt.Errorf("%s: a fragment is not a policy document", path)
	}
	return d, nil
}
