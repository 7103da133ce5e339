package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/frontend"
	"github.com/touchstone-id/touchstone/pkg/passkey/passkeytest"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

const (
	callback = "https://rp.test/cb"
	resource = "https://api.test/orders"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk-0123456789"
)

const trustFile = `
apis:
  - name: orders
    audience: https://api.test/orders
    path: /orders
    scopes: [{name: orders.read, title: See}, {name: orders.write, title: Change}]
    automation: [batch]
    require: {level: phr}
  - name: other
    audience: https://api.test/other
    path: /other
clients:
  - {id: web, name: Web, kind: public, first_party: true, redirect_uris: ["https://rp.test/cb"], post_logout_redirect_uris: ["https://rp.test/bye"], scopes: [openid, profile, authenticator, offline_access, orders.read], apis: [orders]}
  - {id: spa, name: Other, kind: public, first_party: true, redirect_uris: ["https://rp.test/cb"], scopes: [openid], apis: []}
  - {id: native, name: Native, kind: public, first_party: true, redirect_uris: ["http://127.0.0.1/cb"], scopes: [openid], apis: []}
  - {id: batch, name: Batch, kind: workload, grant_types: [client_credentials], scopes: [orders.read], apis: [orders]}
`

// world is a running server with one invited person.
type world struct {
	*testing.T
	server *Server
	http   *httptest.Server
	// origin and base are what the issuer, http.URL, is made of.
	origin, base string
	link         string
	user         account.User
	logs         *lockedBuffer
}

// lockedBuffer collects log lines of many requests.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func newWorld(t *testing.T) *world { return newWorldOf(t, Options{Trust: []byte(trustFile)}) }

// newWorldOf serves with a trust file and metadata of the test's.
func newWorldOf(t *testing.T, o Options) *world {
	t.Helper()
	w := &world{T: t, logs: &lockedBuffer{}}
	var err error
	w.http = httptest.NewUnstartedServer(nil)
	// An issuer of a test's options is a path.
	w.base, w.origin = o.Issuer, "http://localhost:"+strings.Split(w.http.Listener.Addr().String(), ":")[1]
	issuer := w.origin + w.base
	o.Issuer, o.DatabaseURL, o.SealingKey, o.TrustName, o.Log = issuer, pgtest.URL(t), make([]byte, 32), "trust.yaml", zerolog.New(w.logs)
	w.server, err = New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.server.Close)
	w.http.Config.Handler = w.server
	w.http.Start()
	w.http.URL = issuer
	t.Cleanup(w.http.Close)
	w.invite("ada")
	return w
}

// invite makes a person and an enrolment link.
func (w *world) invite(name string) {
	w.Helper()
	err := w.server.Log.Do(context.Background(), func(tx pgx.Tx) (audit.Event, error) {
		var err error
		if w.user, err = account.Create(context.Background(), tx, name, "<b>"+name+"</b>"); err != nil {
			return audit.Event{}, err
		}
		link, err := account.Invite(context.Background(), tx, time.Now(), w.user.ID, time.Hour)
		w.link = link.Reveal()
		return audit.Event{Action: audit.UserInvited}, err
	})
	if err != nil {
		w.Fatal(err)
	}
}

// browser keeps cookies and does not follow redirects.
type browser struct {
	*world
	client *http.Client
	key    *passkeytest.Authenticator
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.Fatal(err)
	}
	return &browser{w, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		&passkeytest.Authenticator{Attestation: passkeytest.AttestNone}}
}

func (b *browser) do(method, path string, body io.Reader, header ...string) (*http.Response, string) {
	b.Helper()
	if strings.HasPrefix(path, "/") {
		path = b.http.URL + strings.TrimPrefix(path, b.base)
	}
	r, err := http.NewRequest(method, path, body)
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := b.client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.Fatal(err)
	}
	return answer, string(text)
}

// post sends JSON as the pages' scripts do and returns the status and the answer.
func (b *browser) post(path string, in any) (int, map[string]any) {
	b.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		b.Fatal(err)
	}
	answer, text := b.do("POST", path, bytes.NewReader(body), "Content-Type", "application/json")
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		b.Fatalf("POST %s answered %d %q", path, answer.StatusCode, text)
	}
	return answer.StatusCode, out
}

// options gives the ceremony and its options.
func (b *browser) options(path string, in any) (string, []byte) {
	b.Helper()
	status, out := b.post(path, in)
	if status != 200 {
		b.Fatalf("POST %s = %d %v", path, status, out)
	}
	options, err := json.Marshal(out["options"])
	if err != nil {
		b.Fatal(err)
	}
	return out["ceremony"].(string), options
}

func (b *browser) enrol(link string) (int, map[string]any) {
	b.Helper()
	ceremony, options := b.options("/enrol/options", map[string]any{"link": link})
	credential, err := b.key.Create(options, b.origin)
	if err != nil {
		b.Fatal(err)
	}
	return b.post("/enrol/finish", map[string]any{"link": link, "ceremony": ceremony, "credential": json.RawMessage(credential)})
}

func (b *browser) signIn(request string) (int, map[string]any) {
	b.Helper()
	ceremony, options := b.options("/signin/options", map[string]any{})
	credential, err := b.key.Get(options, b.origin)
	if err != nil {
		b.Fatal(err)
	}
	return b.post("/signin/finish", map[string]any{"request": request, "ceremony": ceremony, "credential": json.RawMessage(credential)})
}

// challenge is the S256 challenge of the test's verifier.
func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// request is a good authorization request; pairs change or, when empty, remove parameters.
func request(changes ...string) url.Values {
	v := url.Values{"client_id": {"web"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid profile authenticator offline_access orders.read"},
		"resource": {resource}, "state": {"s1"}, "nonce": {"n1"}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"}}
	for i := 0; i+1 < len(changes); i += 2 {
		if v.Del(changes[i]); changes[i+1] != "" {
			v.Set(changes[i], changes[i+1])
		}
	}
	return v
}

// location returns where an answer redirects to.
func (b *browser) location(answer *http.Response) *url.URL {
	b.Helper()
	u, err := url.Parse(answer.Header.Get("Location"))
	if err != nil || answer.StatusCode != http.StatusSeeOther {
		b.Fatalf("want a redirect, got %d to %q", answer.StatusCode, answer.Header.Get("Location"))
	}
	return u
}

// code runs a request through a sign-in and returns the code.
func (b *browser) code(params url.Values) string {
	b.Helper()
	answer, _ := b.do("GET", "/authorize?"+params.Encode(), nil)
	to := b.location(answer)
	if to.Path == b.base+"/signin" {
		status, out := b.signIn(to.Query().Get("request"))
		if status != 200 {
			b.Fatalf("sign in: %d %v", status, out)
		}
		to, _ = url.Parse(out["location"].(string))
	}
	answer, body := b.do("GET", to.String(), nil)
	to = b.location(answer)
	if !strings.HasPrefix(to.String(), callback) || to.Query().Get("state") != "s1" || to.Query().Get("iss") != b.http.URL {
		b.Fatalf("callback went to %s %s", to, body)
	}
	return to.Query().Get("code")
}

// token posts a form to the token endpoint.
func (b *browser) token(form url.Values, header ...string) (int, map[string]any) {
	b.Helper()
	answer, text := b.do("POST", "/token", strings.NewReader(form.Encode()), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...)
	if answer.Header.Get("Cache-Control") != "no-store" {
		b.Errorf("token answer may be stored: %v", answer.Header)
	}
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		b.Fatalf("token endpoint answered %d %q", answer.StatusCode, text)
	}
	return answer.StatusCode, out
}

func redemption(code string, changes ...string) url.Values {
	v := url.Values{"grant_type": {"authorization_code"}, "client_id": {"web"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	for i := 0; i+1 < len(changes); i += 2 {
		if v.Del(changes[i]); changes[i+1] != "" {
			v.Set(changes[i], changes[i+1])
		}
	}
	return v
}

func refresh(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "client_id": {"web"}, "refresh_token": {token}}
}

// decode returns a segment of a token.
func decode(t *testing.T, token string, segment int) map[string]any {
	t.Helper()
	part, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[segment])
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(part, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// enrolled returns a browser whose person has a passkey.
func (w *world) enrolled() *browser {
	w.Helper()
	b := w.browser()
	if status, out := b.enrol(w.link); status != 200 {
		w.Fatalf("enrol: %d %v", status, out)
	}
	return b
}

func TestWholeChain(t *testing.T) {
	w := newWorld(t)
	b := w.enrolled()
	status, got := b.token(redemption(b.code(request())))
	if status != 200 || got["token_type"] != "Bearer" || got["expires_in"] != float64(300) {
		t.Fatalf("token: %d %v", status, got)
	}
	access := got["access_token"].(string)
	header, claims := decode(t, access, 0), decode(t, access, 1)
	if header["typ"] != "at+jwt" || header["alg"] != "RS256" || header["kid"] == nil {
		t.Errorf("header %v", header)
	}
	for name, want := range map[string]any{"iss": w.http.URL, "sub": string(w.user.ID), "aud": resource, "client_id": "web", "scope": "orders.read", "idtyp": "user", "acr": "phr"} {
		if claims[name] != want {
			t.Errorf("%s = %v, want %v", name, claims[name], want)
		}
	}
	for _, absent := range []string{"nbf", "authenticator_aaguid", "authenticator_model", "authenticator_metadata"} {
		if _, ok := claims[absent]; ok {
			t.Errorf("%s is present: %v", absent, claims[absent])
		}
	}
	if facts, _ := json.Marshal(claims["authenticator_attestation"]); string(facts) != `["device_bound","uv"]` {
		t.Errorf("facts %s", facts)
	}
	id := decode(t, got["id_token"].(string), 1)
	if id["nonce"] != "n1" || id["aud"] != "web" || id["sid"] != claims["sid"] || id["name"] != "<b>ada</b>" || id["at_hash"] == nil {
		t.Errorf("ID token %v", id)
	}
	status, again := b.token(refresh(got["refresh_token"].(string)))
	if status != 200 {
		t.Fatalf("refresh: %d %v", status, again)
	}
	if fresh := decode(t, again["access_token"].(string), 1); fresh["auth_time"] != claims["auth_time"] || fresh["jti"] == claims["jti"] {
		t.Errorf("refreshed claims %v", fresh)
	}
	if strings.Contains(w.logs.String(), got["refresh_token"].(string)) || strings.Contains(w.logs.String(), w.link) {
		t.Error("a secret stands in the log")
	}
	// Single sign-on: the second request needs no passkey.
	answer, _ := b.do("GET", "/authorize?"+request().Encode(), nil)
	if to := b.location(answer); to.Path != "/authorize/callback" {
		t.Errorf("second request went to %s", to)
	}
}

func TestEnrolmentLink(t *testing.T) {
	w := newWorld(t)
	w.enrolled()
	second := w.browser()
	for _, tt := range []struct{ name, link, want string }{{"used", w.link, "invitation_spent"}, {"forged", secret.New().Reveal(), "invitation_unknown"}, {"empty", "", "invitation_unknown"}} {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{"/enrol/invitation", "/enrol/options"} {
				if status, out := second.post(path, map[string]any{"link": tt.link}); out["reason"] != tt.want || status < 400 {
					t.Errorf("%s = %d %v, want %s", path, status, out, tt.want)
				}
			}
		})
	}
}

func TestFailedEnrolmentKeepsTheLink(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.key.Lie = passkeytest.Lie{NoUV: true}
	if status, out := b.enrol(w.link); out["reason"] != "user_verification_missing" {
		t.Fatalf("enrol without verification: %d %v", status, out)
	}
	b.key.Lie = passkeytest.Lie{}
	if status, out := b.enrol(w.link); status != 200 {
		t.Errorf("a second try with the same link: %d %v", status, out)
	}
}

func TestFiftyFinishOneLink(t *testing.T) {
	w := newWorld(t)
	type attempt struct {
		b    *browser
		body map[string]any
	}
	var attempts []attempt
	for range 50 {
		b := w.browser()
		ceremony, options := b.options("/enrol/options", map[string]any{"link": w.link})
		credential, err := b.key.Create(options, w.http.URL)
		if err != nil {
			t.Fatal(err)
		}
		attempts = append(attempts, attempt{b, map[string]any{"link": w.link, "ceremony": ceremony, "credential": json.RawMessage(credential)}})
	}
	statuses := race(attempts, func(a attempt) int {
		status, _ := a.b.post("/enrol/finish", a.body)
		return status
	})
	if n := count(statuses, 200); n != 1 {
		t.Errorf("%d of 50 enrolled, want 1: %v", n, statuses)
	}
	var stored int
	if err := w.server.Pool.QueryRow(context.Background(), `select count(*) from credential`).Scan(&stored); err != nil || stored != 1 {
		t.Errorf("%d credentials stored, %v", stored, err)
	}
}

// race runs do for every item at once.
func race[T any](items []T, do func(T) int) []int {
	results := make([]int, len(items))
	var start, done sync.WaitGroup
	start.Add(1)
	for i, item := range items {
		done.Go(func() {
			start.Wait()
			results[i] = do(item)
		})
	}
	start.Done()
	done.Wait()
	return results
}

func count(statuses []int, want int) int {
	n := 0
	for _, s := range statuses {
		if s == want {
			n++
		}
	}
	return n
}

func TestFiftyRedeemOneCode(t *testing.T) {
	w := newWorld(t)
	b := w.enrolled()
	code := b.code(request())
	var mu sync.Mutex
	var token string
	statuses := race(make([]struct{}, 50), func(struct{}) int {
		status, out := w.browser().token(redemption(code))
		if status == 200 {
			mu.Lock()
			token = out["refresh_token"].(string)
			mu.Unlock()
		} else if out["error"] != "invalid_grant" {
			t.Errorf("refused with %v", out)
		}
		return status
	})
	if n := count(statuses, 200); n != 1 {
		t.Fatalf("%d of 50 redeemed, want 1: %v", n, statuses)
	}
	if status, out := b.token(refresh(token)); status == 200 {
		t.Errorf("the family of a replayed code lives on: %v", out)
	}
}

func TestFiftySpendOneRefreshToken(t *testing.T) {
	w := newWorld(t)
	b := w.enrolled()
	_, got := b.token(redemption(b.code(request())))
	var mu sync.Mutex
	var next string
	statuses := race(make([]struct{}, 50), func(struct{}) int {
		status, out := w.browser().token(refresh(got["refresh_token"].(string)))
		if status == 200 {
			mu.Lock()
			next = out["refresh_token"].(string)
			mu.Unlock()
		}
		return status
	})
	if n := count(statuses, 200); n != 1 {
		t.Fatalf("%d of 50 refreshed, want 1: %v", n, statuses)
	}
	if status, _ := b.token(refresh(next)); status == 200 {
		t.Error("the family of a replayed refresh token lives on")
	}
}

func TestVictimAndAttackerShareARequest(t *testing.T) {
	w := newWorld(t)
	victim := w.enrolled()
	attacker := w.browser()
	answer, _ := attacker.do("GET", "/authorize?"+request().Encode(), nil)
	id := attacker.location(answer).Query().Get("request")

	// The victim is lured to the attacker's request: the page refuses it, and so does the ceremony.
	answer, page := victim.do("GET", "/signin?request="+id, nil)
	if answer.StatusCode != http.StatusForbidden || !strings.Contains(page, "authorization_request_other_browser") {
		t.Errorf("victim sees %d %s", answer.StatusCode, page)
	}
	if status, out := victim.signIn(id); out["reason"] != "authorization_request_other_browser" {
		t.Errorf("victim signs in to it: %d %v", status, out)
	}
	for name, b := range map[string]*browser{"attacker": attacker, "victim": victim} {
		answer, _ = b.do("GET", "/authorize/callback?request="+id, nil)
		if strings.Contains(answer.Header.Get("Location"), "code=") {
			t.Errorf("%s got a code", name)
		}
	}
}

func TestAuthorizationRequestsThatAreShownNotRedirected(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, tt := range []struct {
		name   string
		params url.Values
	}{
		{"unknown client", request("client_id", "nobody")},
		{"no redirect URI", request("redirect_uri", "")},
		{"userinfo confusion", request("redirect_uri", "https://rp.test@evil.test/cb")},
		{"dot segments", request("redirect_uri", "https://rp.test/cb/../evil")},
		{"path parameter", request("redirect_uri", "https://rp.test/cb;/evil")},
		{"other case", request("redirect_uri", "https://rp.test/CB")},
		{"added query", request("redirect_uri", "https://rp.test/cb?x=1")},
		{"fragment", request("redirect_uri", "https://rp.test/cb#f")},
		{"web client with a port", request("redirect_uri", "https://rp.test:444/cb")},
		{"evil with a bad response type", request("redirect_uri", "https://evil.test/", "response_type", "nonsense")},
		{"evil with prompt none", request("redirect_uri", "https://evil.test/", "prompt", "none")},
		{"script", request("redirect_uri", "javascript:alert(1)")},
		{"native, other path", request("client_id", "native", "redirect_uri", "http://127.0.0.1:1/other")},
		{"native, localhost", request("client_id", "native", "redirect_uri", "http://localhost:1/cb")},
		{"native, https", request("client_id", "native", "redirect_uri", "https://127.0.0.1/cb")},
		{"native, userinfo", request("client_id", "native", "redirect_uri", "http://evil.test@127.0.0.1:1/cb")},
		{"repeated redirect URI", url.Values{"client_id": {"web"}, "redirect_uri": {callback, "https://evil.test/"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer, _ := b.do("GET", "/authorize?"+tt.params.Encode(), nil)
			if answer.StatusCode < 400 || answer.Header.Get("Location") != "" {
				t.Errorf("got %d to %q, want an error page", answer.StatusCode, answer.Header.Get("Location"))
			}
		})
	}
}

func TestAuthorizationErrorsForTheClient(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, tt := range []struct {
		name, want string
		params     url.Values
	}{
		{"no challenge", "invalid_request", request("code_challenge", "", "code_challenge_method", "")},
		{"plain challenge", "invalid_request", request("code_challenge_method", "plain")},
		{"absent method means plain", "invalid_request", request("code_challenge_method", "")},
		{"short challenge", "invalid_request", request("code_challenge", "abc")},
		{"token", "unsupported_response_type", request("response_type", "token")},
		{"hybrid", "unsupported_response_type", request("response_type", "code id_token")},
		{"fragment mode", "invalid_request", request("response_mode", "fragment")},
		{"foreign scope", "invalid_scope", request("scope", "openid orders.write")},
		{"unknown scope", "invalid_scope", request("scope", "openid nonsense")},
		{"scopes that mean no API of the client", "invalid_scope", request("client_id", "spa", "resource", "", "scope", "openid orders.read")},
		{"unknown resource", "invalid_target", request("resource", "https://evil.test")},
		{"resource of others", "invalid_target", request("resource", "https://api.test/other")},
		{"request object", "request_not_supported", request("request", "x")},
		{"request URI", "request_uri_not_supported", request("request_uri", "http://127.0.0.1:1/")},
		{"prompt none, nobody there", "login_required", request("prompt", "none")},
		{"prompt none and login", "invalid_request", request("prompt", "none login")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer, _ := b.do("GET", "/authorize?"+tt.params.Encode(), nil)
			to := b.location(answer)
			q := to.Query()
			if to.Host != "rp.test" || q.Get("error") != tt.want || q.Get("state") != "s1" || q.Get("iss") != w.http.URL {
				t.Errorf("went to %s, want error %s", to, tt.want)
			}
		})
	}
}

func TestCodesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	b := w.enrolled()
	for _, tt := range []struct {
		name string
		form func(code string) url.Values
	}{
		{"other client", func(c string) url.Values { return redemption(c, "client_id", "spa") }},
		{"other redirect URI", func(c string) url.Values { return redemption(c, "redirect_uri", "https://rp.test/other") }},
		{"no verifier", func(c string) url.Values { return redemption(c, "code_verifier", "") }},
		{"wrong verifier", func(c string) url.Values { return redemption(c, "code_verifier", strings.Repeat("x", 43)) }},
		{"other resource", func(c string) url.Values { return redemption(c, "resource", "https://api.test/other") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code := b.code(request())
			if status, out := b.token(tt.form(code)); status != 400 || out["error"] != "invalid_grant" && out["error"] != "invalid_target" {
				t.Errorf("got %d %v", status, out)
			}
			if status, out := b.token(redemption(code)); status == 200 {
				t.Errorf("the code lives on: %v", out)
			}
		})
	}
}

func TestTokenEndpointHygiene(t *testing.T) {
	w := newWorld(t)
	b := w.enrolled()
	code := b.code(request())
	form := redemption(code).Encode()
	for _, tt := range []struct {
		name, method, path, kind, body string
		want                           int
	}{
		{"GET", "GET", "/token?" + form, "", "", 405},
		{"parameters in the query", "POST", "/token?" + form, "application/x-www-form-urlencoded", form, 400},
		{"JSON", "POST", "/token", "application/json", "{}", 400},
		{"repeated parameter", "POST", "/token", "application/x-www-form-urlencoded", form + "&code=x", 400},
		{"unknown client", "POST", "/token", "application/x-www-form-urlencoded", strings.Replace(form, "client_id=web", "client_id=nobody", 1), 401},
		{"public client with a secret", "POST", "/token", "application/x-www-form-urlencoded", form + "&client_secret=x", 401},
		{"large body", "POST", "/token", "application/x-www-form-urlencoded", form + "&x=" + strings.Repeat("x", 100<<10), 413},
		{"assertion grant", "POST", "/token", "application/x-www-form-urlencoded", "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=x", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer, text := b.do(tt.method, tt.path, strings.NewReader(tt.body), "Content-Type", tt.kind)
			if answer.StatusCode != tt.want {
				t.Errorf("got %d %s, want %d", answer.StatusCode, text, tt.want)
			}
			if tt.want == 401 && answer.Header.Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
		})
	}
	if status, out := b.token(redemption(code)); status != 200 {
		t.Errorf("the refused requests spent the code: %d %v", status, out)
	}
}

func TestAccessEndsWithWhatItStandsOn(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct{ name, sql string }{
		{"person suspended", `update account set status = 'suspended'`},
		{"passkey removed", `update credential set removed_at = now()`},
		{"passkey quarantined", `update credential set quarantined_at = now(), quarantined_why = 'clone'`},
		{"grant revoked", `update access_grant set revoked_at = now(), revoked_why = 'test'`},
		{"grant expired", `update access_grant set expires_at = now()`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			b := w.enrolled()
			_, got := b.token(redemption(b.code(request())))
			_, info := b.token(redemption(b.code(request("resource", "", "scope", "openid profile"))))
			bearer := "Bearer " + info["access_token"].(string)
			if answer, text := b.do("GET", "/userinfo", nil, "Authorization", bearer); answer.StatusCode != 200 || !strings.Contains(text, string(w.user.ID)) {
				t.Fatalf("userinfo before: %d %s", answer.StatusCode, text)
			}
			if _, err := w.server.Pool.Exec(ctx, tt.sql); err != nil {
				t.Fatal(err)
			}
			if status, out := b.token(refresh(got["refresh_token"].(string))); status != 400 || out["error"] != "invalid_grant" {
				t.Errorf("refresh: %d %v", status, out)
			}
			if answer, _ := b.do("GET", "/userinfo", nil, "Authorization", bearer); answer.StatusCode != 401 || !strings.Contains(answer.Header.Get("WWW-Authenticate"), "invalid_token") {
				t.Errorf("userinfo: %d %v", answer.StatusCode, answer.Header)
			}
		})
	}
}

func TestUserinfoTakesNothingButItsOwnTokens(t *testing.T) {
	w := newWorld(t)
	b := w.enrolled()
	_, got := b.token(redemption(b.code(request())))
	for name, token := range map[string]string{"API token": got["access_token"].(string), "ID token": got["id_token"].(string), "rubbish": "x.y.z"} {
		if answer, _ := b.do("GET", "/userinfo", nil, "Authorization", "Bearer "+token); answer.StatusCode != 401 {
			t.Errorf("%s: %d", name, answer.StatusCode)
		}
	}
}

func TestRevocation(t *testing.T) {
	w := newWorld(t)
	b := w.enrolled()
	for _, kind := range []string{"refresh_token", "access_token"} {
		_, got := b.token(redemption(b.code(request())))
		foreign, _ := b.do("POST", "/revoke", strings.NewReader(url.Values{"client_id": {"spa"}, "token": {got[kind].(string)}}.Encode()), "Content-Type", "application/x-www-form-urlencoded")
		if foreign.StatusCode != 200 {
			t.Errorf("foreign revocation: %d", foreign.StatusCode)
		}
		status, next := b.token(refresh(got["refresh_token"].(string)))
		if status != 200 {
			t.Fatalf("another client revoked the %s: %v", kind, next)
		}
		token := map[string]string{"refresh_token": next["refresh_token"].(string), "access_token": next["access_token"].(string)}[kind]
		b.do("POST", "/revoke", strings.NewReader(url.Values{"client_id": {"web"}, "token": {token}}.Encode()), "Content-Type", "application/x-www-form-urlencoded")
		if status, _ := b.token(refresh(next["refresh_token"].(string))); status == 200 {
			t.Errorf("refresh works after the %s was revoked", kind)
		}
	}
}

func TestWorkload(t *testing.T) {
	w := newWorld(t)
	secret := "a-secret-of-the-workload-with-enough-length"
	sum := sha256.Sum256([]byte(secret))
	if _, err := w.server.Pool.Exec(context.Background(), `update client set secret_digests = array[$1::bytea] where id = 'batch'`, sum[:]); err != nil {
		t.Fatal(err)
	}
	if err := w.server.Clients.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("batch:"+secret))
	b := w.browser()
	status, got := b.token(url.Values{"grant_type": {"client_credentials"}}, "Authorization", basic)
	if status != 200 {
		t.Fatalf("%d %v", status, got)
	}
	claims := decode(t, got["access_token"].(string), 1)
	if claims["idtyp"] != "app" || claims["sub"] != "batch" || claims["aud"] != resource || claims["scope"] != "orders.read" {
		t.Errorf("claims %v", claims)
	}
	for _, absent := range []string{"acr", "amr", "auth_time", "authenticator_attestation", "sid"} {
		if claims[absent] != nil {
			t.Errorf("%s is present", absent)
		}
	}
	wrong := "Basic " + base64.StdEncoding.EncodeToString([]byte("batch:wrong"))
	if status, out := b.token(url.Values{"grant_type": {"client_credentials"}}, "Authorization", wrong); status != 401 || out["error"] != "invalid_client" {
		t.Errorf("wrong secret: %d %v", status, out)
	}
}

func TestSignOut(t *testing.T) {
	w := newWorld(t)
	b := w.enrolled()
	_, got := b.token(redemption(b.code(request())))
	end := func(hint string) *http.Response {
		answer, _ := b.do("GET", "/end_session?"+url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://rp.test/bye"}, "state": {"x"}}.Encode(), nil)
		return answer
	}
	if to := b.location(end(got["id_token"].(string) + "x")); to.Path != "/signout" || to.Host != "" {
		t.Errorf("a forged hint went to %s", to)
	}
	if to := b.location(end("")); to.Path != "/signout" {
		t.Errorf("no hint went to %s", to)
	}
	if answer, _ := b.do("GET", "/", nil); answer.StatusCode != 200 {
		t.Error("signed out without consent")
	}
	if to := b.location(end(got["id_token"].(string))); to.String() != "https://rp.test/bye?state=x" {
		t.Errorf("sign-out went to %s", to)
	}
	if status, _ := b.token(refresh(got["refresh_token"].(string))); status == 200 {
		t.Error("refresh works after sign-out")
	}
	answer, _ := b.do("GET", "/authorize?"+request().Encode(), nil)
	if to := b.location(answer); to.Path != "/signin" {
		t.Errorf("after sign-out a request went to %s", to)
	}
}

func TestSessionIdentifierChangesAtSignIn(t *testing.T) {
	w := newWorld(t)
	b := w.enrolled()
	cookie := func() string {
		u, _ := url.Parse(w.http.URL)
		for _, c := range b.client.Jar.Cookies(u) {
			if c.Name == "touchstone_session" {
				return c.Value
			}
		}
		return ""
	}
	b.signIn("")
	first := cookie()
	b.signIn("")
	if first == "" || first == cookie() {
		t.Error("the session identifier did not change")
	}
}

func TestCrossSitePostsAreRefused(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for _, path := range []string{"/enrol/invitation", "/signin/options", "/signout", "/account/remove"} {
		answer, _ := b.do("POST", path, strings.NewReader("{}"), "Content-Type", "application/json", "Origin", "https://evil.test", "Sec-Fetch-Site", "cross-site")
		if answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s = %d", path, answer.StatusCode)
		}
	}
}

func TestHostHeaderIsNotBelieved(t *testing.T) {
	w := newWorld(t)
	r, err := http.NewRequest("GET", w.http.URL+"/.well-known/openid-configuration", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.test"
	r.Header.Set("X-Forwarded-Host", "evil.test")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	if bytes.Contains(text, []byte("evil.test")) || answer.Header.Get("ETag") == "" || answer.Header.Get("Cache-Control") == "" {
		t.Errorf("discovery %s %v", text, answer.Header)
	}
}

func TestEveryActIsOnRecord(t *testing.T) {
	w := newWorld(t)
	b := w.enrolled()
	_, got := b.token(redemption(b.code(request())))
	b.token(refresh(got["refresh_token"].(string)))
	b.token(refresh(got["refresh_token"].(string)))
	b.token(redemption("never-issued"))
	entries, err := audit.Recent(context.Background(), w.server.Pool, 100)
	if err != nil {
		t.Fatal(err)
	}
	var story []string
	for _, e := range slices.Backward(entries) {
		story = append(story, string(e.Action)+" "+e.Outcome+" "+string(e.Reason))
	}
	want := []string{"trust.applied done ", "key.created done ", "client.declared done ", "user.invited done ", "credential.registered done ", "session.signed_in done ", "code.issued done ",
		"code.redeemed done ", "token.refreshed done ", "token.refreshed refused refresh_token_replayed"}
	if !slices.Equal(story, want) {
		t.Errorf("the record says\n%s\nwant\n%s", strings.Join(story, "\n"), strings.Join(want, "\n"))
	}
	if _, err := w.server.Pool.Exec(context.Background(), `delete from audit_entry`); err == nil {
		t.Error("the record can be deleted from")
	}
}

var update = flag.Bool("update", false, "write the list of routes")

func TestRoutesAreListed(t *testing.T) {
	routes := newWorld(t).server.Routes()
	slices.Sort(routes)
	got := strings.Join(routes, "\n") + "\n"
	if *update {
		if err := os.WriteFile("testdata/routes.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/routes.txt")
	if err != nil || got != string(want) {
		t.Errorf("routes (run with -update when the change is meant): %v\n%s", err, got)
	}
}

// TestNoPlaygroundInProduction: its bench makes tokens for who asks.
func TestNoPlaygroundInProduction(t *testing.T) {
	o := Options{Issuer: "http://localhost:1", DatabaseURL: pgtest.URL(t), SealingKey: make([]byte, 32), Trust: []byte(trustFile), TrustName: "trust.yaml", Playground: &frontend.Playground{Bench: http.NotFoundHandler()}}
	if s, err := New(t.Context(), o); err == nil || !strings.Contains(err.Error(), "development only") {
		t.Errorf("a server with a playground: %v, %v", s != nil, err)
	}
	b := newWorld(t).browser()
	for _, path := range []string{"/playground", "/playground/sandbox/token", "/playground/sandbox/explain", "/playground/sandbox/jwks"} {
		for _, method := range []string{"GET", "POST"} {
			if answer, _ := b.do(method, path, nil); answer.StatusCode != http.StatusNotFound {
				t.Errorf("%s %s answers %d", method, path, answer.StatusCode)
			}
		}
	}
}

// TestTheConsolesWay asks as the developer portal's console does: with a slash
// behind the endpoint and without a resource, in a window whose opener waits.
func TestTheConsolesWay(t *testing.T) {
	b := newWorld(t).enrolled()
	params := request()
	params.Del("resource")
	params.Set("scope", "orders.read")
	if answer, _ := b.do("GET", "/authorize/?"+params.Encode(), nil); b.location(answer).Query().Get("error") != "" {
		t.Errorf("the slash leads to %v", b.location(answer))
	}
	status, got := b.token(redemption(b.code(params)))
	if status != 200 || decode(t, got["access_token"].(string), 1)["aud"] != resource {
		t.Errorf("the scope's only API is not the audience: %d %v", status, got)
	}
	for path, want := range map[string]string{"/signin": "unsafe-none", "/consent": "unsafe-none", "/": "same-origin", "/enrol": "same-origin", "/device": "same-origin", "/signinx": "same-origin"} {
		if answer, _ := b.do("GET", path, nil); answer.Header.Get("Cross-Origin-Opener-Policy") != want || !strings.Contains(answer.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s: %v", path, answer.Header)
		}
	}
}

func TestSignOutEverywhere(t *testing.T) {
	w := newWorld(t)
	one := w.enrolled()
	two := &browser{w, w.browser().client, one.key}
	_, first := one.token(redemption(one.code(request())))
	_, second := two.token(redemption(two.code(request())))
	if answer, _ := w.browser().do("POST", "/account/everywhere", nil); answer.StatusCode < 400 {
		t.Errorf("nobody signed out everywhere: %d", answer.StatusCode)
	}
	if answer, _ := one.do("POST", "/account/everywhere", nil, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); answer.StatusCode != http.StatusForbidden {
		t.Errorf("another site did: %d", answer.StatusCode)
	}
	if answer, _ := one.do("POST", "/account/everywhere", nil); answer.StatusCode != http.StatusSeeOther {
		t.Fatalf("status %d", answer.StatusCode)
	}
	for name, b := range map[string]*browser{"this browser": one, "the other": two} {
		if _, page := b.do("GET", "/", nil); strings.Contains(page, "Signed in") {
			t.Errorf("%s is still signed in", name)
		}
	}
	for _, got := range []map[string]any{first, second} {
		if status, out := one.token(refresh(got["refresh_token"].(string))); status != 400 || out["error"] != "invalid_grant" {
			t.Errorf("refresh: %d %v", status, out)
		}
	}
}

// Strangers cannot grow the record: what consumed nothing is logged, not recorded.
func TestRefusalsThatConsumedNothingAreNotRecorded(t *testing.T) {
	w := newWorld(t)
	count := func() (n int) {
		if err := w.server.Pool.QueryRow(context.Background(), `select count(*) from audit_entry`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before, b := count(), w.browser()
	for range 3 {
		b.do("GET", "/authorize?"+request("redirect_uri", "https://evil.test/").Encode(), nil)
		b.do("GET", "/authorize/callback?request=x", nil)
		b.token(redemption("nonsense"))
		b.token(refresh("nonsense"))
		b.token(url.Values{"grant_type": {"client_credentials"}, "client_id": {"batch"}, "client_secret": {"x"}})
		b.post("/enrol/invitation", map[string]any{"link": "x"})
		b.post("/signin/finish", map[string]any{"ceremony": "x", "credential": map[string]any{}})
		b.post("/account/remove", map[string]any{"id": "x"})
		b.do("GET", "/userinfo", nil, "Authorization", "Bearer x")
	}
	if after := count(); after != before {
		t.Errorf("strangers wrote %d entries", after-before)
	}
	if !strings.Contains(w.logs.String(), "code_unknown") {
		t.Error("the refusals are not in the log either")
	}
}

func TestAnotherPasskeyIsAddedByWhoJustSignedIn(t *testing.T) {
	var skew time.Duration
	w := newWorldOf(t, Options{Trust: []byte(trustFile), Now: func() time.Time { return time.Now().Add(skew) }})
	b := w.enrolled()
	add := func(key *passkeytest.Authenticator) (int, map[string]any) {
		status, out := b.post("/account/add/options", map[string]any{})
		if status != 200 {
			return status, out
		}
		options, err := json.Marshal(out["options"])
		if err != nil {
			t.Fatal(err)
		}
		credential, err := key.Create(options, w.http.URL)
		if err != nil {
			t.Fatal(err)
		}
		return b.post("/account/add/finish", map[string]any{"ceremony": out["ceremony"], "credential": json.RawMessage(credential)})
	}
	spare := &passkeytest.Authenticator{Attestation: passkeytest.AttestNone}
	if status, out := add(spare); status != 401 || out["reason"] != "sign_in_required" {
		t.Errorf("nobody signed in: %d %v", status, out)
	}
	if status, out := b.signIn(""); status != 200 {
		t.Fatalf("sign in: %d %v", status, out)
	}
	if status, out := add(spare); status != 200 {
		t.Fatalf("add: %d %v", status, out)
	}
	if _, page := b.do("GET", "/", nil); !strings.Contains(page, "was added to your account") || !strings.Contains(page, "it was added on this page from 127.0.0.1") {
		t.Error("the person is not told")
	}
	if status, out := add(&passkeytest.Authenticator{Attestation: passkeytest.AttestNone, Lie: passkeytest.Lie{NoUV: true}}); status != 400 || out["reason"] != "user_verification_missing" {
		t.Errorf("a refused one: %d %v", status, out)
	}
	if _, err := b.key.Create(mustOptions(t, b), w.http.URL); err == nil {
		t.Error("the person's own passkey is not excluded")
	}
	b.key = spare
	if status, out := b.signIn(""); status != 200 {
		t.Errorf("sign in with the spare: %d %v", status, out)
	}
	skew = 11 * time.Minute
	if status, out := add(&passkeytest.Authenticator{}); status != 401 {
		t.Errorf("an old sign-in added a passkey: %d %v", status, out)
	}
}

// mustOptions returns the options of a fresh registration.
func mustOptions(t *testing.T, b *browser) []byte {
	t.Helper()
	_, options := b.options("/account/add/options", map[string]any{})
	return options
}
