package gateway

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"
)

// FuzzPaths sends any path to a gateway whose only protected operation lies
// beside an open one: what reaches the backend is a path that nobody can read
// in another way, and never the protected one.
func FuzzPaths(f *testing.F) {
	w := emptyWorld(f)
	backend := &silent{}
	c := w.config(`<inbound/>`)
	c.Trace = false
	c.APIs[0].Operations = []Operation{{Name: "open", Method: "GET", URLTemplate: "/open/*"}, {Name: "one", Method: "GET", URLTemplate: "/{id}"},
		{Name: "secret", Method: "GET", URLTemplate: "/secret/{id}", Policy: w.file("secret.xml", `<policies><inbound><return-response><set-status code="403"/></return-response></inbound></policies>`)}}
	w.start(c)
	var reached *url.URL
	w.gateway.forwarder = seeing{backend, &reached}
	for _, seed := range []string{"/a/open/x", "/a/secret/1", "/a/open/../secret/1", "/a/open/..%2fsecret%2f1", "/a//secret/1", "/A/SECRET/1", "/a/secret/1/", "/a/open/%2e%2e/secret/1", "/a/open;/../secret/1", "/a/%73ecret/1", "/a/open\\..\\secret\\1", "/a/open/%252e%252e/secret/1", "*"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Host != "" || u.Opaque != "" {
			return
		}
		reached = nil
		r := &http.Request{Method: "GET", URL: u, Header: http.Header{}, Body: http.NoBody, Host: "gateway.test", RemoteAddr: "127.0.0.1:1"}
		rec := httptest.NewRecorder()
		w.gateway.ServeHTTP(rec, r)
		if reached == nil {
			if rec.Code == http.StatusOK {
				t.Errorf("%q is answered without the backend", target)
			}
			return
		}
		if clean := path.Clean(reached.Path); clean != strings.TrimSuffix(reached.Path, "/") || strings.ContainsAny(reached.Path, `\;`) || strings.Contains(strings.ToLower(reached.EscapedPath()), "%2f") {
			t.Errorf("%q reached the backend as %q", target, reached.EscapedPath())
		}
		if strings.HasPrefix(strings.ToLower(reached.Path), "/base/secret/") {
			t.Errorf("%q reached the protected %q", target, reached.Path)
		}
	})
}

// seeing notes where a request goes.
type seeing struct {
	http.RoundTripper
	at **url.URL
}

func (s seeing) RoundTrip(r *http.Request) (*http.Response, error) {
	*s.at = r.URL
	return s.RoundTripper.RoundTrip(r)
}
