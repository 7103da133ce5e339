package provider_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/passkey/passkeytest"
)

func TestChallengeMustBeMet(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, tt := range []struct{ name, verifier string }{
		{"no verifier", ""},
		{"another verifier", strings.Repeat("x", 50)},
		{"the challenge itself", challenge()},
	} {
		code := b.code("ada", params())
		b.refused(tt.name, b.post("/token", w.exchange(code, "code_verifier", tt.verifier)), "invalid_grant", http.StatusBadRequest)
		b.refused(tt.name+": the code is dead", b.post("/token", w.exchange(code)), "invalid_grant", http.StatusBadRequest)
	}
	code := b.code("ada", params())
	v := w.exchange(code)
	v["code_verifier"] = []string{""}
	b.refused("empty verifier", b.post("/token", v), "invalid_grant", http.StatusBadRequest)
}

func TestCodeOfAnotherClient(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	code := b.code("ada", params())
	b.refused("with another's valid secret", b.post("/token", w.exchange(code, "client_id", "other", "client_secret", w.secrets["other"])), "invalid_grant", http.StatusBadRequest)
	b.refused("dead for its owner", b.post("/token", w.exchange(code)), "invalid_grant", http.StatusBadRequest)
	code = b.code("ada", params())
	b.refused("by a public client", b.post("/token", w.exchange(code, "client_id", "spa", "client_secret", "")), "invalid_grant", http.StatusBadRequest)
	if got := w.record(audit.CodeRedeemed, "refused"); got != 3 {
		t.Errorf("%d refusals on record, want 3", got)
	}
}

func TestCodeReplayEndsTheFamily(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	code := b.code("ada", identity())
	tk := b.tokens(w.exchange(code))
	if a := b.userInfo(tk.access); a.StatusCode != http.StatusOK {
		t.Fatalf("userinfo before the replay: %d %s", a.StatusCode, a.Text)
	}
	b.refused("second use", b.post("/token", w.exchange(code)), "invalid_grant", http.StatusBadRequest)
	b.refused("its refresh token", b.post("/token", w.refresh(tk.refresh)), "invalid_grant", http.StatusBadRequest)
	b.refused("its access token", b.userInfo(tk.access), "invalid_token", http.StatusUnauthorized)
}

// race sends the same form fifty times at once and returns the answers of the winners.
func (b *browser) race(form url.Values) []answer {
	b.Helper()
	const racers = 50
	var wait sync.WaitGroup
	answers, start := make([]answer, racers), make(chan struct{})
	for i := range racers {
		wait.Go(func() {
			<-start
			answers[i] = b.post("/token", form)
		})
	}
	close(start)
	wait.Wait()
	var won []answer
	for _, a := range answers {
		if a.StatusCode == http.StatusOK {
			won = append(won, a)
		} else if a.oauthError() != "invalid_grant" {
			b.Errorf("a loser was answered %d %s", a.StatusCode, a.Text)
		}
	}
	return won
}

func TestFiftyRaceForOneCode(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	won := b.race(w.exchange(b.code("ada", identity())))
	if len(won) != 1 {
		t.Fatalf("%d of 50 redeemed one code, want 1", len(won))
	}
	b.refused("the family ends", b.post("/token", w.refresh(won[0].JSON["refresh_token"].(string))), "invalid_grant", http.StatusBadRequest)
	b.refused("userinfo", b.userInfo(won[0].JSON["access_token"].(string)), "invalid_token", http.StatusUnauthorized)
	if done, refused := w.record(audit.CodeRedeemed, "done"), w.record(audit.CodeRedeemed, "refused"); done != 1 || refused != 49 {
		t.Errorf("on record: %d done and %d refused, want 1 and 49", done, refused)
	}
}

func TestFiftyRaceForOneRefreshToken(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	won := b.race(w.refresh(b.obtain("ada", identity()).refresh))
	if len(won) != 1 {
		t.Fatalf("%d of 50 used one refresh token, want 1", len(won))
	}
	b.refused("the family ends", b.post("/token", w.refresh(won[0].JSON["refresh_token"].(string))), "invalid_grant", http.StatusBadRequest)
}

func TestExpiredCodeAndOtherRedirectURI(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	code := b.code("ada", params())
	w.advance(61 * time.Second)
	b.refused("after 61 s", b.post("/token", w.exchange(code)), "invalid_grant", http.StatusBadRequest)
	code = b.code("ada", params())
	b.refused("other redirect_uri", b.post("/token", w.exchange(code, "redirect_uri", "https://rp.test/other")), "invalid_grant", http.StatusBadRequest)
	code = b.code("ada", params())
	b.refused("no redirect_uri", b.post("/token", w.exchange(code, "redirect_uri", "")), "invalid_request", http.StatusBadRequest)
	b.refused("invented code", b.post("/token", w.exchange("invented")), "invalid_grant", http.StatusBadRequest)
	b.refused("no code", b.post("/token", w.exchange("", "code", "")), "invalid_request", http.StatusBadRequest)
}

func TestClientAuthentication(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	basic := func(id, password string, form url.Values) *http.Request {
		r := b.form("/token", form)
		r.SetBasicAuth(id, password)
		return r
	}
	bare := func(pairs ...string) url.Values {
		return w.exchange("invented", append([]string{"client_id", "", "client_secret", ""}, pairs...)...)
	}
	header := func(value string, form url.Values) *http.Request {
		r := b.form("/token", form)
		r.Header.Set("Authorization", value)
		return r
	}
	web := w.secrets["web"]
	for _, tt := range []struct {
		name   string
		r      *http.Request
		code   string
		status int
	}{
		{"basic", basic("web", web, bare()), "invalid_grant", 400},
		{"basic with its own id in the body", basic("web", web, bare("client_id", "web")), "invalid_grant", 400},
		{"post", b.form("/token", w.exchange("invented")), "invalid_grant", 400},
		{"public", b.form("/token", bare("client_id", "spa")), "invalid_grant", 400},
		{"wrong secret", basic("web", "wrong", bare()), "invalid_client", 401},
		{"wrong secret in the body", b.form("/token", w.exchange("invented", "client_secret", "wrong")), "invalid_client", 401},
		{"secret of another", basic("web", w.secrets["other"], bare()), "invalid_client", 401},
		{"unknown client", basic("nobody", web, bare()), "invalid_client", 401},
		{"unknown client without a secret", b.form("/token", bare("client_id", "nobody")), "invalid_client", 401},
		{"no secret", b.form("/token", bare("client_id", "web")), "invalid_client", 401},
		{"empty secret", basic("web", "", bare()), "invalid_client", 401},
		{"public with a secret", b.form("/token", bare("client_id", "spa", "client_secret", "x")), "invalid_client", 401},
		{"public with Basic", basic("spa", "", bare()), "invalid_client", 401},
		{"public with another's secret", basic("spa", web, bare()), "invalid_client", 401},
		{"header for one, body for another", basic("web", web, bare("client_id", "other")), "invalid_client", 401},
		{"two ways", basic("web", web, w.exchange("invented")), "invalid_request", 400},
		{"two ways, no id in the body", basic("web", web, bare("client_secret", web)), "invalid_request", 400},
		{"broken Basic escape", basic("%zz", web, bare()), "invalid_client", 401},
		{"broken Basic", header("Basic !!!", bare("client_id", "web")), "invalid_client", 401},
		{"Bearer", header("Bearer x", bare("client_id", "spa")), "invalid_client", 401},
		{"assertion", b.form("/token", bare("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", "eyJhbGciOiJub25lIn0.e30.")), "invalid_client", 401},
		{"assertion beside a public id", b.form("/token", bare("client_id", "spa", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", "eyJhbGciOiJub25lIn0.e30.")), "invalid_client", 401},
		{"nobody", b.form("/token", bare()), "invalid_request", 400},
	} {
		a := b.send(tt.r)
		b.refused(tt.name, a, tt.code, tt.status)
		if got := a.Header.Get("WWW-Authenticate"); (a.StatusCode == 401) != strings.HasPrefix(got, "Basic ") {
			t.Errorf("%s: WWW-Authenticate %q with status %d", tt.name, got, a.StatusCode)
		}
	}
}

func TestWrongIDAndWrongSecretAreAnsweredAlike(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	unknown := b.post("/token", w.exchange("x", "client_id", "nobody"))
	wrong := b.post("/token", w.exchange("x", "client_secret", "wrong"))
	if unknown.Text != wrong.Text || unknown.StatusCode != wrong.StatusCode {
		t.Errorf("%d %s differs from %d %s", unknown.StatusCode, unknown.Text, wrong.StatusCode, wrong.Text)
	}
}

func TestTokenEndpointTakesFormsByPostAlone(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, path := range []string{"/token", "/revoke"} {
		if a := b.get(path + "?" + w.exchange("x").Encode()); a.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: status %d", path, a.StatusCode)
		}
		b.refused(path+" with a query", b.post(path+"?client_id=web&client_secret="+w.secrets["web"], url.Values{"token": {"x"}}), "invalid_request", 400)
		r := b.form(path, w.exchange("x"))
		r.Header.Set("Content-Type", "application/json")
		b.refused(path+" as JSON", b.send(r), "invalid_request", 400)
		r = b.form(path, w.exchange("x"))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		b.refused(path+" as multipart", b.send(r), "invalid_request", 400)
		b.refused(path+" too large", b.post(path, w.exchange(strings.Repeat("x", 65<<10))), "invalid_request", 413)
	}
}

func TestGrantsThatAreNotOffered(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, tt := range []struct{ name, grantType, code string }{
		{"jwt-bearer", "urn:ietf:params:oauth:grant-type:jwt-bearer", "unsupported_grant_type"},
		{"token exchange", "urn:ietf:params:oauth:grant-type:token-exchange", "unauthorized_client"},
		{"device code", "urn:ietf:params:oauth:grant-type:device_code", "unauthorized_client"},
		{"password", "password", "unsupported_grant_type"},
		{"none", "", "invalid_request"},
		{"client credentials by a client for people", "client_credentials", "unauthorized_client"},
	} {
		b.refused(tt.name, b.post("/token", w.exchange("x", "grant_type", tt.grantType, "assertion", "x.y.z", "device_code", "x")), tt.code, 400)
	}
	for _, path := range []string{"/oauth/introspect", "/register", "/par", "/healthz", "/ready", "/keys"} {
		if a := b.post(path, w.exchange("x")); a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", path, a.StatusCode)
		}
	}
}

func TestRefreshTokenTheft(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	first := b.obtain("ada", params())
	second := b.tokens(w.refresh(first.refresh))
	if second.refresh == first.refresh || second.id == "" {
		t.Fatal("not rotated, or no ID token")
	}
	b.refused("the old one", b.post("/token", w.refresh(first.refresh)), "invalid_grant", 400)
	b.refused("the family ends", b.post("/token", w.refresh(second.refresh)), "invalid_grant", 400)

	stolen := b.obtain("ada", params())
	b.refused("by another client", b.post("/token", w.refresh(stolen.refresh, "client_id", "other", "client_secret", w.secrets["other"])), "invalid_grant", 400)
	b.refused("the family ends", b.post("/token", w.refresh(stolen.refresh)), "invalid_grant", 400)

	wide := b.obtain("ada", params("scope", "openid offline_access orders.read"))
	b.refused("wider", b.post("/token", w.refresh(wide.refresh, "scope", "openid orders.read orders.write")), "invalid_scope", 400)
	narrow := b.post("/token", w.refresh(wide.refresh, "scope", "orders.read"))
	if narrow.JSON["scope"] != "orders.read" || narrow.JSON["id_token"] != nil {
		t.Errorf("narrowed: %s", narrow.Text)
	}
	again := b.post("/token", w.refresh(narrow.JSON["refresh_token"].(string)))
	if again.JSON["scope"] != "openid offline_access orders.read" {
		t.Errorf("after narrowing once: scope %v, want all that was granted (RFC 6749 section 6)", again.JSON["scope"])
	}
	text := again.JSON["refresh_token"].(string)
	for _, altered := range []string{text[:len(text)-1], text + "=", strings.ToUpper(text), " " + text, text + ".x"} {
		b.refused("altered refresh token", b.post("/token", w.refresh(altered)), "invalid_grant", 400)
	}
	b.refused("none", b.post("/token", w.refresh("")), "invalid_request", 400)
	b.tokens(w.refresh(text)) // guesses ended nothing

	idle := b.obtain("ada", params())
	w.advance(grant.RefreshIdle + time.Second)
	b.refused("idle", b.post("/token", w.refresh(idle.refresh)), "invalid_grant", 400)
}

func TestNoRefreshTokenWithoutOfflineAccess(t *testing.T) {
	w := newWorld(t)
	if tk := w.browser().obtain("ada", params("scope", "openid orders.read")); tk.refresh != "" {
		t.Error("a refresh token was issued")
	}
}

// What changed since the sign-in must count at the next token.
func TestStateIsCheckedAgainAtEveryToken(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct {
		name   string
		change func(w *world, b *browser)
		code   string
	}{
		{"the person is suspended", func(w *world, _ *browser) {
			w.tx(func(tx pgx.Tx) error { return account.Suspend(ctx, tx, w.people["ada"].ID) })
		}, "invalid_grant"},
		{"the passkey is removed", func(w *world, _ *browser) {
			old := w.people["ada"].credential
			w.addPasskey("ada", &passkeytest.Authenticator{Attestation: passkeytest.AttestNone})
			w.tx(func(tx pgx.Tx) error { return passkey.Remove(ctx, tx, w.clock(), old.UserID, old.ID) })
		}, "invalid_grant"},
		{"the session is ended", func(w *world, b *browser) { b.post("/test/signout", nil) }, "invalid_grant"},
		{"the client may not call the API", func(w *world, _ *browser) {
			w.declare(strings.Replace(trustFile, "ledger.read], apis: [orders, ledger]}", "ledger.read], apis: [ledger]}", 1))
		}, "invalid_target"},
		{"the API is gone", func(w *world, _ *browser) {
			w.useTrust(strings.Replace(trustFile, `audience: "http://localhost:8081/orders"`, `audience: "http://localhost:8081/moved"`, 1))
		}, "invalid_target"},
		{"the client is gone", func(w *world, _ *browser) { w.declare(strings.Replace(trustFile, "id: web,", "id: renamed,", 1)) }, "invalid_client"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			tk, info := b.obtain("ada", params()), b.obtain("ada", identity())
			code := b.code("ada", params())
			tt.change(w, b)
			status := http.StatusBadRequest
			if tt.code == "invalid_client" {
				status = http.StatusUnauthorized
			}
			b.refused("open code", b.post("/token", w.exchange(code)), tt.code, status)
			b.refused("refresh", b.post("/token", w.refresh(tk.refresh)), tt.code, status)
			b.refused("the refused refresh ended it", b.post("/token", w.refresh(tk.refresh)), map[string]string{"invalid_client": "invalid_client"}[tt.code]+map[bool]string{true: "invalid_grant"}[tt.code != "invalid_client"], status)
			switch tt.code {
			case "invalid_grant":
				b.refused("userinfo", b.userInfo(info.access), "invalid_token", http.StatusUnauthorized)
			}
		})
	}
}

func TestScopeThatTheClientLostFallsAway(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	tk := b.obtain("ada", params())
	w.declare(strings.Replace(trustFile, "offline_access, orders.read, orders.write, ledger.read]", "offline_access, orders.read, ledger.read]", 1))
	a := b.post("/token", w.refresh(tk.refresh))
	_, c := w.decode(a.JSON["access_token"].(string), claim.TypeAccessToken)
	if c["scope"] != "orders.read" || a.JSON["scope"] != "openid profile authenticator offline_access orders.read" {
		t.Errorf("scope %v in the token, %v in the answer", c["scope"], a.JSON["scope"])
	}
}

func TestResourceAtTheTokenEndpoint(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	code := b.code("ada", params())
	b.refused("another resource", b.post("/token", w.exchange(code, "resource", ledger)), "invalid_target", 400)
	code = b.code("ada", params())
	tk := b.tokens(w.exchange(code, "resource", orders))
	b.refused("an unknown resource at refresh", b.post("/token", w.refresh(tk.refresh, "resource", "https://api.test/nonsense")), "invalid_target", 400)
	b.refused("two resources for one token", b.post("/token", url.Values{"resource": {orders, ledger}, "grant_type": {"refresh_token"}, "refresh_token": {tk.refresh},
		"client_id": {"web"}, "client_secret": {w.secrets["web"]}}), "invalid_target", 400)
	// The refusals spent nothing, and the operator's own client moves on to another of its APIs.
	moved := b.tokens(w.refresh(tk.refresh, "resource", ledger))
	if _, c := w.decode(moved.access, claim.TypeAccessToken); c["aud"] != ledger || c["scope"] != nil {
		t.Errorf("moved to another API: %v", c)
	}
}

func TestWorkload(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	ask := func(id string, pairs ...string) answer {
		return b.post("/token", w.exchange("", append([]string{"code", "", "redirect_uri", "", "code_verifier", "", "grant_type", "client_credentials", "client_id", id, "client_secret", w.secrets[id]}, pairs...)...))
	}
	for _, tt := range []struct {
		name  string
		a     answer
		scope string
		aud   string
	}{
		{"its only API, all its scopes", ask("robot"), "orders.read", orders},
		{"named", ask("robot", "resource", orders, "scope", "orders.read"), "orders.read", orders},
		{"one of two", ask("robot2", "resource", ledger), "ledger.read", ledger},
	} {
		if tt.a.StatusCode != http.StatusOK || tt.a.JSON["scope"] != tt.scope || tt.a.JSON["refresh_token"] != nil || tt.a.JSON["id_token"] != nil {
			t.Errorf("%s: %d %s", tt.name, tt.a.StatusCode, tt.a.Text)
			continue
		}
		_, c := w.decode(tt.a.JSON["access_token"].(string), claim.TypeAccessToken)
		if c["aud"] != tt.aud || c["idtyp"] != "app" || c["sub"] != c["client_id"] {
			t.Errorf("%s: %v", tt.name, c)
		}
		for _, name := range []string{"auth_time", "acr", "amr", "authenticator_attestation", "authenticator_id", "sid"} {
			if c[name] != nil {
				t.Errorf("%s: an automation token has %s", tt.name, name)
			}
		}
	}
	b.refused("two APIs, none named", ask("robot2"), "invalid_target", 400)
	b.refused("an API it may not call", ask("robot", "resource", ledger), "invalid_target", 400)
	b.refused("an API that is not there", ask("robot", "resource", "https://api.test/none"), "invalid_target", 400)
	b.refused("userinfo", ask("robot", "resource", issuer+"/userinfo", "scope", "openid"), "invalid_target", 400)
	b.refused("a scope it may not have", ask("robot", "scope", "orders.write"), "invalid_scope", 400)
	b.refused("openid", ask("robot", "scope", "openid"), "invalid_scope", 400)
	b.refused("wrong secret", ask("robot", "client_secret", "wrong"), "invalid_client", 401)
	b.refused("no secret", ask("robot", "client_secret", ""), "invalid_client", 401)
	a := b.get("/authorize?" + params("client_id", "robot").Encode())
	b.shownAs("a workload has no redirect URI", a, "redirect_uri_unregistered")
	b.refused("its token at userinfo", b.userInfo(ask("robot").JSON["access_token"].(string)), "invalid_token", 401)
}

// The claim follows the credential of this sign-in, and a refresh never improves it.
func TestAttestationFollowsTheSignIn(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	strong := b.obtain("ada", params())
	if !slices.Contains(w.facts(strong.access), any("hardware")) {
		t.Fatalf("the attested key gave %v", w.facts(strong.access))
	}
	attested := w.people["ada"].key
	w.addPasskey("ada", &passkeytest.Authenticator{Attestation: passkeytest.AttestNone, Synced: true})
	weak := b.obtain("ada", params("prompt", "login"))
	want := []any{"uv"}
	if got := w.facts(weak.access); !slices.Equal(got, want) {
		t.Errorf("the unattested passkey gave %v, want %v", got, want)
	}
	w.people["ada"].key = attested
	b.obtain("ada", params("prompt", "login"))
	if got := w.facts(b.tokens(w.refresh(weak.refresh)).access); !slices.Equal(got, want) {
		t.Errorf("after a refresh the weak grant has %v, want %v", got, want)
	}
	if got := w.facts(b.tokens(w.refresh(strong.refresh)).access); !slices.Contains(got, any("hardware")) {
		t.Errorf("after a refresh the strong grant has %v", got)
	}
	_, before := w.decode(weak.id, claim.TypeIDToken)
	if before["acr"] != "phr" || before["authenticator_aaguid"] != nil || before["authenticator_model"] != nil {
		t.Errorf("unattested: %v", before)
	}
}

// Nothing that a client or person can write reaches the attestation claims.
func TestClaimsCannotBeInjected(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	evil := params("claims", `{"access_token":{"authenticator_attestation":{"value":"fido_l3plus"}},"id_token":{"acr":{"value":"fido_l3plus"}}}`,
		"acr_values", "fido_l3plus", "login_hint", `"authenticator_attestation":["fido_l3plus"]`, "authenticator_attestation", "fido_l3plus", "amr", "hwk", "acr", "phrh", "authenticator_aaguid", "00000000-0000-0000-0000-000000000001")
	code := b.code("bob", evil)
	tk := b.tokens(w.exchange(code, "acr", "phrh", "authenticator_attestation", "fido_l3plus", "claims", evil.Get("claims")))
	tk = b.tokens(w.refresh(tk.refresh, "acr", "phrh", "authenticator_attestation", "fido_l3plus"))
	_, c := w.decode(tk.access, claim.TypeAccessToken)
	if got := w.facts(tk.access); !slices.Equal(got, []any{"uv"}) || c["acr"] != "phr" || c["authenticator_aaguid"] != nil {
		t.Errorf("claims %v", c)
	}
}

func TestRefreshKeepsTheAuthentication(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	first := b.obtain("ada", params())
	w.advance(time.Hour)
	second := b.tokens(w.refresh(first.refresh))
	_, was := w.decode(first.id, claim.TypeIDToken)
	_, is := w.decode(second.id, claim.TypeIDToken)
	for _, name := range []string{"iss", "sub", "aud", "auth_time", "acr", "sid"} {
		if is[name] != was[name] {
			t.Errorf("%s was %v and is %v", name, was[name], is[name])
		}
	}
	if is["iat"] == was["iat"] || is["nonce"] != nil {
		t.Errorf("iat %v, nonce %v", is["iat"], is["nonce"])
	}
}

func TestRevocation(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	revoke := func(token, client string) answer {
		v := url.Values{"token": {token}, "client_id": {client}}
		if s := w.secrets[client]; s != "" {
			v.Set("client_secret", s)
		}
		return b.post("/revoke", v)
	}
	alive := func(what string, tk tokens, want bool) {
		t.Helper()
		if got := b.userInfo(tk.access).StatusCode == http.StatusOK; got != want {
			t.Errorf("%s: alive %v, want %v", what, got, want)
		}
	}
	tk := b.obtain("ada", identity())
	for _, token := range []string{"invented", tk.id, tk.access + "x", strings.ToUpper(tk.refresh)} {
		if a := revoke(token, "web"); a.StatusCode != http.StatusOK {
			t.Errorf("a token that is none: status %d %s", a.StatusCode, a.Text)
		}
	}
	for _, token := range []string{tk.refresh, tk.access} {
		if a := revoke(token, "other"); a.StatusCode != http.StatusOK {
			t.Errorf("another's token: status %d %s", a.StatusCode, a.Text)
		}
	}
	alive("after attempts by others", tk, true)
	b.refused("nothing to revoke", revoke("", "web"), "invalid_request", 400)
	b.refused("unknown client", revoke(tk.refresh, "nobody"), "invalid_client", 401)
	if got := w.record(audit.GrantRevoked, "done") + w.record(audit.GrantRevoked, "refused"); got != 0 {
		t.Errorf("%d entries, want none: nothing was revoked", got)
	}
	for _, tt := range []struct {
		name  string
		token func(tokens) string
	}{
		{"refresh token", func(tk tokens) string { return tk.refresh }},
		{"access token", func(tk tokens) string { return tk.access }},
	} {
		tk := b.obtain("ada", identity())
		if a := revoke(tt.token(tk), "web"); a.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", tt.name, a.StatusCode)
		}
		alive(tt.name, tk, false)
		b.refused(tt.name, b.post("/token", w.refresh(tk.refresh)), "invalid_grant", 400)
	}
	tk = b.obtain("ada", identity())
	revoke(tk.access, "web")
	before := w.record(audit.GrantRevoked, "done")
	revoke(tk.access, "web")
	if got := w.record(audit.GrantRevoked, "done"); got != before {
		t.Errorf("revoking a revoked access token wrote %d more entries", got-before)
	}
}
