package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/passkey/passkeytest"
)

const consoleTrust = trustFile + `  - {id: legacy, name: "<script>alert(1)</script>", kind: confidential, pkce_exempt: true, redirect_uris: ["https://legacy.test/cb"], backchannel_logout_uri: "https://legacy.test/out", scopes: [openid], apis: []}
console: {group: administrators, level: phrh, max_age: 15m}
`

// desk is a world with a console, whose clock the test moves.
type desk struct {
	*watched
	ahead *atomic.Int64
}

func newDesk(t *testing.T, change ...func(*Options)) *desk {
	t.Helper()
	ahead := &atomic.Int64{}
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	return &desk{newWatched(t, consoleTrust, append(change, func(o *Options) { o.Now = now })...), ahead}
}

// pass lets time pass.
func (d *desk) pass(by time.Duration) { d.ahead.Add(int64(by)) }

// must runs an operator's act.
func (d *desk) must(act func(context.Context, pgx.Tx) error) {
	d.Helper()
	err := d.server.Log.Do(context.Background(), func(tx pgx.Tx) (audit.Event, error) {
		return audit.Event{Action: audit.UserGrouped}, act(context.Background(), tx)
	})
	if err != nil {
		d.Fatal(err)
	}
}

func (d *desk) group(id account.ID, groups ...string) {
	d.Helper()
	d.must(func(ctx context.Context, tx pgx.Tx) error {
		if groups == nil {
			groups = []string{}
		}
		return account.SetGroups(ctx, tx, id, groups)
	})
}

// somebody is a person of the world, with a browser.
type somebody struct {
	*browser
	desk *desk
	user account.User
}

// person makes somebody who enrolled a hardware key, or one that proves nothing.
func (d *desk) person(name string, hardware bool, groups ...string) *somebody {
	d.Helper()
	if name != "ada" { // who is there from the beginning
		d.invite(name)
	}
	p := &somebody{d.world.browser(), d, d.user}
	if hardware {
		p.key = &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: d.vendor}
	}
	if status, out := p.enrol(d.link); status != 200 {
		d.Fatalf("enrol %s: %d %v", name, status, out)
	}
	d.group(p.user.ID, groups...)
	return p
}

// administrator makes somebody who is let in.
func (d *desk) administrator(name string) *somebody {
	d.Helper()
	p := d.person(name, true, "administrators")
	p.enter("/console")
	return p
}

// enter signs in, to go to a path, and returns where that leads.
func (p *somebody) enter(to string) string {
	p.Helper()
	ceremony, options := p.options("/signin/options", map[string]any{})
	credential, err := p.key.Get(options, p.origin)
	if err != nil {
		p.Fatal(err)
	}
	status, out := p.browser.post("/signin/finish", map[string]any{"return": to, "ceremony": ceremony, "credential": json.RawMessage(credential)})
	if status != 200 {
		p.Fatalf("sign in: %d %v", status, out)
	}
	return out["location"].(string)
}

// get opens a page.
func (p *somebody) get(path string) (int, string, string) {
	p.Helper()
	answer, text := p.do("GET", path, nil)
	return answer.StatusCode, answer.Header.Get("Location"), text
}

// submit sends a form as the page of the same path does; pairs are its fields.
func (p *somebody) submit(path string, fields ...string) (int, string, string) {
	p.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	answer, text := p.do("POST", path, strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin", "Origin", p.origin)
	return answer.StatusCode, answer.Header.Get("Location"), text
}

// raced is submit for a goroutine of its own: it returns the status alone.
func (p *somebody) raced(path string) int {
	request, err := http.NewRequest("POST", p.http.URL+path, nil)
	if err != nil {
		return 0
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := p.client.Do(request)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

// at is the path of a person's page.
func (p *somebody) at(rest ...string) string {
	return "/console/people/" + strings.Join(append([]string{string(p.user.ID)}, rest...), "/")
}

// passkey is the person's first.
func (p *somebody) passkey() passkey.Credential {
	p.Helper()
	list, err := passkey.Credentials(context.Background(), p.server.Pool, p.user.ID)
	if err != nil || len(list) == 0 {
		p.Fatalf("passkeys of %s: %v %v", p.user.Name, list, err)
	}
	return list[0]
}

// session is the newest live one of the person.
func (p *somebody) session() string {
	p.Helper()
	var id string
	if err := p.server.Pool.QueryRow(context.Background(), `select id from session where user_id = $1 and revoked_at is null order by created_at desc limit 1`, p.user.ID).Scan(&id); err != nil {
		p.Fatal(err)
	}
	return id
}

func (p *somebody) status() string {
	p.Helper()
	u, err := account.ByID(context.Background(), p.server.Pool, p.user.ID)
	if err != nil {
		p.Fatal(err)
	}
	return u.Status
}

// done counts the entries of an action by an actor about somebody.
func (d *desk) done(action audit.Action, actor, about account.ID) int {
	d.Helper()
	var n int
	if err := d.server.Pool.QueryRow(context.Background(), `select count(*) from audit_entry where action = $1 and actor = $2 and user_id = $3 and outcome = 'done'`, action, actor, about).Scan(&n); err != nil {
		d.Fatal(err)
	}
	return n
}
