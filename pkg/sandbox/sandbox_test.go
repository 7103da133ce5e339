package sandbox_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/gateway"
	"github.com/touchstone-id/touchstone/pkg/sandbox"
	"github.com/touchstone-id/touchstone/pkg/secret"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

const declared = `
levels:
  - {name: company-key, facts: [uv, attested, metadata_current], models: {allow: [{vendor: Acme}]}}
apis:
  - name: orders
    title: Orders
    audience: https://api.test/orders
    path: /orders
    scopes: [{name: orders.read, title: See}, {name: orders.write, title: Change}]
    require: {level: phr, scopes: [orders.read]}
    operations:
      - {name: list, title: List, method: GET, url: /}
      - {name: refund, title: Refund, method: POST, url: "/{id}/refund", require: {level: phrh, scopes: [orders.write], roles: [clerk], max_age: 5m}}
      - {name: models, title: Models, method: GET, url: /models, require: {level: company-key}}
      - {name: approved, title: Approved, method: POST, url: "/{id}/approved", require: {approval: true}}
      - {name: limited, title: Limited, method: GET, url: "/limited/{page}", require: {rate_limit: {calls: 2, period: 60s}}}
`

// world is a provider that nobody reaches, a sandbox, a gateway and an API.
type world struct {
	*testing.T
	bench, gateway *httptest.Server
	sandbox        *sandbox.Sandbox
	calls          atomic.Int32
	logs           strings.Builder
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t}
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { w.calls.Add(1) }))
	t.Cleanup(api.Close)
	var handler http.Handler
	w.bench = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	t.Cleanup(w.bench.Close)
	parsed, err := trust.Parse("trust.yaml", []byte(declared))
	if err != nil {
		t.Fatal(err)
	}
	dir, config := t.TempDir(), gateway.Config{}
	for prefix, issuer := range map[string]string{"": w.bench.URL + "/provider", sandbox.PathPrefix: w.bench.URL + "/sandbox"} {
		served := gateway.API{Name: "orders" + strings.Trim(prefix, "/"), Path: prefix + "/orders", Backend: api.URL}
		files := map[string]string{}
		for _, f := range apim.Render(parsed, apim.Target{Issuer: issuer}) {
			files[f.Operation] = filepath.Join(dir, served.Name+f.Name)
			if err := os.WriteFile(files[f.Operation], f.Body, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		served.Policy = files[""]
		for _, o := range parsed.APIs[0].Operations {
			served.Operations = append(served.Operations, gateway.Operation{Name: o.Name, Method: o.Method, URLTemplate: o.URLTemplate, Policy: files[o.Name]})
		}
		config.APIs = append(config.APIs, served)
	}
	g, err := gateway.New(config, gateway.Options{Log: zerolog.New(&w.logs)})
	if err != nil {
		t.Fatal(err)
	}
	w.gateway = httptest.NewServer(g)
	t.Cleanup(w.gateway.Close)
	w.sandbox, err = sandbox.New(sandbox.Options{Issuer: w.bench.URL + "/sandbox", Gateway: w.gateway.URL, Policies: g, Trust: parsed})
	if err != nil {
		t.Fatal(err)
	}
	handler = w.sandbox.Handler("/sandbox")
	return w
}

func (w *world) make(operation string, flaws ...string) sandbox.Token {
	w.Helper()
	made, err := w.sandbox.Make("orders", operation, flaws)
	if err != nil {
		w.Fatal(err)
	}
	return made
}

// curl makes the call that a developer copies.
func (w *world) curl(method, url, token string) (int, string) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, url, nil)
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode, answer.Header.Get("WWW-Authenticate")
}

// judged is the bench's word on one operation.
func (w *world) judged(operation string, token secret.Value) sandbox.Judgement {
	w.Helper()
	all, err := w.sandbox.Judge(w.Context(), token)
	if err != nil {
		w.Fatal(err)
	}
	return all[slices.IndexFunc(all, func(j sandbox.Judgement) bool { return j.Operation == operation })]
}

func failed(j sandbox.Judgement) gateway.Step {
	for _, s := range j.Steps {
		if s.Result == "failed" {
			return s
		}
	}
	return gateway.Step{}
}

func TestSoundTokensPassEveryOperation(t *testing.T) {
	w := newWorld(t)
	for _, operation := range []string{"list", "refund", "models", "approved", "limited"} {
		made := w.make(operation)
		for range 5 { // the rate limit of two does not count explanations
			if j := w.judged(operation, made.Value); !j.Passed {
				t.Errorf("%s is judged %d: %+v", operation, j.Status, failed(j))
			}
		}
		if w.calls.Load() != 0 {
			t.Fatal("an explanation called the API")
		}
		if status, challenge := w.curl(made.Method, made.URL, made.Value.Reveal()); status != 200 || w.calls.Swap(0) != 1 {
			t.Errorf("%s answers %d %s", operation, status, challenge)
		}
		if strings.Contains(w.logs.String(), made.Value.Reveal()) {
			t.Error("the token was logged")
		}
	}
}

func TestEachFlawIsRefusedForItself(t *testing.T) {
	w := newWorld(t)
	cases := []struct {
		name   string
		status int
		// What the failed step says.
		trace, found, wanted, hint string
	}{
		{"unattested", 401, "", "device_bound, uv", "attested", "Missing in authenticator_attestation: attested, hardware, metadata_current"},
		{"synced", 401, "", "uv", "device_bound", "Missing in authenticator_attestation: attested, device_bound"},
		{"unverified", 401, "", "attested", "uv", "Missing in authenticator_attestation: uv."},
		{"revoked", 401, "", "attested", "metadata_current", "Missing in authenticator_attestation: metadata_current."},
		{"old", 401, "", "", "", ""},
		{"scopeless", 403, "", "openid", "orders.read", "Ask for the scope"},
		{"roleless", 403, "", "no claim roles", "clerk", ""},
		{"expired", 401, "IDX10223", "exp ", "not before ", "Refresh the token"},
		{"early", 401, "IDX10222", "nbf ", "not after ", "clocks"},
		{"audience", 401, "IDX10214", "sandbox-client", "https://api.test/orders", "resource"},
		{"issuer", 401, "IDX10205", "/sandbox/", "/sandbox", "trailing slash only"},
		{"id-token", 401, "IDX10214", "sandbox-client", "https://api.test/orders", "ID token"},
		{"forged", 401, "IDX10511", "kid sandbox", "signature", "altered"},
		{"unknown-key", 401, "IDX10503", "kid not-published", "kid sandbox", "fetched again at"},
		{"unsigned", 401, "IDX10504", "no signature", "a signature", "not accepted"},
	}
	var names []string
	for _, f := range sandbox.Flaws() {
		names = append(names, f.Name)
	}
	var tried []string
	for _, tt := range cases {
		tried = append(tried, tt.name)
		t.Run(tt.name, func(t *testing.T) {
			made := w.make("refund", tt.name)
			j := w.judged("refund", made.Value)
			step := failed(j)
			if j.Passed || j.Status != tt.status || !strings.Contains(step.Trace, tt.trace) || !strings.Contains(step.Found, tt.found) || !strings.Contains(step.Wanted, tt.wanted) || !strings.Contains(step.Hint, tt.hint) {
				t.Errorf("judged %d: %+v", j.Status, step)
			}
			status, challenge := w.curl(made.Method, made.URL, made.Value.Reveal())
			if status != tt.status || challenge != j.Challenge || w.calls.Load() != 0 {
				t.Errorf("the call answers %d %s, the bench said %d %s", status, challenge, j.Status, j.Challenge)
			}
		})
	}
	if d := cmp.Diff(names, tried); d != "" {
		t.Errorf("flaws tried (-there +tried):\n%s", d)
	}
}

// TestNoRealAPIBelievesTheSandbox plays who takes a sound token of the bench to
// the APIs that believe the provider.
func TestNoRealAPIBelievesTheSandbox(t *testing.T) {
	w := newWorld(t)
	for _, flaws := range [][]string{nil, {"issuer"}, {"forged"}, {"unsigned"}} {
		made := w.make("list", flaws...)
		if status, _ := w.curl("GET", w.gateway.URL+"/orders/", made.Value.Reveal()); status != 401 || w.calls.Load() != 0 {
			t.Errorf("with %v the real API answers %d", flaws, status)
		}
	}
	foreign := "eyJhbGciOiJFUzI1NiIsImtpZCI6InNhbmRib3gifQ.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUifQ.AA"
	if j := w.judged("list", secret.Of(foreign)); j.Passed || strings.Contains(j.URL, sandbox.PathPrefix) {
		t.Errorf("a token of another issuer is judged by %s", j.URL)
	}
}

func TestHandler(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name, path, kind, body string
		status                 int
		answer                 string
	}{
		{"a token", "/token", "application/json", `{"api":"orders","operation":"list","flaws":["expired"]}`, 200, `"method":"GET"`},
		{"an unknown flaw", "/token", "application/json", `{"api":"orders","operation":"list","flaws":["x"]}`, 400, `there is no flaw \"x\"`},
		{"an unknown operation", "/token", "application/json", `{"api":"orders","operation":"drop"}`, 400, "there is no operation"},
		{"a form of another site", "/token", "text/plain", `{"api":"orders","operation":"list"}`, 400, "not JSON"},
		{"a text that is no token", "/explain", "application/json", `{"token":"not a token"}`, 200, "JWT is not well formed"},
		{"nothing", "/explain", "application/json", `{}`, 400, "no token"},
		{"a flood", "/explain", "application/json", `{"token":"` + strings.Repeat("a", 300<<10) + `"}`, 400, "cannot be read"},
		{"half a request", "/explain", "application/json", `{"token":`, 400, "cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer, err := http.Post(w.bench.URL+"/sandbox"+tt.path, tt.kind, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != tt.status || !strings.Contains(string(body), tt.answer) || !json.Valid(body) {
				t.Errorf("%d %s, %v", answer.StatusCode, body, err)
			}
		})
	}
}
