package provider_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/keyring"
)

func TestUserInfoAnswersByScope(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	id := string(w.people["ada"].ID)
	for _, tt := range []struct {
		name, scope string
		want        map[string]bool
	}{
		{"openid alone", "openid", map[string]bool{"sub": true}},
		{"profile", "openid profile", map[string]bool{"sub": true, "name": true, "preferred_username": true}},
		{"authenticator", "openid authenticator", map[string]bool{"sub": true, "authenticator_attestation": true, "authenticator_aaguid": true, "authenticator_model": true}},
	} {
		a := b.userInfo(b.obtain("ada", identity("scope", tt.scope)).access)
		if a.JSON["sub"] != id || len(a.JSON) != len(tt.want) {
			t.Errorf("%s: %s", tt.name, a.Text)
		}
		for name := range a.JSON {
			if !tt.want[name] {
				t.Errorf("%s: unexpected %s", tt.name, name)
			}
		}
	}
	token := b.obtain("ada", identity()).access
	r := b.form("/userinfo", nil)
	r.Header.Set("Authorization", "bearer "+token)
	if a := b.send(r); a.JSON["sub"] != id {
		t.Errorf("POST: %d %s", a.StatusCode, a.Text)
	}
}

// Tokens of other kinds, for others, altered, and under keys and algorithms that are not ours (RFC 8725).
func TestUserInfoRefusesEveryOtherToken(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	tk := b.obtain("ada", identity())
	forApi := b.obtain("ada", params())
	parts := strings.Split(tk.access, ".")
	enc := base64.RawURLEncoding.EncodeToString
	head := func(h string) string { return enc([]byte(h)) + "." + parts[1] }
	hs256 := func(h string, key []byte) string {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(head(h)))
		return head(h) + "." + enc(mac.Sum(nil))
	}
	header, claims := w.decode(tk.access, claim.TypeAccessToken)
	kid := header["kid"].(string)
	resign := func(typ string, change func(map[string]any)) string {
		c := map[string]any{}
		for k, v := range claims {
			c[k] = v
		}
		change(c)
		token, err := w.ring.Sign(keyring.RS256, typ, c)
		w.must(err)
		return token
	}
	for _, tt := range []struct{ name, token string }{
		{"ID token", tk.id},
		{"refresh token", tk.refresh},
		{"token of an API", forApi.access},
		{"logout token", resign("logout+jwt", func(map[string]any) {})},
		{"JWT with an access token's claims", resign("JWT", func(map[string]any) {})},
		{"alg none", head(`{"alg":"none","typ":"at+jwt"}`) + "."},
		{"alg None with the signature", head(`{"alg":"None","typ":"at+jwt","kid":"`+kid+`"}`) + "." + parts[2]},
		{"HS256 under the public key set", hs256(`{"alg":"HS256","typ":"at+jwt","kid":"`+kid+`"}`, w.keySet())},
		{"HS256 under an empty key", hs256(`{"alg":"HS256","typ":"at+jwt"}`, nil)},
		{"unknown kid", head(`{"alg":"RS256","typ":"at+jwt","kid":"nonsense"}`) + "." + parts[2]},
		{"kid as a path", head(`{"alg":"RS256","typ":"at+jwt","kid":"../../etc/passwd"}`) + "." + parts[2]},
		{"jku elsewhere", head(`{"alg":"RS256","typ":"at+jwt","jku":"https://evil.test/jwks"}`) + "." + parts[2]},
		{"changed claims", parts[0] + "." + enc([]byte(`{"sub":"bob"}`)) + "." + parts[2]},
		{"cut signature", tk.access[:len(tk.access)-2]},
		{"cut to two parts", parts[0] + "." + parts[1]},
		{"padded", tk.access + "="},
		{"other issuer", resign("at+jwt", func(c map[string]any) { c["iss"] = "https://evil.test" })},
		{"other audience", resign("at+jwt", func(c map[string]any) { c["aud"] = issuer })},
		{"another's subject", resign("at+jwt", func(c map[string]any) { c["sub"] = string(w.people["bob"].ID) })},
		{"jti of no grant", resign("at+jwt", func(c map[string]any) { c["jti"] = "nonsense.x" })},
		{"no jti", resign("at+jwt", func(c map[string]any) { delete(c, "jti") })},
		{"no exp", resign("at+jwt", func(c map[string]any) { delete(c, "exp") })},
		{"garbage", "nonsense"},
		{"very long", strings.Repeat("a", 20000)},
	} {
		a := b.userInfo(tt.token)
		b.refused(tt.name, a, "invalid_token", http.StatusUnauthorized)
		if got := a.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer ") || !strings.Contains(got, `error="invalid_token"`) {
			t.Errorf("%s: WWW-Authenticate %q", tt.name, got)
		}
	}
	if a := b.userInfo(tk.access); a.StatusCode != http.StatusOK {
		t.Fatalf("the honest token: %d %s", a.StatusCode, a.Text)
	}
	if a := b.get("/userinfo"); a.StatusCode != http.StatusUnauthorized || a.Text != "" || strings.Contains(a.Header.Get("WWW-Authenticate"), "error") {
		t.Errorf("no token: %d %q %q, want a challenge without error (RFC 6750 section 3.1)", a.StatusCode, a.Text, a.Header.Get("WWW-Authenticate"))
	}
	if a := b.get("/userinfo?access_token=" + tk.access); a.StatusCode == http.StatusOK {
		t.Error("a token in the query was accepted")
	}
	narrowed := b.tokens(w.refresh(tk.refresh, "scope", "profile"))
	if a := b.userInfo(narrowed.access); a.StatusCode != http.StatusForbidden || !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
		t.Errorf("without openid: %d %q", a.StatusCode, a.Header.Get("WWW-Authenticate"))
	}
	w.advance(5 * time.Minute)
	b.refused("expired", b.userInfo(tk.access), "invalid_token", http.StatusUnauthorized)
}

func TestEndSession(t *testing.T) {
	const bye = "https://rp.test/bye"
	for _, tt := range []struct {
		name string
		v    func(mine, foreign tokens) url.Values
		to   string
		out  bool
	}{
		{"with a hint and an address", func(m, _ tokens) url.Values {
			return url.Values{"id_token_hint": {m.id}, "post_logout_redirect_uri": {bye}, "state": {"s/1"}}
		}, bye + "?state=s%2F1", true},
		{"with the client named", func(m, _ tokens) url.Values {
			return url.Values{"id_token_hint": {m.id}, "client_id": {"web"}, "post_logout_redirect_uri": {bye}}
		}, bye, true},
		{"without a hint", func(tokens, tokens) url.Values { return nil }, "/signout", false},
		{"an address without a hint", func(tokens, tokens) url.Values {
			return url.Values{"client_id": {"web"}, "post_logout_redirect_uri": {bye}}
		}, "/signout", false},
		{"a modified hint", func(m, _ tokens) url.Values {
			return url.Values{"id_token_hint": {m.id[:len(m.id)-4] + "AAAA"}, "post_logout_redirect_uri": {bye}}
		}, "/signout", false},
		{"an access token as hint", func(m, _ tokens) url.Values {
			return url.Values{"id_token_hint": {m.access}, "post_logout_redirect_uri": {bye}}
		}, "/signout", false},
		{"somebody else's hint", func(_, f tokens) url.Values {
			return url.Values{"id_token_hint": {f.id}, "post_logout_redirect_uri": {bye}}
		}, "/signout", false},
		{"another client named", func(m, _ tokens) url.Values {
			return url.Values{"id_token_hint": {m.id}, "client_id": {"other"}, "post_logout_redirect_uri": {"https://other.test/bye"}}
		}, "/signout", false},
		{"an unregistered address", func(m, _ tokens) url.Values {
			return url.Values{"id_token_hint": {m.id}, "post_logout_redirect_uri": {"https://evil.test/"}}
		}, "/signout", false},
		{"a query added to an address", func(m, _ tokens) url.Values {
			return url.Values{"id_token_hint": {m.id}, "post_logout_redirect_uri": {bye + "?more=1"}}
		}, "/signout", false},
		{"a state alone", func(tokens, tokens) url.Values { return url.Values{"state": {"s"}} }, "/signout", false},
		{"a hint alone", func(m, _ tokens) url.Values { return url.Values{"id_token_hint": {m.id}} }, "/signout", true},
		{"a hint that we did not sign", func(m, _ tokens) url.Values {
			parts := strings.Split(m.id, ".")
			return url.Values{"id_token_hint": {base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."}, "post_logout_redirect_uri": {bye}}
		}, "/signout", false},
		{"an address of another client", func(m, _ tokens) url.Values {
			return url.Values{"id_token_hint": {m.id}, "post_logout_redirect_uri": {"https://other.test/bye"}}
		}, "/signout", false},
		{"a redirect URI that is no logout address", func(m, _ tokens) url.Values {
			return url.Values{"id_token_hint": {m.id}, "post_logout_redirect_uri": {webURI}}
		}, "/signout", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			mine, foreign := b.obtain("ada", identity()), w.browser().obtain("bob", identity())
			a := b.get("/end_session?" + tt.v(mine, foreign).Encode())
			if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != tt.to {
				t.Errorf("status %d location %q, want %q", a.StatusCode, a.Header.Get("Location"), tt.to)
			}
			signedOut := b.get("/authorize?"+params("prompt", "none").Encode()).oauthError() == "login_required"
			if signedOut != tt.out {
				t.Errorf("signed out %v, want %v", signedOut, tt.out)
			}
			if tt.out {
				b.refused("grants of the session end", b.post("/token", w.refresh(mine.refresh)), "invalid_grant", 400)
			}
		})
	}
}

func TestEndSessionByPost(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	mine := b.obtain("ada", identity())
	v := url.Values{"id_token_hint": {mine.id}, "post_logout_redirect_uri": {"https://rp.test/bye"}}
	if a := b.post("/end_session", v); a.Header.Get("Location") != "https://rp.test/bye" {
		t.Errorf("location %q", a.Header.Get("Location"))
	}
	b.obtain("ada", identity())
	if a := w.browser().post("/end_session", nil); a.Header.Get("Location") != "/signout" && a.location().Path != "/end_session" {
		t.Errorf("a cross-site POST without cookies: location %q", a.Header.Get("Location"))
	}
	if a := b.get("/authorize?" + params("prompt", "none").Encode()); a.oauthError() != "" {
		t.Error("a foreign page ended the session")
	}
	two := url.Values{"state": {"a", "b"}}
	b.shownAs("repeated", b.get("/end_session?"+two.Encode()), "parameter_repeated")
}

// A token outlives the rotation of its key.
func TestKeyRotation(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	tk := b.obtain("ada", identity())
	w.must(w.ring.Turn(t.Context())) // publishes the successors
	a := b.get("/jwks")
	var set struct{ Keys []map[string]any }
	w.must(json.Unmarshal([]byte(a.Text), &set))
	if len(set.Keys) != 4 {
		t.Errorf("%d keys published, want two of RS256 and two of ES256", len(set.Keys))
	}
	for _, k := range set.Keys {
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if k[private] != nil {
				t.Errorf("key %v publishes %q", k["kid"], private)
			}
		}
	}
	if a := b.userInfo(tk.access); a.StatusCode != http.StatusOK {
		t.Errorf("a token under the old key: %d", a.StatusCode)
	}
}

func TestHeaders(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	tk := b.obtain("ada", identity())
	discovery := b.get("/.well-known/openid-configuration")
	for _, tt := range []struct {
		name  string
		a     answer
		cache string
	}{
		{"token", b.post("/token", w.refresh(tk.refresh)), "no-store"},
		{"token error", b.post("/token", w.exchange("x")), "no-store"},
		{"token guard error", b.post("/token?x=1", w.exchange("x")), "no-store"},
		{"userinfo", b.userInfo(tk.access), "no-store"},
		{"userinfo error", b.userInfo("x"), "no-store"},
		{"revocation", b.post("/revoke", url.Values{"token": {"x"}, "client_id": {"web"}, "client_secret": {w.secrets["web"]}}), "no-store"},
		{"authorize", b.get("/authorize?" + params().Encode()), "no-store"},
		{"authorize, shown", b.get("/authorize"), "no-store"},
		{"end session", b.get("/end_session"), "no-store"},
		{"discovery", discovery, "public, max-age=300"},
		{"jwks", b.get("/jwks"), "public, max-age=300"},
	} {
		h := tt.a.Header
		if got := h.Get("Cache-Control"); got != tt.cache {
			t.Errorf("%s: Cache-Control %q, want %q", tt.name, got, tt.cache)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s %q, want %q", tt.name, name, got, want)
			}
		}
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: Content-Security-Policy %q", tt.name, h.Get("Content-Security-Policy"))
		}
		if h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: CORS with credentials", tt.name)
		}
	}
	if got := b.post("/token", w.exchange("x")).Header.Get("Pragma"); got != "no-cache" {
		t.Errorf("Pragma %q", got)
	}
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks"} {
		tag := b.get(path).Header.Get("ETag")
		for _, match := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
			r, err := http.NewRequest(http.MethodGet, w.server.URL+path, nil)
			w.must(err)
			r.Header.Set("If-None-Match", match)
			if a := b.send(r); a.StatusCode != http.StatusNotModified || a.Text != "" {
				t.Errorf("%s If-None-Match %s: status %d", path, match, a.StatusCode)
			}
		}
	}
}

func TestCORS(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, tt := range []struct{ name, method, path, origin, want string }{
		{"discovery for anyone", "GET", "/.well-known/openid-configuration", "https://anyone.test", "*"},
		{"keys for anyone", "GET", "/jwks", "https://anyone.test", "*"},
		{"preflight of a public client", "OPTIONS", "/token", "https://spa.test", "https://spa.test"},
		{"public client", "POST", "/token", "https://spa.test", "https://spa.test"},
		{"public client at userinfo", "GET", "/userinfo", "https://spa.test", "https://spa.test"},
		{"public client at revocation", "POST", "/revoke", "https://spa.test", "https://spa.test"},
		{"confidential client", "POST", "/token", "https://rp.test", ""},
		{"stranger", "POST", "/token", "https://evil.test", ""},
		{"look-alike", "POST", "/token", "https://spa.test.evil.test", ""},
		{"prefix", "OPTIONS", "/token", "https://spa", ""},
		{"other scheme", "POST", "/token", "http://spa.test", ""},
		{"null", "POST", "/token", "null", ""},
		{"authorize", "GET", "/authorize", "https://spa.test", ""},
		{"end session", "GET", "/end_session", "https://spa.test", ""},
	} {
		r, err := http.NewRequest(tt.method, w.server.URL+tt.path, nil)
		w.must(err)
		r.Header.Set("Origin", tt.origin)
		if got := b.send(r).Header.Get("Access-Control-Allow-Origin"); got != tt.want {
			t.Errorf("%s: Access-Control-Allow-Origin %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A token that our key signed for another issuer is no hint of ours.
func TestEndSessionRefusesAHintOfAnotherIssuer(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	_, c := w.decode(b.obtain("ada", identity()).id, claim.TypeIDToken)
	c["iss"] = "https://evil.test"
	hint, err := w.ring.Sign(keyring.RS256, claim.TypeIDToken, c)
	w.must(err)
	a := b.get("/end_session?" + url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://rp.test/bye"}}.Encode())
	if got := a.Header.Get("Location"); got != "/signout" {
		t.Errorf("location %q, want the page that asks", got)
	}
	if got := b.get("/authorize?" + params("prompt", "none").Encode()).oauthError(); got != "" {
		t.Errorf("the session was ended: %s", got)
	}
}

// keySet returns the published key set.
func (w *world) keySet() []byte {
	d, err := w.ring.JWKS()
	w.must(err)
	return d.Body
}
