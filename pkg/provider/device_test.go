package provider_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
)

// device starts a device flow of a client.
func (b *browser) device(id string, pairs ...string) answer {
	b.Helper()
	v := url.Values{"client_id": {id}, "scope": {"openid profile offline_access orders.read"}, "resource": {orders}}
	for i := 0; i < len(pairs); i += 2 {
		if v.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			v.Del(pairs[i])
		}
	}
	return b.post("/device_authorization", v)
}

// poll asks for the device's tokens, once the interval has passed.
func (b *browser) poll(id, code string) answer {
	b.Helper()
	b.advance(grant.DeviceInterval)
	return b.pollNow(id, code)
}

func (b *browser) pollNow(id, code string) answer {
	b.Helper()
	return b.post("/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {id}, "device_code": {code}})
}

// decide answers a user code for somebody who is signed in.
func (b *browser) decide(who, code string, approve bool) error {
	b.Helper()
	s := b.sessionOf(who)
	return pgx.BeginFunc(b.Context(), b.pool, func(tx pgx.Tx) error {
		_, err := grant.DecideDevice(b.Context(), tx, b.clock(), code, approve, s)
		return err
	})
}

// sessionOf signs somebody in and returns the frozen sign-in.
func (b *browser) sessionOf(who string) grant.Authentication {
	b.Helper()
	b.signIn(who, b.begin(params("prompt", "login")))
	r, err := http.NewRequest(http.MethodGet, b.server.URL, nil)
	b.must(err)
	for _, c := range b.Jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	s, err := b.flow.Current(r)
	b.must(err)
	return s.Authentication
}

func TestDeviceFlow(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	a := b.device("tv")
	code, user := a.JSON["device_code"].(string), a.JSON["user_code"].(string)
	if a.JSON["verification_uri"] != issuer+"/device" || a.JSON["interval"] != 5.0 || len(user) != 9 || strings.Contains(a.JSON["verification_uri_complete"].(string), "?") {
		t.Fatalf("%s", a.Text)
	}
	b.refused("undecided", b.poll("tv", code), "authorization_pending", 400)
	b.refused("too fast", b.pollNow("tv", code), "slow_down", 400)
	b.refused("another client", b.poll("radio", code), "invalid_grant", 400)
	b.refused("unknown code", b.poll("tv", "nonsense"), "invalid_grant", 400)
	b.must(b.decide("ada", strings.ToLower(strings.ReplaceAll(user, "-", " ")), true))
	if err := w.browser().decide("bob", user, true); !denial.Is(err, denial.DeviceCodeUnknown) {
		t.Errorf("approved by a second person: %v", err)
	}
	a = b.poll("tv", code)
	if a.StatusCode != http.StatusOK {
		t.Fatalf("status %d %s", a.StatusCode, a.Text)
	}
	_, c := w.decode(a.JSON["access_token"].(string), claim.TypeAccessToken)
	if c["sub"] != string(w.people["ada"].ID) || c["aud"] != orders || c["client_id"] != "tv" || c["acr"] != "phrh" {
		t.Errorf("claims %v", c)
	}
	b.tokens(url.Values{"grant_type": {"refresh_token"}, "client_id": {"tv"}, "refresh_token": {a.JSON["refresh_token"].(string)}})
	b.refused("redeemed again", b.poll("tv", code), "invalid_grant", 400)
	if n := w.record(audit.CodeRedeemed, "done"); n != 1 {
		t.Errorf("%d redemptions on record", n)
	}

	a = b.device("tv")
	b.must(b.decide("ada", a.JSON["user_code"].(string), false))
	b.refused("declined", b.poll("tv", a.JSON["device_code"].(string)), "access_denied", 400)
	a = b.device("tv")
	b.advance(grant.DeviceLife)
	b.refused("expired", b.poll("tv", a.JSON["device_code"].(string)), "expired_token", 400)
	if err := b.decide("ada", a.JSON["user_code"].(string), true); !denial.Is(err, denial.DeviceCodeUnknown) {
		t.Errorf("approved after it expired: %v", err)
	}
	b.refused("a scope too many", b.device("tv", "scope", "openid orders.write"), "invalid_scope", 400)
	b.refused("an API too many", b.device("tv", "resource", ledger), "invalid_target", 400)
	b.refused("a client without the flow", b.device("spa"), "unauthorized_client", 400)
}

func TestADeviceDoesNotOutliveWhatApprovedIt(t *testing.T) {
	for name, sql := range map[string]string{
		"person suspended": `update account set status = 'suspended'`,
		"passkey removed":  `update credential set removed_at = now()`,
		"session revoked":  `update session set revoked_at = now()`,
		"facts lost":       `update credential set facts = '{}', levels = '{}'`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			a := b.device("tv")
			b.must(b.decide("ada", a.JSON["user_code"].(string), true))
			_, err := w.pool.Exec(t.Context(), sql)
			w.must(err)
			b.refused(name, b.poll("tv", a.JSON["device_code"].(string)), "invalid_grant", 400)
		})
	}
}

func TestFiftyRedeemOneDeviceCode(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	a := b.device("tv")
	b.must(b.decide("ada", a.JSON["user_code"].(string), true))
	// Fifty replicas would not know of each other's polls; here they are the database's to tell apart.
	var won atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
				_, err := grant.RedeemDevice(t.Context(), tx, w.clock(), secretOf(a.JSON["device_code"].(string)), "tv")
				return err
			})
			if err == nil {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 50 redeemed the code", won.Load())
	}
}

func TestPollingWritesNothing(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	a := b.device("tv")
	writes := func() (n int) {
		w.must(w.pool.QueryRow(t.Context(), `select (select count(*) from audit_entry) + (select count(*) from access_grant) + (select sum(n_tup_upd) from pg_stat_user_tables where relname = 'device_authorization')`).Scan(&n))
		return n
	}
	before := writes()
	for range 20 {
		b.refused("pending", b.poll("tv", a.JSON["device_code"].(string)), "authorization_pending", 400)
	}
	if after := writes(); after != before {
		t.Errorf("20 polls wrote %d rows", after-before)
	}
}
