package server

import (
	"net/http"
	"strings"
)

// below serves next below the issuer's path. Inside, every path begins at the
// issuer; here it gets and loses the issuer's own, and so do the addresses that
// answers redirect to. The metadata of an issuer with a path also stand where
// RFC 8414 section 3.1 looks for them: at the host's root, the path behind.
func below(base string, next http.Handler) http.Handler {
	if base == "" {
		return next
	}
	inside := http.StripPrefix(base, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, issuer := strings.CutSuffix(r.URL.Path, base)
		switch {
		case issuer && (path == "/.well-known/oauth-authorization-server" || path == "/.well-known/openid-configuration"):
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = path, ""
			next.ServeHTTP(w, r)
		case r.URL.Path == base:
			http.Redirect(w, r, base+"/", http.StatusPermanentRedirect)
		case strings.HasPrefix(r.URL.EscapedPath(), base+"/"):
			inside.ServeHTTP(&outward{w, base}, r)
		default:
			http.NotFound(w, r)
		}
	})
}

// outward puts the issuer's path before the paths that answers redirect to.
type outward struct {
	http.ResponseWriter
	base string
}

func (w *outward) WriteHeader(status int) {
	if to := w.Header().Get("Location"); strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") {
		w.Header().Set("Location", w.base+to)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach what is wrapped.
func (w *outward) Unwrap() http.ResponseWriter { return w.ResponseWriter }
