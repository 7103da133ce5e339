package admin

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/pkg/attest/mds"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/keyring"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/signin"
	"github.com/touchstone-id/touchstone/pkg/trust"
	"github.com/touchstone-id/touchstone/web"
)

// Options are the parts a console is made of.
type Options struct {
	Issuer string
	// Base is the issuer's path, for addresses in pages; redirects need none.
	Base     string
	Pool     *pgxpool.Pool
	Log      *audit.Log
	Search   *audit.Search
	Ring     *keyring.Ring
	Clients  *grant.Clients
	Metadata *mds.Keeper
	Passkeys *passkey.RelyingParty
	SignIn   *signin.Flow
	// Trust returns the trust file in force.
	Trust func() *trust.Trust
	// Preview returns the claims that a grant's access token would carry.
	Preview func(grant.Grant) claim.AccessToken
	// Asset returns the address of a static file.
	Asset func(name string) (string, error)
	// Page sets the headers that every page carries, and turns a handler's error
	// into an answer.
	Page func(func(http.ResponseWriter, *http.Request) error) http.HandlerFunc
	// Now is the clock.
	Now func() time.Time
}

// Console serves the pages for administrators.
type Console struct {
	options Options
	pages   map[string]*template.Template
	handler http.Handler
}

// front is the console's first page; every other address is below it.
const front = "/console"

type route struct {
	pattern string
	handler func(*visit) error
}

// routes lists every page on one screen; acts are added by deeds.
func (c *Console) routes() []route {
	routes := []route{
		{"GET " + front, c.overview},
		{"GET " + front + "/people", c.people},
		{"GET " + front + "/people/{id}", c.person},
		{"GET " + front + "/clients", c.clients},
		{"GET " + front + "/clients/{id}", c.client},
		{"GET " + front + "/clients/{id}/preview", c.preview},
		{"GET " + front + "/trust", c.trustfile},
		{"GET " + front + "/trust/{id}", c.trusttext},
		{"GET " + front + "/keys", c.keys},
		{"GET " + front + "/keys/timeline.svg", c.timeline},
		{"GET " + front + "/metadata", c.metadata},
		{"GET " + front + "/record", c.record},
		{"GET " + front + "/record/{id}", c.entry},
		{"GET " + front + "/record/{id}/proof", c.proof},
		{front + "/", func(*visit) error { return denial.New(denial.PageNotFound, "") }},
	}
	for _, d := range c.deeds() {
		routes = append(routes, route{"GET " + front + d.pattern, c.ask(d)}, route{"POST " + front + d.pattern, c.carryOut(d)})
	}
	return routes
}

// New parses every page and returns the console.
func New(o Options) (*Console, error) {
	c := &Console{options: o, pages: map[string]*template.Template{}}
	functions := template.FuncMap{"asset": o.Asset, "base": func() string { return o.Base }, "tab": tabOf, "noun": nounFor, "at": clientAt, "client": func(id string) string { return clientAt(grant.ClientID(id)) }, "list": func(b badge) []badge { return []badge{b} }}
	for _, name := range []string{"overview", "people", "person", "clients", "client", "preview", "trust", "keys", "metadata", "record", "entry", "ask", "shown"} {
		page, err := template.New("frame").Funcs(functions).ParseFS(web.Files, "pages/admin/frame.tmpl", "pages/admin/"+name+".tmpl")
		if err != nil {
			return nil, fmt.Errorf("parse page %s of the console: %w", name, err)
		}
		c.pages[name] = page
	}
	mux := http.NewServeMux()
	for _, r := range c.routes() {
		mux.HandleFunc(r.pattern, o.Page(c.enter(r.handler)))
	}
	crossing := http.NewCrossOriginProtection()
	crossing.SetDenyHandler(o.Page(func(http.ResponseWriter, *http.Request) error { return denial.New(denial.CrossOriginRefused, "") }))
	c.handler = crossing.Handler(mux)
	return c, nil
}

// ServeHTTP serves the routes that Routes lists.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// Routes lists every route's pattern, sorted.
func (c *Console) Routes() []string {
	var patterns []string
	for _, r := range c.routes() {
		patterns = append(patterns, r.pattern)
	}
	slices.Sort(patterns)
	return patterns
}

// frame is what every page reads.
type frame struct {
	Title string
	// Section is the part of the console that a page belongs to.
	Section string
	// Who is the administrator, Until when their sign-in stops counting here.
	Who, Until string
	// Done says what was just done, or is empty.
	Done string
	// Copies says that the page offers text to be copied.
	Copies bool
	Data   any
}

// tab is an entry of the console's navigation.
type tab struct {
	To, Text string
	Here     bool
}

func tabOf(f frame, section, to, text string) tab { return tab{to, text, f.Section == section} }

// draw writes a page whole or not at all.
func (v *visit) draw(c *Console, status int, name string, f frame) error {
	f.Who = v.session.User.DisplayName
	f.Until = v.session.Authentication.AuthTime.Add(v.rules.MaxAge).UTC().Format("15:04 UTC")
	f.Done = outcomes[v.r.URL.Query().Get("done")]
	var body bytes.Buffer
	if err := c.pages[name].ExecuteTemplate(&body, "frame", f); err != nil {
		return fmt.Errorf("draw page %s of the console: %w", name, err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	body.WriteTo(v.w) // a browser that went away misses nothing
	return nil
}
