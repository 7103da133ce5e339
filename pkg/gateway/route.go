package gateway

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// encodedForm is what is left of a path that was encoded twice.
var encodedForm = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// segments decodes a path into its segments. It reports false for paths that a
// backend might read in another way than this gateway: dot segments, empty
// segments, slashes, backslashes and control characters that were encoded,
// double encoding, path parameters. So the operation judged is the operation
// served.
func segments(u *url.URL) ([]string, bool) {
	escaped := strings.TrimSuffix(u.EscapedPath(), "/")
	if escaped == "" {
		return nil, true
	}
	if !strings.HasPrefix(escaped, "/") {
		return nil, false
	}
	parts := strings.Split(escaped[1:], "/")
	for i, part := range parts {
		s, err := url.PathUnescape(part)
		if err != nil || s == "" || s == "." || s == ".." || !utf8.ValidString(s) || strings.ContainsAny(s, `/\;`) ||
			strings.ContainsFunc(s, func(c rune) bool { return c < 0x20 || c == 0x7f }) || encodedForm.MatchString(s) {
			return nil, false
		}
		parts[i] = s
	}
	return parts, true
}

// escapePath writes segments as a path, each encoded anew.
func escapePath(parts []string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("/" + url.PathEscape(p))
	}
	return b.String()
}

// match finds the API a request is for, the operation, the operation's
// parameters and the segments below the API. Letter case and a trailing slash
// do not tell operations apart, so that neither leads around a policy. An
// operation with fewer parameters goes before one with more.
func (g *Gateway) match(method string, path []string) (*api, *operation, map[string]string, []string) {
	var found *api
	for _, a := range g.apis {
		if len(path) >= len(a.mount) && slices.EqualFunc(path[:len(a.mount)], a.mount, strings.EqualFold) && (found == nil || len(a.mount) > len(found.mount)) {
			found = a
		}
	}
	if found == nil {
		return nil, nil, nil, nil
	}
	rest := path[len(found.mount):]
	var best *operation
	var parameters map[string]string
	for _, o := range found.operations {
		if o.Method != method {
			continue
		}
		if values, ok := o.fits(rest); ok && (best == nil || o.narrower(best)) {
			best, parameters = o, values
		}
	}
	return found, best, parameters, rest
}

// fits reports whether a path has the template's shape, and the parameters in it.
func (o *operation) fits(path []string) (map[string]string, bool) {
	values := map[string]string{}
	for i, s := range o.segments {
		switch {
		case s == "*" && i == len(o.segments)-1:
			return values, true
		case i >= len(path):
			return nil, false
		case strings.HasPrefix(s, "{"):
			values[strings.Trim(s, "{}")] = path[i]
		case !strings.EqualFold(s, path[i]):
			return nil, false
		}
	}
	return values, len(path) == len(o.segments)
}

// narrower compares segment by segment: a literal goes before a parameter, a
// parameter before the rest of the path.
func (o *operation) narrower(other *operation) bool {
	rank := func(segments []string, i int) int {
		switch {
		case i >= len(segments):
			return 3
		case segments[i] == "*":
			return 0
		case strings.HasPrefix(segments[i], "{"):
			return 1
		}
		return 2
	}
	for i := range max(len(o.segments), len(other.segments)) {
		if a, b := rank(o.segments, i), rank(other.segments, i); a != b {
			return a > b
		}
	}
	return false
}

// hopByHop are the headers of one connection (RFC 9110 section 7.6.1).
var hopByHop = []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// removeHopByHop removes the headers of one connection and those that
// Connection names. It runs before any policy, so that a client cannot have a
// header removed that a policy sets.
func removeHopByHop(h http.Header) {
	for _, line := range h.Values("Connection") {
		for name := range strings.SplitSeq(line, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
}

// arrived returns the header of a request as policies see it: without the
// connection's own headers, without what only a proxy in front may say, and
// without names that some backends cannot tell from others (X_A and X-A).
func arrived(h http.Header) http.Header {
	h = h.Clone()
	removeHopByHop(h)
	for name := range h {
		if strings.Contains(name, "_") || name == "Forwarded" || strings.HasPrefix(name, "X-Forwarded-") {
			delete(h, name)
		}
	}
	return h
}
