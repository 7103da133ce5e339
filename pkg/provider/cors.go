package provider

import (
	"net/http"
	"net/url"

	"github.com/touchstone-id/touchstone/pkg/grant"
)

// preflightLife is how long a browser may remember a preflight, in seconds.
const preflightLife = "600"

// fromAnywhere lets scripts of any origin read public documents.
func fromAnywhere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		if r.Method == http.MethodOptions {
			preflight(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// fromClientOrigins lets scripts read answers when a public client has a
// redirect URI at their origin. Credentials are never allowed: these endpoints
// know no cookies.
func (p *Provider) fromClientOrigins(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		if origin := r.Header.Get("Origin"); origin != "" && p.originRegistered(origin) {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate")
		}
		if r.Method == http.MethodOptions {
			preflight(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// preflight answers a CORS preflight; whether the origin is allowed was written before.
func preflight(w http.ResponseWriter) {
	if w.Header().Get("Access-Control-Allow-Origin") != "" {
		w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
		w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		w.Header().Set("Access-Control-Max-Age", preflightLife)
	}
	w.WriteHeader(http.StatusNoContent)
}

// originRegistered reports whether a public client has a redirect URI at the origin.
func (p *Provider) originRegistered(origin string) bool {
	for _, c := range p.Clients.All() {
		if c.Kind != grant.Public {
			continue
		}
		for _, uri := range c.RedirectURIs {
			u, err := url.Parse(uri)
			if err == nil && u.Host != "" && u.Scheme+"://"+u.Host == origin {
				return true
			}
		}
	}
	return false
}
