package server

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
)

// toSignIn is where the door sends those who may yet come in.
func toSignIn(path string) string { return "/signin?" + url.Values{"return": {path}}.Encode() }

func TestWithoutAConsoleThereIsNone(t *testing.T) {
	w := newWorld(t)
	b := w.enrolled()
	if status, out := b.signIn(""); status != 200 {
		t.Fatalf("sign in: %d %v", status, out)
	}
	for _, path := range []string{"/console", "/console/people", "/console/nothing"} {
		if answer, _ := b.do("GET", path, nil); answer.StatusCode != 404 {
			t.Errorf("GET %s: %d", path, answer.StatusCode)
		}
	}
	if _, page := b.do("GET", "/signin?return=/console", nil); strings.Contains(page, "the console") {
		t.Error("the sign-in page speaks of a console")
	}
}

// TestTheConsolesDoor opens it from outside, in every way that it must withstand.
func TestTheConsolesDoor(t *testing.T) {
	for _, tt := range []struct {
		name string
		// who comes, in a world with one administrator.
		who func(d *desk, root *somebody) *somebody
		// status is the answer to every page, sign-in in its place.
		status int
		// reads stands on the sign-in page.
		reads string
	}{
		{"an administrator", func(d *desk, root *somebody) *somebody { return root }, 200, ""},
		{"a stranger", func(d *desk, _ *somebody) *somebody { return &somebody{d.world.browser(), d, d.user} }, 303, "It asks for a passkey of which we know that"},
		{"somebody else, with a hardware key", func(d *desk, _ *somebody) *somebody { p := d.person("bob", true, "staff"); p.enter("/"); return p }, 404, ""},
		{"a group whose name is nearly right", func(d *desk, _ *somebody) *somebody {
			p := d.person("bob", true, "Administrators")
			p.enter("/")
			return p
		}, 404, ""},
		{"a member with a passkey that proves nothing", func(d *desk, _ *somebody) *somebody {
			p := d.person("bob", false, "administrators")
			p.enter("/")
			return p
		}, 303, "The passkey that you used is not of the kind it asks for"},
		{"an old sign-in", func(d *desk, root *somebody) *somebody { d.pass(16 * time.Minute); return root }, 303, "Your sign-in is 16 minutes old"},
		{"a session that was ended", func(d *desk, root *somebody) *somebody {
			_, err := d.server.Pool.Exec(context.Background(), `update session set revoked_at = now()`)
			if err != nil {
				d.Fatal(err)
			}
			return root
		}, 303, "It asks for a passkey"},
		{"removed from the group in the middle of a session", func(d *desk, root *somebody) *somebody { d.group(root.user.ID, "staff"); return root }, 404, ""},
		{"suspended in the middle of a session", func(d *desk, root *somebody) *somebody {
			d.must(func(ctx context.Context, tx pgx.Tx) error { return account.Suspend(ctx, tx, root.user.ID) })
			return root
		}, 303, "It asks for a passkey"},
		{"a passkey that was paused in the middle of a session", func(d *desk, root *somebody) *somebody {
			if _, err := d.server.Pool.Exec(context.Background(), `update credential set quarantined_at = now(), quarantined_why = 'clone'`); err != nil {
				d.Fatal(err)
			}
			return root
		}, 303, "It asks for a passkey"},
		{"a model that was compromised in the middle of a session", func(d *desk, root *somebody) *somebody {
			d.publish("USER_KEY_REMOTE_COMPROMISE")
			d.take()
			return root
		}, 303, "It asks for a passkey"},
		{"another trust file asks for more", func(d *desk, root *somebody) *somebody {
			text := strings.Replace(consoleTrust, "level: phrh, max_age: 15m", "level: best", 1) + "levels: [{name: best, facts: [uv, attested], certification: [fido_l3]}]\n"
			if _, err := d.server.Trust.Apply(context.Background(), d.server.Log, time.Now(), "trust.yaml", []byte(text), "test"); err != nil {
				d.Fatal(err)
			}
			return root
		}, 303, "not of the kind it asks for"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			root := d.administrator("ada")
			entry := d.entryAbout(root.user.ID)
			visitor := tt.who(d, root)
			// A page that is not there must not be told from one that is.
			for _, path := range []string{"/console", "/console/people?q=ada", root.at(), "/console/clients/legacy", "/console/keys", "/console/keys/timeline.svg", "/console/metadata", "/console/record", "/console/record/" + entry,
				root.at("suspend"), "/console/nothing", "/console/people/aaaaaaaaaaaaaaaaaaaaaaaaaa", "/console/clients/none", "/console/record/00000000-0000-0000-0000-000000000000"} {
				want := tt.status
				if want == 200 && (strings.Contains(path, "no") || strings.Contains(path, "aaaa") || strings.Contains(path, "0000")) {
					want = 404
				}
				status, location, page := visitor.get(path)
				if status != want {
					t.Errorf("GET %s: %d, want %d", path, status, want)
				}
				if want == 303 && location != toSignIn(path) {
					t.Errorf("GET %s leads to %s", path, location)
				}
				if want != 200 && strings.Contains(page, "&lt;b&gt;") {
					t.Errorf("GET %s tells of people: %s", path, page)
				}
			}
			if tt.reads != "" {
				if _, _, page := visitor.get(toSignIn("/console/people")); !strings.Contains(page, tt.reads) || !strings.Contains(page, "the console") {
					t.Errorf("the sign-in page does not say %q: %s", tt.reads, page)
				}
			}
			if tt.status != 200 {
				for _, deed := range []string{root.at("suspend"), root.at("groups"), root.at("invite"), "/console/new/person", "/console/keys/RS256/rotate", "/console/clients/legacy/secret"} {
					if status, location, _ := visitor.submit(deed, "name", "mallory", "life", "24h", "cause", "x"); status != tt.status || status == 303 && location != toSignIn(deed) {
						t.Errorf("POST %s: %d %s", deed, status, location)
					}
				}
				if n := d.acted(); n != 0 {
					t.Errorf("%d acts of the console are on record", n)
				}
			}
		})
	}
}

// entryAbout is the newest entry about somebody.
func (d *desk) entryAbout(id account.ID) string {
	d.Helper()
	var entry string
	if err := d.server.Pool.QueryRow(context.Background(), `select id::text from audit_entry where user_id = $1 order by at desc limit 1`, id).Scan(&entry); err != nil {
		d.Fatal(err)
	}
	return entry
}

// acted counts what administrators did.
func (d *desk) acted() int {
	d.Helper()
	var n int
	if err := d.server.Pool.QueryRow(context.Background(), `select count(*) from audit_entry where actor <> ''`).Scan(&n); err != nil {
		d.Fatal(err)
	}
	return n
}

func TestASignInLeadsBackAndNowhereElse(t *testing.T) {
	d := newDesk(t)
	root := d.person("ada", true, "administrators")
	for given, want := range map[string]string{
		root.at("suspend"): root.at("suspend"), "/console?x=1": "/console?x=1", "": "/",
		"https://evil.test/console": "/", "//evil.test": "/", `/\evil.test`: "/", "/console/../signout": "/", "javascript:alert(1)": "/",
	} {
		if got := root.enter(given); got != want {
			t.Errorf("a sign-in for %q leads to %q, want %q", given, got, want)
		}
	}
}

func TestActsAskForAFreshSignIn(t *testing.T) {
	d := newDesk(t)
	root, bob := d.administrator("ada"), d.person("bob", true)
	d.pass(6 * time.Minute)
	if status, _, _ := root.get(bob.at()); status != 200 {
		t.Fatalf("looking around: %d", status)
	}
	for _, do := range []func(string) (int, string, string){root.get, func(path string) (int, string, string) { return root.submit(path) }} {
		if status, location, _ := do(bob.at("suspend")); status != 303 || location != toSignIn(bob.at("suspend")) {
			t.Errorf("suspend with a sign-in of six minutes: %d %s", status, location)
		}
	}
	if bob.status() != account.StatusActive {
		t.Fatal("suspended with an old sign-in")
	}
	if _, _, page := root.get(toSignIn(bob.at("suspend"))); !strings.Contains(page, "a sign-in of the last five minutes") {
		t.Error("the sign-in page does not say why")
	}
	back := root.enter(bob.at("suspend"))
	if status, _, page := root.get(back); status != 200 || !strings.Contains(page, "Suspend") {
		t.Fatalf("back to the question: %d", status)
	}
	if status, location, _ := root.submit(back); status != 303 || location != bob.at()+"?done=suspended" || bob.status() != account.StatusSuspended {
		t.Errorf("suspend: %d %s, %s", status, location, bob.status())
	}
}

func TestOtherSitesCannotAct(t *testing.T) {
	d := newDesk(t)
	root, bob := d.administrator("ada"), d.person("bob", true)
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.test"}, {"Origin", "null"},
		{"Origin", "http://localhost.evil.test"}, {"Sec-Fetch-Site", "cross-site", "Origin", root.origin},
	} {
		for _, kind := range []string{"application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"} {
			answer, _ := root.do("POST", bob.at("suspend"), strings.NewReader(""), append([]string{"Content-Type", kind}, header...)...)
			if answer.StatusCode != 403 {
				t.Errorf("%v %s: %d", header, kind, answer.StatusCode)
			}
		}
	}
	// Nor does a link: looking at a question answers nothing.
	for _, path := range []string{bob.at("suspend"), bob.at("suspend") + "?name=x&done=suspended", bob.at("signout")} {
		root.get(path)
	}
	if bob.status() != account.StatusActive || d.acted() != 0 {
		t.Error("another site acted")
	}
	// And no page of the console stands in another's frame, or runs another's script.
	answer, _ := root.do("GET", bob.at("suspend"), nil)
	policy := answer.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %q: %s", want, policy)
		}
	}
	if answer.Header.Get("Cache-Control") != "no-store" || answer.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers %v", answer.Header)
	}
}

// TestEveryDeedStandsBehindTheSameDoor holds for every deed there is, and every
// one that will be, what the tests above try with some.
func TestEveryDeedStandsBehindTheSameDoor(t *testing.T) {
	d := newDesk(t)
	root, bob := d.administrator("ada"), d.person("bob", true)
	bob.enter("/")
	stranger := &somebody{d.world.browser(), d, d.user}
	places := regexp.MustCompile(`\{[a-z]+\}`)
	var deeds []string
	for _, pattern := range d.server.Routes() {
		if path, ok := strings.CutPrefix(pattern, "POST /console/"); ok {
			deeds = append(deeds, "/console/"+places.ReplaceAllString(path, "x"))
		}
	}
	if len(deeds) < 15 {
		t.Fatalf("%d deeds: the test has lost sight of them", len(deeds))
	}
	d.pass(6 * time.Minute)
	for _, deed := range deeds {
		for _, who := range []struct {
			name     string
			visitor  *somebody
			status   int
			location string
		}{{"a stranger", stranger, 303, toSignIn(deed)}, {"no administrator", bob, 404, ""}, {"a sign-in of six minutes", root, 303, toSignIn(deed)}} {
			if status, location, _ := who.visitor.get(deed); status != who.status || location != who.location {
				t.Errorf("%s: GET %s: %d %s", who.name, deed, status, location)
			}
			if status, location, _ := who.visitor.submit(deed); status != who.status || location != who.location {
				t.Errorf("%s: POST %s: %d %s", who.name, deed, status, location)
			}
		}
		answer, _ := root.do("POST", deed, strings.NewReader(""), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "cross-site")
		if answer.StatusCode != 403 {
			t.Errorf("from another site: POST %s: %d", deed, answer.StatusCode)
		}
	}
	if d.acted() != 0 {
		t.Error("something was done")
	}
}

// TestWhoIsRemovedCannotFinish removes an administrator after the door let their
// request in, and before the act is done.
func TestWhoIsRemovedCannotFinish(t *testing.T) {
	for _, tt := range []struct {
		name   string
		remove func(d *desk, root *somebody)
	}{
		{"taken out of the group", func(d *desk, root *somebody) { d.group(root.user.ID) }},
		{"suspended", func(d *desk, root *somebody) {
			d.must(func(ctx context.Context, tx pgx.Tx) error { return account.Suspend(ctx, tx, root.user.ID) })
		}},
		{"signed out", func(d *desk, root *somebody) {
			if _, err := d.server.Pool.Exec(context.Background(), `update session set revoked_at = now() where user_id = $1`, root.user.ID); err != nil {
				d.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDesk(t)
			root, bob := d.administrator("ada"), d.person("bob", true)
			holder, err := d.server.Pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer holder.Rollback(context.Background())
			if _, err := holder.Exec(t.Context(), `select pg_advisory_xact_lock($1)`, int64(0x7473_6361_646d)); err != nil {
				t.Fatal(err)
			}
			answered := make(chan int, 1)
			go func() { answered <- root.raced(bob.at("suspend")) }()
			d.untilWaiting()
			tt.remove(d, root)
			if err := holder.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if status := <-answered; status != 404 || bob.status() != account.StatusActive {
				t.Errorf("answer %d, and bob is %s", status, bob.status())
			}
			if n := d.done(audit.UserSuspended, root.user.ID, bob.user.ID); n != 0 {
				t.Errorf("%d acts on record", n)
			}
		})
	}
}

// untilWaiting returns once somebody waits for an advisory lock.
func (d *desk) untilWaiting() {
	d.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		var waiting bool
		if err := d.server.Pool.QueryRow(context.Background(), `select exists (select from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database()))`).Scan(&waiting); err != nil {
			d.Fatal(err)
		}
		if waiting {
			return
		}
	}
	d.Fatal("nobody waits")
}
