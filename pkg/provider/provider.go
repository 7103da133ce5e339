package provider

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/rs/zerolog"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/keyring"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/signin"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// Paths of the endpoints below the issuer.
const (
	authorizePath  = "/authorize"
	callbackPath   = "/authorize/callback"
	tokenPath      = "/token"
	userInfoPath   = "/userinfo"
	revokePath     = "/revoke"
	endSessionPath = "/end_session"
	jwksPath       = "/jwks"
	discoveryPath  = "/.well-known/openid-configuration"
	metadataPath   = "/.well-known/oauth-authorization-server"
)

// Paths of the pages that a browser is sent to.
const (
	signInPage  = "/signin"
	signOutPage = "/signout"
	startPage   = "/"
)

// Options are the parts a provider is made of. All are required.
type Options struct {
	// Issuer is the issuer identifier (RFC 8414 section 2), an origin without
	// trailing slash. Every URL and iss we write begins with it; a request's
	// Host header never does.
	Issuer  string
	Pool    postgres.Querier
	Log     *audit.Log
	Ring    *keyring.Ring
	Clients *grant.Clients
	SignIn  *signin.Flow
	// Trust returns the trust file in force.
	Trust func() *trust.Trust
	// ShowError draws an error page. It sets the status and its own
	// Content-Security-Policy; a denial may be told to the person, a fault not.
	ShowError func(w http.ResponseWriter, r *http.Request, err error)
	Logger    zerolog.Logger
	// Now is the clock.
	Now func() time.Time
}

// Provider answers protocol requests. It is safe for concurrent use.
type Provider struct {
	Options
	handler http.Handler
	routes  []string
	docs    metadataCache
	decoy   grant.Client
}

// New returns a provider, or an error when the issuer is not usable or the ring
// has no RS256 key, which every ID token is signed with.
func New(o Options) (*Provider, error) {
	if err := checkIssuer(o.Issuer); err != nil {
		return nil, err
	}
	if !slices.Contains(o.Ring.Algorithms(), idTokenAlgorithm) {
		return nil, fmt.Errorf("provider: no %s signing key", idTokenAlgorithm)
	}
	p := &Provider{Options: o, decoy: newDecoy()}
	library := op.RegisterServer(&server{p: p}, op.Endpoints{
		Token: op.NewEndpoint(tokenPath), Revocation: op.NewEndpoint(revokePath), Userinfo: op.NewEndpoint(userInfoPath),
	}, op.WithServerCORSOptions(nil))
	p.install(library)
	return p, nil
}

// checkIssuer accepts an https origin, or an http one on a loopback host for
// development (OpenID Connect Discovery section 3).
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != issuer {
		return fmt.Errorf("provider: issuer %q is not an origin such as https://login.example", issuer)
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return errors.New("provider: the issuer must be https, except on a loopback host")
	}
	return nil
}

// install lists every route on one screen. The library's handler stands behind
// the guard and sees three of them.
func (p *Provider) install(library http.Handler) {
	router := chi.NewRouter()
	route := func(method, path string, h http.Handler) {
		router.Method(method, path, h)
		p.routes = append(p.routes, method+" "+path)
	}
	authorize, callback, endSession := p.browser(p.authorize), p.browser(p.callback), p.browser(p.endSession)
	route(http.MethodGet, authorizePath, authorize)
	route(http.MethodPost, authorizePath, authorize)
	route(http.MethodGet, callbackPath, callback)
	route(http.MethodGet, endSessionPath, endSession)
	route(http.MethodPost, endSessionPath, endSession)

	token := p.fromClientOrigins(p.machine(clientChallenge, authenticating(library)))
	revoke := p.fromClientOrigins(p.machine(clientChallenge, authenticating(library)))
	userInfo := p.fromClientOrigins(p.machine(bearerChallenge, bearing(library)))
	route(http.MethodPost, tokenPath, token)
	route(http.MethodOptions, tokenPath, token)
	route(http.MethodPost, revokePath, revoke)
	route(http.MethodOptions, revokePath, revoke)
	route(http.MethodGet, userInfoPath, userInfo)
	route(http.MethodPost, userInfoPath, userInfo)
	route(http.MethodOptions, userInfoPath, userInfo)

	discovery, jwks := fromAnywhere(p.document(p.metadata)), fromAnywhere(p.document(p.jwks))
	route(http.MethodGet, discoveryPath, discovery)
	route(http.MethodOptions, discoveryPath, discovery)
	route(http.MethodGet, metadataPath, discovery)
	route(http.MethodOptions, metadataPath, discovery)
	route(http.MethodGet, jwksPath, jwks)
	route(http.MethodOptions, jwksPath, jwks)
	p.handler = router
}

// Handler returns the handler of all routes. Anything else is 404, and another
// method on a route 405.
func (p *Provider) Handler() http.Handler { return p.handler }

// Routes returns every route as "METHOD /path".
func (p *Provider) Routes() []string { return slices.Clone(p.routes) }
