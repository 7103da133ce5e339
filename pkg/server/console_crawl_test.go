package server

import (
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/passkey"
)

// attack is a text that runs wherever it is not escaped.
const attack = `"'><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}`

// TestEveryPageOfTheConsole follows every link of the console, below a path, where
// every text that somebody else may choose is an attack.
func TestEveryPageOfTheConsole(t *testing.T) {
	d := newDesk(t, func(o *Options) { o.Issuer = "/login/eu-1" })
	root, bob := d.administrator("ada"), d.person("bob", true, "staff", `g<script>alert(1)</script>`)
	bob.enter("/")
	d.another(bob)
	ctx := t.Context()
	err := d.server.Log.Do(audit.WithOrigin(ctx, audit.Origin{Address: attack, Correlation: attack}), func(tx pgx.Tx) (audit.Event, error) {
		if err := passkey.Rename(ctx, tx, bob.user.ID, bob.passkey().ID, attack[:55]); err != nil {
			return audit.Event{}, err
		}
		u, err := account.Create(ctx, tx, attack, attack)
		return audit.Event{Action: audit.CredentialRegistered, UserID: string(u.ID), ClientID: "legacy", Credential: attack, Session: attack, GrantID: attack,
			Details: map[string]string{"format": attack, "facts": attack}}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.server.Pool.Exec(ctx, `update session set user_agent = $1, address = $1 where user_id = $2`, attack, bob.user.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.server.Pool.Exec(ctx, `insert into logout_delivery (id, client_id, uri, user_id, session, created_at, next_at, attempts, last_error) values (gen_random_uuid(), 'legacy', $1, $1, $1, now(), now(), 1, $1)`, attack); err != nil {
		t.Fatal(err)
	}
	if _, err := d.server.Pool.Exec(ctx, `insert into consent (user_id, client_id, scopes, audiences, granted_at) values ($1, 'legacy', array[$2], '{}', now())`, bob.user.ID, attack); err != nil {
		t.Fatal(err)
	}
	if _, err := d.server.sequencer.Step(ctx); err != nil {
		t.Fatal(err)
	}
	addresses := regexp.MustCompile(`\s(href|src|action)="([^"]*)"`)
	tags, values := regexp.MustCompile(`<[a-zA-Z!/][^>]*>`), regexp.MustCompile(`"[^"]*"`)
	bare := regexp.MustCompile(`(?i)^<script(?:>| type="">)|\sstyle|\son[a-z]+`)
	seen := map[string]bool{}
	next := []string{d.base + "/console", d.base + "/console/record?person=" + "bob", d.base + "/console/clients/web/preview?person=bob"}
	for len(next) > 0 && len(seen) < 400 {
		path := next[0]
		next = next[1:]
		if path, _, _ = strings.Cut(path, "#"); seen[path] {
			continue
		}
		seen[path] = true
		answer, page := root.do("GET", path, nil)
		if answer.StatusCode != 200 {
			t.Errorf("%s: %d", path, answer.StatusCode)
		}
		if !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/html") {
			continue
		}
		for _, tag := range tags.FindAllString(page, -1) {
			if strings.Contains(tag, "alert(1)>") || bare.MatchString(values.ReplaceAllString(tag, `""`)) {
				t.Errorf("%s runs what others wrote, or styles itself: %s", path, tag)
			}
		}
		if strings.Count(page, "<h1") != 1 || !strings.Contains(page, `<html lang="en"`) || !strings.Contains(page, `<main id="content">`) && strings.Contains(path, "/console") {
			t.Errorf("%s has not one heading, a language and a main part", path)
		}
		for _, a := range addresses.FindAllStringSubmatch(page, -1) {
			to := html.UnescapeString(a[2])
			if to == "#content" {
				continue
			}
			if !strings.HasPrefix(to, d.base+"/") {
				t.Errorf("%s leads to %s", path, to)
			}
			if strings.HasPrefix(to, d.base+"/console") || a[1] == "src" {
				next = append(next, to)
			}
		}
	}
	for _, part := range []string{"/suspend", "/invite", "/passkeys/", "/sessions/", "/proof", "/preview", "/emergency", "/timeline.svg", "/secret", "/new/person", "cursor=", "/people?model=", "/groups", "/static/"} {
		found := false
		for path := range seen {
			found = found || strings.Contains(path, part)
		}
		if !found && part != "cursor=" {
			t.Errorf("no link leads to %s", part)
		}
	}
	if len(seen) < 40 || len(seen) >= 400 {
		t.Errorf("%d pages were seen", len(seen))
	}
	if d.acted() != 0 {
		t.Error("looking changed something")
	}
}
