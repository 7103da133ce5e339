package provider_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/claim"
)

func TestFormPostCarriesAnswersAndErrors(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	a := b.signIn("ada", b.begin(params("response_mode", "form_post")))
	if q := a.location().Query(); a.StatusCode != http.StatusOK || q.Get("code") == "" || q.Get("state") != "st/ate&1" || q.Get("iss") != issuer {
		t.Fatalf("status %d, posted %v", a.StatusCode, q)
	}
	b.tokens(w.exchange(a.location().Query().Get("code")))
	b.refused("error", w.browser().get("/authorize?"+params("response_mode", "form_post", "prompt", "none").Encode()), "login_required", http.StatusOK)
	b.refused("fragment", b.get("/authorize?"+params("response_mode", "fragment").Encode()), "invalid_request", http.StatusSeeOther)
}

func TestStepUpNeverReturnsLess(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name  string
		pairs []string
	}{
		{"acr_values", []string{"acr_values", "unknown phrh"}},
		{"essential claim", []string{"claims", `{"id_token":{"acr":{"essential":true,"values":["phrh"]}}}`}},
		{"voluntary claim", []string{"claims", `{"id_token":{"acr":{"value":"phrh"},"auth_time":{"essential":true}}}`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			weak, strong := w.browser(), w.browser()
			weak.signIn("bob", weak.begin(params())) // a session that is not good enough
			request := weak.begin(params(tt.pairs...))
			if a := weak.prove("bob", request); a.StatusCode != http.StatusForbidden || a.Text != "level_not_met" {
				t.Fatalf("a weak passkey: status %d %s", a.StatusCode, a.Text)
			}
			weak.refused("callback without a sign-in", weak.get("/authorize/callback?request="+request), "", http.StatusSeeOther)
			// Another passkey of somebody else does it, in the same request.
			if a := weak.signIn("ada", request); a.location().Query().Get("code") == "" {
				t.Errorf("a strong passkey afterwards: %q", a.Header.Get("Location"))
			}
			weak.refused("prompt none", w.browser().get("/authorize?"+params(append(tt.pairs, "prompt", "none")...).Encode()), "login_required", http.StatusSeeOther)
			tk := strong.obtain("ada", params(tt.pairs...))
			if _, c := w.decode(tk.id, claim.TypeIDToken); c["acr"] != "phrh" || c["auth_time"] == nil {
				t.Errorf("ID token %v", c)
			}
			// A session that has the level is used.
			if a := strong.get("/authorize?" + params(tt.pairs...).Encode()); a.location().Path != "/authorize/callback" {
				t.Errorf("the session does not suffice: %q", a.Header.Get("Location"))
			}
		})
	}
}

func TestWishesThatCannotBeMet(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, tt := range []struct{ name, parameter, value, code string }{
		{"unknown level, essential", "claims", `{"id_token":{"acr":{"essential":true,"value":"gold"}}}`, "unmet_authentication_requirements"},
		{"claims that are no JSON", "claims", `{"id_token":`, "invalid_request"},
		{"claims of another shape", "claims", `{"id_token":["acr"]}`, "invalid_request"},
		{"claims without end", "claims", `{"id_token":{"x":{"value":"` + strings.Repeat("a", 5000) + `"}}}`, "invalid_request"},
	} {
		b.refused(tt.name, b.get("/authorize?"+params(tt.parameter, tt.value).Encode()), tt.code, http.StatusSeeOther)
	}
	if a := b.get("/authorize?" + params("acr_values", "gold silver", "ui_locales", "de en", "claims", `{"userinfo":{"name":null,"picture":{"essential":true}}}`).Encode()); a.location().Path != "/signin" {
		t.Errorf("voluntary wishes: %q", a.Header.Get("Location"))
	}
	// Whoever cancels a step-up leaves the client with the reason.
	request := b.begin(params("acr_values", "phrh"))
	a := b.post("/test/agree", url.Values{"request": {request}, "answer": {"no"}})
	b.refused("cancelled", b.get(a.Header.Get("Location")), "unmet_authentication_requirements", http.StatusSeeOther)
	request = b.begin(params())
	a = b.post("/test/agree", url.Values{"request": {request}, "answer": {"no"}})
	b.refused("cancelled without a level", b.get(a.Header.Get("Location")), "access_denied", http.StatusSeeOther)
	if a := b.prove("ada", request); a.Text == "" || a.StatusCode < 400 {
		t.Errorf("a sign-in to a cancelled request: status %d", a.StatusCode)
	}
}

// third are the parameters of a client that is not the operator's own.
func third(pairs ...string) url.Values {
	return params(append([]string{"client_id", "third", "redirect_uri", "https://third.test/cb", "scope", "openid offline_access orders.read"}, pairs...)...)
}

// Attack: an application asks for one person and gets another's tokens (OpenID
// Connect Core section 3.1.2.2).
func TestNobodyAnswersForTheOneWhoIsExpected(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	bobs := w.browser().obtain("bob", params("client_id", "web")).id
	ada := string(w.people["ada"].ID)
	b.obtain("ada", params())
	asOther := w.browser().code("bob", params("client_id", "other", "redirect_uri", "https://other.test/cb", "scope", "openid orders.read"))
	others := b.tokens(w.exchange(asOther, "client_id", "other", "client_secret", w.secrets["other"], "redirect_uri", "https://other.test/cb")).id
	wants := func(where, sub string) string { return `{"` + where + `":{"sub":{"value":"` + sub + `"}}}` }
	for _, tt := range []struct {
		name     string
		v        url.Values
		silent   bool // the session answers by itself
		answered map[string]bool
	}{
		{"a hint", params("id_token_hint", bobs), false, map[string]bool{"ada": false, "bob": true}},
		{"a sub in the ID token", params("claims", wants("id_token", string(w.people["bob"].ID))), false, map[string]bool{"ada": false, "bob": true}},
		{"a sub at userinfo", params("claims", wants("userinfo", string(w.people["bob"].ID))), false, map[string]bool{"ada": false, "bob": true}},
		{"a sub that is nobody's", params("claims", wants("id_token", "x")), false, map[string]bool{"ada": false, "bob": false}},
		{"the person of the session", params("claims", wants("id_token", ada)), true, nil},
		{"an essential sub without a value", params("claims", `{"id_token":{"sub":{"essential":true}}}`), true, nil},
		{"a hint that does not verify", params("id_token_hint", bobs+"x"), false, map[string]bool{"ada": true, "bob": true}},
		{"a hint of another client", params("id_token_hint", others), false, map[string]bool{"ada": true}},
	} {
		to := b.get("/authorize?" + tt.v.Encode()).location().Path
		if silent := to == "/authorize/callback"; silent != tt.silent {
			t.Errorf("%s: goes to %s", tt.name, to)
		}
		v := url.Values{}
		maps.Copy(v, tt.v)
		v.Set("prompt", "none")
		if a := b.get("/authorize?" + v.Encode()); (a.oauthError() == "login_required") == tt.silent {
			t.Errorf("%s: prompt none answers %q", tt.name, a.oauthError())
		}
		for who, answered := range tt.answered {
			one := w.browser()
			a := one.signIn(who, one.begin(tt.v))
			if code := a.location().Query().Get("code"); (code != "") != answered || !answered && (a.oauthError() != "login_required" || a.location().Host != "rp.test") {
				t.Errorf("%s: %s is answered with %q", tt.name, who, a.location())
			}
		}
	}
	both := params("id_token_hint", bobs, "claims", wants("id_token", ada))
	b.refused("a hint and a sub of two people", b.get("/authorize?"+both.Encode()), "invalid_request", http.StatusSeeOther)
	two := params("claims", `{"id_token":{"sub":{"values":["a","b"]}}}`)
	b.refused("two subs", b.get("/authorize?"+two.Encode()), "invalid_request", http.StatusSeeOther)
	odd := params("claims", `{"id_token":{"auth_time":{"essential":true,"value":7},"email_verified":{"values":[true]},"x":null,"acr":{"values":[1,"phr"]}},"userinfo":{"name":{"essential":true}},"z":[]}`)
	if a := b.get("/authorize?" + odd.Encode()); a.location().Path != "/authorize/callback" {
		t.Errorf("claims that we do not know: %s %s", a.location(), a.Text)
	}
}

func TestConsent(t *testing.T) {
	w := newWorld(t)
	b, stranger := w.browser(), w.browser()
	request := b.begin(third())
	a := b.signIn("ada", request)
	if a.location().Path != "/consent" {
		t.Fatalf("after the sign-in: %q", a.Header.Get("Location"))
	}
	form := url.Values{"request": {request}, "answer": {"yes"}}
	if a := stranger.post("/test/agree", form); a.StatusCode < 400 {
		t.Errorf("another browser agreed: status %d", a.StatusCode)
	}
	// Another person's session in this browser cannot agree to a request of hers.
	b.signIn("bob", b.begin(params("prompt", "login")))
	if a := b.post("/test/agree", form); a.StatusCode < 400 {
		t.Errorf("another person agreed: status %d", a.StatusCode)
	}
	request = b.begin(third("prompt", "login"))
	b.signIn("ada", request)
	form.Set("request", request)
	a = b.post("/test/agree", form)
	a = b.get(a.Header.Get("Location"))
	code := a.location().Query().Get("code")
	tk := b.tokens(w.exchange(code, "client_id", "third", "client_secret", w.secrets["third"], "redirect_uri", "https://third.test/cb"))
	if a := b.post("/test/agree", form); a.StatusCode < 400 {
		t.Errorf("agreed again after the code: status %d", a.StatusCode)
	}
	// It is remembered for what was agreed to, and for no more.
	for _, tt := range []struct {
		name string
		v    url.Values
		want string
	}{
		{"the same", third(), "code"},
		{"less", third("scope", "openid"), "code"},
		{"one more scope", third("scope", "openid profile"), "consent"},
		{"another API", third("resource", ledger, "scope", "openid"), "consent"},
		{"prompt consent", third("prompt", "consent"), "consent"},
	} {
		a := b.get(b.get("/authorize?" + tt.v.Encode()).Header.Get("Location"))
		if got := a.Header.Get("Location"); tt.want == "code" != strings.Contains(got, "code=") || tt.want == "consent" != strings.HasPrefix(got, "/consent") {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
	b.refused("prompt none without agreement", b.get("/authorize?"+third("prompt", "none", "scope", "openid profile").Encode()), "consent_required", http.StatusSeeOther)
	if a := b.get("/authorize?" + third("prompt", "none").Encode()); a.location().Path != "/authorize/callback" {
		t.Errorf("prompt none with agreement: %q", a.Header.Get("Location"))
	}
	// A third party moves only between the APIs that were agreed to.
	refresh := func(token, resource string) url.Values {
		return w.refresh(token, "client_id", "third", "client_secret", w.secrets["third"], "resource", resource)
	}
	b.refused("an API beyond the grant", b.post("/token", refresh(tk.refresh, ledger)), "invalid_target", 400)
	tk = b.tokens(refresh(tk.refresh, orders))
	// No: the client learns it, and nothing was given.
	request = b.begin(third("scope", "openid profile", "prompt", "login"))
	b.signIn("ada", request)
	a = b.post("/test/agree", url.Values{"request": {request}, "answer": {"no"}})
	b.refused("declined", b.get(a.Header.Get("Location")), "access_denied", http.StatusSeeOther)
}

func TestOneSignInForSeveralAPIs(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	v := third("scope", "openid offline_access orders.read ledger.read")
	v["resource"] = []string{ledger, orders}
	request := b.begin(v)
	b.signIn("ada", request)
	a := b.get(b.post("/test/agree", url.Values{"request": {request}, "answer": {"yes"}}).Header.Get("Location"))
	auth := []string{"client_id", "third", "client_secret", w.secrets["third"]}
	tk := b.tokens(w.exchange(a.location().Query().Get("code"), append(auth, "redirect_uri", "https://third.test/cb", "resource", orders)...))
	for _, resource := range []string{ledger, orders, ledger} {
		if _, c := w.decode(tk.access, claim.TypeAccessToken); strings.Contains(c["scope"].(string), " ") {
			t.Errorf("scopes of two APIs in one token: %v", c["scope"])
		}
		tk = b.tokens(w.refresh(tk.refresh, append(auth, "resource", resource)...))
		if _, c := w.decode(tk.access, claim.TypeAccessToken); c["aud"] != resource {
			t.Errorf("audience %v, want %s", c["aud"], resource)
		}
	}
}

func TestPKCEIsLeftOutOnlyWhereDeclared(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	legacy := func(pairs ...string) url.Values {
		return params(append([]string{"client_id", "legacy", "redirect_uri", "https://legacy.test/cb", "resource", "", "scope", "openid profile", "code_challenge", "", "code_challenge_method", ""}, pairs...)...)
	}
	b.refused("plain", b.get("/authorize?"+legacy("code_challenge", challenge(), "code_challenge_method", "plain").Encode()), "invalid_request", http.StatusSeeOther)
	b.refused("a method without a challenge", b.get("/authorize?"+legacy("code_challenge_method", "S256").Encode()), "invalid_request", http.StatusSeeOther)
	auth := []string{"client_id", "legacy", "client_secret", w.secrets["legacy"], "redirect_uri", "https://legacy.test/cb"}
	tk := b.tokens(w.exchange(b.code("ada", legacy()), append(auth, "code_verifier", "")...))
	if h, _ := w.decode(tk.id, claim.TypeIDToken); h["alg"] != "ES256" {
		t.Errorf("ID token signed with %v", h["alg"])
	}
	b.refused("no nonce either", b.post("/token", w.exchange(b.code("ada", legacy("nonce", "")), append(auth, "code_verifier", "")...)), "invalid_grant", 400)
	b.refused("a verifier without a challenge", b.post("/token", w.exchange(b.code("ada", legacy()), auth...)), "invalid_grant", 400)
	with := b.code("ada", legacy("code_challenge", challenge(), "code_challenge_method", "S256"))
	b.refused("a challenge without its verifier", b.post("/token", w.exchange(with, append(auth, "code_verifier", "")...)), "invalid_grant", 400)
	// The registered method is the only one.
	basic := b.form("/token", w.exchange("x", "client_id", "", "client_secret", "", "redirect_uri", "https://legacy.test/cb"))
	basic.SetBasicAuth("legacy", w.secrets["legacy"])
	b.refused("basic by a client of post", b.send(basic), "invalid_client", 401)
}

func TestPairwiseSubjectsAreSharedByASectorAlone(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	subjects := map[string]string{}
	for id, uri := range map[string]string{"clinic": "https://clinic.test/cb", "pharmacy": "https://pharmacy.test/cb", "brief": "https://brief.test/cb"} {
		v := identity("client_id", id, "redirect_uri", uri, "scope", "openid")
		tk := b.tokens(w.exchange(b.code("ada", v), "client_id", id, "client_secret", "", "redirect_uri", uri))
		_, c := w.decode(tk.id, claim.TypeIDToken)
		subjects[id], _ = c["sub"].(string)
		if info := b.userInfo(tk.access); info.JSON["sub"] != subjects[id] {
			t.Errorf("%s: userinfo says %v, the ID token %v", id, info.JSON["sub"], subjects[id])
		}
		if a := b.get("/authorize?" + v.Encode() + "&prompt=none&id_token_hint=" + tk.id); a.location().Path != "/authorize/callback" {
			t.Errorf("%s: the hint is not recognised: %q", id, a.Header.Get("Location"))
		}
	}
	if subjects["clinic"] == "" || subjects["clinic"] != subjects["pharmacy"] || subjects["clinic"] == subjects["brief"] || subjects["brief"] != string(w.people["ada"].ID) {
		t.Errorf("subjects %v", subjects)
	}
}

func TestIntrospectionTellsOnlyTheOneConcerned(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	tk := b.obtain("ada", params())
	ask := func(id, token string) answer {
		return b.post("/introspect", url.Values{"token": {token}, "client_id": {id}, "client_secret": {w.secrets[id]}})
	}
	for _, tt := range []struct {
		name, id, token string
		active          bool
	}{
		{"the resource server", "orders-api", tk.access, true},
		{"the client itself", "web", tk.access, true},
		{"another client", "other", tk.access, false},
		{"a workload", "robot", tk.access, false},
		{"an ID token", "web", tk.id, false},
		{"a refresh token", "web", tk.refresh, false},
		{"rubbish", "web", "x", false},
	} {
		a := ask(tt.id, tt.token)
		if a.StatusCode != http.StatusOK || a.JSON["active"] != tt.active || !tt.active && len(a.JSON) != 1 {
			t.Errorf("%s: status %d %s", tt.name, a.StatusCode, a.Text)
		}
		if tt.active && (a.JSON["sub"] != string(w.people["ada"].ID) || a.JSON["aud"] != orders || a.JSON["authenticator_attestation"] == nil) {
			t.Errorf("%s: %s", tt.name, a.Text)
		}
	}
	signed := func(accept, id, token string) answer {
		r := b.form("/introspect", url.Values{"token": {token}})
		r.SetBasicAuth(id, w.secrets[id])
		r.Header.Set("Accept", accept)
		return b.send(r)
	}
	for _, tt := range []struct {
		id     string
		active bool
	}{{"orders-api", true}, {"other", false}} {
		a := signed("text/html, application/token-introspection+jwt;q=0.9", tt.id, tk.access)
		if a.Header.Get("Content-Type") != "application/token-introspection+jwt" || a.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("signed for %s: %v %s", tt.id, a.Header, a.Text)
		}
		_, c := w.decode(a.Text, claim.TypeIntrospection)
		told, _ := c["token_introspection"].(map[string]any)
		if len(c) != 4 || c["iss"] != issuer || c["aud"] != tt.id || c["iat"] == nil || told["active"] != tt.active || tt.active != (told["sub"] == string(w.people["ada"].ID)) {
			t.Errorf("signed for %s: %v", tt.id, c)
		}
		// RFC 9701 section 8.1: it is no token.
		if a := b.userInfo(a.Text); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("userinfo takes a signed answer: %d", a.StatusCode)
		}
		if a := b.post("/token", w.exchange("", "code", "", "redirect_uri", "", "code_verifier", "", "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "client_id", "orders-api",
			"client_secret", w.secrets["orders-api"], "subject_token", a.Text, "subject_token_type", "urn:ietf:params:oauth:token-type:access_token", "resource", ledger)); a.StatusCode == http.StatusOK {
			t.Error("a signed answer is exchanged for a token")
		}
	}
	if a := signed("*/*", "orders-api", tk.access); a.JSON["active"] != true {
		t.Errorf("a wildcard asks for a signature: %s", a.Text)
	}
	b.refused("no token", b.post("/introspect", url.Values{"client_id": {"web"}, "client_secret": {w.secrets["web"]}}), "invalid_request", 400)
	b.refused("a public client", b.post("/introspect", url.Values{"token": {tk.access}, "client_id": {"spa"}}), "invalid_client", 401)
	b.refused("nobody", b.post("/introspect", url.Values{"token": {tk.access}}), "invalid_client", 401)
	b.refused("a wrong secret", b.post("/introspect", url.Values{"token": {tk.access}, "client_id": {"web"}, "client_secret": {"x"}}), "invalid_client", 401)
	b.post("/revoke", url.Values{"token": {tk.refresh}, "client_id": {"web"}, "client_secret": {w.secrets["web"]}})
	if a := ask("orders-api", tk.access); a.JSON["active"] != false {
		t.Errorf("after revocation: %s", a.Text)
	}
}

func TestTokenExchangeDelegatesAndNeverWidens(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	v := params("scope", "openid offline_access orders.read ledger.read")
	v["resource"] = []string{orders, ledger}
	tk := b.obtain("ada", v)
	narrow := b.obtain("ada", params("scope", "openid orders.read"))
	exchange := func(pairs ...string) url.Values {
		return w.exchange("", append([]string{"code", "", "redirect_uri", "", "code_verifier", "", "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange",
			"client_id", "orders-api", "client_secret", w.secrets["orders-api"], "subject_token", tk.access,
			"subject_token_type", "urn:ietf:params:oauth:token-type:access_token", "resource", ledger}, pairs...)...)
	}
	a := b.post("/token", exchange())
	if a.StatusCode != http.StatusOK || a.JSON["issued_token_type"] != "urn:ietf:params:oauth:token-type:access_token" || a.JSON["refresh_token"] != nil {
		t.Fatalf("status %d %s", a.StatusCode, a.Text)
	}
	delegated := a.JSON["access_token"].(string)
	_, subject := w.decode(tk.access, claim.TypeAccessToken)
	_, c := w.decode(delegated, claim.TypeAccessToken)
	if act, _ := c["act"].(map[string]any); c["sub"] != subject["sub"] || c["aud"] != ledger || c["client_id"] != "orders-api" || act["sub"] != "orders-api" || c["actor"] != "orders-api" || c["scope"] != "ledger.read" {
		t.Errorf("claims %v", c)
	}
	if c["exp"].(float64) > subject["exp"].(float64) || c["auth_time"] != subject["auth_time"] || !slices.Equal(w.facts(delegated), w.facts(tk.access)) {
		t.Errorf("delegated %v of %v", c, subject)
	}
	for _, tt := range []struct {
		name  string
		pairs []string
		code  string
	}{
		{"an API beyond the grant", []string{"subject_token", narrow.access}, "invalid_target"},
		{"an API the actor may not call", []string{"resource", orders}, "invalid_target"},
		{"no API", []string{"resource", ""}, "invalid_target"},
		{"two APIs", []string{"audience", orders}, "invalid_target"},
		{"a scope that the token lacks", []string{"scope", "orders.write"}, "invalid_scope"},
		{"a token for somebody else", []string{"subject_token", delegated}, "invalid_request"},
		{"an ID token", []string{"subject_token", tk.id}, "invalid_request"},
		{"an ID token by its type", []string{"subject_token", tk.id, "subject_token_type", "urn:ietf:params:oauth:token-type:id_token"}, "invalid_request"},
		{"a refresh token asked for", []string{"requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"},
		{"impersonation with an actor token", []string{"actor_token", tk.access, "actor_token_type", "urn:ietf:params:oauth:token-type:access_token"}, "invalid_request"},
		{"a client without the grant", []string{"client_id", "web", "client_secret", w.secrets["web"]}, "unauthorized_client"},
	} {
		b.refused(tt.name, b.post("/token", exchange(tt.pairs...)), tt.code, 400)
	}
	if n := w.record(audit.TokenExchanged, "done"); n != 1 {
		t.Errorf("%d exchanges on record, want 1", n)
	}
	// What was delegated ends with the grant.
	b.post("/revoke", url.Values{"token": {tk.refresh}, "client_id": {"web"}, "client_secret": {w.secrets["web"]}})
	if a := b.post("/token", exchange()); a.StatusCode != 400 && a.StatusCode != 401 {
		t.Errorf("after revocation: status %d %s", a.StatusCode, a.Text)
	}
	if a := b.post("/introspect", url.Values{"token": {delegated}, "client_id": {"orders-api"}, "client_secret": {w.secrets["orders-api"]}}); a.JSON["active"] != false {
		t.Errorf("the delegated token outlives the grant: %s", a.Text)
	}
}
