package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
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
	// Wait waits between retries; nil waits in real time.
	Wait func(context.Context, time.Duration) error
}

// Gateway serves the APIs of its configuration. It is safe for concurrent use.
type Gateway struct {
	options  Options
	apis     []*api
	products []Product
	// subscriptions hold digests of keys only.
	subscriptions []subscription
	memory
	traces    *traces // nil unless the configuration asks for them
	transport *http.Transport
	// forwarder calls backends; it is the transport, except in explanations.
	forwarder http.RoundTripper
	// around is the global scope alone, for calls of no API.
	around pipeline
	// sender makes the calls of send-request.
	sender *http.Client
	// roots check client certificates; nil are the system's.
	roots *x509.CertPool
	tls   TLS
	// deployment is context.Deployment.
	deployment *expr.Deployment
}

// memory is what outlives a change of the policies.
type memory struct {
	limits *limiter
	quotas *quotas
	cache  *cache
	slots  *slots
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
	// through are the pipelines of calls that come through a product, by its name.
	through map[string]pipeline
	origins []string
}

// pipeline holds the policies of each section in effect.
type pipeline map[apim.Section][]policy

// New reads and compiles every policy. Its error names each fault with file,
// line and reason.
func New(c Config, o Options) (*Gateway, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	o = o.complete(c.Clock)
	g := &Gateway{options: o, memory: memory{newLimiter(), newQuotas(), newCache(), newSlots()}, products: c.Products, tls: c.TLS,
		deployment: &expr.Deployment{GatewayID: "touchstone-gateway", Region: "local", ServiceID: "touchstone", ServiceName: "touchstone", Certificates: map[string]*x509.Certificate{}},
		transport:  &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 32, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: 5 * time.Minute}}
	g.forwarder, g.sender = g.transport, &http.Client{Transport: g.transport, CheckRedirect: noRedirects}
	if c.Trace {
		g.traces = newTraces()
	}
	g.subscribe(c)
	compiler := newCompiler(c, o)
	global := compiler.global(c.GlobalPolicy)
	g.around = compiler.pipeline([]*document{global})
	for _, configured := range c.APIs {
		g.apis = append(g.apis, compiler.api(configured, global, c.Products))
	}
	for id, u := range compiler.certificates {
		g.deployment.Certificates[id] = u.certificate
	}
	if err := g.authorities(); err != nil {
		compiler.faults = append(compiler.faults, err)
	}
	for _, w := range compiler.warnings {
		o.Log.Warn().Msg(w)
	}
	if err := errors.Join(compiler.faults...); err != nil {
		return nil, err
	}
	return g, nil
}

func noRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// complete fills in what was left out, and sets the clock.
func (o Options) complete(clock Clock) Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if real := o.Now; clock.Offset != 0 {
		o.Now = func() time.Time { return real().Add(clock.Offset) }
	}
	if !clock.At.IsZero() {
		o.Now = func() time.Time { return clock.At }
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: metadataTimeout, CheckRedirect: noRedirects}
	}
	if o.Wait == nil {
		o.Wait = func(ctx context.Context, d time.Duration) error {
			t := time.NewTimer(d)
			defer t.Stop()
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-t.C:
				return nil
			}
		}
	}
	return o
}

// subscribe keeps the digests of keys.
func (g *Gateway) subscribe(c Config) {
	all := c.Subscriptions
	if len(c.SubscriptionKeys) > 0 {
		all = append(slices.Clip(all), Subscription{Name: "all", Keys: c.SubscriptionKeys})
	}
	for _, s := range all {
		kept := subscription{Subscription: s}
		kept.Keys = nil
		for _, k := range s.Keys {
			kept.digests = append(kept.digests, k.Digest())
		}
		g.subscriptions = append(g.subscriptions, kept)
	}
}

// authorities reads the roots of client certificates.
func (g *Gateway) authorities() error {
	if g.tls.ClientAuthorities == "" {
		return nil
	}
	data, err := os.ReadFile(g.tls.ClientAuthorities)
	if err != nil {
		return fmt.Errorf("client_authorities: %w", err)
	}
	if g.roots = x509.NewCertPool(); !g.roots.AppendCertsFromPEM(data) {
		return fmt.Errorf("client_authorities: %s holds no PEM certificate", g.tls.ClientAuthorities)
	}
	return nil
}

// api compiles an API and its operations.
func (c *compiler) api(configured API, global *document, products []Product) *api {
	if configured.SubscriptionHeader == "" {
		configured.SubscriptionHeader = subscriptionHeader
	}
	if configured.SubscriptionQuery == "" {
		configured.SubscriptionQuery = subscriptionQuery
	}
	backend, _ := url.Parse(configured.Backend) // Config.check parsed it before
	a := &api{API: configured, backend: backend, mount: split(configured.Path)}
	own := c.load(configured.Policy, apim.ScopeAPI)
	scopes := []*document{global, own}
	var reached []Product
	for _, p := range products {
		if p.Policy != "" && slices.Contains(p.APIs, configured.Name) {
			reached = append(reached, p)
		}
	}
	a.pipeline, a.origins = c.pipeline(scopes), origins(scopes)
	for _, o := range configured.Operations {
		op := &operation{Operation: o, segments: split(o.URLTemplate), pipeline: a.pipeline, origins: a.origins}
		inner := []*document{own}
		if o.Policy != "" {
			inner = append(inner, c.load(o.Policy, apim.ScopeOperation))
			scopes := append([]*document{global}, inner...)
			op.pipeline, op.origins = c.pipeline(scopes), origins(scopes)
		}
		op.through = map[string]pipeline{}
		for _, p := range reached {
			op.through[p.Name] = c.pipeline(append([]*document{global, c.product(p)}, inner...))
		}
		a.operations = append(a.operations, op)
	}
	return a
}

// product compiles a product's policy, once.
func (c *compiler) product(p Product) *document {
	if c.products == nil {
		c.products = map[string]*document{}
	}
	if c.products[p.Name] == nil {
		c.products[p.Name] = c.load(p.Policy, scopeProduct)
	}
	return c.products[p.Name]
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
// seconds at most. With TLS configured it serves https.
func (g *Gateway) Run(ctx context.Context, listener net.Listener) error {
	listener, err := g.tls.wrap(listener)
	if err != nil {
		return err
	}
	return serve(ctx, listener, g)
}

// serve runs a handler on a listener.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: maxHeader}
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

// wrap makes a listener of https when a certificate is configured. Client
// certificates are asked for and not judged: policies do that.
func (t TLS) wrap(listener net.Listener) (net.Listener, error) {
	if t.Certificate == "" {
		return listener, nil
	}
	pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if t.RequestClientCertificate {
		config.ClientAuth = tls.RequestClientCert
	}
	return tls.NewListener(listener, config), nil
}
