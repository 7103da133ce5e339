package provider_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// certified declares the clients of the certification plans: confidential, with
// no PKCE but where a module sends it.
const certified = `
  - {id: op, name: Certification, first_party: true, kind: confidential, pkce_exempt: true, redirect_uris: ["https://suite.test/cb"],
     scopes: [openid, profile, email, phone, address, offline_access]}
  - {id: op2, name: Certification 2, first_party: true, kind: confidential, pkce_exempt: true, redirect_uris: ["https://suite2.test/cb"], scopes: [openid, offline_access]}
  - {id: op-post, name: Certification by post, first_party: true, kind: confidential, pkce_exempt: true, token_endpoint_auth_method: client_secret_post,
     redirect_uris: ["https://suite.test/cb"], scopes: [openid]}
`

// suite runs modules of the Basic OP plan in one of its response modes.
type suite struct {
	*browser
	mode string
}

// ask is an authorization request as the plan's modules send it.
func (s suite) ask(pairs ...string) url.Values {
	v := url.Values{"client_id": {"op"}, "redirect_uri": {"https://suite.test/cb"}, "response_type": {"code"}, "scope": {"openid"}, "state": {strings.Repeat("s~!", 40)}, "nonce": {"n-0S6"}}
	if s.mode != "query" {
		v.Set("response_mode", s.mode)
	}
	for i := 0; i < len(pairs); i += 2 {
		if v.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			v.Del(pairs[i])
		}
	}
	return v
}

// authorize runs a request to its end and returns what the client is told, and
// whether somebody had to sign in.
func (s suite) authorize(v url.Values) (url.Values, bool) {
	s.Helper()
	a := s.get("/authorize?" + v.Encode())
	signed := a.location().Path == "/signin"
	switch a.location().Path {
	case "/signin":
		a = s.signIn("ada", a.location().Query().Get("request"))
	case "/authorize/callback":
		a = s.get(a.Header.Get("Location"))
	}
	if a.location().Path == "/consent" {
		a = s.post("/test/agree", url.Values{"request": {a.location().Query().Get("request")}, "answer": {"yes"}})
		a = s.get(a.Header.Get("Location"))
	}
	to := a.location()
	q := to.Query()
	if to.Scheme+"://"+to.Host+to.Path != v.Get("redirect_uri") || q.Get("state") != v.Get("state") || q.Get("iss") != issuer || len(q) != 3 && len(q) != 4 {
		s.Fatalf("the client is told %q (%d %s)", to, a.StatusCode, a.Text)
	}
	if want := map[string]int{"query": http.StatusSeeOther, "form_post": http.StatusOK}[s.mode]; a.StatusCode != want {
		s.Errorf("told by status %d", a.StatusCode)
	}
	return q, signed
}

// form is a token request with client_secret_basic.
func (s suite) basic(client string, pairs ...string) answer {
	s.Helper()
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	r := s.form("/token", v)
	r.SetBasicAuth(client, s.secrets[client])
	return s.send(r)
}

// redeem exchanges the code that a request led to and holds the ID token and
// userinfo to what every module checks.
func (s suite) redeem(v url.Values, told url.Values, more ...string) (tokens, map[string]any, map[string]any) {
	s.Helper()
	if code := told.Get("code"); len(code) < 22 {
		s.Fatalf("no code, or a short one: %v", told)
	}
	a := s.basic(v.Get("client_id"), append([]string{"grant_type", "authorization_code", "code", told.Get("code"), "redirect_uri", v.Get("redirect_uri")}, more...)...)
	return s.checked(a, v)
}

func (s suite) checked(a answer, v url.Values) (tokens, map[string]any, map[string]any) {
	s.Helper()
	text := func(name string) string { t, _ := a.JSON[name].(string); return t }
	tk := tokens{text("access_token"), text("id_token"), text("refresh_token")}
	if a.StatusCode != http.StatusOK || !strings.EqualFold(text("token_type"), "bearer") || a.JSON["expires_in"] == nil || a.Header.Get("Cache-Control") != "no-store" {
		s.Fatalf("token endpoint: %d %s", a.StatusCode, a.Text)
	}
	header, c := s.decode(tk.id, claim.TypeIDToken)
	sum := sha256.Sum256([]byte(tk.access))
	now := float64(s.clock().Unix())
	if header["alg"] != "RS256" || header["kid"] == "" || c["iss"] != issuer || c["aud"] != v.Get("client_id") || c["sub"] != string(s.people["ada"].ID) ||
		c["iat"] != now || c["exp"].(float64) <= now || c["auth_time"].(float64) > now || c["at_hash"] != base64.RawURLEncoding.EncodeToString(sum[:16]) ||
		v.Get("nonce") != "" && v.Get("grant") == "" && c["nonce"] != v.Get("nonce") {
		s.Errorf("ID token %v %v", header, c)
	}
	if acr, ok := c["acr"].(string); !ok || acr == "" {
		s.Errorf("acr %v", c["acr"])
	}
	info := s.userInfo(tk.access)
	if info.StatusCode != http.StatusOK || info.JSON["sub"] != c["sub"] || info.Header.Get("Content-Type") != "application/json" {
		s.Errorf("userinfo: %d %s", info.StatusCode, info.Text)
	}
	return tk, c, info.JSON
}

// flow is a whole authorization.
func (s suite) flow(pairs ...string) (tokens, map[string]any, map[string]any) {
	s.Helper()
	v := s.ask(pairs...)
	told, _ := s.authorize(v)
	return s.redeem(v, told)
}

// unasked lists claims of an ID token that a module did not ask for.
func unasked(c map[string]any, asked ...string) []string {
	for name := range maps.Keys(c) {
		if !slices.Contains(append(asked, "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"), name) {
			return append(asked, name)
		}
	}
	return nil
}

// TestBasicCertification does what the modules of the OpenID Foundation's Basic
// OP plan do with a statically registered client, each under its name, in the
// response modes of the Basic and the Form Post plan. docs/conformance.md says
// which modules there are.
func TestBasicCertification(t *testing.T) {
	for _, mode := range []string{"query", "form_post"} {
		t.Run(mode, func(t *testing.T) {
			w := newWorld(t)
			w.declare(trustFile + certified)
			for _, id := range []string{"op", "op2", "op-post"} {
				w.newSecret(id)
			}
			profile, err := account.ParseProfile([]byte(`{"given_name":"Ada","family_name":"Lovelace","middle_name":"King","nickname":"Ada","profile":"https://people.test/ada","picture":"https://people.test/ada.png",
				"website":"https://ada.test","gender":"female","birthdate":"1815-12-10","zoneinfo":"Europe/London","locale":"en-GB","email":"ada@example.com","email_verified":true,
				"phone_number":"+442071838750","phone_number_verified":false,"address":{"locality":"London"}}`))
			w.must(err)
			w.tx(func(tx pgx.Tx) error { return account.SetProfile(t.Context(), tx, w.now, w.people["ada"].ID, profile) })
			fresh := func(t *testing.T) suite { w.TB = t; return suite{w.browser(), mode} }
			for _, name := range slices.Sorted(maps.Keys(basicPlan)) {
				t.Run(name, func(t *testing.T) { basicPlan[name](t, fresh(t)) })
			}
			w.TB = t
		})
	}
}

// basicPlan holds the modules.
var basicPlan = map[string]func(*testing.T, suite){
	"oidcc-server": func(t *testing.T, s suite) {
		if _, c, _ := s.flow(); unasked(c) != nil {
			t.Errorf("the ID token tells %v", unasked(c))
		}
	},
	"oidcc-response-type-missing": func(t *testing.T, s suite) {
		a := s.get("/authorize?" + s.ask("response_type", "").Encode())
		if e := a.oauthError(); e != "invalid_request" && e != "unsupported_response_type" || a.location().Query().Get("state") == "" {
			t.Errorf("answered %q", a.location())
		}
	},
	"oidcc-userinfo-get": func(t *testing.T, s suite) { s.flow() },
	"oidcc-userinfo-post-header": func(t *testing.T, s suite) {
		tk, _, _ := s.flow()
		r := s.form("/userinfo", nil)
		r.Header.Set("Authorization", "Bearer "+tk.access)
		if a := s.send(r); a.JSON["sub"] == nil {
			t.Error(a.Text)
		}
	},
	"oidcc-userinfo-post-body": func(t *testing.T, s suite) {
		tk, _, _ := s.flow()
		if a := s.post("/userinfo", url.Values{"access_token": {tk.access}}); a.JSON["sub"] == nil {
			t.Error(a.Text)
		}
		both := s.form("/userinfo", url.Values{"access_token": {tk.access}})
		both.Header.Set("Authorization", "Bearer "+tk.access)
		s.refused("a token twice", s.send(both), "invalid_request", http.StatusBadRequest)
		s.refused("twice in the body", s.post("/userinfo", url.Values{"access_token": {tk.access, tk.access}}), "invalid_request", http.StatusBadRequest)
	},
	"oidcc-ensure-request-without-nonce-succeeds-for-code-flow": func(t *testing.T, s suite) {
		if told, _ := s.authorize(s.ask("nonce", "")); told.Get("code") == "" {
			t.Errorf("told %v", told)
		}
	},
	"oidcc-scope-profile": func(t *testing.T, s suite) {
		_, _, info := s.flow("scope", "openid profile")
		told(t, info, "name", "given_name", "family_name", "middle_name", "nickname", "profile", "picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at", "preferred_username")
	},
	"oidcc-scope-email": func(t *testing.T, s suite) {
		_, c, info := s.flow("scope", "openid email")
		told(t, info, "email", "email_verified")
		if unasked(c) != nil {
			t.Errorf("the ID token tells %v", unasked(c))
		}
	},
	"oidcc-scope-phone": func(t *testing.T, s suite) {
		_, _, info := s.flow("scope", "openid phone")
		told(t, info, "phone_number", "phone_number_verified")
	},
	"oidcc-scope-address": func(t *testing.T, s suite) {
		_, _, info := s.flow("scope", "openid address")
		told(t, info, "address")
	},
	"oidcc-scope-all": func(t *testing.T, s suite) {
		_, _, info := s.flow("scope", "openid email phone address profile")
		told(t, info, "email", "email_verified", "phone_number", "phone_number_verified", "address", "name", "given_name", "family_name", "middle_name", "nickname", "profile",
			"picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at", "preferred_username")
	},
	"oidcc-alternate-happy-flow": func(t *testing.T, s suite) {
		_, _, info := s.flow("scope", "email openid")
		told(t, info, "email", "email_verified")
	},
	"oidcc-display-page":  func(t *testing.T, s suite) { s.flow("display", "page") },
	"oidcc-display-popup": func(t *testing.T, s suite) { s.flow("display", "popup") },
	"oidcc-ui-locales":    func(t *testing.T, s suite) { s.flow("ui_locales", "se") },
	"oidcc-claims-locales": func(t *testing.T, s suite) {
		s.flow("claims_locales", "se")
	},
	"oidcc-login-hint": func(t *testing.T, s suite) { s.flow("login_hint", "ada@example.com") },
	"oidcc-ensure-request-with-unknown-parameter-succeeds": func(t *testing.T, s suite) { s.flow("extra", "foobar") },
	"oidcc-prompt-login": func(t *testing.T, s suite) {
		_, first, _ := s.flow()
		s.advance(time.Second)
		v := s.ask("prompt", "login")
		told, signed := s.authorize(v)
		if _, c, _ := s.redeem(v, told); !signed || c["auth_time"].(float64) <= first["auth_time"].(float64) {
			t.Errorf("signed in again: %v, %v after %v", signed, c["auth_time"], first["auth_time"])
		}
	},
	"oidcc-prompt-none-not-logged-in": func(t *testing.T, s suite) {
		if told, _ := s.authorize(s.ask("prompt", "none")); !slices.Contains([]string{"login_required", "interaction_required"}, told.Get("error")) {
			t.Errorf("told %v", told)
		}
	},
	"oidcc-prompt-none-logged-in": func(t *testing.T, s suite) { s.again(t, "prompt", "none") },
	"oidcc-max-age-10000":         func(t *testing.T, s suite) { s.again(t, "max_age", "10000") },
	"oidcc-id-token-hint": func(t *testing.T, s suite) {
		tk, _, _ := s.flow()
		s.again(t, "prompt", "none", "id_token_hint", tk.id)
	},
	"oidcc-max-age-1": func(t *testing.T, s suite) {
		_, first, _ := s.flow()
		s.advance(2 * time.Second)
		v := s.ask("max_age", "1")
		told, signed := s.authorize(v)
		if _, c, _ := s.redeem(v, told); !signed || c["auth_time"].(float64) <= first["auth_time"].(float64) {
			t.Errorf("signed in again: %v, %v after %v", signed, c["auth_time"], first["auth_time"])
		}
	},
	"oidcc-ensure-request-with-acr-values-succeeds": func(t *testing.T, s suite) {
		for asked, want := range map[string]string{"phr phrh": "phrh", "phr": "phr", "phrh": "phrh", "phr unknown": "phr"} {
			if _, c, _ := s.flow("acr_values", asked); c["acr"] != want {
				t.Errorf("asked for %s, the ID token names %v", asked, c["acr"])
			}
			// OpenID Connect Core section 5.5.1.1, a MUST.
			values, err := json.Marshal(strings.Fields(asked))
			s.must(err)
			if _, c, _ := s.flow("claims", `{"id_token":{"acr":{"essential":true,"values":`+string(values)+`}}}`); c["acr"] != want {
				t.Errorf("required %s, the ID token names %v", asked, c["acr"])
			}
		}
	},
	"oidcc-codereuse":           func(t *testing.T, s suite) { s.reuse(t, 0) },
	"oidcc-codereuse-30seconds": func(t *testing.T, s suite) { s.reuse(t, 30*time.Second) },
	"oidcc-ensure-post-request-succeeds": func(t *testing.T, s suite) {
		v := s.ask()
		a := s.post("/authorize", v)
		back, err := url.ParseQuery(a.location().RawQuery)
		s.must(err)
		told, _ := s.authorize(back)
		s.redeem(v, told)
	},
	"oidcc-ensure-registered-redirect-uri": func(t *testing.T, s suite) {
		s.shownAs("another path below", s.get("/authorize?"+s.ask("redirect_uri", "https://suite.test/cb/x").Encode()), "redirect_uri_unregistered")
	},
	"oidcc-server-client-secret-post": func(t *testing.T, s suite) {
		v := s.ask("client_id", "op-post")
		told, _ := s.authorize(v)
		s.checked(s.post("/token", url.Values{"grant_type": {"authorization_code"}, "code": {told.Get("code")}, "redirect_uri": {v.Get("redirect_uri")},
			"client_id": {"op-post"}, "client_secret": {s.secrets["op-post"]}}), v)
	},
	"oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported": func(t *testing.T, s suite) {
		if e := s.get("/authorize?" + s.ask("request", "eyJhbGciOiJub25lIn0.e30.").Encode()).oauthError(); e != "request_not_supported" {
			t.Errorf("refused as %q", e)
		}
	},
	"oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported": func(t *testing.T, s suite) {
		if e := s.get("/authorize?" + s.ask("request_uri", "https://suite.test/ro#x").Encode()).oauthError(); e != "request_uri_not_supported" {
			t.Errorf("refused as %q", e)
		}
	},
	"oidcc-ensure-request-object-with-redirect-uri": func(t *testing.T, s suite) {
		s.shownAs("the parameter counts", s.get("/authorize?"+s.ask("redirect_uri", "https://suite.test/cb/x", "request", "eyJhbGciOiJub25lIn0.e30.").Encode()), "redirect_uri_unregistered")
	},
	"oidcc-claims-essential": func(t *testing.T, s suite) {
		_, c, info := s.flow("claims", `{"userinfo":{"name":{"essential":true}}}`)
		told(t, info, "name")
		if unasked(c) != nil {
			t.Errorf("the ID token tells %v", unasked(c))
		}
		_, c, _ = s.flow("claims", `{"id_token":{"email":{"essential":true}}}`)
		told(t, c, "email", "email_verified")
	},
	"oidcc-ensure-request-with-valid-pkce-succeeds": func(t *testing.T, s suite) {
		v := s.ask("code_challenge", challenge(), "code_challenge_method", "S256")
		told, _ := s.authorize(v)
		s.redeem(v, told, "code_verifier", verifier)
	},
	"oidcc-refresh-token": func(t *testing.T, s suite) {
		v := s.ask("scope", "openid offline_access", "prompt", "consent")
		told, _ := s.authorize(v)
		first, c, _ := s.redeem(v, told)
		s.advance(time.Second)
		v.Set("grant", "refreshed")
		second, again, _ := s.checked(s.basic("op", "grant_type", "refresh_token", "refresh_token", first.refresh, "scope", "openid offline_access"), v)
		if second.access == first.access || second.refresh == "" || again["nonce"] != nil && again["nonce"] != c["nonce"] || again["auth_time"] != c["auth_time"] || again["sub"] != c["sub"] {
			t.Errorf("refreshed %v after %v", again, c)
		}
		s.refused("another client's", s.basic("op2", "grant_type", "refresh_token", "refresh_token", second.refresh), "invalid_grant", http.StatusBadRequest)
	},
}

// again authorizes twice; the second time nobody signs in, and the ID tokens
// tell of the same sign-in.
func (s suite) again(t *testing.T, pairs ...string) {
	t.Helper()
	_, first, _ := s.flow()
	s.advance(time.Second)
	v := s.ask(pairs...)
	told, signed := s.authorize(v)
	if _, c, _ := s.redeem(v, told); signed || c["auth_time"] != first["auth_time"] || c["sub"] != first["sub"] {
		t.Errorf("signed in again: %v, %v after %v", signed, c, first)
	}
}

// reuse redeems a code twice; what the first time gave is dead then.
func (s suite) reuse(t *testing.T, after time.Duration) {
	t.Helper()
	v := s.ask()
	told, _ := s.authorize(v)
	tk, _, _ := s.redeem(v, told)
	s.advance(after)
	s.refused("the second time", s.basic("op", "grant_type", "authorization_code", "code", told.Get("code"), "redirect_uri", v.Get("redirect_uri")), "invalid_grant", http.StatusBadRequest)
	if a := s.userInfo(tk.access); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("the access token lives: %d", a.StatusCode)
	}
}

// told fails unless all of the claims are there.
func told(t *testing.T, claims map[string]any, names ...string) {
	t.Helper()
	for _, name := range names {
		if claims[name] == nil || claims[name] == "" {
			t.Errorf("%s is missing in %v", name, claims)
		}
	}
}

// TestTheConformancePageListsEveryModule holds the page to the tests, and its
// trust file to the parser.
func TestTheConformancePageListsEveryModule(t *testing.T) {
	page, err := os.ReadFile("../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(string(page), "need dynamic registration")
	for _, m := range regexp.MustCompile("`(oidcc-[a-z0-9-]+)`").FindAllStringSubmatch(table[:strings.LastIndex(table, "\n")], -1) {
		if basicPlan[m[1]] == nil {
			t.Errorf("the page lists %s, which is not tested", m[1])
		}
	}
	for name := range basicPlan {
		if !strings.Contains(table, "`"+name+"`") {
			t.Errorf("the page lacks %s", name)
		}
	}
	_, text, _ := strings.Cut(string(page), "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	if _, err := trust.Parse("conformance.md", []byte(text)); err != nil {
		t.Error(err)
	}
}

// TestConfigCertification holds the metadata to what the Config OP plan asks.
func TestConfigCertification(t *testing.T) {
	w := newWorld(t)
	a := w.browser().get("/.well-known/openid-configuration")
	if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "application/json" || a.JSON["issuer"] != issuer {
		t.Fatalf("%d %s", a.StatusCode, a.Text)
	}
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint"} {
		if at, _ := a.JSON[name].(string); !strings.HasPrefix(at, issuer+"/") {
			t.Errorf("%s is %v", name, a.JSON[name])
		}
	}
	for name, want := range map[string]string{"scopes_supported": "openid", "response_types_supported": "code", "subject_types_supported": "public",
		"id_token_signing_alg_values_supported": "RS256", "claims_supported": "sub", "code_challenge_methods_supported": "S256", "grant_types_supported": "authorization_code"} {
		if list, _ := a.JSON[name].([]any); !slices.Contains(list, any(want)) {
			t.Errorf("%s is %v", name, a.JSON[name])
		}
	}
	var set struct{ Keys []map[string]any }
	w.must(json.Unmarshal(w.keySet(), &set))
	seen := map[any]bool{}
	for _, k := range set.Keys {
		if k["kid"] == nil || seen[k["kid"]] || k["d"] != nil || k["k"] != nil || k["use"] != "sig" {
			t.Errorf("key %v", k)
		}
		seen[k["kid"]] = true
	}
}
