package gateway

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/secret"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

const audience = "https://api.test/orders"

// world is an issuer on loopback, a backend and a gateway between.
type world struct {
	testing.TB
	issuer  *httptest.Server
	backend *httptest.Server
	gateway *Gateway
	key     *rsa.PrivateKey
	kid     string
	jwks    []jose.JSONWebKey // beside key
	mu      sync.Mutex        // guards now
	clock   time.Time
	fetches atomic.Int32
	down    atomic.Bool
	dir     string
	log     strings.Builder
	// What the backend saw last, nil when it was not called.
	seen *http.Request
	body string
	// answer is what the backend does.
	answer http.HandlerFunc
}

const trustText = `
apis:
  - name: orders
    audience: https://api.test/orders
    path: /orders
    origins: ["https://portal.test"]
    scopes: [{name: orders.read, title: See}, {name: orders.write, title: Change}]
    automation: [batch]
    require: {level: phr, scopes: [orders.read]}
    operations:
      - {name: list, method: GET, url: /}
      - {name: show, method: GET, url: "/{id}"}
      - {name: refund, method: POST, url: "/{id}/refund", require: {level: phrh, scopes: [orders.write], max_age: 5m}}
clients:
  - {id: batch, name: Batch, kind: workload, grant_types: [client_credentials], scopes: [orders.read], apis: [orders]}
`

var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// emptyWorld has an issuer and a backend, and no gateway yet.
func emptyWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, key: testKey(), kid: "k1", clock: time.Unix(1_800_000_000, 0), dir: t.TempDir()}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(rw http.ResponseWriter, _ *http.Request) {
		w.fetches.Add(1)
		if w.down.Load() {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		json.NewEncoder(rw).Encode(map[string]string{"issuer": w.issuer.URL, "jwks_uri": w.issuer.URL + "/jwks"})
	})
	mux.HandleFunc("/jwks", func(rw http.ResponseWriter, _ *http.Request) {
		keys := append([]jose.JSONWebKey{{Key: &w.key.PublicKey, KeyID: w.kid, Use: "sig", Algorithm: "RS256"}}, w.jwks...)
		json.NewEncoder(rw).Encode(jose.JSONWebKeySet{Keys: keys})
	})
	mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was fetched", r.URL) })
	w.issuer = httptest.NewServer(mux)
	t.Cleanup(w.issuer.Close)
	w.backend = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.seen, w.body = r.Clone(r.Context()), string(body)
		if w.answer != nil {
			w.answer(rw, r)
			return
		}
		io.WriteString(rw, "from the backend")
	}))
	t.Cleanup(w.backend.Close)
	return w
}

// newWorld has the gateway of the rendered trust file.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := emptyWorld(t)
	declared, err := trust.Parse("trust.yaml", []byte(trustText))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range apim.Render(declared, apim.Target{Issuer: w.issuer.URL}) {
		files[f.Operation] = w.file(f.Name, string(f.Body))
	}
	w.start(Config{Trace: true, SubscriptionKeys: []secret.Value{secret.Of("k")}, APIs: []API{{Name: "orders", Path: "/orders", Backend: w.backend.URL, Policy: files[""], Operations: []Operation{
		{Name: "list", Method: "GET", URLTemplate: "/", Policy: files["list"]},
		{Name: "show", Method: "GET", URLTemplate: "/{id}", Policy: files["show"]},
		{Name: "refund", Method: "POST", URLTemplate: "/{id}/refund", Policy: files["refund"]}}}}})
	return w
}

// with starts a gateway for one API at /a whose policy holds these sections.
func with(t testing.TB, sections string) *world {
	t.Helper()
	w := emptyWorld(t)
	w.start(w.config(sections))
	return w
}

func (w *world) config(sections string) Config {
	return Config{Trace: true, APIs: []API{{Name: "a", Path: "/a", Backend: w.backend.URL + "/base",
		Policy:     w.file("a.policy.xml", "<policies>"+strings.ReplaceAll(sections, "ISSUER", w.issuer.URL)+"</policies>"),
		Operations: []Operation{{Name: "get", Method: "GET", URLTemplate: "/{id}"}, {Name: "post", Method: "POST", URLTemplate: "/{id}"}}}}}
}

func (w *world) start(c Config) {
	w.Helper()
	g, err := New(c, Options{Log: zerolog.New(zerolog.SyncWriter(&w.log)), Now: w.now})
	if err != nil {
		w.Fatal(err)
	}
	w.gateway = g
	w.Cleanup(g.transport.CloseIdleConnections)
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

func (w *world) file(name, body string) string {
	w.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
		w.Fatal(err)
	}
	return path
}

// rotate gives the issuer another signing key.
func (w *world) rotate(kid string) {
	w.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		w.Fatal(err)
	}
	w.key, w.kid = key, kid
}

type claims map[string]any

// good are the claims of a token that everything accepts, changed; nil removes one.
func (w *world) good(changes claims) claims {
	now := w.now().Unix()
	c := claims{"iss": w.issuer.URL, "sub": "ada", "aud": audience, "client_id": "web", "iat": now, "exp": now + 300, "auth_time": now - 10, "idtyp": "user",
		"sid": "s1", "scope": "openid orders.read orders.write", "acr": "phrh", "authenticator_id": "dev1",
		"authenticator_attestation": []string{"attested", "device_bound", "hardware", "metadata_current", "uv"}}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// sign makes an access token with the issuer's key.
func (w *world) sign(c claims) string {
	w.Helper()
	return w.signWith(jose.RS256, w.key, map[string]any{"kid": w.kid}, c)
}

func (w *world) signWith(alg jose.SignatureAlgorithm, key any, head map[string]any, c claims) string {
	w.Helper()
	options := (&jose.SignerOptions{}).WithType("at+jwt")
	for name, v := range head {
		options = options.WithHeader(jose.HeaderKey(name), v)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		w.Fatal(err)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		w.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		w.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		w.Fatal(err)
	}
	return text
}

// call sends a request; headers come in pairs, a pair with an empty name is left out.
func (w *world) call(method, target string, header ...string) *httptest.ResponseRecorder {
	return w.send(method, target, "", header...)
}

func (w *world) send(method, target, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] != "" {
			r.Header[http.CanonicalHeaderKey(header[i])] = append(r.Header[http.CanonicalHeaderKey(header[i])], header[i+1])
		}
	}
	rec := httptest.NewRecorder()
	w.seen = nil
	w.gateway.ServeHTTP(rec, r)
	return rec
}

// bearer is the pair of an Authorization header.
func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// message reads the body that API Management gives to refusals.
func message(t testing.TB, rec *httptest.ResponseRecorder) string {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil || len(body) != 2 || body["statusCode"] != float64(rec.Code) {
		t.Errorf("body %s is not {statusCode, message} of status %d", rec.Body, rec.Code)
	}
	if kind := rec.Header().Get("Content-Type"); kind != "application/json" {
		t.Errorf("Content-Type %q", kind)
	}
	text, _ := body["message"].(string)
	return text
}

// trace fetches what the gateway noted about an answer.
func (w *world) trace(rec *httptest.ResponseRecorder) trace {
	w.Helper()
	got := httptest.NewRecorder()
	w.gateway.ServeHTTP(got, httptest.NewRequest("GET", tracePath+rec.Header().Get("Apim-Trace-Id"), nil))
	var tr trace
	if err := json.Unmarshal(got.Body.Bytes(), &tr); err != nil || got.Code != http.StatusOK {
		w.Fatalf("trace: %d %s", got.Code, got.Body)
	}
	return tr
}

// failed returns the step that refused.
func (tr trace) failed() step {
	for _, s := range tr.Steps {
		if s.Result == resultFailed {
			return s
		}
	}
	return step{}
}
