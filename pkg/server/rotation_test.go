package server

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/gateway"
	"github.com/touchstone-id/touchstone/pkg/keyring"
)

// guarded is a world with an API behind a real gateway whose clock the test moves.
type guarded struct {
	*world
	gateway *gateway.Gateway
	now     time.Time
	// fetched counts how often the gateway asked for the key set.
	fetched int
}

// RoundTrip counts the fetches of key sets.
func (g *guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/jwks") {
		g.fetched++
	}
	return http.DefaultTransport.RoundTrip(r)
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{now: time.Now()}
	g.world = newWorldOf(t, Options{Trust: []byte(strings.Replace(trustFile, "path: /orders", "path: /orders\n    token_lifetime: 60m", 1))})
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("orders")) }))
	t.Cleanup(backend.Close)
	c := gateway.Config{}
	for _, f := range apim.Render(g.server.Trust.Current(), apim.Target{Issuer: g.http.URL}) {
		path := filepath.Join(t.TempDir(), f.Name)
		if err := os.WriteFile(path, f.Body, 0o600); err != nil {
			t.Fatal(err)
		}
		if f.API == "orders" && f.Operation == "" {
			c.APIs = append(c.APIs, gateway.API{Name: "orders", Path: "/orders", Backend: backend.URL, Policy: path, Operations: []gateway.Operation{{Name: "list", Method: "GET", URLTemplate: "/"}}})
		}
	}
	var err error
	g.gateway, err = gateway.New(c, gateway.Options{Now: func() time.Time { return g.now }, Client: &http.Client{Transport: g}})
	if err != nil {
		t.Fatal(err)
	}
	g.age()
	return g
}

// age lets every key, and the successors that are published now, be two days old.
func (g *guarded) age() {
	g.Helper()
	g.must(g.server.Ring.Turn(g.Context()))
	_, err := g.server.Pool.Exec(g.Context(), `update signing_key set created_at = created_at - interval '2 days', ready_at = ready_at - interval '2 days'`)
	g.must(err)
}

func (g *guarded) must(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

// call shows a token to the gateway.
func (g *guarded) call(token string) int {
	r := httptest.NewRequest("GET", "/orders/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	a := httptest.NewRecorder()
	g.gateway.ServeHTTP(a, r)
	return a.Code
}

// TestTheGatewaySeesNoRotation rotates under our own gateway, which keeps API
// Management's cache rules: it accepts old and new tokens without a single
// fetch, and a withdrawn key no longer than its hour.
func TestTheGatewaySeesNoRotation(t *testing.T) {
	g := newGuarded(t)
	b := g.browser()
	if status, out := b.enrol(g.link); status != 200 {
		t.Fatalf("enrol: %d %v", status, out)
	}
	token := func() string {
		t.Helper()
		status, out := b.token(redemption(b.code(request())))
		if status != 200 {
			t.Fatalf("token: %d %v", status, out)
		}
		return out["access_token"].(string)
	}
	kid := func(token string) string { return decode(t, token, 0)["kid"].(string) }
	first := token()
	if status := g.call(first); status != 200 || g.fetched != 1 {
		t.Fatalf("%d after %d fetches", status, g.fetched)
	}
	if rotated, err := g.server.Ring.Rotate(t.Context(), keyring.RS256, "test"); err != nil || rotated == "" {
		t.Fatalf("rotate: %q %v", rotated, err)
	}
	second := token()
	if kid(second) == kid(first) {
		t.Fatal("the same key signs")
	}
	for name, tok := range map[string]string{"before": first, "after": second} {
		if status := g.call(tok); status != 200 || g.fetched != 1 {
			t.Errorf("a token from %s the rotation: %d after %d fetches", name, status, g.fetched)
		}
	}
	// The next successor is published. A stranger's key id has the gateway fetch
	// it, five minutes after it fetched last.
	g.age()
	g.now = g.now.Add(5 * time.Minute)
	_, rest, _ := strings.Cut(first, ".")
	stranger := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"at+jwt","kid":"unknown"}`)) + "." + rest
	if status := g.call(stranger); status != 401 || g.fetched != 2 {
		t.Errorf("an unknown key: %d after %d fetches", status, g.fetched)
	}
	// Who stole the key gives a token the life they like.
	claims := decode(t, second, 1)
	claims["exp"] = time.Now().Add(24 * time.Hour).Unix()
	forged, err := g.server.Ring.Sign(keyring.RS256, "at+jwt", claims)
	g.must(err)
	w, err := g.server.Ring.Emergency(t.Context(), keyring.RS256, "test", false)
	g.must(err)
	third := token()
	if kid(third) != w.Successor || g.call(third) != 200 || g.fetched != 2 {
		t.Errorf("after the emergency %s signs; %d fetches", kid(third), g.fetched)
	}
	// Within the hour the gateway may accept the withdrawn key, and says no later than told.
	g.now = g.now.Add(54 * time.Minute)
	for name, tok := range map[string]string{"successor's": third, "forged": forged} {
		if status := g.call(tok); status != 200 {
			t.Errorf("within the hour the %s token: %d", name, status)
		}
	}
	for !g.now.After(w.AcceptedUntil) {
		g.now = g.now.Add(time.Minute)
	}
	if status := g.call(forged); status != 401 {
		t.Errorf("past the window the forged token: %d", status)
	}
	again, err := g.server.Ring.Sign(keyring.RS256, "at+jwt", claims)
	g.must(err)
	if status := g.call(again); status != 200 {
		t.Errorf("the same claims under the successor: %d, so that not the key was refused", status)
	}
}
