package provider

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/touchstone-id/touchstone/pkg/denial"
)

const (
	// maxBody bounds a form, in bytes.
	maxBody = 64 << 10
	// maxQuery bounds a query: enough for every parameter we read and an ID
	// token as a hint, and below what proxies accept as a request line.
	maxQuery = 8 << 10
	// formType is the only content type of a body (RFC 6749 appendix B).
	formType = "application/x-www-form-urlencoded"
)

// resourceParameter is the one parameter that a specification allows to repeat
// (RFC 8707 section 2); we accept one value and answer invalid_target to more.
const resourceParameter = "resource"

// readForm parses the query and body into r.Form and r.PostForm, so that
// nothing behind it parses again by laxer rules. Denials: RequestTooLarge,
// RequestMalformed, and ParameterRepeated for a name that stands twice in the
// query, the body or both (RFC 6749 section 3.1).
func readForm(w http.ResponseWriter, r *http.Request) error {
	if len(r.URL.RawQuery) > maxQuery {
		return denial.New(denial.RequestTooLarge, "query of %d bytes", len(r.URL.RawQuery))
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return denial.New(denial.RequestMalformed, "query is not form-encoded")
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	form := url.Values{}
	for _, values := range []url.Values{query, body} {
		for name, v := range values {
			form[name] = append(form[name], v...)
		}
	}
	for name, values := range form {
		if len(values) > 1 && name != resourceParameter {
			return denial.New(denial.ParameterRepeated, "%d values of one parameter", len(values))
		}
		for _, v := range values {
			if !printable(v) {
				return denial.New(denial.RequestMalformed, "a value holds control characters or is not UTF-8")
			}
		}
	}
	r.Form, r.PostForm = form, body
	return nil
}

// readBody parses the body of a POST; an empty one needs no content type.
func readBody(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost || r.ContentLength == 0 {
		return url.Values{}, nil
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != formType {
		return nil, denial.New(denial.RequestMalformed, "content type is not %s", formType)
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, denial.New(denial.RequestTooLarge, "body of more than %d bytes", maxBody)
	}
	if err != nil {
		return nil, denial.New(denial.RequestMalformed, "body could not be read")
	}
	body, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, denial.New(denial.RequestMalformed, "body is not form-encoded")
	}
	return body, nil
}

// printable reports whether the value may be stored and repeated: UTF-8 without
// control characters (RFC 6749 appendix A names no parameter that has any).
func printable(value string) bool {
	return utf8.ValidString(value) && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// browser guards an endpoint that people's browsers visit: it sets headers,
// reads the form and turns the handler's error into a page or a redirect.
func (p *Provider) browser(handle func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		w.Header().Set("Cache-Control", "no-store")
		err := readForm(w, r)
		if err == nil {
			err = handle(w, r)
		}
		if err != nil {
			p.tell(w, r, err)
		}
	})
}

// machine guards an endpoint that programs call. Secrets travel in the body or
// the Authorization header and never in a query, which is logged on the way.
func (p *Provider) machine(challenge func(status int) string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Pragma", "no-cache") // RFC 6749 section 5.1
		w = &challenging{w, challenge}
		err := readForm(w, r)
		if err == nil && r.URL.RawQuery != "" {
			err = denial.New(denial.RequestMalformed, "parameters in the query")
		}
		if err != nil {
			writeError(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// secure sets the headers of every answer. Pages that ShowError draws replace
// the Content-Security-Policy with their own.
func secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

// challenging adds the WWW-Authenticate header that a 401 must carry (RFC 9110
// section 15.5.2), which the library leaves out.
type challenging struct {
	http.ResponseWriter
	challenge func(status int) string
}

// WriteHeader adds the challenge, unless there is one, and writes the status.
func (c *challenging) WriteHeader(status int) {
	if text := c.challenge(status); text != "" && c.Header().Get("WWW-Authenticate") == "" {
		c.Header().Set("WWW-Authenticate", text)
	}
	c.ResponseWriter.WriteHeader(status)
}

// clientChallenge asks for client authentication (RFC 6749 section 5.2).
func clientChallenge(status int) string {
	if status == http.StatusUnauthorized {
		return `Basic realm="touchstone"`
	}
	return ""
}

// bearerChallenge says what is wrong with an access token (RFC 6750 section 3).
func bearerChallenge(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return `Bearer realm="touchstone", error="invalid_token"`
	case http.StatusForbidden:
		return `Bearer realm="touchstone", error="insufficient_scope", scope="openid"`
	}
	return ""
}
