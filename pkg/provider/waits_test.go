package provider_test

import (
	"net/url"
	"testing"

	"github.com/touchstone-id/touchstone/pkg/grant"
)

// TestAGrantWaitsForTheDatabaseAsSeldomAsItCan counts on the wire, once the
// connection has seen each statement: what must be known before something is
// decided costs a wait, and the commit one more that takes along all the rest.
func TestAGrantWaitsForTheDatabaseAsSeldomAsItCan(t *testing.T) {
	k := newKeyed(t, "")
	w, b := k.world, k.browser
	robot := url.Values{"grant_type": {"client_credentials"}, "client_id": {"robot"}, "client_secret": {w.secrets["robot"]}}
	refresh := ""
	grants := []struct {
		name string
		want int
		do   func(prepared func())
	}{
		{"authorization code", 2, func(prepared func()) {
			form := w.exchange(b.code("ada", params()))
			prepared()
			refresh = b.tokens(form).refresh
		}},
		{"refresh token", 2, func(prepared func()) {
			prepared()
			refresh = b.tokens(w.refresh(refresh)).refresh
		}},
		{"client credentials", 1, func(prepared func()) {
			prepared()
			b.tokens(robot)
		}},
		{"device code", 3, func(prepared func()) {
			a := b.device("tv")
			b.must(b.decide("ada", a.JSON["user_code"].(string), true))
			b.advance(grant.DeviceInterval)
			prepared()
			if a := b.pollNow("tv", a.JSON["device_code"].(string)); a.StatusCode != 200 {
				t.Fatal(a.Text)
			}
		}},
		{"device poll, undecided", 1, func(prepared func()) {
			a := b.device("tv")
			prepared()
			b.refused("poll", b.poll("tv", a.JSON["device_code"].(string)), "authorization_pending", 400)
		}},
		{"introspection", 1, func(prepared func()) {
			token := b.tokens(robot).access
			prepared()
			if a := b.post("/introspect", url.Values{"token": {token}, "client_id": {"robot"}, "client_secret": {w.secrets["robot"]}}); a.JSON["active"] != true {
				t.Error(a.Text)
			}
		}},
		{"userinfo", 1, func(prepared func()) {
			token := b.obtain("ada", identity()).access
			prepared()
			b.userInfo(token)
		}},
		{"client assertion, beside the grant", 1 + 1, func(prepared func()) {
			assertion := k.assertion(nil)
			prepared()
			k.ask(assertion)
		}},
	}
	for _, g := range grants {
		got := 0
		for range 3 {
			g.do(func() { w.waits() })
			got = w.waits()
		}
		if got != g.want {
			t.Errorf("%s waits %d times, want %d", g.name, got, g.want)
		}
	}
}
