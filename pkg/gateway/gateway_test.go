package gateway

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestIdentityHeadersCannotBeSent(t *testing.T) {
	w := newWorld(t)
	rec := w.call("GET", "/orders/", "Authorization", "Bearer "+w.sign(w.good(claims{"acr": nil})), "X-Touchstone-Subject", "root", "x-touchstone-acr", "phrh", "Ocp-Apim-Subscription-Key", "k")
	if rec.Code != 200 {
		t.Fatal(rec.Code, rec.Body)
	}
	if got := w.seen.Header.Values("X-Touchstone-Subject"); len(got) != 1 || got[0] != "ada" {
		t.Errorf("subject %q", got)
	}
	if got := w.seen.Header.Get("X-Touchstone-Acr"); got != "" {
		t.Errorf("acr %q", got)
	}
	if w.seen.Header.Get("Ocp-Apim-Subscription-Key") != "" {
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
	w.rotate("k2") // a new key that the gateway has not seen
	w.wait(4 * time.Minute)
	rec := w.call("GET", "/orders/", "Authorization", "Bearer "+w.sign(w.good(nil)))
	if no := w.trace(rec).failed(); rec.Code != 401 || !strings.Contains(no.Hint, "are from 08:00:00 UTC and are fetched again at 09:00:00") {
		t.Errorf("an unknown key: %d, %q", rec.Code, no.Hint)
	}
	fetches(1)
	w.wait(time.Minute)
	if call() != 200 {
		t.Error("an unknown key is not fetched after five minutes")
	}
	fetches(2)
	w.wait(59 * time.Minute)
	call()
	fetches(2)
	w.wait(time.Minute)
	call()
	fetches(3)
	w.issuer.Close()
	w.wait(2 * time.Hour)
	if call() != 200 {
		t.Error("the last good key set is forgotten when the issuer is away")
	}
}

func TestLoadRefusesWhatItDoesNotImplement(t *testing.T) {
	jwt := `<validate-jwt header-name="Authorization" clock-skew="30"><openid-config url="https://x/.well-known/openid-configuration"/><audiences><audience>a</audience></audiences>%s</validate-jwt>`
	for _, tt := range []struct{ name, inbound, want string }{
		{"policy that is not implemented", `<quota calls="1"/>`, "<quota>: is not implemented"},
		{"policy that does not exist", `<allow-all/>`, "there is no policy <allow-all>"},
		{"wrong order", strings.Replace(fmt.Sprintf(jwt, `<issuers><issuer>i</issuer></issuers>`), "<audiences>", "<required-claims/><audiences>", 1), "must stand before"},
		{"no audiences", `<validate-jwt header-name="Authorization"><openid-config url="https://u"/></validate-jwt>`, "has no audiences"},
		{"unknown attribute", `<set-header name="X" exists-action="delete" x="y"/>`, "has no attribute x"},
		{"unknown expression", `<set-header name="X"><value>@(new HttpClient())</value></set-header>`, "HttpClient is not available"},
		{"hop-by-hop header", `<set-header name="Connection"><value>x</value></set-header>`, "cannot be changed"},
		{"base twice", `<base/><base/>`, "stands twice"},
		{"section", `<forward-request/>`, "not allowed in <inbound>"},
		{"any origin with credentials", `<cors allow-credentials="true"><allowed-origins><origin>*</origin></allowed-origins></cors>`, "every page act"},
		{"fragment that is not there", `<include-fragment fragment-id="f"/>`, "no fragment"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "p.xml")
			if err := os.WriteFile(path, []byte("<policies>\n<inbound>"+tt.inbound+"</inbound></policies>"), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := New(Config{APIs: []API{{Name: "a", Path: "/a", Backend: "http://127.0.0.1:1", Policy: path, Operations: []Operation{{Name: "o", Method: "GET", URLTemplate: "/"}}}}}, Options{Log: zerolog.Nop()})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "p.xml:2") {
				t.Errorf("got %v, want %q with its line", err, tt.want)
			}
		})
	}
}

// TestFiftyRequestsShareAProof reads every claim of one token in fifty requests at
// once; one request that changed its copy would show in another's.
func TestFiftyRequestsShareAProof(t *testing.T) {
	w := with(t, `<inbound>`+strings.TrimSuffix(strings.TrimPrefix(validate(` header-name="Authorization" output-token-variable-name="jwt"`, discovery), "<inbound>"), "</inbound>")+`
<return-response><set-body>@(string.Join(" ", ((Jwt)context.Variables["jwt"]).Claims.OrderBy(c => c.Key).Select(c => c.Key + "=" + c.Value[0])))</set-body></return-response></inbound>`)
	token := w.sign(w.good(nil))
	want := w.call("GET", "/a/1", bearer(token)...)
	if want.Code != 200 || !strings.Contains(want.Body.String(), "sub=") {
		t.Fatal(want.Code, want.Body)
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			r, got := httptest.NewRequest("GET", "/a/1", nil), httptest.NewRecorder()
			r.Header.Set("Authorization", "Bearer "+token)
			if w.gateway.ServeHTTP(got, r); got.Body.String() != want.Body.String() {
				t.Errorf("got %d %s", got.Code, got.Body)
			}
		})
	}
	all.Wait()
}

func TestAProofEndsWithTheKeyThatGaveIt(t *testing.T) {
	w := with(t, validate("", discovery))
	token := w.sign(w.good(claims{"exp": w.now().Add(24 * time.Hour).Unix()}))
	call := func() int { return w.call("GET", "/a/1", bearer(token)...).Code }
	for range 2 {
		if call() != 200 {
			t.Fatal("a good token is refused")
		}
	}
	if rec := w.call("GET", "/a/1", bearer(flip(token))...); rec.Code != 401 {
		t.Error("another signature passes for one that was verified")
	}
	w.rotate("k2")
	w.wait(59 * time.Minute)
	if call() != 200 {
		t.Error("the cached keys do not serve for an hour")
	}
	w.wait(time.Minute)
	if call() != 401 {
		t.Error("a token of a withdrawn key still passes")
	}
}

func TestTheDocumentedFileLoads(t *testing.T) {
	text, err := os.ReadFile("../../docs/gateway.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(path, []byte(block), 0o644); err != nil || !found {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.check(); err != nil {
		t.Error(err)
	}
	if c.Certificates["partner"] != filepath.Join(filepath.Dir(path), "tls/partner.pem") || len(c.Subscriptions) != 2 || c.Clock.At.IsZero() || !c.TLS.RequestClientCertificate {
		t.Errorf("%+v", c)
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	api := `apis: [{name: a, path: /a, backend: "http://b.test", policy: p.xml, operations: [{name: o, method: GET, url_template: /}]}]` + "\n"
	for _, tt := range []struct{ name, text, want string }{
		{"unknown key", api + "nope: 1\n", "nope"},
		{"no policy", strings.Replace(api, "policy: p.xml, ", "", 1), "open to everybody"},
		{"no operations", strings.Replace(api, "operations: [{name: o, method: GET, url_template: /}]", "operations: []", 1), "no operations"},
		{"backend with credentials", strings.Replace(api, "http://b", "http://u:p@b", 1), "not an http or https URL"},
		{"traces for everybody", api + "trace: true\nlisten: 0.0.0.0:80\n", "can be reached by others"},
		{"subscription without key", api + "subscriptions: [{name: s, keys: []}]\n", "has no key"},
		{"subscription of no product", api + "subscriptions: [{name: s, keys: [k], product: p}]\n", "that there is"},
		{"product of no API", api + "products: [{name: p, apis: [b]}]\n", `no API "b"`},
		{"nobody can come in", strings.Replace(api, "path: /a", "path: /a, subscription_required: true", 1), "lets nobody in"},
		{"key without certificate", api + "tls: {key: k}\n", "belong together"},
		{"two clocks", api + "clock: {at: 2027-01-15T08:00:00Z, offset: 1s}\n", "exclude each other"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "gateway.yaml")
			if err := os.WriteFile(path, []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			c, err := Load(path)
			if err == nil {
				err = c.check()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
