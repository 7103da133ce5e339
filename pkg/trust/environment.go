package trust

import (
	"net/url"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// Environment is one place where the same policies run. Environments differ in
// these names only, so that promotion is a diff that one can read.
type Environment struct {
	Name string
	// Issuer signs the tokens of this environment.
	Issuer string
	// Audience is the origin that the audiences of all APIs begin with here.
	Audience string
	// Gateway is the origin at which clients reach the APIs.
	Gateway string
}

// AudienceOf is an API's audience in this environment.
func (e Environment) AudienceOf(a API) string {
	u, err := url.Parse(a.Audience)
	if e.Audience == "" || err != nil {
		return a.Audience
	}
	return e.Audience + u.EscapedPath()
}

// Environment returns the environment of that name.
func (t *Trust) Environment(name string) (Environment, bool) {
	i := slices.IndexFunc(t.Environments, func(e Environment) bool { return e.Name == name })
	if i < 0 {
		return Environment{}, false
	}
	return t.Environments[i], true
}

// RateLimit bounds the calls of one authenticator; zero calls mean no bound.
type RateLimit struct {
	Calls  int
	Period time.Duration
}

// maxRatePeriod is the longest window of rate-limit-by-key.
const maxRatePeriod = 300 * time.Second

// environment reads one environment.
func (r *reader) environment(n *yaml.Node, at string, t *Trust) {
	var e Environment
	r.mapping(n, at, map[string]func(*yaml.Node, string){
		"name": r.text(&e.Name, identifier), "issuer": r.text(&e.Issuer, issuer), "audience": r.text(&e.Audience, origin), "gateway": r.text(&e.Gateway, origin),
	}, "name", "issuer", "audience", "gateway")
	if _, twice := t.Environment(e.Name); twice {
		r.fault(n, at+".name", "two environments are named %q", e.Name)
	}
	t.Environments = append(t.Environments, e)
}

// rateLimit reads {calls, period}.
func (r *reader) rateLimit(into *RateLimit) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) {
		r.mapping(n, at, map[string]func(*yaml.Node, string){
			"period": r.duration(&into.Period, time.Second, maxRatePeriod),
			"calls": func(n *yaml.Node, at string) {
				calls, err := strconv.Atoi(n.Value)
				if n.Kind != yaml.ScalarNode || err != nil || calls < 1 || calls > 1_000_000 {
					r.fault(n, at, "%q is not a number of calls", n.Value)
					return
				}
				into.Calls = calls
			},
		}, "calls", "period")
	}
}

// surfaces are whom an API may serve.
var surfaces = []string{"developer-portal", "self-service", "administrative"}

// surfaceRules reads what all APIs of a surface require.
func (r *reader) surfaceRules(into map[string]Requirement) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) {
		keys := map[string]func(*yaml.Node, string){}
		for _, name := range surfaces {
			keys[name] = func(n *yaml.Node, at string) {
				var q Requirement
				r.requirement(&q)(n, at)
				if len(q.Scopes) > 0 {
					r.fault(n, at+".scopes", "scopes belong to one API: require them there")
				}
				into[name] = q
			}
		}
		r.mapping(n, at, keys)
	}
}

// inherit adds to an API what its surface requires: everything of both holds,
// and of two bounds the tighter.
func (r *reader) inherit(n *yaml.Node, t *Trust, a *API, q Requirement) {
	own := &a.Require
	switch {
	case own.Level == "":
		own.Level = q.Level
	case own.Level != q.Level && t.ListsModels(q.Level):
		r.fault(n, "apis."+a.Name+".require.level", "the surface's level %s lists models, so its APIs cannot have another", q.Level)
	default:
		own.Facts = append(own.Facts, t.FactsOf(q.Level)...)
	}
	own.Facts = append(own.Facts, q.Facts...)
	for _, role := range q.Roles {
		if !slices.Contains(own.Roles, role) {
			own.Roles = append(own.Roles, role)
		}
	}
	if q.MaxAge > 0 && (own.MaxAge == 0 || q.MaxAge < own.MaxAge) {
		own.MaxAge = q.MaxAge
	}
	if own.RateLimit.Calls == 0 {
		own.RateLimit = q.RateLimit
	}
	own.CertificateBound = own.CertificateBound || q.CertificateBound
	own.SingleUse = own.SingleUse || q.SingleUse
	own.Approval = own.Approval || q.Approval
}
