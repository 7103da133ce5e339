package provider_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/attest/mds"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/keyring"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/passkey/passkeytest"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
	"github.com/touchstone-id/touchstone/pkg/provider"
	"github.com/touchstone-id/touchstone/pkg/secret"
	"github.com/touchstone-id/touchstone/pkg/signin"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

const (
	issuer = "http://localhost:8080"
	orders = "http://localhost:8081/orders"
	ledger = "https://api.test/ledger"
	webURI = "https://rp.test/cb"
	spaURI = "https://spa.test/cb?keep=1"
)

// trustFile declares two APIs and a client of every kind.
const trustFile = `
apis:
  - {name: orders, audience: "http://localhost:8081/orders", path: /orders, backend: "http://localhost:9000", token_lifetime: 10m,
     scopes: [{name: orders.read, title: Read orders}, {name: orders.write, title: Write orders}], automation: [robot]}
  - {name: ledger, audience: "https://api.test/ledger", path: /ledger, backend: "http://localhost:9001", signing_algorithm: ES256,
     scopes: [{name: ledger.read, title: Read the ledger}]}
clients:
  - {id: web, name: Web, first_party: true, kind: confidential, redirect_uris: ["https://rp.test/cb"], post_logout_redirect_uris: ["https://rp.test/bye"],
     scopes: [openid, profile, authenticator, offline_access, orders.read, orders.write, ledger.read], apis: [orders, ledger]}
  - {id: other, name: Other, first_party: true, kind: confidential, redirect_uris: ["https://other.test/cb"], post_logout_redirect_uris: ["https://other.test/bye"],
     scopes: [openid, offline_access, orders.read], apis: [orders]}
  - {id: spa, name: Spa, first_party: true, redirect_uris: ["https://spa.test/cb?keep=1"], scopes: [openid, offline_access, orders.read], apis: [orders]}
  - {id: brief, name: Brief, first_party: true, redirect_uris: ["https://brief.test/cb"], grant_types: [authorization_code], scopes: [openid, offline_access]}
  - {id: native, name: Native, first_party: true, redirect_uris: ["http://127.0.0.1/cb"], scopes: [openid]}
  - {id: third, name: Third party, kind: confidential, redirect_uris: ["https://third.test/cb"], scopes: [openid, profile, offline_access, orders.read, ledger.read], apis: [orders, ledger]}
  - {id: legacy, name: Legacy, first_party: true, kind: confidential, pkce_exempt: true, token_endpoint_auth_method: client_secret_post, id_token_signed_response_alg: ES256,
     redirect_uris: ["https://legacy.test/cb"], scopes: [openid, profile]}
  - {id: tv, name: Television, first_party: true, grant_types: ["urn:ietf:params:oauth:grant-type:device_code", refresh_token], scopes: [openid, profile, offline_access, orders.read], apis: [orders]}
  - {id: radio, name: Radio, first_party: true, grant_types: ["urn:ietf:params:oauth:grant-type:device_code"], scopes: [openid]}
  - {id: clinic, name: Clinic, first_party: true, sector: health, redirect_uris: ["https://clinic.test/cb"], scopes: [openid]}
  - {id: pharmacy, name: Pharmacy, first_party: true, sector: health, redirect_uris: ["https://pharmacy.test/cb"], scopes: [openid]}
  - {id: orders-api, name: Orders API, kind: workload, grant_types: [client_credentials, "urn:ietf:params:oauth:grant-type:token-exchange"], serves: [orders], scopes: [ledger.read], apis: [ledger]}
  - {id: robot, name: Robot, kind: workload, grant_types: [client_credentials], scopes: [orders.read], apis: [orders]}
  - {id: robot2, name: Robot of two APIs, kind: workload, grant_types: [client_credentials], scopes: [orders.read, ledger.read], apis: [orders, ledger]}
`

// model is the AAGUID of the attested key in these tests.
var model = [16]byte{1, 2, 3}

// world is a whole provider on a real database, with a stand-in for the sign-in
// page that runs real ceremonies with software authenticators.
type world struct {
	testing.TB
	pool *pgxpool.Pool
	// waits tells how often the database was waited for since the last call.
	waits    func() int
	log      *audit.Log
	ring     *keyring.Ring
	clients  *grant.Clients
	flow     *signin.Flow
	rp       *passkey.RelyingParty
	provider *provider.Provider
	server   *httptest.Server
	secrets  map[string]string
	people   map[string]*person

	mu    sync.Mutex
	now   time.Time
	trust *trust.Trust
	shown error
	fault string
}

// person is somebody with a passkey.
type person struct {
	account.User
	key        *passkeytest.Authenticator
	credential passkey.Credential
}

func newWorld(t testing.TB) *world {
	t.Helper()
	ctx := context.Background()
	w := &world{TB: t, now: time.Now().Truncate(time.Second), secrets: map[string]string{}, people: map[string]*person{}}
	w.pool, w.waits = pgtest.Counted(t)
	w.log = audit.New(w.pool)
	w.useTrust(trustFile)
	sealer, err := keyring.NewLocalSealer(make([]byte, 32))
	w.must(err)
	w.ring, err = keyring.Open(ctx, keyring.Options{Pool: w.pool, Log: w.log, Sealer: sealer, Algorithms: []keyring.Algorithm{keyring.RS256, keyring.ES256}})
	w.must(err)
	w.clients, err = grant.OpenClients(ctx, w.pool)
	w.must(err)
	w.must(w.clients.DeclareClients(ctx, w.log, w.now, w.trust))
	for _, id := range []string{"web", "other", "robot", "robot2", "third", "legacy", "orders-api"} {
		w.newSecret(id)
	}

	vendor, service := w.ca("Vendor"), w.ca("Service")
	blob, err := service.BLOB(7, w.now.AddDate(0, 1, 0), passkeytest.Model{AAGUID: model, Description: "Acme Key", Roots: []*x509.Certificate{vendor.Certificate},
		KeyProtection: []string{"hardware", "secure_element"}, Status: [][2]string{{"FIDO_CERTIFIED_L2", "2020-01-01"}}})
	w.must(err)
	set, err := mds.Parse(blob, []*x509.Certificate{service.Certificate}, w.now)
	w.must(err)
	w.rp, err = passkey.New(passkey.Options{ID: "localhost", Name: "Test", Origin: issuer, Metadata: func() attest.Metadata { return set }, Trust: w.inForce})
	w.must(err)
	w.flow = signin.New(signin.Options{Pool: w.pool, Log: w.log, Passkeys: w.rp, Trust: w.inForce, CookieKey: make([]byte, 32), Now: w.clock})
	w.enrol("ada", "Ada Lovelace", &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: vendor})
	w.enrol("bob", "Bob Builder", &passkeytest.Authenticator{Attestation: passkeytest.AttestNone, Synced: true})

	w.provider, err = provider.New(provider.Options{Issuer: issuer, Pool: w.pool, Log: w.log, Ring: w.ring, Clients: w.clients, SignIn: w.flow,
		Trust: w.inForce, ShowError: w.show, PostForm: postForm, PairwiseKey: make([]byte, 32), Logger: zerolog.New(faults{w}).Level(zerolog.ErrorLevel), Now: w.clock})
	w.must(err)
	mux := http.NewServeMux()
	mux.Handle("/", w.provider)
	mux.HandleFunc("POST /test/agree", w.agree)
	mux.HandleFunc("GET /test/signin", w.signInPage)
	mux.HandleFunc("POST /test/signout", func(rw http.ResponseWriter, r *http.Request) { w.must(w.flow.SignOut(r.Context(), rw, r)) })
	w.server = httptest.NewServer(mux)
	t.Cleanup(w.server.Close)
	return w
}

// newSecret gives a client a secret.
func (w *world) newSecret(id string) {
	w.Helper()
	w.tx(func(tx pgx.Tx) error {
		s, err := grant.RotateSecret(context.Background(), tx, grant.ClientID(id))
		w.secrets[id] = s.Reveal()
		return err
	})
	w.must(w.clients.Reload(context.Background()))
}

// faults keeps what the provider logs as an error: a test that means to be
// refused must not be answered by a fault.
type faults struct{ w *world }

func (f faults) Write(line []byte) (int, error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.w.fault += string(line)
	return len(line), nil
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) inForce() *trust.Trust {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trust
}

func (w *world) useTrust(file string) {
	w.Helper()
	t, err := trust.Parse("trust.yaml", []byte(file))
	w.must(err)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trust = t
}

// declare puts another trust file in force, with its clients.
func (w *world) declare(file string) {
	w.Helper()
	w.useTrust(file)
	w.must(w.clients.DeclareClients(context.Background(), w.log, w.clock(), w.inForce()))
}

func (w *world) ca(name string) *passkeytest.CA {
	ca, err := passkeytest.NewCA(name, w.now)
	w.must(err)
	return ca
}

// tx runs fn in a transaction that must succeed.
func (w *world) tx(fn func(pgx.Tx) error) {
	w.Helper()
	w.must(pgx.BeginFunc(context.Background(), w.pool, fn))
}

// enrol creates a person with a passkey on the authenticator.
func (w *world) enrol(name, displayName string, key *passkeytest.Authenticator) {
	w.Helper()
	p := &person{key: key}
	w.tx(func(tx pgx.Tx) error {
		var err error
		p.User, err = account.Create(context.Background(), tx, name, displayName)
		return err
	})
	w.people[name] = p
	w.addPasskey(name, key)
}

// addPasskey registers the authenticator for a person, who uses it from now on.
func (w *world) addPasskey(name string, key *passkeytest.Authenticator) {
	w.Helper()
	p, ctx, browser := w.people[name], context.Background(), secret.Of("enrolment").Digest()
	offer, err := w.rp.OfferRegistration(ctx, w.pool, w.clock(), p.User, browser)
	w.must(err)
	response, err := key.Create(offer.Options, issuer)
	w.must(err)
	w.tx(func(tx pgx.Tx) error {
		var err error
		p.credential, err = w.rp.AcceptRegistration(ctx, tx, w.clock(), passkey.Registration{Ceremony: offer.Ceremony, Browser: browser, UserID: p.ID, Response: response})
		return err
	})
	p.key = key
}

// postForm stands in for the page that posts a form: it redirects to what would
// be posted, so that tests read both modes alike.
func postForm(rw http.ResponseWriter, _ *http.Request, action string, values url.Values) {
	rw.Header().Set("Location", action+"?"+values.Encode())
	rw.WriteHeader(http.StatusOK)
}

// show stands in for the error page.
func (w *world) show(rw http.ResponseWriter, _ *http.Request, err error) {
	w.mu.Lock()
	w.shown = err
	w.mu.Unlock()
	reason, denied := denial.ReasonOf(err)
	if !denied {
		rw.WriteHeader(http.StatusInternalServerError)
		return
	}
	rw.WriteHeader(reason.Status())
	io.WriteString(rw, string(reason))
}

// signInPage stands in for the sign-in page and its script: who signs in with a
// real ceremony, bound to the request; or, with resume, the session is used.
func (w *world) signInPage(rw http.ResponseWriter, r *http.Request) {
	who, request := w.people[r.FormValue("who")], secret.Of(r.FormValue("request"))
	browser := w.flow.BrowserOf(r)
	if browser == nil {
		w.flow.Browser(rw, r)
		http.Redirect(rw, r, r.URL.String(), http.StatusSeeOther)
		return
	}
	var err error
	if r.Form.Has("resume") {
		var s signin.Session
		if s, err = w.flow.Current(r); err == nil {
			err = w.flow.Resume(r.Context(), s, request, browser)
		}
	} else {
		var offer passkey.Offer
		var response []byte
		if offer, err = w.flow.Offer(r.Context(), browser); err == nil {
			if response, err = who.key.Get(offer.Options, issuer); err == nil {
				_, err = w.flow.Finish(r.Context(), rw, r, signin.Attempt{Ceremony: offer.Ceremony, Response: response, Request: request})
			}
		}
	}
	if err != nil {
		w.show(rw, r, err)
		return
	}
	http.Redirect(rw, r, "/authorize/callback?request="+url.QueryEscape(request.Reveal()), http.StatusSeeOther)
}

// agree stands in for the consent page and its script.
func (w *world) agree(rw http.ResponseWriter, r *http.Request) {
	request, browser := secret.Of(r.FormValue("request")), w.flow.BrowserOf(r)
	var err error
	if r.FormValue("answer") != "yes" {
		_, err = grant.Decline(r.Context(), w.pool, w.clock(), request, browser)
	} else if s, fault := w.flow.Current(r); fault != nil {
		err = fault
	} else {
		err = w.log.Do(r.Context(), func(tx pgx.Tx) (audit.Event, error) {
			_, err := grant.Agree(r.Context(), tx, w.clock(), request, browser, s.User.ID)
			if err != nil {
				return audit.Event{}, err
			}
			return audit.Event{Action: audit.ConsentGiven}, nil
		})
	}
	if err != nil {
		w.show(rw, r, err)
		return
	}
	http.Redirect(rw, r, "/authorize/callback?request="+url.QueryEscape(request.Reveal()), http.StatusSeeOther)
}

// answer is a response, read.
type answer struct {
	*http.Response
	Text string
	JSON map[string]any
}

// location returns the Location header, parsed.
func (a answer) location() *url.URL {
	u, err := url.Parse(a.Header.Get("Location"))
	if err != nil {
		return &url.URL{Opaque: "unparsable"}
	}
	return u
}

// oauthError returns the error of a JSON answer or of a redirect.
func (a answer) oauthError() string {
	if e, ok := a.JSON["error"].(string); ok {
		return e
	}
	return a.location().Query().Get("error")
}

// browser is a cookie jar that does not follow redirects.
type browser struct {
	*world
	http.Client
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	w.must(err)
	return &browser{w, http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// send sends a request and reads its answer. A logged fault fails the test.
func (b *browser) send(r *http.Request) answer {
	b.Helper()
	response, err := b.Do(r)
	b.must(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	b.must(err)
	a := answer{Response: response, Text: string(body)}
	if len(body) > 0 && strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		b.must(json.Unmarshal(body, &a.JSON))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault != "" || response.StatusCode >= 500 {
		b.Errorf("%s %s: fault, status %d: %s %v", r.Method, r.URL, response.StatusCode, b.fault, b.shown)
		b.fault = ""
	}
	return a
}

func (b *browser) get(path string) answer {
	b.Helper()
	r, err := http.NewRequest(http.MethodGet, b.server.URL+path, nil)
	b.must(err)
	return b.send(r)
}

func (b *browser) post(path string, form url.Values) answer {
	b.Helper()
	return b.send(b.form(path, form))
}

// form builds a POST.
func (b *browser) form(path string, form url.Values) *http.Request {
	b.Helper()
	r, err := http.NewRequest(http.MethodPost, b.server.URL+path, strings.NewReader(form.Encode()))
	b.must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// verifier is the PKCE verifier of every honest client here.
const verifier = "a-verifier-of-at-least-forty-three-characters-for-tests"

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// params are the parameters of an honest authorization request of web for
// orders, changed by pairs of name and value; an empty value removes.
func params(pairs ...string) url.Values {
	v := url.Values{"client_id": {"web"}, "redirect_uri": {webURI}, "response_type": {"code"}, "scope": {"openid profile authenticator offline_access orders.read orders.write"},
		"state": {"st/ate&1"}, "nonce": {"n0nce"}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"}, "resource": {orders}}
	for i := 0; i < len(pairs); i += 2 {
		if v.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			v.Del(pairs[i])
		}
	}
	return v
}

// identity are the parameters of a sign-in without an API.
func identity(pairs ...string) url.Values {
	return params(append([]string{"resource", "", "scope", "openid profile authenticator offline_access"}, pairs...)...)
}

// begin sends an authorization request and returns the id of the request that
// the browser is to sign in to.
func (b *browser) begin(v url.Values) string {
	b.Helper()
	a := b.get("/authorize?" + v.Encode())
	if a.StatusCode != http.StatusSeeOther || a.location().Path != "/signin" {
		b.Fatalf("authorize: status %d, location %q, %s", a.StatusCode, a.Header.Get("Location"), a.Text)
	}
	return a.location().Query().Get("request")
}

// signIn signs somebody in to a request and returns where the browser goes
// after the callback.
func (b *browser) signIn(who, request string) answer {
	b.Helper()
	a := b.prove(who, request)
	if a.location().Path != "/authorize/callback" {
		b.Fatalf("sign-in of %s: status %d %s", who, a.StatusCode, a.Text)
	}
	return b.get(a.Header.Get("Location"))
}

// prove runs the sign-in ceremony for a request, no more.
func (b *browser) prove(who, request string) answer {
	b.Helper()
	path := "/test/signin?" + url.Values{"who": {who}, "request": {request}}.Encode()
	a := b.get(path)
	if a.location().Path == "/test/signin" { // the first visit gets the cookie
		a = b.get(path)
	}
	return a
}

// code runs a whole authorization for somebody and returns the code.
func (b *browser) code(who string, v url.Values) string {
	b.Helper()
	a := b.get("/authorize?" + v.Encode())
	if request := a.location().Query().Get("request"); a.location().Path == "/signin" {
		a = b.signIn(who, request)
	} else {
		a = b.get(a.Header.Get("Location")) // the session suffices
	}
	code := a.location().Query().Get("code")
	if code == "" {
		b.Fatalf("no code: status %d, location %q", a.StatusCode, a.Header.Get("Location"))
	}
	return code
}

// exchange are the parameters of an honest code exchange of web.
func (w *world) exchange(code string, pairs ...string) url.Values {
	v := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {webURI}, "code_verifier": {verifier},
		"client_id": {"web"}, "client_secret": {w.secrets["web"]}}
	for i := 0; i < len(pairs); i += 2 {
		if v.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			v.Del(pairs[i])
		}
	}
	return v
}

// refresh are the parameters of an honest refresh of web.
func (w *world) refresh(token string, pairs ...string) url.Values {
	return w.exchange("", append([]string{"grant_type", "refresh_token", "refresh_token", token, "redirect_uri", "", "code_verifier", "", "code", ""}, pairs...)...)
}

// tokens is a successful token answer.
type tokens struct{ access, id, refresh string }

func (b *browser) tokens(form url.Values) tokens {
	b.Helper()
	a := b.post("/token", form)
	if a.StatusCode != http.StatusOK {
		b.Fatalf("token: status %d %s", a.StatusCode, a.Text)
	}
	text := func(name string) string { s, _ := a.JSON[name].(string); return s }
	return tokens{text("access_token"), text("id_token"), text("refresh_token")}
}

// obtain runs a whole flow of web for somebody.
func (b *browser) obtain(who string, v url.Values) tokens {
	b.Helper()
	return b.tokens(b.exchange(b.code(who, v)))
}

// userInfo calls the userinfo endpoint.
func (b *browser) userInfo(token string) answer {
	b.Helper()
	r, err := http.NewRequest(http.MethodGet, b.server.URL+"/userinfo", nil)
	b.must(err)
	r.Header.Set("Authorization", "Bearer "+token)
	return b.send(r)
}

// refused fails unless the answer is this OAuth error with this status.
func (b *browser) refused(what string, a answer, code string, status int) {
	b.Helper()
	if a.StatusCode != status || a.oauthError() != code {
		b.Errorf("%s: status %d error %q %s, want %d %q", what, a.StatusCode, a.oauthError(), a.Text, status, code)
	}
}

// decode returns the header and the claims of a token, its signature verified.
func (w *world) decode(token, typ string) (map[string]any, map[string]any) {
	w.Helper()
	payload, err := w.ring.Verify(token, typ)
	w.must(err)
	var header, claims map[string]any
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	w.must(err)
	w.must(json.Unmarshal(raw, &header))
	w.must(json.Unmarshal(payload, &claims))
	return header, claims
}

// facts returns the attestation claim of an access token.
func (w *world) facts(token string) []any {
	w.Helper()
	_, c := w.decode(token, claim.TypeAccessToken)
	facts, _ := c[string(claim.Attestation)].([]any)
	return facts
}

// record counts the entries of an action with an outcome.
func (w *world) record(action audit.Action, outcome string) int {
	w.Helper()
	entries, err := audit.Recent(context.Background(), w.pool, 1000)
	w.must(err)
	n := 0
	for _, e := range entries {
		if e.Action == action && e.Outcome == outcome {
			n++
		}
	}
	return n
}
