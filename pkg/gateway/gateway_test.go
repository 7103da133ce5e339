package gateway

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

const audience = "https://api.test/orders"

// world is an issuer, a backend and a gateway between.
type world struct {
	*testing.T
	issuer  *httptest.Server
	gateway *Gateway
	key     *rsa.PrivateKey
	kid     string
	now     time.Time
	fetches atomic.Int32
	seen    http.Header
	path    string
	dir     string
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
      - {name: refund, method: POST, url: "/{id}/refund", require: {level: phrh, max_age: 5m}}
clients:
  - {id: batch, name: Batch, kind: workload, grant_types: [client_credentials], scopes: [orders.read], apis: [orders]}
`

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, kid: "k1", now: time.Unix(1_800_000_000, 0), dir: t.TempDir()}
	w.newKey("k1")
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(rw http.ResponseWriter, _ *http.Request) {
		w.fetches.Add(1)
		json.NewEncoder(rw).Encode(map[string]string{"issuer": w.issuer.URL, "jwks_uri": w.issuer.URL + "/jwks"})
	})
	mux.HandleFunc("/jwks", func(rw http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(rw).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &w.key.PublicKey, KeyID: w.kid, Use: "sig", Algorithm: "RS256"}}})
	})
	w.issuer = httptest.NewServer(mux)
	t.Cleanup(w.issuer.Close)
	backend := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.seen, w.path = r.Header.Clone(), r.URL.Path
		io.WriteString(rw, "from the backend")
	}))
	t.Cleanup(backend.Close)
	declared, err := trust.Parse("trust.yaml", []byte(trustText))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range apim.Render(declared, w.issuer.URL) {
		w.write(f.Name, string(f.Body))
	}
	w.gateway = w.load(w.config(backend.URL))
	return w
}

func (w *world) config(backend string) Config {
	return Config{Trace: true, APIs: []API{{Name: "orders", Path: "/orders", Backend: backend, Policy: filepath.Join(w.dir, "orders.policy.xml"), Operations: []Operation{
		{Name: "list", Method: "GET", URLTemplate: "/"}, {Name: "show", Method: "GET", URLTemplate: "/{id}"},
		{Name: "refund", Method: "POST", URLTemplate: "/{id}/refund", Policy: filepath.Join(w.dir, "orders.refund.policy.xml")}}}}}
}

func (w *world) load(c Config) *Gateway {
	w.Helper()
	g, err := New(c, Options{Log: zerolog.Nop(), Now: func() time.Time { return w.now }})
	if err != nil {
		w.Fatal(err)
	}
	return g
}

func (w *world) write(name, body string) string {
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
		w.Fatal(err)
	}
	return path
}

func (w *world) newKey(kid string) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		w.Fatal(err)
	}
	w.key, w.kid = key, kid
}

type claims map[string]any

// good are the claims of a token that everything accepts.
func (w *world) good(changes claims) claims {
	c := claims{"iss": w.issuer.URL, "sub": "ada", "aud": audience, "client_id": "web", "exp": w.now.Unix() + 300, "auth_time": w.now.Unix() - 10, "idtyp": "user",
		"scope": "openid orders.read", "acr": "phrh", "authenticator_attestation": []string{"attested", "device_bound", "hardware", "metadata_current", "uv"}}
	maps.Copy(c, changes)
	for name, v := range c {
		if v == nil {
			delete(c, name)
		}
	}
	return c
}

func (w *world) sign(c claims) string {
	return w.signWith(jose.SigningKey{Algorithm: jose.RS256, Key: w.key}, w.kid, c)
}

func (w *world) signWith(key jose.SigningKey, kid string, c claims) string {
	w.Helper()
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithHeader("kid", kid).WithType("at+jwt"))
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

// call sends a request; headers come in pairs.
func (w *world) call(method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.seen = nil
	w.gateway.ServeHTTP(rec, r)
	return rec
}

// message reads the body that API Management gives to refusals.
func message(t *testing.T, rec *httptest.ResponseRecorder) string {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil || len(body) != 2 || body["statusCode"] != float64(rec.Code) {
		t.Errorf("body %s", rec.Body)
	}
	text, _ := body["message"].(string)
	return text
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	none := func(c claims) string {
		payload, _ := json.Marshal(c)
		e := base64.RawURLEncoding.EncodeToString
		return e([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + e(payload) + "."
	}
	public, _ := json.Marshal(w.key.PublicKey.N)
	good := w.sign(w.good(nil))
	for _, tt := range []struct {
		name, token, idx string
		pass             bool
	}{
		{"good", good, "", true},
		{"audience among several", w.sign(w.good(claims{"aud": []string{"x", audience}})), "", true},
		{"expired within the skew", w.sign(w.good(claims{"exp": w.now.Unix() - 29})), "", true},
		{"more facts than needed", w.sign(w.good(claims{"authenticator_attestation": []string{"uv", "x"}})), "", true},
		{"automation, listed", w.sign(w.good(claims{"idtyp": "app", "client_id": "batch", "authenticator_attestation": nil, "auth_time": nil})), "", true},
		{"wrong kid, right key", w.signWith(jose.SigningKey{Algorithm: jose.RS256, Key: w.key}, "unknown", w.good(nil)), "", true},

		{"automation, not listed", w.sign(w.good(claims{"idtyp": "app", "client_id": "evil", "authenticator_attestation": nil})), "", false},
		{"expired", w.sign(w.good(claims{"exp": w.now.Unix() - 31})), "IDX10223", false},
		{"no expiry", w.sign(w.good(claims{"exp": nil})), "IDX10225", false},
		{"not yet valid", w.sign(w.good(claims{"nbf": w.now.Unix() + 31})), "IDX10222", false},
		{"other audience", w.sign(w.good(claims{"aud": "https://api.test/other"})), "IDX10214", false},
		{"audience with a slash", w.sign(w.good(claims{"aud": audience + "/"})), "IDX10214", false},
		{"no audience", w.sign(w.good(claims{"aud": nil})), "IDX10214", false},
		{"other issuer", w.sign(w.good(claims{"iss": "https://evil.test"})), "IDX10205", false},
		{"issuer with a slash", w.sign(w.good(claims{"iss": w.issuer.URL + "/"})), "IDX10205", false},
		{"signed by a stranger under our kid", w.signWith(jose.SigningKey{Algorithm: jose.RS256, Key: other}, "k1", w.good(nil)), "IDX10511", false},
		{"signed by a stranger", w.signWith(jose.SigningKey{Algorithm: jose.RS256, Key: other}, "k9", w.good(nil)), "IDX10503", false},
		{"alg none", none(w.good(nil)), "IDX10504", false},
		{"HMAC with the public key", w.signWith(jose.SigningKey{Algorithm: jose.HS256, Key: public}, "k1", w.good(nil)), "IDX10634", false},
		{"undocumented algorithm", w.signWith(jose.SigningKey{Algorithm: jose.RS384, Key: w.key}, "k1", w.good(nil)), "IDX10634", false},
		{"altered", good[:len(good)-4] + "AAAA", "IDX10511", false},
		{"not a token", "opaque", "IDX12741", false},
		{"scope missing", w.sign(w.good(claims{"scope": "openid"})), "", false},
		{"scope is a part of a word", w.sign(w.good(claims{"scope": "orders.readonly"})), "", false},
		{"fact missing", w.sign(w.good(claims{"authenticator_attestation": []string{"device_bound"}})), "", false},
		{"fact in another case", w.sign(w.good(claims{"authenticator_attestation": []string{"UV"}})), "", false},
		{"facts joined in one text", w.sign(w.good(claims{"authenticator_attestation": "uv,device_bound"})), "", false},
		{"no facts", w.sign(w.good(claims{"authenticator_attestation": nil})), "", false},
		{"neither person nor workload", w.sign(w.good(claims{"idtyp": nil})), "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := w.call("GET", "/orders/", "Authorization", "Bearer "+tt.token)
			if passed := rec.Code == 200; passed != tt.pass {
				t.Fatalf("got %d %s", rec.Code, rec.Body)
			}
			trace := w.trace(rec)
			if tt.pass {
				return
			}
			if w.seen != nil {
				t.Error("the backend was called")
			}
			message(t, rec)
			last := trace.Steps[len(trace.Steps)-1]
			status := 401
			if strings.HasPrefix(tt.name, "scope") {
				status = 403
			}
			if rec.Code != status || last.Result != "failed" || last.IDX != tt.idx || last.Hint == "" {
				t.Errorf("status %d, trace %+v, want %s", rec.Code, last, tt.idx)
			}
			if challenge := rec.Header().Get("WWW-Authenticate"); !strings.Contains(challenge, `error="`) {
				t.Errorf("challenge %q", challenge)
			}
			if strings.Contains(fmt.Sprint(trace), tt.token) {
				t.Error("the trace holds the token")
			}
		})
	}
}

// trace fetches what the gateway noted.
func (w *world) trace(rec *httptest.ResponseRecorder) trace {
	w.Helper()
	got := w.call("GET", tracePath+rec.Header().Get("Apim-Trace-Id"))
	var tr trace
	if err := json.Unmarshal(got.Body.Bytes(), &tr); err != nil {
		w.Fatalf("trace: %d %s", got.Code, got.Body)
	}
	return tr
}

func TestTokenSources(t *testing.T) {
	w := newWorld(t)
	good := w.sign(w.good(nil))
	for _, tt := range []struct {
		name, header string
		status       int
	}{
		{"bearer", "Bearer " + good, 200}, {"lower-case scheme", "bearer " + good, 200},
		{"no header", "", 401}, {"bare token", good, 401}, {"other scheme", "Basic " + good, 401}, {"scheme alone", "Bearer ", 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := w.call("GET", "/orders/", "Authorization", tt.header)
			if rec.Code != tt.status {
				t.Errorf("got %d %s", rec.Code, rec.Body)
			}
			if rec.Code == 401 && tt.name != "scheme alone" {
				if m := message(t, rec); m != "JWT not present." {
					t.Errorf("message %q", m)
				}
				if challenge := rec.Header().Get("WWW-Authenticate"); strings.Contains(challenge, "error=") {
					t.Errorf("a request without a token is told %q (RFC 6750 section 3.1)", challenge)
				}
			}
		})
	}
}

func TestOperationAsksForMore(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name      string
		changes   claims
		status    int
		challenge string
	}{
		{"everything", nil, 200, ""},
		{"not attested", claims{"authenticator_attestation": []string{"uv", "device_bound"}}, 401, `insufficient_user_authentication`},
		{"signed in too long ago", claims{"auth_time": w.now.Unix() - 301}, 401, `max_age="300"`},
		{"no auth_time", claims{"auth_time": nil}, 401, `max_age="300"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := w.call("POST", "/orders/7/refund", "Authorization", "Bearer "+w.sign(w.good(tt.changes)))
			if rec.Code != tt.status || !strings.Contains(rec.Header().Get("WWW-Authenticate"), tt.challenge) {
				t.Errorf("got %d %q %s", rec.Code, rec.Header().Get("WWW-Authenticate"), rec.Body)
			}
		})
	}
}

func TestIdentityHeadersCannotBeSent(t *testing.T) {
	w := newWorld(t)
	rec := w.call("GET", "/orders/", "Authorization", "Bearer "+w.sign(w.good(claims{"acr": nil})), "X-Touchstone-Subject", "root", "x-touchstone-acr", "phrh", "Ocp-Apim-Subscription-Key", "k")
	if rec.Code != 200 {
		t.Fatal(rec.Code, rec.Body)
	}
	if got := w.seen.Values("X-Touchstone-Subject"); len(got) != 1 || got[0] != "ada" {
		t.Errorf("subject %q", got)
	}
	if got := w.seen.Get("X-Touchstone-Acr"); got != "" {
		t.Errorf("acr %q", got)
	}
	if w.seen.Get("Ocp-Apim-Subscription-Key") != "" {
		t.Error("the subscription key reaches the backend")
	}
}

func TestPathsThatCanBeReadInTwoWaysMatchNothing(t *testing.T) {
	w := newWorld(t)
	bearer := "Bearer " + w.sign(w.good(nil))
	for _, tt := range []struct {
		target string
		status int
	}{
		{"/orders/7", 200}, {"/orders", 200}, {"/orders/", 200},
		{"/orders/7/refund", 404}, {"/ordersx", 404}, {"/other", 404}, {"/orders/7/8", 404},
		{"/orders/..%2fadmin", 404}, {"/orders/%2e%2e/admin", 404}, {"/orders//7", 404}, {"/orders/7%2frefund", 404}, {"/orders/7;x", 404}, {"/orders/%2e", 404},
	} {
		if rec := w.call("GET", tt.target, "Authorization", bearer); rec.Code != tt.status {
			t.Errorf("%s = %d, want %d", tt.target, rec.Code, tt.status)
		}
	}
}

func TestCORS(t *testing.T) {
	w := newWorld(t)
	rec := w.call("OPTIONS", "/orders/", "Origin", "https://portal.test", "Access-Control-Request-Method", "GET")
	if rec.Code != 200 || rec.Header().Get("Access-Control-Allow-Origin") != "https://portal.test" || rec.Header().Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight %d %v", rec.Code, rec.Header())
	}
	rec = w.call("OPTIONS", "/orders/", "Origin", "https://evil.test", "Access-Control-Request-Method", "GET")
	if rec.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Error("a stranger's origin is allowed")
	}
	rec = w.call("GET", "/orders/", "Origin", "https://portal.test")
	if rec.Code != 401 || rec.Header().Get("Access-Control-Allow-Origin") == "" {
		t.Errorf("a refusal cannot be read by its own client: %v", rec.Header())
	}
}

func TestMetadataIsCachedAsAPIManagementDoes(t *testing.T) {
	w := newWorld(t)
	call := func() int { return w.call("GET", "/orders/", "Authorization", "Bearer "+w.sign(w.good(nil))).Code }
	fetches := func(want int32) {
		t.Helper()
		if got := w.fetches.Load(); got != want {
			t.Errorf("%d fetches, want %d", got, want)
		}
	}
	for range 5 {
		call()
	}
	fetches(1)
	w.newKey("k2") // a new key that the gateway has not seen
	w.now = w.now.Add(4 * time.Minute)
	if call() != 401 {
		t.Error("an unknown key is accepted")
	}
	fetches(1)
	w.now = w.now.Add(time.Minute)
	if call() != 200 {
		t.Error("an unknown key is not fetched after five minutes")
	}
	fetches(2)
	w.now = w.now.Add(59 * time.Minute)
	call()
	fetches(2)
	w.now = w.now.Add(time.Minute)
	call()
	fetches(3)
	w.issuer.Close()
	w.now = w.now.Add(2 * time.Hour)
	if call() != 200 {
		t.Error("the last good key set is forgotten when the issuer is away")
	}
}

func TestLoadRefusesWhatItDoesNotImplement(t *testing.T) {
	jwt := `<validate-jwt header-name="Authorization"><openid-config url="https://x/.well-known/openid-configuration"/><audiences><audience>a</audience></audiences>%s</validate-jwt>`
	for _, tt := range []struct{ name, inbound, want string }{
		{"unknown policy", `<quota calls="1"/>`, "<quota>: is not implemented"},
		{"wrong order", strings.Replace(fmt.Sprintf(jwt, `<issuers><issuer>i</issuer></issuers>`), "<audiences>", "<required-claims/><audiences>", 1), "must stand before"},
		{"no audiences", `<validate-jwt header-name="Authorization"><openid-config url="u"/></validate-jwt>`, "has no audiences"},
		{"unknown attribute", `<set-header name="X" exists-action="delete" x="y"/>`, "attribute x is not implemented"},
		{"unknown expression", `<set-header name="X"><value>@(new HttpClient())</value></set-header>`, "is not implemented by this gateway"},
		{"statement block", `<set-variable name="x" value="@{ return 1; }"/>`, "statement blocks"},
		{"hop-by-hop header", `<set-header name="Connection"><value>x</value></set-header>`, "cannot be changed"},
		{"base twice", `<base/><base/>`, "stands twice"},
		{"unsigned tokens", strings.Replace(fmt.Sprintf(jwt, ""), `header-name=`, `require-signed-tokens="false" header-name=`, 1), "other than true"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "p.xml")
			if err := os.WriteFile(path, []byte("<policies>\n<inbound>"+tt.inbound+"</inbound></policies>"), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := New(Config{APIs: []API{{Name: "a", Path: "/a", Backend: "http://127.0.0.1:1", Policy: path}}}, Options{Log: zerolog.Nop()})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "p.xml:2") {
				t.Errorf("got %v, want %q with its line", err, tt.want)
			}
		})
	}
}
