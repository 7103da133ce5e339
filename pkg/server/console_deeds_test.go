package server

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/note"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/audit/record"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// shown finds what a page shows to be copied.
var shown = regexp.MustCompile(`data-copy="([^"]*)"`)

// TestTheDeeds does everything that the console can do, once, and reads the record.
func TestTheDeeds(t *testing.T) {
	for _, tt := range []struct {
		name string
		// path is the deed's, about bob.
		path   func(d *desk, bob *somebody) string
		before func(d *desk, bob *somebody)
		fields []string
		// asks stands on the page that asks, after on the page that it leads to.
		asks, after string
		action      audit.Action
		check       func(t *testing.T, d *desk, bob *somebody, answer string)
	}{
		{"suspend", func(_ *desk, b *somebody) string { return b.at("suspend") }, func(d *desk, b *somebody) {
			b.enter("/")
			d.must(func(ctx context.Context, tx pgx.Tx) error {
				link, err := account.Invite(ctx, tx, time.Now(), b.user.ID, time.Hour)
				d.link = link.Reveal()
				return err
			})
		}, nil,
			"1 session will end", "Every session and all access have ended", audit.UserSuspended, func(t *testing.T, d *desk, b *somebody, _ string) {
				if b.status() != account.StatusSuspended || d.liveSessions(b.user.ID) != 0 {
					t.Errorf("%s, %d sessions", b.status(), d.liveSessions(b.user.ID))
				}
				// Letting them in again brings neither session nor link back.
				d.must(func(ctx context.Context, tx pgx.Tx) error { return account.Resume(ctx, tx, b.user.ID) })
				if _, page := b.do("GET", "/", nil); strings.Contains(page, "Sign out everywhere") {
					t.Error("the session came back")
				}
				if status, out := d.world.browser().post("/enrol/options", map[string]any{"link": d.link}); status != 410 {
					t.Errorf("the link came back: %d %v", status, out)
				}
			}},
		{"resume", func(_ *desk, b *somebody) string { return b.at("resume") }, func(d *desk, b *somebody) {
			d.must(func(ctx context.Context, tx pgx.Tx) error { return account.Suspend(ctx, tx, b.user.ID) })
		}, nil, "Let", "can be used again", audit.UserResumed, func(t *testing.T, _ *desk, b *somebody, _ string) {
			if b.status() != account.StatusActive {
				t.Error(b.status())
			}
		}},
		{"sign out everywhere", func(_ *desk, b *somebody) string { return b.at("signout") }, func(_ *desk, b *somebody) { b.enter("/") }, nil,
			"can sign in again at once", "Every session has ended", audit.SessionRevoked, func(t *testing.T, d *desk, b *somebody, _ string) {
				if answer, page := b.do("GET", "/", nil); answer.StatusCode != 200 || strings.Contains(page, "Sign out everywhere") {
					t.Error("still signed in")
				}
			}},
		{"end one session", func(_ *desk, b *somebody) string { return b.at("sessions", b.session(), "end") }, func(_ *desk, b *somebody) { b.enter("/") }, nil,
			"The access that applications got in it", "The session has ended", audit.SessionRevoked, func(t *testing.T, d *desk, b *somebody, _ string) {
				if d.liveSessions(b.user.ID) != 0 {
					t.Error("the session lives")
				}
			}},
		{"groups", func(_ *desk, b *somebody) string { return b.at("groups") }, nil, []string{"groups", " staff , administrators,,staff"},
			"who may use this console", "The groups are changed", audit.UserGrouped, func(t *testing.T, d *desk, b *somebody, _ string) {
				u, err := account.ByID(t.Context(), d.server.Pool, b.user.ID)
				if err != nil || !slices.Equal(u.Groups, []string{"administrators", "staff"}) {
					t.Errorf("%v %v", u.Groups, err)
				}
			}},
		{"release", func(_ *desk, b *somebody) string { return b.at("passkeys", b.passkey().ID, "release") }, func(d *desk, b *somebody) {
			if _, err := d.server.Pool.Exec(context.Background(), `update credential set quarantined_at = now(), quarantined_why = 'clone' where user_id = $1`, b.user.ID); err != nil {
				d.Fatal(err)
			}
		}, nil, "a copy of it may exist", "can be used again", audit.CredentialReleased, func(t *testing.T, _ *desk, b *somebody, _ string) {
			if b.passkey().Quarantined {
				t.Error("still paused")
			}
		}},
		{"remove a passkey", func(_ *desk, b *somebody) string { return b.at("passkeys", b.passkey().ID, "remove") }, func(d *desk, b *somebody) { d.another(b) }, nil,
			"For a passkey that is lost", "The passkey is removed", audit.CredentialRemoved, func(t *testing.T, d *desk, b *somebody, _ string) {
				list, err := passkey.Credentials(t.Context(), d.server.Pool, b.user.ID)
				if err != nil || len(list) != 1 {
					t.Errorf("%d passkeys, %v", len(list), err)
				}
			}},
		{"withdraw an enrolment link", func(_ *desk, b *somebody) string { return b.at("invite", "withdraw") }, func(d *desk, b *somebody) {
			d.must(func(ctx context.Context, tx pgx.Tx) error {
				link, err := account.Invite(ctx, tx, time.Now(), b.user.ID, time.Hour)
				d.link = link.Reveal()
				return err
			})
		}, nil, "It stops working now", "The enrolment link works no more", audit.InvitationWithdrawn, func(t *testing.T, d *desk, b *somebody, _ string) {
			if status, out := d.world.browser().post("/enrol/options", map[string]any{"link": d.link}); status != 410 {
				t.Errorf("the link still works: %d %v", status, out)
			}
		}},
		{"an enrolment link", func(_ *desk, b *somebody) string { return b.at("invite") }, nil, []string{"life", "1h"}, "adds a passkey to this account", "kept nowhere", audit.UserInvited,
			func(t *testing.T, d *desk, b *somebody, page string) {
				link := html.UnescapeString(shown.FindStringSubmatch(page)[1])
				secret, ok := strings.CutPrefix(link, d.http.URL+"/enrol#")
				if !ok {
					t.Fatalf("link %q", link)
				}
				var life time.Duration
				if err := d.server.Pool.QueryRow(t.Context(), `select expires_at - created_at from invitation where user_id = $1 and spent_at is null and revoked_at is null`, b.user.ID).Scan(&life); err != nil || life != time.Hour {
					t.Errorf("the link lives %s, %v", life, err)
				}
				other := d.world.browser()
				if status, out := other.enrol(secret); status != 200 {
					t.Errorf("enrol with it: %d %v", status, out)
				}
				if strings.Contains(d.logs.String(), secret) {
					t.Error("the log holds the link")
				}
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			root, bob := d.administrator("ada"), d.person("bob", true)
			if tt.before != nil {
				tt.before(d, bob)
			}
			path := tt.path(d, bob)
			if status, _, page := root.get(path); status != 200 || !strings.Contains(page, tt.asks) || !strings.Contains(page, "bob") {
				t.Fatalf("the question: %d %s", status, page)
			}
			if d.acted() != 0 {
				t.Fatal("the question did something")
			}
			status, location, page := root.submit(path, tt.fields...)
			if status == 303 {
				if status, _, page = root.get(location); !strings.HasPrefix(location, bob.at()) {
					t.Errorf("it leads to %s", location)
				}
			}
			if status != 200 || !strings.Contains(page, tt.after) {
				t.Fatalf("%d %s", status, page)
			}
			if n := d.done(tt.action, root.user.ID, bob.user.ID); n != 1 || d.acted() != 1 {
				t.Errorf("%d entries of %s, %d in all", n, tt.action, d.acted())
			}
			tt.check(t, d, bob, page)
		})
	}
}

// another gives somebody a second passkey.
func (d *desk) another(p *somebody) {
	d.Helper()
	d.must(func(ctx context.Context, tx pgx.Tx) error {
		link, err := account.Invite(ctx, tx, time.Now(), p.user.ID, time.Hour)
		d.link = link.Reveal()
		return err
	})
	if status, out := d.world.browser().enrol(d.link); status != 200 {
		d.Fatalf("enrol another: %d %v", status, out)
	}
}

func (d *desk) liveSessions(id account.ID) int {
	d.Helper()
	var n int
	if err := d.server.Pool.QueryRow(context.Background(), `select count(*) from session where user_id = $1 and revoked_at is null`, id).Scan(&n); err != nil {
		d.Fatal(err)
	}
	return n
}

func TestInvitingSomebodyNew(t *testing.T) {
	d := newDesk(t)
	root := d.administrator("ada")
	for _, tt := range []struct{ name, given, display, life, want string }{
		{"nobody", " ", "", "24h", "A name has 1 to 100 printable characters."},
		{"a name that is taken, in other letters", "ADA", "", "24h", "Somebody has this name already."},
		{"a control character", "eve\x00", "", "24h", "A name has 1 to 100 printable characters."},
		{"a link for ever", "eve", "", "87600h", "Choose how long the link works."},
		{"a link for no time", "eve", "", "0s", "Choose how long the link works."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, _, page := root.submit("/console/new/person", "name", tt.given, "display_name", tt.display, "life", tt.life)
			if status != 422 || !strings.Contains(page, tt.want) {
				t.Errorf("%d %s", status, page)
			}
		})
	}
	if d.acted() != 0 {
		t.Error("something of it stayed")
	}
	status, _, page := root.submit("/console/new/person", "name", "eve", "display_name", `"><script>alert(1)</script>`, "life", "24h")
	if status != 200 || strings.Contains(page, "<script>alert") || !strings.Contains(page, "/enrol#") {
		t.Errorf("%d %s", status, page)
	}
	if _, err := account.ByName(t.Context(), d.server.Pool, "eve"); err != nil || d.acted() != 1 {
		t.Errorf("eve: %v, %d acts", err, d.acted())
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	for _, tt := range []struct {
		name, deed string
		fields     []string
		// beside are others in the group; the last one of them decides.
		beside func(d *desk)
		want   int
	}{
		{"suspending oneself", "suspend", nil, func(*desk) {}, 409},
		{"leaving the group", "groups", []string{"groups", "staff"}, func(*desk) {}, 409},
		{"leaving, while another is suspended", "groups", []string{"groups", ""}, func(d *desk) {
			p := d.person("carol", true, "administrators")
			d.must(func(ctx context.Context, tx pgx.Tx) error { return account.Suspend(ctx, tx, p.user.ID) })
		}, 409},
		{"leaving, while another has a passkey that proves nothing", "groups", []string{"groups", ""}, func(d *desk) { d.person("carol", false, "administrators") }, 409},
		{"leaving, while another's passkey is paused", "groups", []string{"groups", ""}, func(d *desk) {
			p := d.person("carol", true, "administrators")
			if _, err := d.server.Pool.Exec(context.Background(), `update credential set quarantined_at = now(), quarantined_why = 'clone' where user_id = $1`, p.user.ID); err != nil {
				d.Fatal(err)
			}
		}, 409},
		{"leaving, while another could go on", "groups", []string{"groups", ""}, func(d *desk) { d.person("carol", true, "administrators") }, 303},
		{"suspending oneself, while another could go on", "suspend", nil, func(d *desk) { d.person("carol", true, "administrators") }, 303},
		{"another group beside", "groups", []string{"groups", "administrators, staff"}, func(*desk) {}, 303},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			root := d.administrator("ada")
			tt.beside(d)
			if _, err := d.server.Judge.Pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			status, _, page := root.submit(root.at(tt.deed), tt.fields...)
			if status != tt.want || status == 409 && !strings.Contains(page, "There is no other administrator") {
				t.Errorf("%d %s", status, page)
			}
			if want := map[int]int{409: 0, 303: 1}[tt.want]; d.acted() != want {
				t.Errorf("%d acts on record", d.acted())
			}
			if status, _, _ := root.get("/console"); tt.want == 409 && status != 200 {
				t.Errorf("afterwards: %d", status)
			}
		})
	}
}

// TestAdministratorsRemoveEachOther has ten suspend each other, fifty times at
// once: one of them is left.
func TestAdministratorsRemoveEachOther(t *testing.T) {
	d := newDesk(t)
	var all []*somebody
	for i := range 10 {
		name := "ada"
		if i > 0 {
			name = fmt.Sprintf("root%d", i)
		}
		all = append(all, d.administrator(name))
	}
	type attempt struct {
		by *somebody
		on string
	}
	var attempts []attempt
	for i := range 50 {
		attempts = append(attempts, attempt{all[i%10], all[(i+1+i/10)%10].at("suspend")})
	}
	statuses := race(attempts, func(a attempt) int { return a.by.raced(a.on) })
	active := 0
	for _, p := range all {
		if p.status() == account.StatusActive {
			active++
		}
	}
	// An administrator who was suspended meanwhile acts no more.
	var late int
	if err := d.server.Pool.QueryRow(t.Context(), `
		select count(*) from audit_entry e join audit_entry f on f.action = e.action and f.user_id = e.actor and f.id < e.id where e.action = 'user.suspended'`).Scan(&late); err != nil {
		t.Fatal(err)
	}
	if active < 1 || late != 0 || count(statuses, 303) < 10-active {
		t.Errorf("%d are active, %d acts of suspended administrators, answers %v", active, late, statuses)
	}
}

func TestWhatBelongsToOthersIsNotThere(t *testing.T) {
	d := newDesk(t)
	root, bob, carol := d.administrator("ada"), d.person("bob", true), d.person("carol", true)
	bob.enter("/")
	for _, path := range []string{
		carol.at("sessions", bob.session(), "end"), carol.at("passkeys", bob.passkey().ID, "remove"), carol.at("passkeys", bob.passkey().ID, "release"),
		bob.at("passkeys", bob.passkey().ID, "release"), bob.at("passkeys", "x", "remove"), bob.at("sessions", "x", "end"), bob.at("resume"),
		"/console/people/%00/suspend", "/console/people/'%20or%201=1/suspend", "/console/clients/web/delete", "/console/clients/web/secret", "/console/clients/none/secret",
		"/console/keys/HS256/rotate", "/console/keys/none/emergency",
	} {
		for _, do := range []func(string) (int, string, string){root.get, func(path string) (int, string, string) { return root.submit(path, "cause", "x") }} {
			if status, _, page := do(path); status != 404 {
				t.Errorf("%s: %d %s", path, status, page)
			}
		}
	}
	for _, path := range []string{"/console/people?q=%00", "/console/record?client=%00", "/console/clients?q=%ff", "/console/metadata?q=%zz", "/console/people?q=a&after=%00&id=b"} {
		if status, _, _ := root.get(path); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if d.acted() != 0 || d.liveSessions(bob.user.ID) != 1 || len(bob.passkey().ID) == 0 {
		t.Error("something was done")
	}
	// An enrolment link for another administrator would let one act in their name.
	d.group(carol.user.ID, "administrators")
	if status, _, page := root.submit(carol.at("invite"), "life", "1h"); status != 403 || !strings.Contains(page, "Not for another administrator") || d.acted() != 0 {
		t.Errorf("a link for an administrator: %d %s", status, page)
	}
	if _, _, page := root.get(carol.at()); strings.Contains(page, "/invite") {
		t.Error("the page offers it")
	}
	// The only passkey stays.
	if status, _, _ := root.submit(bob.at("passkeys", bob.passkey().ID, "remove")); status != 409 {
		t.Errorf("the only passkey: %d", status)
	}
}

func TestClientsInTheConsole(t *testing.T) {
	d := newDesk(t)
	root := d.administrator("ada")
	err := d.server.Log.Do(t.Context(), func(tx pgx.Tx) (audit.Event, error) {
		_, err := grant.CreateClient(t.Context(), tx, grant.Client{ID: "shop", Name: "Shop", Kind: grant.Confidential, RedirectURIs: []string{"https://shop.test/cb"}, GrantTypes: []string{"authorization_code"}, Scopes: []string{"openid"}})
		return audit.Event{Action: audit.ClientCreated, ClientID: "shop"}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.server.Clients.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, _, list := root.get("/console/clients")
	for _, want := range []string{"Exempt from PKCE", "rule of OAuth 2.1 not met", "&lt;script&gt;alert(1)&lt;/script&gt;", "Shop"} {
		if !strings.Contains(list, want) {
			t.Errorf("the list lacks %q", want)
		}
	}
	_, _, page := root.get("/console/clients/legacy")
	client, _ := d.server.Clients.Get("legacy")
	for _, p := range client.CheckUp() {
		if !strings.Contains(html.UnescapeString(page), p.Rule) {
			t.Errorf("the check-up lacks %q", p.Rule)
		}
	}
	for _, want := range []string{"exempt from PKCE", d.http.URL + "/.well-known/openid-configuration", "Declared in the trust file"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for i, want := range []int{2, 2} {
		status, _, page := root.submit("/console/clients/shop/secret")
		found := shown.FindStringSubmatch(page)
		if status != 200 || found == nil {
			t.Fatalf("%d %s", status, page)
		}
		client, _ := d.server.Clients.Get("shop")
		if len(client.SecretDigests) != want {
			t.Errorf("%d live secrets after rotation %d", len(client.SecretDigests), i+1)
		}
		if strings.Contains(d.logs.String(), found[1]) {
			t.Error("the log holds the secret")
		}
		if _, _, list := root.get("/console/clients"); !strings.Contains(list, "Two secrets live") {
			t.Error("two live secrets are not flagged")
		}
	}
	if status, location, _ := root.submit("/console/clients/shop/delete"); status != 303 || location != "/console/clients?done=deleted" {
		t.Errorf("delete: %d %s", status, location)
	}
	var n int
	if err := d.server.Pool.QueryRow(t.Context(), `select count(*) from audit_entry where actor = $1 and client_id = 'shop' and action in ('client.changed', 'client.deleted')`, root.user.ID).Scan(&n); err != nil || n != 3 {
		t.Errorf("%d entries, %v", n, err)
	}
	if _, err := d.server.Pool.Exec(t.Context(), `insert into logout_delivery (id, client_id, uri, user_id, session, created_at, next_at, attempts, failed_at, last_error)
		values (gen_random_uuid(), 'legacy', 'https://legacy.test/out', 'x', 's1', now(), now(), 11, now(), '<b>500</b>')`); err != nil {
		t.Fatal(err)
	}
	if _, _, page := root.get("/console/clients/legacy"); !strings.Contains(page, "Given up after 11 attempts") || !strings.Contains(page, "&lt;b&gt;500") {
		t.Error("the logout that was given up is not shown")
	}
	if _, _, page := root.get("/console"); !strings.Contains(page, "1 logout could not be delivered") {
		t.Error("the overview does not tell of it")
	}
}

func TestRegisteringAClient(t *testing.T) {
	d := newDesk(t)
	root := d.administrator("ada")
	for _, tt := range []struct {
		name, want string
		fields     []string
	}{
		{"nothing", "a client_id has", []string{"kind", "public"}},
		{"no redirect URI", "needs a redirect URI", []string{"id", "shop", "name", "Shop", "kind", "public"}},
		{"a script", "must be https", []string{"id", "shop", "name", "Shop", "kind", "public", "redirect_uris", "javascript:alert(1)"}},
		{"a kind that is none", "public, confidential or a workload", []string{"id", "shop", "name", "Shop", "kind", "root", "redirect_uris", "https://shop.test/cb"}},
		{"a scope of nobody's", "The trust file knows no such", []string{"id", "shop", "name", "Shop", "kind", "public", "redirect_uris", "https://shop.test/cb", "scopes", "admin"}},
		{"an API of nobody's", "The trust file knows no such", []string{"id", "shop", "name", "Shop", "kind", "public", "redirect_uris", "https://shop.test/cb", "apis", "https://evil.test"}},
		{"an id that is taken", "is taken", []string{"id", "web", "name", "Shop", "kind", "public", "redirect_uris", "https://shop.test/cb"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, _, page := root.submit("/console/new/client", tt.fields...)
			if status != 422 || !strings.Contains(html.UnescapeString(page), tt.want) {
				t.Errorf("%d %s", status, page)
			}
		})
	}
	if d.acted() != 0 {
		t.Error("something of it stayed")
	}
	id := "https://shop.test/id"
	status, _, page := root.submit("/console/new/client", "id", id, "name", "Shop", "kind", "confidential", "redirect_uris", "https://shop.test/cb https://shop.test/cb2", "scopes", "openid", "apis", resource, "first_party", "yes")
	found := shown.FindStringSubmatch(page)
	if status != 200 || found == nil {
		t.Fatalf("%d %s", status, page)
	}
	client, ok := d.server.Clients.Get(grant.ClientID(id))
	if !ok || !client.SecretMatches(secret.Of(found[1])) || len(client.RedirectURIs) != 2 || !client.Settings.FirstParty || !client.AllowsAudience(resource) || client.AllowsScope("profile") {
		t.Errorf("registered as %+v", client)
	}
	// An id with slashes has a page, deeds and a way back.
	at := "/console/clients/" + url.PathEscape(id)
	if status, _, page := root.get(at); status != 200 || !strings.Contains(page, ">Shop<") {
		t.Errorf("its page: %d", status)
	}
	if _, _, list := root.get("/console/clients"); !strings.Contains(list, at) {
		t.Error("the list leads elsewhere")
	}
	if status, location, _ := root.submit(at + "/delete"); status != 303 || location != "/console/clients?done=deleted" {
		t.Errorf("delete: %d %s", status, location)
	}
	if status, _, _ := root.get(at); status != 404 || d.acted() != 2 {
		t.Errorf("afterwards: %d, %d acts", status, d.acted())
	}
}

func TestThePreviewIsWhatTheClientGets(t *testing.T) {
	d := newDesk(t)
	root, bob, weak := d.administrator("ada"), d.person("bob", true), d.person("carol", false)
	claims := regexp.MustCompile(`(?s)<pre>(.*?)</pre>`)
	for search, want := range map[string]string{"person=nobody": "Nobody is called", "person=bob": "They are signed in nowhere", "": "from their newest sign-in"} {
		if _, _, page := root.get("/console/clients/web/preview?" + search); !strings.Contains(page, want) || claims.MatchString(page) {
			t.Errorf("%q does not say %q", search, want)
		}
	}
	_, got := bob.token(redemption(bob.code(request())))
	issued := decode(t, got["access_token"].(string), 1)
	_, _, page := root.get("/console/clients/web/preview?person=BOB")
	var shown map[string]any
	if err := json.Unmarshal([]byte(html.UnescapeString(claims.FindStringSubmatch(page)[1])), &shown); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"iat", "exp", "jti"} { // of the moment
		delete(issued, name)
		delete(shown, name)
	}
	// The preview has all that the client is registered for.
	if diff := cmp.Diff(issued, shown); diff != "" {
		t.Errorf("the preview is not what the client got: %s", diff)
	}
	if !strings.Contains(page, "Passes") || strings.Contains(page, got["access_token"].(string)) {
		t.Error("the page does not say that the token passes")
	}
	weak.enter("/")
	if _, _, page := root.get("/console/clients/web/preview?person=carol"); !claims.MatchString(page) || strings.Contains(claims.FindString(page), "attested") {
		t.Error("a passkey that proves nothing")
	}
	d.must(func(ctx context.Context, tx pgx.Tx) error { return account.Suspend(ctx, tx, bob.user.ID) })
	if _, _, page := root.get("/console/clients/web/preview?person=bob"); !strings.Contains(page, "nothing is issued for them") || claims.MatchString(page) {
		t.Error("a preview for somebody who is suspended")
	}
	d.pass(9 * time.Hour) // a session that was not seen for so long is over
	root.enter("/console")
	if _, _, page := root.get("/console/clients/web/preview?person=carol"); !strings.Contains(page, "They are signed in nowhere") {
		t.Error("a preview from a session that is over")
	}
	if _, _, page := root.get("/console"); !strings.Contains(page, "<strong>1</strong> session<") {
		t.Error("the overview counts sessions that are over")
	}
	if _, _, page := root.get("/console/clients/batch/preview"); !strings.Contains(page, "&#34;idtyp&#34;: &#34;app&#34;") {
		t.Error("no preview for a workload")
	}
	if d.acted() != 0 {
		t.Error("a preview is on record as an act")
	}
}

func TestTheTrustFileInSentences(t *testing.T) {
	text := consoleTrust + `levels: [{name: acme, facts: [uv, attested], models: {allow: [{vendor: Acme}], deny: [{name: "Acme Old*"}]}}]
rules:
  - {name: staff-keys, groups: [staff, "ops & more"], level: phrh, mode: monitor}
  - {name: one-group, groups: ["ops & more"], level: acme, mode: warn, from: 2999-01-31}
`
	text = strings.Replace(text, "require: {level: phr}", "require: {level: phr}\n    operations: [{name: refund, title: Refund, method: POST, url: /refund, require: {level: acme, scopes: [orders.write], max_age: 5m}}]", 1)
	d := newDesk(t, func(o *Options) { o.Trust = []byte(text) })
	root := d.administrator("ada")
	d.person("bob", true, "staff")
	carol := d.person("carol", false, "staff", "ops & more")
	status, _, page := root.get("/console/trust")
	page = html.UnescapeString(page)
	if status != 200 {
		t.Fatalf("%d %s", status, page)
	}
	for _, want := range []string{
		"Members of staff, ops & more must have a passkey of level phrh at enrolment and sign-in. Who has not is noted, and refused nothing.", "Not met by 1 of 2 people",
		"Who has not is told, and refused from 31 January 2999 on.", "Not met by 1 of 1 person",
		"Never: name Acme Old* (deny wins over allow)", "Allowed: vendor Acme", "Reached by 2 of 3 people",
		"Asks for a sign-in of the last 5 minutes, level acme, level phr, the scope orders.write.", "In reach of 2 of 3 people",
		"Open to members of administrators with a passkey of level phrh, for 15 minutes after a sign-in.", "one lost key closes it", "applied by server start",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	links := regexp.MustCompile(`/console(/people\?group=[^"]*)`).FindStringSubmatch(page)
	if links == nil {
		t.Fatal("no link to those who fall short")
	}
	if _, _, people := root.get("/console" + links[1]); !strings.Contains(people, string(carol.user.ID)) || strings.Contains(people, string(root.user.ID)) {
		t.Errorf("%s shows others: %s", links[1], people)
	}
	answer, file := root.do("GET", "/console/trust/1", nil)
	if file != text || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("the text that was in force: %v", answer.Header)
	}
	for _, none := range []string{"/console/trust/2", "/console/trust/x", "/console/trust/99999999999999999999"} {
		if status, _, _ := root.get(none); status != 404 {
			t.Errorf("%s: %d", none, status)
		}
	}
}

func TestKeysInTheConsole(t *testing.T) {
	d := newDesk(t, func(o *Options) { o.Development = true })
	root := d.administrator("ada")
	if status, _, page := root.get("/console/keys"); status != 200 || !strings.Contains(page, "RS256") || !strings.Contains(page, "Signs since") {
		t.Fatalf("%d %s", status, page)
	}
	answer, svg := root.do("GET", "/console/keys/timeline.svg", nil)
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "image/svg+xml" || !strings.HasPrefix(svg, "<svg") || strings.Contains(answer.Header.Get("Content-Security-Policy"), "script-src 'unsafe") {
		t.Errorf("timeline: %d %v", answer.StatusCode, answer.Header)
	}
	if status, _, page := root.submit("/console/keys/RS256/rotate", "cause", " "); status != 422 || !strings.Contains(page, "Say why") {
		t.Errorf("without a reason: %d", status)
	}
	if status, location, _ := root.submit("/console/keys/RS256/rotate", "cause", "yearly audit"); status != 303 || location != "/console/keys?done=rotated" {
		t.Errorf("rotate: %d %s", status, location)
	}
	if status, location, page := root.submit("/console/keys/ES256/emergency", "cause", "<b>stolen</b>", "fresh", "yes"); status != 303 || location != "/console/keys?done=withdrawn" {
		t.Fatalf("emergency: %d %s %s", status, location, page)
	}
	var until, by string
	if err := d.server.Pool.QueryRow(t.Context(), `select details->>'accepted_until', actor from audit_entry where action = 'key.withdrawn'`).Scan(&until, &by); err != nil || by != string(root.user.ID) {
		t.Fatalf("withdrawn by %q, %v", by, err)
	}
	at, err := time.Parse(time.RFC3339, until)
	if err != nil {
		t.Fatal(err)
	}
	_, _, page := root.get("/console/keys")
	if want := "until exactly " + at.UTC().Format("2 January 2006, 15:04:05 UTC"); !strings.Contains(page, want) || strings.Contains(page, "<b>stolen") {
		t.Errorf("the page does not say %q", want)
	}
	if _, _, page := root.get("/console"); !strings.Contains(page, "was withdrawn in an emergency. Gateways may still accept it until") {
		t.Error("the overview does not tell of the window")
	}
}

func TestTheRecordInTheConsole(t *testing.T) {
	d := newDesk(t)
	root, bob := d.administrator("ada"), d.person("bob", true)
	for range 45 {
		bob.enter("/")
	}
	if status, _, _ := root.submit(bob.at("suspend")); status != 303 {
		t.Fatalf("suspend: %d", status)
	}
	if _, err := d.server.sequencer.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries := regexp.MustCompile(`<li><span><a href="/console/record/([0-9a-f-]{36})">([^<]*)</a>`)
	_, _, page := root.get("/console/record?by=ada")
	found := entries.FindAllStringSubmatch(page, -1)
	if len(found) != 1 || html.UnescapeString(found[0][2]) != "<b>bob</b> was suspended, by <b>ada</b>" {
		t.Fatalf("what ada did: %q", found)
	}
	// Pages follow each other without a gap, and a cursor is good for its search alone.
	older := regexp.MustCompile(`href="(/console/record\?[^"]*cursor=[^"]*)">Older`)
	_, _, first := root.get("/console/record?person=bob&action=session.signed_in")
	next := older.FindStringSubmatch(first)
	if len(entries.FindAllString(first, -1)) != 40 || next == nil {
		t.Fatalf("%d entries on the first page", len(entries.FindAllString(first, -1)))
	}
	_, _, second := root.get(html.UnescapeString(next[1]))
	if n := len(entries.FindAllString(second, -1)); n != 5 || !strings.Contains(second, ">Newer<") {
		t.Errorf("%d entries on the second page", n)
	}
	if status, _, _ := root.get(strings.Replace(html.UnescapeString(next[1]), "person=bob", "person=ada", 1)); status != 400 {
		t.Errorf("a cursor of another search: %d", status)
	}
	for search, want := range map[string]string{"person=nobody": "Nobody is called", "from=yesterday": "A day is written like", "client=none": "No entry is like that"} {
		if _, _, page := root.get("/console/record?" + search); !strings.Contains(page, want) {
			t.Errorf("%s does not say %q", search, want)
		}
	}
	// The proof is the auditor's.
	status, _, entry := root.get("/console/record/" + found[0][1])
	if status != 200 || !strings.Contains(entry, "that was just verified") || !strings.Contains(entry, "user.suspended") {
		t.Errorf("entry: %d %s", status, entry)
	}
	answer, text := root.do("GET", "/console/record/"+found[0][1]+"/proof", nil)
	var proof record.Proof
	if err := json.Unmarshal([]byte(text), &proof); err != nil || !strings.Contains(answer.Header.Get("Content-Disposition"), "attachment") {
		t.Fatalf("proof: %v %v", err, answer.Header)
	}
	key, err := audit.Key(t.Context(), d.server.Pool)
	if err != nil {
		t.Fatal(err)
	}
	var verifier note.Verifier
	if verifier, err = record.NewVerifier(key); err != nil {
		t.Fatal(err)
	}
	if leaf, _, err := proof.Verify(verifier); err != nil || leaf.Action != "user.suspended" || proof.Line.Personal.Actor != string(root.user.ID) {
		t.Errorf("proof of %s by %s: %v", leaf.Action, proof.Line.Personal.Actor, err)
	}
	if status, _, page := root.submit("/console/record/check"); status != 200 || !strings.Contains(page, "The record is as it was logged") {
		t.Errorf("check: %d %s", status, page)
	}
	// A record that was tampered with is not called proved.
	if _, err := d.server.Pool.Exec(t.Context(), `alter table audit_entry disable trigger all; update audit_entry set action = 'user.resumed' where id = '`+found[0][1]+`'; alter table audit_entry enable trigger all`); err != nil {
		t.Fatal(err)
	}
	if _, _, entry := root.get("/console/record/" + found[0][1]); !strings.Contains(entry, "The proof does not hold") {
		t.Error("an altered entry is called proved")
	}
	if status, _, page := root.submit("/console/record/check"); status != 200 || !strings.Contains(page, "The record is not what was logged") || !strings.Contains(page, "entry") {
		t.Errorf("check of an altered record: %d %s", status, page)
	}
}
