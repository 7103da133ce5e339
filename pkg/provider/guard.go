package provider

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
)

// maxForm bounds a request's body, in bytes.
const maxForm = 64 << 10

// singleValued reads parameters that may each occur once (RFC 6749 section
// 3.1). Query and body count together, so nothing can be said twice.
func singleValued(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if r.Method == http.MethodPost {
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != "application/x-www-form-urlencoded" {
			return nil, denial.New(denial.RequestMalformed, "content type %q", r.Header.Get("Content-Type"))
		}
	}
	if err := r.ParseForm(); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, denial.New(denial.RequestTooLarge, "")
		}
		return nil, denial.New(denial.RequestMalformed, "form cannot be parsed")
	}
	for name, values := range r.Form {
		if len(values) > 1 {
			return nil, denial.New(denial.ParameterRepeated, "parameter %q", name)
		}
	}
	return r.Form, nil
}

// formOnly guards the token endpoint and its like: POST, a form body, nothing
// in the query (RFC 6749 section 3.2), answers never stored, and
// WWW-Authenticate with every 401 (section 5.2).
func (p *Provider) formOnly(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p.allowClients(w, r)
		switch {
		case r.Method == http.MethodOptions:
			w.WriteHeader(http.StatusNoContent)
			return
		case r.Method != http.MethodPost:
			w.Header().Set("Allow", "POST")
			http.Error(w, "only POST is allowed here", http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Pragma", "no-cache")
		form, err := singleValued(w, r)
		if err == nil && r.URL.RawQuery != "" {
			err = denial.New(denial.RequestMalformed, "parameters in the query")
		}
		if err == nil && form.Get("client_secret") == "" && form.Has("client_secret") {
			err = denial.New(denial.ClientAuthentication, "empty client_secret")
		}
		if err != nil {
			p.writeError(w, r, err)
			return
		}
		next.ServeHTTP(&challenger{ResponseWriter: w, issuer: p.options.Issuer}, r)
	}
}

// challenger adds WWW-Authenticate to 401 answers of the library.
type challenger struct {
	http.ResponseWriter
	issuer string
}

func (c *challenger) WriteHeader(status int) {
	if status == http.StatusUnauthorized {
		c.Header().Set("WWW-Authenticate", `Basic realm="`+c.issuer+`"`)
	}
	c.ResponseWriter.WriteHeader(status)
}

// allowClients lets scripts of public clients read the answer: the origins of
// their redirect URIs, without credentials.
func (p *Provider) allowClients(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	w.Header().Add("Vary", "Origin")
	if origin == "" || !slices.ContainsFunc(p.options.Clients.All(), func(c grant.Client) bool {
		return c.Kind == grant.Public && slices.ContainsFunc(c.RedirectURIs, func(uri string) bool {
			rest, ok := strings.CutPrefix(uri, origin)
			return ok && strings.HasPrefix(rest, "/")
		})
	}) {
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Methods", "GET, POST")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	h.Set("Access-Control-Max-Age", "600")
}

// preflight answers an OPTIONS request.
func (p *Provider) preflight(w http.ResponseWriter, r *http.Request) {
	p.allowClients(w, r)
	w.WriteHeader(http.StatusNoContent)
}
