package gateway

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/touchstone-id/touchstone/pkg/apim"
)

// template starts a gateway that runs a shipped template.
func template(t *testing.T, name string) *world {
	t.Helper()
	w := emptyWorld(t)
	folder := filepath.Join("..", "apim", "templates", name)
	policy := func(file string) string {
		if path := filepath.Join(folder, file); exists(path) {
			return path
		}
		return ""
	}
	w.start(Config{Trace: true, NamedValues: map[string]string{apim.IssuerValue: w.issuer.URL, apim.AudienceValue + "orders": audience}, GlobalPolicy: policy("global.policy.xml"),
		APIs: []API{{Name: "orders", Path: "/orders", Backend: w.backend.URL, Policy: policy("orders.policy.xml"), Operations: []Operation{
			{Name: "list", Method: "GET", URLTemplate: "/", Policy: policy("orders.list.policy.xml")},
			{Name: "refund", Method: "POST", URLTemplate: "/{id}/refund", Policy: policy("orders.refund.policy.xml")}}}}})
	return w
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestTemplatesEnforceWhatTheySay(t *testing.T) {
	synced := claims{"authenticator_attestation": []string{"uv"}, "acr": "phr"}
	app := claims{"idtyp": "app", "client_id": "night-batch", "authenticator_attestation": nil, "authenticator_id": nil, "auth_time": nil, "acr": nil}
	with := func(more ...claims) claims {
		all := claims{}
		for _, m := range more {
			for k, v := range m {
				all[k] = v
			}
		}
		return all
	}
	body := sha256.Sum256([]byte("sent"))
	approved := claims{"approved_method": "POST", "approved_path": "/orders/7/refund", "approved_body_sha256": base64.RawURLEncoding.EncodeToString(body[:])}
	for _, tt := range []struct {
		template, name string
		refund         bool
		changes        claims
		status         int
		challenge      string
	}{
		{"signed-in", "any passkey", false, claims{"authenticator_attestation": []string{}}, 200, ""},
		{"signed-in", "a workload", false, app, 401, `error="invalid_token"`},
		{"signed-in", "another audience", false, claims{"aud": "https://api.test/other"}, 401, `error="invalid_token"`},
		{"phishing-resistant", "synced", false, synced, 200, ""},
		{"phishing-resistant", "not verified", false, claims{"authenticator_attestation": []string{"device_bound"}}, 401, `acr_values="phr"`},
		{"hardware-key", "all facts", false, nil, 200, ""},
		{"hardware-key", "synced", false, synced, 401, `acr_values="phrh"`},
		{"listed-models", "the level", false, claims{"acr": "company-key"}, 200, ""},
		{"listed-models", "the facts of another model", false, nil, 401, `acr_values="company-key"`},
		{"scopes-and-roles", "reading", false, claims{"scope": "orders.read"}, 200, ""},
		{"scopes-and-roles", "a part of the scope's name", false, claims{"scope": "orders.readonly"}, 403, `scope="orders.read"`},
		{"scopes-and-roles", "changing", true, claims{"roles": []string{"clerk", "x"}}, 200, ""},
		{"scopes-and-roles", "changing without the role", true, claims{"roles": []string{"clerks"}}, 403, `insufficient_scope`},
		{"scopes-and-roles", "changing without the scope", true, claims{"roles": []string{"clerk"}, "scope": "orders.read"}, 403, `scope="orders.write"`},
		{"recent-sign-in", "recent", true, nil, 200, ""},
		{"recent-sign-in", "old", true, claims{"auth_time": 1_800_000_000 - 301}, 401, `max_age="300"`},
		{"recent-sign-in", "in the future", true, claims{"auth_time": 1_800_000_000 + 31}, 401, `max_age="300"`},
		{"recent-sign-in", "missing", true, claims{"auth_time": nil}, 401, `max_age="300"`},
		{"recent-sign-in", "old, elsewhere", false, claims{"auth_time": 1}, 200, ""},
		{"automation", "listed", false, app, 200, ""},
		{"automation", "listed, without the scope", false, with(app, claims{"scope": "x"}), 403, `insufficient_scope`},
		{"automation", "another", false, with(app, claims{"client_id": "evil"}), 401, `insufficient_user_authentication`},
		{"automation", "a person who claims to be it", false, claims{"client_id": "night-batch", "authenticator_attestation": nil}, 401, `insufficient_user_authentication`},
		{"developer-portal", "a person", false, nil, 200, ""},
		{"administrative", "an administrator", false, claims{"roles": []string{"admin"}}, 200, ""},
		{"administrative", "with a synced passkey", false, with(synced, claims{"roles": []string{"admin"}}), 401, `acr_values="phrh"`},
		{"administrative", "without the role", false, nil, 403, `insufficient_scope`},
		{"administrative", "some time ago", false, claims{"roles": []string{"admin"}, "auth_time": 1_800_000_000 - 901}, 401, `max_age="900"`},
		{"certificate-bound", "over plain http", false, claims{"cnf": map[string]string{"x5t#S256": "x"}}, 401, `error="invalid_token"`},
		{"certificate-bound", "not bound", false, nil, 401, `error="invalid_token"`},
		{"single-use", "without jti", false, nil, 401, `error="invalid_token"`},
		{"approval", "exactly this", true, approved, 200, ""},
		{"approval", "nothing", true, nil, 403, `insufficient_scope`},
		{"approval", "another path", true, with(approved, claims{"approved_path": "/orders/8/refund"}), 403, `insufficient_scope`},
		{"approval", "another method", true, with(approved, claims{"approved_method": "PUT"}), 403, `insufficient_scope`},
		{"approval", "another body", true, with(approved, claims{"approved_body_sha256": "x"}), 403, `insufficient_scope`},
		{"approval", "any body", true, with(approved, claims{"approved_body_sha256": nil}), 403, `insufficient_scope`},
		{"approval", "elsewhere", false, nil, 200, ""},
	} {
		t.Run(tt.template+", "+tt.name, func(t *testing.T) {
			w := template(t, tt.template)
			method, target := "GET", "/orders"
			if tt.refund {
				method, target = "POST", "/orders/7/refund"
			}
			rec := w.send(method, target, "sent", bearer(w.sign(w.good(tt.changes)))...)
			if rec.Code != tt.status || (w.seen != nil) != (tt.status == 200) {
				t.Fatalf("got %d %s, want %d; trace %+v", rec.Code, rec.Body, tt.status, w.trace(rec).failed())
			}
			if tt.status == 200 {
				if w.body != "sent" || w.seen.Header.Get("Authorization") != "" || w.seen.Header.Get("X-Touchstone-Subject") == "" {
					t.Errorf("the backend got %q, %v", w.body, w.seen.Header)
				}
				return
			}
			challenge := rec.Header().Get("WWW-Authenticate")
			if !strings.Contains(challenge, tt.challenge) || !strings.Contains(challenge, `resource_metadata="`+w.issuer.URL+`/.well-known/oauth-protected-resource/orders"`) {
				t.Errorf("challenge %q, want %s", challenge, tt.challenge)
			}
			message(t, rec)
		})
	}
}

func TestTokensBoundToACertificate(t *testing.T) {
	own, other := certificate(t, nil, curveKey(t), func(*x509.Certificate) {}), certificate(t, nil, curveKey(t), func(*x509.Certificate) {})
	sum := sha256.Sum256(own.Raw)
	bound := claims{"cnf": map[string]string{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}}
	for _, tt := range []struct {
		name    string
		client  *issued
		changes claims
		status  int
	}{
		{"its own certificate", own, bound, 200}, {"a thief's certificate", other, bound, 401}, {"no certificate", nil, bound, 401}, {"a token that is not bound", own, nil, 401},
		{"bound in another way", own, claims{"cnf": map[string]string{"jkt": "x"}}, 401}, {"cnf is a text", own, claims{"cnf": "x"}, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := template(t, "certificate-bound")
			r := httptest.NewRequest("GET", "/orders", nil)
			r.Header.Set("Authorization", "Bearer "+w.sign(w.good(tt.changes)))
			r.TLS = &tls.ConnectionState{}
			if tt.client != nil {
				r.TLS.PeerCertificates = []*x509.Certificate{tt.client.Certificate}
			}
			rec := httptest.NewRecorder()
			w.gateway.ServeHTTP(rec, r)
			if rec.Code != tt.status {
				t.Errorf("got %d %s", rec.Code, rec.Body)
			}
		})
	}
}

func TestSingleUse(t *testing.T) {
	w := template(t, "single-use")
	token := w.sign(w.good(claims{"jti": "j1"}))
	if rec := w.call("GET", "/orders", bearer(token)...); rec.Code != 200 {
		t.Fatal(rec.Code, rec.Body)
	}
	w.wait(time.Minute)
	if rec := w.call("GET", "/orders", bearer(token)...); rec.Code != 401 || !strings.Contains(rec.Header().Get("WWW-Authenticate"), "was used before") {
		t.Errorf("a second use got %d", rec.Code)
	}
	if rec := w.call("GET", "/orders", bearer(w.sign(w.good(claims{"jti": "j2"})))...); rec.Code != 200 {
		t.Errorf("another token got %d", rec.Code)
	}
	w.wait(5 * time.Minute) // the token has expired before the cache forgets it
	if rec := w.call("GET", "/orders", bearer(token)...); rec.Code != 401 {
		t.Errorf("a late use got %d", rec.Code)
	}
}

func TestRatePerDeviceRacedBy50(t *testing.T) {
	w := template(t, "rate-per-device")
	call := func(token string) int {
		r := httptest.NewRequest("GET", "/orders", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		rec := httptest.NewRecorder()
		w.gateway.ServeHTTP(rec, r)
		return rec.Code
	}
	w.backend.Config.Handler = nil
	var passed atomic.Int32
	var wg sync.WaitGroup
	one, again := w.sign(w.good(nil)), w.sign(w.good(claims{"sid": "another session, the same passkey"}))
	for i := range 50 {
		wg.Go(func() {
			for range 3 {
				token := one
				if i%2 == 0 {
					token = again
				}
				switch call(token) {
				case 429:
				default:
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := passed.Load(); n != 100 {
		t.Errorf("%d calls of one device passed a limit of 100", n)
	}
	if code := call(w.sign(w.good(claims{"authenticator_id": "dev2"}))); code == 429 {
		t.Error("another device is held back")
	}
}
