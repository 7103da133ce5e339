package provider

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/touchstone-id/touchstone/pkg/denial"
)

const (
	// maxForm bounds a request's body, in bytes.
	maxForm = 64 << 10
	// maxQuery bounds a query, in bytes: room for every parameter we read and an
	// ID token as a hint, and below what proxies accept as a request line.
	maxQuery = 8 << 10
	// maxResources bounds how many APIs one request names.
	maxResources = 20
)

// secured sets the headers of every answer. The policy lets the error pages that
// ShowError draws load their style and images from here, and nothing run.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

// singleValued reads parameters that may each occur once (RFC 6749 section
// 3.1), but for resource and audience (RFC 8707 section 2, RFC 8693 section 2.1). Query and body count together, so nothing can be said twice. Values are
// UTF-8 without control characters, which no parameter has (RFC 6749 appendix
// A) and which the database would refuse as a fault.
func singleValued(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if len(r.URL.RawQuery) > maxQuery {
		return nil, denial.New(denial.RequestTooLarge, "query of %d bytes", len(r.URL.RawQuery))
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if r.Method == http.MethodPost && r.ContentLength != 0 {
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
		if len(values) > maxResources || len(values) > 1 && name != "resource" && name != "audience" {
			return nil, denial.New(denial.ParameterRepeated, "parameter %.80q", name)
		}
		if slices.ContainsFunc(values, func(v string) bool { return !printable(v) }) {
			return nil, denial.New(denial.RequestMalformed, "parameter %.80q holds control characters or is not UTF-8", name)
		}
	}
	return r.Form, nil
}

// printable reports whether a value may be stored and repeated.
func printable(value string) bool {
	return utf8.ValidString(value) && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f })
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
		if err == nil && !harmless(r.URL.Query()) {
			err = denial.New(denial.RequestMalformed, "parameters in the query")
		}
		if err == nil {
			err = checkCredentials(r, form)
		}
		if err == nil && r.URL.Path == pathIntrospect && r.Header.Get("Authorization") == "" && !form.Has("client_secret") && !form.Has("client_assertion") {
			err = denial.New(denial.ClientAuthentication, "introspection without credentials")
		}
		if err != nil {
			p.writeError(w, r, err)
			return
		}
		next.ServeHTTP(&challenger{ResponseWriter: w, issuer: p.options.Issuer}, r)
	}
}

// harmless reports whether a query says nothing that belongs into the body (RFC
// 6749 section 3.2). Some clients of Microsoft's put a correlation id there.
func harmless(query url.Values) bool {
	for name := range query {
		if name != "client-request-id" {
			return false
		}
	}
	return true
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
	if !p.options.Clients.HasOrigin(origin) {
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
