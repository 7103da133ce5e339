package provider_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/touchstone-id/touchstone/pkg/grant"
)

// recorded sends a request past the network and returns the answer. What the
// provider logs as a fault fails the test.
func (w *world) recorded(t *testing.T, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	w.provider.ServeHTTP(rec, r)
	w.mu.Lock()
	defer w.mu.Unlock()
	if rec.Code >= 500 || w.fault != "" {
		t.Errorf("%s %s: status %d: %s", r.Method, r.URL, rec.Code, w.fault)
		w.fault = ""
	}
	return rec
}

// FuzzAuthorize holds that whatever is asked is answered without a fault, and
// that browsers are sent to pages of ours or to addresses that the one client
// named has registered.
func FuzzAuthorize(f *testing.F) {
	w := newWorld(f)
	for _, v := range []url.Values{params(), identity("client_id", "native", "redirect_uri", "http://127.0.0.1:9/cb", "scope", "openid"), params("prompt", "none", "max_age", "0"),
		params("claims", `{"id_token":{"acr":{"values":["phrh"],"essential":true},"sub":{"value":"x"}}}`), params("response_mode", "form_post", "id_token_hint", "x.y.z"), params("redirect_uri", "https://rp.test/cb@evil.test")} {
		f.Add(v.Encode(), false)
		f.Add(v.Encode(), true)
	}
	f.Fuzz(func(t *testing.T, query string, post bool) {
		r := httptest.NewRequest(http.MethodGet, "/authorize", nil)
		r.URL.RawQuery = query
		if post {
			r = httptest.NewRequest(http.MethodPost, "/authorize", strings.NewReader(query))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		to := w.recorded(t, r).Header().Get("Location")
		if to == "" || strings.HasPrefix(to, "/signin?request=") || strings.HasPrefix(to, "/authorize?") {
			return
		}
		asked, _ := url.ParseQuery(query)
		client, known := w.clients.Get(grant.ClientID(asked.Get("client_id")))
		uri := asked.Get("redirect_uri")
		if !known || len(asked["client_id"]) != 1 || len(asked["redirect_uri"]) != 1 || !client.RedirectURIRegistered(uri) || !strings.HasPrefix(to, uri) {
			t.Errorf("redirected to %q by %q", to, query)
		}
	})
}

// FuzzToken holds that no form makes a fault, that nothing is stored by caches,
// and that only an automation token of a client with its secret can come of it.
func FuzzToken(f *testing.F) {
	w := newWorld(f)
	for _, v := range []url.Values{w.exchange("x"), w.refresh("x"), w.exchange("x", "resource", orders), {"grant_type": {"client_credentials"}, "client_id": {"robot"}, "client_secret": {w.secrets["robot"]}, "scope": {"orders.read"}},
		{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {"tv"}, "device_code": {"x"}},
		{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "client_id": {"orders-api"}, "client_secret": {w.secrets["orders-api"]}, "subject_token": {"a.b.c"}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}, "resource": {ledger}}} {
		for _, path := range []string{"/token", "/revoke", "/introspect", "/device_authorization"} {
			f.Add(path, v.Encode(), "")
			f.Add(path, v.Encode(), "Basic cm9ib3Q6eA==")
		}
	}
	f.Fuzz(func(t *testing.T, path, form, authorization string) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " ?#%") {
			path = "/token"
		}
		r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(form))
		r.URL.Path = path
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		rec := w.recorded(t, r)
		if rec.Code == http.StatusOK && strings.Contains(rec.Body.String(), "access_token") && !strings.Contains(form, w.secrets["robot"]) && !strings.Contains(form, w.secrets["robot2"]) {
			t.Errorf("%s %q gave %s", path, form, rec.Body)
		}
		if path == "/token" && rec.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%q may be stored: %v", form, rec.Header())
		}
	})
}

// FuzzAssertion holds that no assertion but an honest one authenticates a client.
func FuzzAssertion(f *testing.F) {
	k := newKeyed(f, "")
	f.Add(k.assertion(nil))
	f.Add(k.assertion(map[string]any{"aud": []string{issuer}, "nbf": 1}))
	f.Add(k.assertion(map[string]any{"exp": 1e18, "jti": 7}))
	f.Add("eyJhbGciOiJub25lIn0.eyJpc3MiOiJiYXRjaCIsInN1YiI6ImJhdGNoIn0.")
	f.Add(strings.Repeat("a.", 5000))
	honest := k.assertion(nil)
	signature := honest[strings.LastIndex(honest, ".")+1:]
	f.Fuzz(func(t *testing.T, assertion string) {
		v := url.Values{"grant_type": {"client_credentials"}, "client_assertion": {assertion}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
		r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(v.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		rec := k.recorded(t, r)
		if parts := strings.Split(assertion, "."); rec.Code == http.StatusOK && (len(parts) != 3 || len(parts[2]) < len(signature)-4) {
			t.Errorf("%q authenticates", assertion)
		}
	})
}
