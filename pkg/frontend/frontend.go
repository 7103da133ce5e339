// Package frontend speaks HTML and ceremony JSON to people.
//
// It decides how pages look, how a refusal is told to a person, and that
// nothing on a page runs but our own scripts. It refuses to decide who may do
// what: handlers hand what they got to the packages that know, and one function
// turns every error into a page or a JSON answer.
package frontend

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/signin"
	"github.com/touchstone-id/touchstone/pkg/trust"
	"github.com/touchstone-id/touchstone/web"
)

// Options are the parts a frontend is made of.
type Options struct {
	Issuer   string
	Pool     *pgxpool.Pool
	Log      *audit.Log
	Passkeys *passkey.RelyingParty
	SignIn   *signin.Flow
	Clients  *grant.Clients
	// Trust returns the trust file in force: its titles say in words what clients ask for.
	Trust  func() *trust.Trust
	Logger zerolog.Logger
	// Now is the clock.
	Now func() time.Time
	// Playground, when not nil, offers the playground.
	Playground *Playground
}

// Frontend serves the pages.
type Frontend struct {
	codes   attempts
	options Options
	pages   map[string]*template.Template
	static  map[string]asset
	// base is the issuer's path, for addresses in pages; redirects need none.
	base    string
	prefix  string
	handler http.Handler
}

type asset struct {
	kind string
	body []byte
}

type route struct {
	pattern string
	handler func(http.ResponseWriter, *http.Request) error
}

// routes lists every route on one screen.
func (f *Frontend) routes() []route {
	routes := []route{
		{"GET /{$}", f.home},
		{"GET /enrol", f.enrol},
		{"POST /enrol/invitation", f.invitation},
		{"POST /enrol/options", f.enrolOptions},
		{"POST /enrol/finish", f.enrolFinish},
		{"GET /signin", f.signIn},
		{"POST /signin/options", f.signInOptions},
		{"POST /signin/finish", f.signInFinish},
		{"GET /signout", f.signOutPage},
		{"POST /signout", f.signOut},
		{"POST /account/add/options", f.addOptions},
		{"POST /account/add/finish", f.addFinish},
		{"POST /account/rename", f.rename},
		{"POST /account/remove", f.remove},
		{"POST /account/revoke", f.revoke},
		{"POST /account/everywhere", f.revokeAll},
		{"POST /account/dismiss", f.dismiss},
		{"POST /account/withdraw", f.withdraw},
		{"POST /signin/decline", f.decline},
		{"GET /consent", f.consent},
		{"POST /consent", f.agree},
		{"GET /device", f.device},
		{"POST /device/find", f.findDevice},
		{"POST /device/decide", f.decideDevice},
		{"GET /static/{version}/{file}", f.serveStatic},
		{"/", func(http.ResponseWriter, *http.Request) error { return denial.New(denial.PageNotFound, "") }},
	}
	if f.options.Playground != nil {
		routes = append(routes, route{"GET /playground", f.playground}, route{"GET /playground/callback", f.playground})
		if f.options.Playground.Bench != nil {
			routes = append(routes, route{BenchPath + "/", f.bench})
		}
	}
	return routes
}

// New parses every page and returns the frontend.
func New(o Options) (*Frontend, error) {
	f := &Frontend{options: o, pages: map[string]*template.Template{}, static: map[string]asset{}, codes: attempts{wrong: map[string][]time.Time{}}}
	issuer, err := url.Parse(o.Issuer)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	f.base = issuer.Path
	if err := f.loadStatic(); err != nil {
		return nil, err
	}
	if err := f.loadPages(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for _, r := range f.routes() {
		mux.HandleFunc(r.pattern, f.Page(r.handler))
	}
	f.handler = http.NewCrossOriginProtection().Handler(mux)
	return f, nil
}

// ServeHTTP serves the routes that Routes lists.
func (f *Frontend) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.handler.ServeHTTP(w, r) }

// Routes lists every route's pattern, sorted.
func (f *Frontend) Routes() []string {
	var patterns []string
	for _, r := range f.routes() {
		patterns = append(patterns, r.pattern)
	}
	slices.Sort(patterns)
	return patterns
}

// loadStatic reads the static files; their common address holds a hash of all.
func (f *Frontend) loadStatic() error {
	files, err := fs.ReadDir(web.Files, "static")
	if err != nil {
		return fmt.Errorf("read static files: %w", err)
	}
	sum := sha256.New()
	for _, file := range files {
		body, err := fs.ReadFile(web.Files, "static/"+file.Name())
		if err != nil {
			return fmt.Errorf("read static file: %w", err)
		}
		fmt.Fprintf(sum, "%s %d\n%s", file.Name(), len(body), body)
		f.static[file.Name()] = asset{mime.TypeByExtension(path.Ext(file.Name())), body}
	}
	f.prefix = "/static/" + hex.EncodeToString(sum.Sum(nil)[:8]) + "/"
	return nil
}

// loadPages parses each page with the frame around it.
func (f *Frontend) loadPages() error {
	functions := template.FuncMap{"asset": f.Asset, "base": func() string { return f.base }}
	for _, name := range []string{"home", "enrol", "signin", "signout", "error", "playground", "consent", "device", "formpost"} {
		page, err := template.New("base").Funcs(functions).ParseFS(web.Files, "pages/base.tmpl", "pages/"+name+".tmpl")
		if err != nil {
			return fmt.Errorf("parse page %s: %w", name, err)
		}
		f.pages[name] = page
	}
	return nil
}

// Asset returns the address of a static file, which changes with any of them.
func (f *Frontend) Asset(name string) (string, error) {
	if _, ok := f.static[name]; !ok {
		return "", fmt.Errorf("no static file %q", name)
	}
	return f.base + f.prefix + name, nil
}

// Page sets the headers that every answer carries and turns errors into answers.
func (f *Frontend) Page(handler func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	connect := "'self'"
	if f.options.Playground != nil {
		connect += " " + f.options.Playground.Gateway
	}
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src " + connect +
		"; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Opener-Policy", openerPolicy(r.URL.Path))
		h.Set("Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self)")
		h.Set("Cache-Control", "no-store")
		if strings.HasPrefix(f.options.Issuer, "https:") {
			h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		}
		if err := handler(w, r); err != nil {
			f.Fail(w, r, err)
		}
	}
}

// openerPolicy keeps other origins' windows off every page but those that a client
// may open in a window of its own and wait for: the opener would not hear the
// answer, as in the developer portal's console. Such a window tells its opener
// nothing but that it was closed.
func openerPolicy(path string) string {
	if path == "/signin" || strings.HasPrefix(path, "/signin/") || path == "/consent" {
		return "unsafe-none"
	}
	return "same-origin"
}

// faultText is what people read about a fault: no detail, no blame.
var faultText = denial.Text{Title: "Something went wrong here", Sentence: "The fault is ours, not yours. Nothing you entered was lost.",
	Next: "Try again in a moment. If it happens again, give the correlation number to your administrator."}

// Fail answers a request with an error: JSON to a script, otherwise a page.
func (f *Frontend) Fail(w http.ResponseWriter, r *http.Request, err error) {
	correlation := audit.OriginOf(r.Context()).Correlation
	reason, denied := denial.ReasonOf(err)
	text, oauth, status := faultText, "server_error", http.StatusInternalServerError
	if denied {
		text, oauth, status = denial.TextOf(err), reason.OAuth(), reason.Status()
		f.options.Logger.Info().AnErr("detail", err).Str("reason", string(reason)).Str("path", r.URL.Path).Str("correlation", correlation).Msg("refused")
	} else {
		reason = "fault"
		f.options.Logger.Error().Err(err).Str("path", r.URL.Path).Str("correlation", correlation).Msg("request failed")
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		writeJSON(w, status, map[string]string{"reason": string(reason), "title": text.Title, "sentence": text.Sentence, "next": text.Next, "correlation": correlation})
		return
	}
	if err := f.draw(w, status, "error", page{Title: text.Title, Text: text, Reason: string(reason), OAuth: oauth, Correlation: correlation}); err != nil {
		f.options.Logger.Error().Err(err).Msg("error page cannot be drawn")
	}
}

// page is what the frame and the pages read.
type page struct {
	Title, Page, Script string
	Text                denial.Text
	Reason, OAuth       string
	Correlation         string
	Next, NextLabel     string
	Request, Client     string
	SignedIn            bool
	Name                string
	Passkeys            []passkeyCard
	Sessions            []sessionCard
	Notices             []noticeCard
	Applications        []applicationCard
	Permissions         []string
	StepUp              string
	Action              string
	Fields              map[string]string
	Playground, Console bool
	// Return is where in the console a sign-in leads.
	Return string
	Tour   *tour
}

// draw writes a page whole or not at all.
func (f *Frontend) draw(w http.ResponseWriter, status int, name string, data page) error {
	data.Page = name
	var body bytes.Buffer
	if err := f.pages[name].ExecuteTemplate(&body, "base", data); err != nil {
		return fmt.Errorf("draw page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err := body.WriteTo(w)
	if err != nil {
		f.options.Logger.Debug().Err(err).Msg("the browser went away")
	}
	return nil
}

// serveStatic serves a file under its hashed address, for ever.
func (f *Frontend) serveStatic(w http.ResponseWriter, r *http.Request) error {
	a, ok := f.static[r.PathValue("file")]
	if !ok || !strings.HasPrefix(r.URL.Path, f.prefix) {
		return denial.New(denial.PageNotFound, "")
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("Content-Type", a.kind)
	w.Write(a.body)
	return nil
}

// readJSON reads a script's request: JSON, and no more than an answer may have.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return denial.New(denial.RequestMalformed, "content type")
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, passkey.MaxResponse))
	if err := decoder.Decode(into); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return denial.New(denial.RequestTooLarge, "")
		}
		return denial.New(denial.RequestMalformed, "JSON cannot be read")
	}
	return nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}
