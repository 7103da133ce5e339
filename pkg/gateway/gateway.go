package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/apim/expr"
)

const (
	// maxBody bounds a request's body, in bytes.
	maxBody = 4 << 20
	// maxHeader bounds a request's header, in bytes; a token of 250 KB, the
	// library's limit, would not fit, nor does it fit the service's.
	maxHeader = 64 << 10
	// metadataTimeout bounds a fetch of discovery or keys.
	metadataTimeout = 10 * time.Second
)

// Options are what surrounds a gateway.
type Options struct {
	// Log receives one event per request. Tokens, queries and claim values never
	// stand in it.
	Log zerolog.Logger
	// Now is the clock; nil is the system's.
	Now func() time.Time
	// Client fetches discovery and key sets; nil is one with a time-out that
	// follows no redirects.
	Client *http.Client
}

// Gateway serves the APIs of its configuration. It is safe for concurrent use.
type Gateway struct {
	options   Options
	apis      []*api
	keys      [][]byte // digests of subscription keys
	limits    *limiter
	traces    *traces // nil unless the configuration asks for them
	transport *http.Transport
	// deployment is context.Deployment.
	deployment *expr.Deployment
}

// api is an API with its policies compiled.
type api struct {
	API
	mount      []string
	backend    *url.URL
	operations []*operation
	// pipeline runs for what belongs to no operation: preflights only.
	pipeline pipeline
	// origins may read the traces: those that cors policies list.
	origins []string
}

// operation is an operation with the policies of all scopes put together.
type operation struct {
	Operation
	segments []string
	pipeline pipeline
	origins  []string
}

// pipeline holds the policies of each section in effect.
type pipeline map[apim.Section][]policy

// New reads and compiles every policy. Its error names each fault with file,
// line and reason.
func New(c Config, o Options) (*Gateway, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: metadataTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	g := &Gateway{options: o, limits: newLimiter(), deployment: &expr.Deployment{GatewayID: "touchstone-gateway", Region: "local", ServiceID: "touchstone", ServiceName: "touchstone"}, transport: &http.Transport{
		DisableCompression: true, MaxIdleConnsPerHost: 32, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: 5 * time.Minute}}
	if c.Trace {
		g.traces = newTraces()
	}
	for _, k := range c.SubscriptionKeys {
		g.keys = append(g.keys, k.Digest())
	}
	compiler := newCompiler(c, o)
	global := compiler.global(c.GlobalPolicy)
	for _, configured := range c.APIs {
		g.apis = append(g.apis, compiler.api(configured, global))
	}
	for _, w := range compiler.warnings {
		o.Log.Warn().Msg(w)
	}
	if err := errors.Join(compiler.faults...); err != nil {
		return nil, err
	}
	return g, nil
}

// api compiles an API and its operations.
func (c *compiler) api(configured API, global *document) *api {
	backend, _ := url.Parse(configured.Backend) // Config.check parsed it before
	a := &api{API: configured, backend: backend, mount: split(configured.Path)}
	scopes := []*document{global, c.load(configured.Policy, apim.ScopeAPI)}
	a.pipeline, a.origins = c.pipeline(scopes), origins(scopes)
	for _, o := range configured.Operations {
		op := &operation{Operation: o, segments: split(o.URLTemplate), pipeline: a.pipeline, origins: a.origins}
		if o.Policy != "" {
			scopes := append(scopes[:len(scopes):len(scopes)], c.load(o.Policy, apim.ScopeOperation))
			op.pipeline, op.origins = c.pipeline(scopes), origins(scopes)
		}
		a.operations = append(a.operations, op)
	}
	return a
}

// split cuts a path into segments; the root has none.
func split(path string) []string {
	if path = strings.Trim(path, "/"); path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// ServeHTTP finds the API and the operation, runs the policies and answers.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if g.traces != nil && strings.HasPrefix(req.URL.Path, tracePath) {
		g.traces.serve(w, req)
		return
	}
	r := newRun(g, w, req)
	r.serve()
	r.write(w)
	event := g.options.Log.Info().Str("method", req.Method).Int("status", r.response.status).Str("decision", r.decision).Str("id", r.id)
	if r.api != nil {
		event = event.Str("api", r.api.Name)
	}
	if r.operation != nil {
		event = event.Str("operation", r.operation.Name)
	}
	if r.lastError != nil {
		event = event.Str("source", r.lastError.Source).Str("reason", r.lastError.Reason).Str("policy", r.lastError.PolicyID)
	}
	event.Dur("duration", g.options.Now().Sub(r.now)).Msg("request")
}

// Run serves until the context ends, then finishes what is under way, for five
// seconds at most.
func (g *Gateway) Run(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: g, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: maxHeader}
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
