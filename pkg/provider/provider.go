package provider

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/keyring"
	"github.com/touchstone-id/touchstone/pkg/signin"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// Options are the parts a provider is made of.
type Options struct {
	// Issuer is the issuer identifier, byte for byte as in iss.
	Issuer  string
	Pool    *pgxpool.Pool
	Log     *audit.Log
	Ring    *keyring.Ring
	Clients *grant.Clients
	SignIn  *signin.Flow
	// Trust returns the trust file in force.
	Trust func() *trust.Trust
	// ShowError draws the page for an error that must not be redirected.
	ShowError func(http.ResponseWriter, *http.Request, error)
	// PostForm draws the page whose form the browser posts to a redirect URI.
	PostForm func(w http.ResponseWriter, r *http.Request, action string, values url.Values)
	// PairwiseKey derives pairwise subjects: 32 random bytes, the same for ever.
	PairwiseKey []byte
	Logger      zerolog.Logger
	// Now is the clock.
	Now func() time.Time
}

// Provider serves the protocol's endpoints.
type Provider struct {
	op.UnimplementedServer
	options   Options
	discovery atomic.Pointer[published]
	keys      *clientKeys
	polls     polls
	handler   http.Handler
}

// Paths of the endpoints, below the issuer.
const (
	pathAuthorize  = "/authorize"
	pathCallback   = "/authorize/callback"
	pathToken      = "/token"
	pathUserinfo   = "/userinfo"
	pathRevoke     = "/revoke"
	pathIntrospect = "/introspect"
	pathDevice     = "/device_authorization"
	pathResource   = "/.well-known/oauth-protected-resource"
	pathEndSession = "/end_session"
	pathJWKS       = "/jwks"
	pathDiscovery  = "/.well-known/openid-configuration"
	pathMetadata   = "/.well-known/oauth-authorization-server"
)

// routes is every route, with the handler that serves it.
func (p *Provider) routes() []route {
	library := op.RegisterServer(p, op.Endpoints{Token: op.NewEndpoint(pathToken), Revocation: op.NewEndpoint(pathRevoke),
		DeviceAuthorization: op.NewEndpoint(pathDevice)}, op.WithServerCORSOptions(nil))
	discovery := p.static(func() (keyring.Document, error) { return p.describeNow(), nil })
	return []route{
		{"GET " + pathAuthorize, p.authorize},
		{"POST " + pathAuthorize, p.authorize},
		{"GET " + pathAuthorize + "/{$}", p.authorize}, // the developer portal's console puts a slash behind
		{"GET " + pathCallback, p.callback},
		{pathToken, p.formOnly(library)},
		{pathRevoke, p.formOnly(library)},
		{pathIntrospect, p.formOnly(http.HandlerFunc(p.introspect))},
		{pathDevice, p.formOnly(library)},
		{"GET " + pathResource + "/{path...}", p.protectedResource},
		{"GET " + pathUserinfo, p.userinfo},
		{"POST " + pathUserinfo, p.userinfo},
		{"OPTIONS " + pathUserinfo, p.preflight},
		{"GET " + pathEndSession, p.endSession},
		{"POST " + pathEndSession, p.endSession},
		{"GET " + pathJWKS, p.static(p.options.Ring.JWKS)},
		{"GET " + pathDiscovery, discovery},
		{"GET " + pathMetadata, discovery},
	}
}

type route struct {
	pattern string
	handler http.HandlerFunc
}

// issuerPath is what an issuer's path may look like: segments that mean the same
// to every proxy and client.
var issuerPath = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)

// New returns a provider. The issuer must be an https URL of a host and, at
// most, a path without trailing slash, or an http one on a loopback host for
// development (OpenID Connect Discovery section 3, RFC 8414 section 2). Routes
// begin below the issuer: whoever serves them takes its path away.
func New(o Options) (*Provider, error) {
	u, err := url.Parse(o.Issuer)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host+u.Path != o.Issuer || !issuerPath.MatchString(u.Path) {
		return nil, fmt.Errorf("issuer %q must be a scheme, a host and at most a plain path without trailing slash", o.Issuer)
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return nil, fmt.Errorf("issuer %q must be https, except on a loopback host", o.Issuer)
	}
	p := &Provider{options: o, keys: newClientKeys(), polls: polls{last: map[string]time.Time{}}}
	t := o.Trust()
	document, err := p.describe(t)
	if err != nil {
		return nil, err
	}
	p.discovery.Store(&published{t.Version, o.Clients.WantsIDTokens(string(keyring.EdDSA)), document})
	mux := http.NewServeMux()
	for _, r := range p.routes() {
		mux.HandleFunc(r.pattern, r.handler)
	}
	p.handler = secured(mux)
	return p, nil
}

// ServeHTTP serves the endpoints that Routes lists.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// Routes lists every route's pattern.
func (p *Provider) Routes() []string {
	var patterns []string
	for _, r := range p.routes() {
		patterns = append(patterns, r.pattern)
	}
	slices.Sort(patterns)
	return patterns
}

// userinfoAudience is the audience of access tokens for userinfo alone.
func (p *Provider) userinfoAudience() string { return p.options.Issuer + pathUserinfo }
