package provider_test

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/grant"
)

// shown fails unless the answer is a page and not a redirect.
func (b *browser) shownAs(what string, a answer, reason string) {
	b.Helper()
	if a.Header.Get("Location") != "" || a.Text != reason {
		b.Errorf("%s: status %d, location %q, page %q, want the page %q", what, a.StatusCode, a.Header.Get("Location"), a.Text, reason)
	}
}

func TestRedirectURIIsComparedExactly(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, tt := range []struct{ name, client, uri string }{
		{"userinfo host confusion", "web", "https://rp.test@evil.test/cb"},
		{"encoded userinfo", "web", "https://rp.test%40evil.test/cb"},
		{"backslash host confusion", "web", `https://evil.test\@rp.test/cb`},
		{"dot segments", "web", "https://rp.test/cb/../evil"},
		{"path parameter", "web", "https://rp.test/cb/..;/evil"},
		{"encoded dot segments", "web", "https://rp.test/cb%2f..%2fevil"},
		{"appended path", "web", "https://rp.test/cb/more"},
		{"double slash", "web", "https://rp.test//cb"},
		{"wildcard read as pattern", "web", "https://rpxtest/cb"},
		{"other case", "web", "https://rp.test/CB"},
		{"host in capitals", "web", "https://RP.test/cb"},
		{"added query", "web", "https://rp.test/cb?x=1"},
		{"added fragment", "web", "https://rp.test/cb#f"},
		{"added port", "web", "https://rp.test:443/cb"},
		{"http for https", "web", "http://rp.test/cb"},
		{"subdomain", "web", "https://a.rp.test/cb"},
		{"suffix", "web", "https://rp.test.evil.test/cb"},
		{"homograph", "web", "https://rр.test/cb"},
		{"leading space", "web", " https://rp.test/cb"},
		{"relative", "web", "/cb"},
		{"scheme relative", "web", "//rp.test/cb"},
		{"of another client", "web", "https://other.test/cb"},
		{"javascript", "web", "javascript:alert(1)"},
		{"data", "web", "data:text/html,x"},
		{"web client on loopback", "web", "http://127.0.0.1:1/cb"},
		{"query dropped", "spa", "https://spa.test/cb"},
		{"loopback other path", "native", "http://127.0.0.1:1/other"},
		{"loopback by name", "native", "http://localhost:1/cb"},
		{"loopback look-alike", "native", "http://localhost.evil.test/cb"},
		{"loopback with https", "native", "https://127.0.0.1/cb"},
		{"loopback userinfo", "native", "http://evil.test@127.0.0.1:1/cb"},
		{"loopback as userinfo", "native", "http://127.0.0.1:1@evil.test/cb"},
		{"loopback neighbour", "native", "http://127.9.9.9:1/cb"},
		{"loopback fragment", "native", "http://127.0.0.1:1/cb#f"},
		{"loopback query", "native", "http://127.0.0.1:1/cb?x"},
		{"loopback IPv6", "native", "http://[::1]:1/cb"},
	} {
		b.shownAs(tt.name, b.get("/authorize?"+params("client_id", tt.client, "redirect_uri", tt.uri).Encode()), "redirect_uri_unregistered")
	}
	for _, tt := range []struct{ name, client, uri string }{
		{"exact", "web", webURI},
		{"exact with query", "spa", spaURI},
		{"loopback without port", "native", "http://127.0.0.1/cb"},
		{"loopback any port", "native", "http://127.0.0.1:55555/cb"},
	} {
		b.begin(identity("client_id", tt.client, "redirect_uri", tt.uri, "scope", "openid"))
	}
}

func TestDangerousRedirectURIIsRefusedWhoeverRegisteredIt(t *testing.T) {
	w := newWorld(t)
	uris := []string{"javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "vbscript:x", "https://rp.test/cb#", "https://rp.test/#/cb", "/cb"}
	for _, uri := range uris {
		careless := grant.Client{ID: "careless", Name: "Careless", Kind: grant.Public, RedirectURIs: []string{uri}, GrantTypes: []string{"authorization_code"}, Scopes: []string{"openid"}}
		w.tx(func(tx pgx.Tx) error {
			if _, err := grant.CreateClient(context.Background(), tx, careless); err == nil {
				t.Errorf("%q was registered", uri)
			}
			return nil
		})
	}
	// Registered all the same, by somebody with the database in hand: refused when it is used.
	w.tx(func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), `insert into client (id, name, kind, origin, redirect_uris, grant_types, scopes)
			values ('careless', 'Careless', 'public', 'operator', $1, '{authorization_code}', '{openid}')`, uris)
		return err
	})
	w.must(w.clients.Reload(context.Background()))
	for _, uri := range uris {
		b := w.browser()
		b.shownAs(uri, b.get("/authorize?"+identity("client_id", "careless", "redirect_uri", uri, "scope", "openid").Encode()), "redirect_uri_unregistered")
	}
}

func TestNothingIsRedirectedBeforeTheAddressIsValidated(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, tt := range []struct{ name, parameter, value string }{
		{"bad response type", "response_type", "nonsense"},
		{"bad scope", "scope", "nonsense"},
		{"request object", "request", "eyJhbGciOiJub25lIn0.e30."},
		{"request uri", "request_uri", "https://evil.test/request"},
		{"prompt none", "prompt", "none"},
		{"bad prompt", "prompt", "none login"},
		{"no challenge", "code_challenge", ""},
		{"bad max age", "max_age", "x"},
		{"form post", "response_mode", "form_post"},
	} {
		evil := params("redirect_uri", "https://evil.test/", tt.parameter, tt.value)
		b.shownAs(tt.name, b.get("/authorize?"+evil.Encode()), "redirect_uri_unregistered")
		unknown := params("client_id", "nobody", "redirect_uri", "https://evil.test/", tt.parameter, tt.value)
		b.shownAs(tt.name+", unknown client", b.get("/authorize?"+unknown.Encode()), "client_unknown")
	}
	if a := b.get("/authorize?" + params("redirect_uri", "").Encode()); a.Header.Get("Location") != "" {
		t.Errorf("no redirect_uri: redirected to %q", a.Header.Get("Location"))
	}
}

func TestRepeatedParametersAreRefusedWithoutRedirect(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, name := range []string{"redirect_uri", "client_id", "scope", "state", "code_challenge", "response_type", "unknown"} {
		v := params()
		v[name] = []string{v.Get(name), v.Get(name)}
		b.shownAs("two of "+name, b.get("/authorize?"+v.Encode()), "parameter_repeated")
		b.shownAs(name+" in query and body", b.post("/authorize?"+url.Values{name: {params().Get(name)}}.Encode(), params(name, "x")), "parameter_repeated")
	}
	code := b.code("ada", params())
	v := w.exchange(code)
	v["code"] = []string{code, code}
	b.refused("token: two codes", b.post("/token", v), "invalid_request", http.StatusBadRequest)
	b.tokens(w.exchange(code)) // the ambiguous request consumed nothing
}

func TestErrorsAfterTheAddressGoToTheClient(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	long := strings.Repeat("a", 129)
	for _, tt := range []struct {
		name string
		v    url.Values
		want string
	}{
		{"implicit", params("response_type", "token"), "unsupported_response_type"},
		{"ID token alone", params("response_type", "id_token"), "unsupported_response_type"},
		{"hybrid with token", params("response_type", "code token"), "unsupported_response_type"},
		{"hybrid with ID token", params("response_type", "code id_token"), "unsupported_response_type"},
		{"no response type", params("response_type", ""), "invalid_request"},
		{"fragment", params("response_mode", "fragment"), "invalid_request"},
		{"JARM", params("response_mode", "query.jwt"), "invalid_request"},
		{"web_message", params("response_mode", "web_message"), "invalid_request"},
		{"no challenge", params("code_challenge", ""), "invalid_request"},
		{"plain", params("code_challenge_method", "plain"), "invalid_request"},
		{"no method", params("code_challenge_method", ""), "invalid_request"},
		{"short challenge", params("code_challenge", "abc"), "invalid_request"},
		{"long challenge", params("code_challenge", long), "invalid_request"},
		{"challenge of other characters", params("code_challenge", strings.Repeat("+", 43)), "invalid_request"},
		{"request object", params("request", "eyJhbGciOiJub25lIn0.e30."), "request_not_supported"},
		{"request uri", params("request_uri", "http://169.254.169.254/"), "request_uri_not_supported"},
		{"unknown scope", params("scope", "openid nonsense"), "invalid_scope"},
		{"scope of another API", params("scope", "openid ledger.read"), "invalid_scope"},
		{"scope the client may not have", params("client_id", "spa", "redirect_uri", spaURI, "scope", "openid orders.write"), "invalid_scope"},
		{"no scope", params("scope", ""), "invalid_scope"},
		{"identity without openid", identity("scope", "profile"), "invalid_scope"},
		{"scopes of two APIs and no resource", params("scope", "openid orders.read ledger.read", "resource", ""), "invalid_scope"},
		{"offline access without refresh tokens", identity("client_id", "brief", "redirect_uri", "https://brief.test/cb", "scope", "openid offline_access"), "invalid_scope"},
		{"unknown API", params("resource", "https://api.test/nonsense"), "invalid_target"},
		{"API the client may not call", params("client_id", "spa", "redirect_uri", spaURI, "resource", ledger, "scope", "openid"), "invalid_target"},
		{"prompt none and login", params("prompt", "none login"), "invalid_request"},
		{"unknown prompt", params("prompt", "nonsense"), "invalid_request"},
		{"max_age negative", params("max_age", "-1"), "invalid_request"},
		{"max_age overflow", params("max_age", "99999999999"), "invalid_request"},
		{"prompt none without a session", params("prompt", "none"), "login_required"},
	} {
		a := b.get("/authorize?" + tt.v.Encode())
		got := a.location()
		registered := tt.v.Get("redirect_uri")
		if !strings.HasPrefix(a.Header.Get("Location"), registered) || a.StatusCode != http.StatusSeeOther {
			t.Errorf("%s: status %d location %q %s, want a redirect to %s", tt.name, a.StatusCode, a.Header.Get("Location"), a.Text, registered)
			continue
		}
		q := got.Query()
		if q.Get("error") != tt.want || q.Get("state") != "st/ate&1" || q.Get("iss") != issuer || q.Get("code") != "" || got.Fragment != "" {
			t.Errorf("%s: got %q, want error %s with state and iss", tt.name, got.RawQuery, tt.want)
		}
	}
}

func TestHostileBytesAreRefusedNotFaults(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, name := range []string{"state", "nonce", "login_hint", "scope", "prompt", "resource", "redirect_uri", "client_id"} {
		for _, value := range []string{"a\x00b", "\xff\xfe", "a\r\nLocation: https://evil.test/"} {
			a := b.get("/authorize?" + params(name, value).Encode())
			if loc := a.Header.Get("Location"); loc != "" && !strings.HasPrefix(loc, webURI+"?") {
				t.Errorf("%s=%q: redirected to %q", name, value, loc)
			}
		}
	}
	for _, raw := range []string{"%zz", "a;b", strings.Repeat("a", 1<<16)} {
		if a := b.get("/authorize?" + raw); a.Header.Get("Location") != "" {
			t.Errorf("query %.20q: redirected to %q", raw, a.Header.Get("Location"))
		}
	}
	tk := b.obtain("ada", params())
	for _, scope := range []string{"orders.read\x00", "\xff"} {
		if a := b.post("/token", w.refresh(tk.refresh, "scope", scope)); a.StatusCode != http.StatusBadRequest {
			t.Errorf("refresh with scope %q: status %d", scope, a.StatusCode)
		}
	}
}

func TestCodeResponseNamesTheIssuer(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	a := b.signIn("ada", b.begin(params("client_id", "spa", "redirect_uri", spaURI, "scope", "openid orders.read")))
	q := a.location().Query()
	if !strings.HasPrefix(a.Header.Get("Location"), spaURI+"&") || q.Get("keep") != "1" || q.Get("iss") != issuer || q.Get("state") != "st/ate&1" || len(q.Get("code")) != 43 {
		t.Errorf("location %q", a.Header.Get("Location"))
	}
	if got := a.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
	if got := a.Header.Get("Referrer-Policy"); got != "no-referrer" {
		t.Errorf("Referrer-Policy %q", got)
	}
}

func TestRequestBelongsToItsBrowser(t *testing.T) {
	w := newWorld(t)
	attacker, victim := w.browser(), w.browser()
	request := attacker.begin(params())
	a := victim.prove("ada", request)
	victim.shownAs("a victim cannot sign in to the attacker's request", a, "authorization_request_other_browser")

	request = victim.begin(params())
	for range 2 { // without a cookie and with one of its own
		attacker.shownAs("a stranger cannot fetch the code before the sign-in", attacker.get("/authorize/callback?request="+request), "authorization_request_other_browser")
		attacker.get("/authorize?" + params().Encode())
	}
	signedIn := victim.prove("ada", request)
	attacker.shownAs("a stranger cannot fetch the code after the sign-in", attacker.get("/authorize/callback?request="+request), "authorization_request_other_browser")
	if got := victim.get(signedIn.Header.Get("Location")).location().Query().Get("code"); got == "" {
		t.Error("the victim got no code")
	}
	victim.shownAs("the code is issued once", victim.get("/authorize/callback?request="+request), "authorization_request_finished")
	victim.shownAs("an invented request", victim.get("/authorize/callback?request=nonsense"), "authorization_request_unknown")
	victim.shownAs("no request", victim.get("/authorize/callback"), "authorization_request_unknown")
}

func TestCallbackBeforeSignInGoesToTheSignInPage(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	request := b.begin(params())
	if a := b.get("/authorize/callback?request=" + request); a.location().Path != "/signin" || a.location().Query().Get("request") != request {
		t.Errorf("location %q", a.Header.Get("Location"))
	}
}

func TestRequestExpires(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	request := b.begin(params())
	signedIn := b.prove("ada", request)
	w.advance(11 * time.Minute)
	b.shownAs("too late", b.get(signedIn.Header.Get("Location")), "authorization_request_expired")
}

func TestRegistrationIsCheckedAgainWhenTheCodeIsIssued(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	request := b.begin(params())
	signedIn := b.prove("ada", request)
	w.declare(strings.Replace(trustFile, `redirect_uris: ["https://rp.test/cb"]`, `redirect_uris: ["https://rp.test/moved"]`, 1))
	b.shownAs("the redirect URI is gone", b.get(signedIn.Header.Get("Location")), "redirect_uri_unregistered")
}

func TestSingleSignOn(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	first := b.obtain("ada", identity())
	w.advance(time.Minute)
	_, c := w.decode(first.id, "JWT")
	for _, tt := range []struct {
		name string
		v    url.Values
		path string
	}{
		{"the session suffices", params(), "/authorize/callback"},
		{"prompt none", params("prompt", "none"), "/authorize/callback"},
		{"prompt none with a hint of this person", params("prompt", "none", "id_token_hint", first.id), "/authorize/callback"},
		{"young enough", params("max_age", "60"), "/authorize/callback"},
		{"too old", params("max_age", "59"), "/signin"},
		{"max_age 0", params("max_age", "0"), "/signin"},
		{"prompt login", params("prompt", "login"), "/signin"},
		{"prompt consent", params("prompt", "consent"), "/authorize/callback"},
		{"prompt select_account", params("prompt", "select_account"), "/signin"},
		{"a forged hint", params("id_token_hint", first.id+"x"), "/signin"},
		{"an access token as hint", params("id_token_hint", first.access), "/signin"},
	} {
		if a := b.get("/authorize?" + tt.v.Encode()); a.location().Path != tt.path {
			t.Errorf("%s: location %q, want %s", tt.name, a.Header.Get("Location"), tt.path)
		}
	}
	for _, v := range []url.Values{params("prompt", "none", "max_age", "59"), params("prompt", "none", "id_token_hint", first.id+"x")} {
		b.refused("prompt none, session not good enough", b.get("/authorize?"+v.Encode()), "login_required", http.StatusSeeOther)
	}
	a := b.get(b.get("/authorize?" + params().Encode()).Header.Get("Location"))
	_, again := w.decode(b.tokens(w.exchange(a.location().Query().Get("code"))).id, "JWT")
	if again["auth_time"] != c["auth_time"] || again["sid"] != c["sid"] {
		t.Errorf("single sign-on changed the authentication: %v then %v", c, again)
	}

	other := w.browser()
	bobs := other.obtain("bob", identity())
	b.refused("hint of somebody else", b.get("/authorize?"+params("prompt", "none", "id_token_hint", bobs.id).Encode()), "login_required", http.StatusSeeOther)
	w.advance(8*time.Hour + time.Second)
	b.refused("the session was idle too long", b.get("/authorize?"+params("prompt", "none").Encode()), "login_required", http.StatusSeeOther)
}

// A page that lets the old session answer must not satisfy a request for a new sign-in.
func TestStepUpNeedsASignInMadeForIt(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.obtain("ada", params())
	w.advance(time.Minute)
	for _, v := range []url.Values{params("prompt", "login"), params("max_age", "0"), params("max_age", "30"), params("prompt", "select_account")} {
		request := b.begin(v)
		a := b.get("/test/signin?resume&" + url.Values{"request": {request}}.Encode())
		b.refused("resumed: "+v.Get("prompt")+v.Get("max_age"), b.get(a.Header.Get("Location")), "login_required", http.StatusSeeOther)
	}
	if got := w.record(audit.CodeIssued, "refused"); got != 4 {
		t.Errorf("%d refused codes on record, want 4", got)
	}
	before := w.clock()
	_, c := w.decode(b.obtain("ada", params("prompt", "login")).id, "JWT")
	if int64(c["auth_time"].(float64)) != before.Unix() {
		t.Errorf("auth_time %v, want the new sign-in's %d", c["auth_time"], before.Unix())
	}
}

func TestPostComesBackByGet(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.obtain("ada", identity())
	foreign := w.browser() // the cross-site POST brings no SameSite=Lax cookie
	a := foreign.post("/authorize", params("prompt", "none"))
	if a.StatusCode != http.StatusSeeOther || a.location().Path != "/authorize" || len(a.Cookies()) != 0 {
		t.Fatalf("status %d location %q cookies %v, want a GET of ourselves that sets none", a.StatusCode, a.Header.Get("Location"), a.Cookies())
	}
	if next := b.get(a.Header.Get("Location")); next.location().Path != "/authorize/callback" {
		t.Errorf("after the GET: %q", next.Header.Get("Location"))
	}
	foreign.shownAs("a POST is validated before anything is redirected", foreign.get(redirectOrSelf(foreign.post("/authorize", params("redirect_uri", "https://evil.test/")))), "redirect_uri_unregistered")
}

// redirectOrSelf follows a redirect to ourselves; an answer without one stands
// for itself as the request it was.
func redirectOrSelf(a answer) string {
	if to := a.Header.Get("Location"); to != "" {
		return to
	}
	return "/authorize?" + params("redirect_uri", "https://evil.test/").Encode()
}

func TestSuspendedPersonHasNoSession(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.obtain("ada", params())
	w.tx(func(tx pgx.Tx) error { return account.Suspend(context.Background(), tx, w.people["ada"].ID) })
	b.refused("suspended", b.get("/authorize?"+params("prompt", "none").Encode()), "login_required", http.StatusSeeOther)
}

func TestHostHeaderIsNotBelieved(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, path := range []string{"/.well-known/openid-configuration", "/authorize?" + params().Encode(), "/authorize?" + params("prompt", "none").Encode(), "/end_session"} {
		r, err := http.NewRequest(http.MethodGet, w.server.URL+path, nil)
		w.must(err)
		r.Host = "evil.test"
		for _, name := range []string{"Forwarded", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Original-URL", "X-Rewrite-URL"} {
			r.Header.Set(name, "evil.test")
		}
		a := b.send(r)
		if strings.Contains(a.Text+a.Header.Get("Location")+strings.Join(a.Header.Values("Set-Cookie"), " "), "evil") {
			t.Errorf("%s: the answer repeats the Host header: %q %q", path, a.Header.Get("Location"), a.Text)
		}
	}
}

// TestNoRequestRedirectsToAnUnregisteredURI holds, for many requests mutated
// from honest ones, that a redirect goes to a page of ours or to a redirect URI
// that the one named client registered.
func TestNoRequestRedirectsToAnUnregisteredURI(t *testing.T) {
	const requests = 3000
	w := newWorld(t)
	signedIn, stranger := w.browser(), w.browser()
	signedIn.obtain("ada", params())
	random := rand.New(rand.NewPCG(1, 2)) // the same requests in every run
	pick := func(from []string) string { return from[random.IntN(len(from))] }
	names := []string{"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
		"resource", "prompt", "max_age", "id_token_hint", "login_hint", "request", "request_uri", "claims", "unknown"}
	values := []string{"", "web", "other", "spa", "native", "robot", "nobody", webURI, spaURI, "https://other.test/cb", "https://evil.test/", "//evil.test", "/\\evil.test",
		"http://127.0.0.1:9/cb", "http://127.0.0.1/cb", "http://127.0.0.1:9@evil.test/cb", webURI + "@evil.test", webURI + "#", webURI + "?x", "javascript:alert(1)",
		"code", "token", "none", "login", "none login", "query", "form_post", "fragment", "openid", "openid orders.read", "nonsense", orders, ledger,
		"S256", "plain", challenge(), "0", "-1", "99999999999", "\x00", "\xff", "a\r\nb: c", strings.Repeat("x", 3000), "%", "{}"}
	redirects := map[bool]int{}
	for range requests {
		v := params()
		if random.IntN(2) == 0 {
			v = identity("client_id", "native", "redirect_uri", "http://127.0.0.1:9/cb", "scope", "openid")
		}
		for range random.IntN(4) {
			name, value := pick(names), pick(values)
			if random.IntN(8) == 0 {
				v.Add(name, value)
			} else {
				v.Set(name, value)
			}
		}
		query := v.Encode()
		if random.IntN(20) == 0 {
			query = query[:random.IntN(len(query))]
		}
		b := stranger
		if random.IntN(2) == 0 {
			b = signedIn
		}
		a := b.get("/authorize?" + query)
		to := a.Header.Get("Location")
		if to == "" || strings.HasPrefix(to, "/signin?request=") || strings.HasPrefix(to, "/authorize/callback?request=") {
			continue
		}
		asked, err := url.ParseQuery(query)
		client, known := w.clients.Get(grant.ClientID(asked.Get("client_id")))
		uri := asked.Get("redirect_uri")
		if err != nil || !known || len(asked["client_id"]) != 1 || len(asked["redirect_uri"]) != 1 || !client.RedirectURIRegistered(uri) || !strings.HasPrefix(to, uri) {
			t.Fatalf("redirected to %q by %q", to, query)
		}
		redirects[b == signedIn]++
	}
	if redirects[true] < 100 || redirects[false] < 100 {
		t.Errorf("only %v requests were redirected to clients: the mutations are too wild to prove anything", redirects)
	}
}
