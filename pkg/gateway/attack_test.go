package gateway

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// TestNothingIsSmuggledBehindAGoodRequest writes what ordinary clients do not: a
// good request whose end can be read in two ways, with one behind it that has no
// token, or headers that pretend to be others. The backend must see nothing but
// the good request, with the identity of its token.
func TestNothingIsSmuggledBehindAGoodRequest(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	w := with(t, `<inbound><set-header name="X-User" exists-action="delete" />`+strings.TrimPrefix(validate(` header-name="Authorization" output-token-variable-name="jwt"`, discovery), "<inbound><base />"))
	w.answer = func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Method+" "+r.URL.Path+" "+strings.Join(r.Header.Values("X-User"), ","))
	}
	server := httptest.NewServer(w.gateway)
	t.Cleanup(server.Close)
	token := w.sign(w.good(nil))
	good, behind := "Host: x\r\nAuthorization: Bearer "+token+"\r\n", "GET /a/2 HTTP/1.1\r\nHost: x\r\nX-User: evil\r\nConnection: close\r\n\r\n"
	for _, tt := range []struct{ name, raw string }{
		{"length and chunks", "GET /a/1 HTTP/1.1\r\n" + good + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + behind},
		{"two lengths", "GET /a/1 HTTP/1.1\r\n" + good + "Content-Length: 0\r\nContent-Length: 40\r\n\r\n" + behind},
		{"a length with a sign", "GET /a/1 HTTP/1.1\r\n" + good + "Content-Length: +0\r\n\r\n" + behind},
		{"an unknown coding", "GET /a/1 HTTP/1.1\r\n" + good + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + behind},
		{"a coding behind a tab", "GET /a/1 HTTP/1.1\r\n" + good + "Transfer-Encoding:\tchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + behind},
		{"a space before the colon", "GET /a/1 HTTP/1.1\r\n" + good + "Content-Length : 40\r\n\r\n" + behind},
		{"a chunk's size that overflows", "GET /a/1 HTTP/1.1\r\n" + good + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n" + behind},
		{"a line end without return", "GET /a/1 HTTP/1.1\n" + good + "X-A: b\n\n" + behind},
		{"a folded header", "GET /a/1 HTTP/1.1\r\n" + good + "X-A: b\r\n X-User: evil\r\n\r\n" + behind},
		{"the header in disguise", "GET /a/1 HTTP/1.1\r\n" + good + "X_User: evil\r\nx-user: evil\r\nX-USER: evil\r\n\r\n" + behind},
		{"the header as a trailer", "GET /a/1 HTTP/1.1\r\n" + good + "Transfer-Encoding: chunked\r\nTrailer: X-User\r\n\r\n0\r\nX-User: evil\r\n\r\n" + behind},
		{"an absolute address of another path", "GET http://x/a/2 HTTP/1.1\r\nHost: x\r\n\r\n" + behind},
		{"an upgrade", "GET /a/1 HTTP/1.1\r\n" + good + "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" + behind},
		{"a tunnel", "CONNECT /a/1 HTTP/1.1\r\n" + good + "\r\n" + behind},
	} {
		t.Run(tt.name, func(t *testing.T) { // a body that breaks off may reach the backend later: what it saw is never reset
			connection, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
			if _, err := io.WriteString(connection, tt.raw); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(connection); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, s := range seen {
				if s != "GET /base/1 " {
					t.Errorf("the backend saw %q", s)
				}
			}
		})
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) == 0 {
		t.Error("no good request came through")
	}
}

func TestForwardRequestFailsOnAnErrorStatus(t *testing.T) {
	for _, tt := range []struct {
		name, attributes string
		backend, status  int
		onError          string
	}{
		{"an error", `fail-on-error-status-code="true" buffer-response="false"`, 404, 500, "BackendConnectionFailure"},
		{"the last that is none", `fail-on-error-status-code="true"`, 399, 399, ""},
		{"an error that passes", ``, 503, 503, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := with(t, `<inbound><base /></inbound><backend><forward-request `+tt.attributes+` /></backend><on-error><set-header name="X-Reason"><value>@(context.LastError.Reason)</value></set-header></on-error>`)
			w.answer = func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(tt.backend) }
			if rec := w.call("GET", "/a/1"); rec.Code != tt.status || rec.Header().Get("X-Reason") != tt.onError {
				t.Errorf("%d %v", rec.Code, rec.Header())
			}
		})
	}
}
