package server

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/touchstone-id/touchstone/pkg/keyring"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

func TestACompromisedModelReachesTheSigningKeys(t *testing.T) {
	for _, tt := range []struct{ name, keys, follows, demands string }{
		{"said nothing", "", "rotate", "ES256 rotate, EdDSA rotate, PS256 rotate, RS256 rotate"},
		{"nothing", "keys: {on_compromise: nothing}\n", "nothing", ""},
		{"emergency", "keys: {on_compromise: emergency}\n", "emergency", "ES256 emergency, EdDSA emergency, PS256 emergency, RS256 emergency"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWatched(t, trustFile+tt.keys)
			w.keyed()
			w.publish()
			w.take() // a new BLOB alone demands nothing
			w.publish("USER_KEY_REMOTE_COMPROMISE")
			w.take()
			w.publish("USER_KEY_REMOTE_COMPROMISE", "REVOKED")
			w.take() // the model has fallen already
			var follows, demands, cause string
			err := w.server.Pool.QueryRow(context.Background(), `
				select (select string_agg(details->>'keys', ' ') from audit_entry where action = 'fleet.rejudged'),
					coalesce((select string_agg(algorithm || ' ' || kind, ', ' order by algorithm) from key_demand), ''),
					coalesce((select min(cause) from key_demand), '')`).Scan(&follows, &demands, &cause)
			if err != nil || follows != tt.follows || demands != tt.demands {
				t.Errorf("the record says %q, demanded is %q (%v)", follows, demands, err)
			}
			if tt.demands != "" && (!strings.Contains(cause, "Acme Key") || !strings.Contains(cause, "test:3")) {
				t.Errorf("the cause %q names neither model nor BLOB", cause)
			}
		})
	}
}

func TestHealthSaysWhatIsWrongWithTheKeys(t *testing.T) {
	w := newWorld(t)
	health := func() (int, string) {
		b := w.browser()
		answer, body := b.do("GET", "/healthz", nil)
		return answer.StatusCode, body
	}
	if status, body := health(); status != http.StatusOK || body != "ok\n" {
		t.Errorf("in good health: %d %q", status, body)
	}
	if _, err := w.server.Pool.Exec(context.Background(), `
		insert into metadata_blob (source, number, digest, blob, verified_at, next_update) values ('fido', 1, 'x', '', now(), now() - interval '3 days')`); err != nil {
		t.Fatal(err)
	}
	if err := w.server.Ring.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	if status, body := health(); status != http.StatusOK || !strings.HasPrefix(body, "ok\nmetadata_stale: ") {
		t.Errorf("with old metadata: %d %q", status, body)
	}
	metrics := httptest.NewRecorder()
	w.server.Metrics().ServeHTTP(metrics, httptest.NewRequest("GET", "/", nil))
	if body := metrics.Body.String(); !strings.Contains(body, `touchstone_key_problem{problem="metadata_stale"} 1`) || !strings.Contains(body, `touchstone_key_problem{problem="no_signer"} 0`) {
		t.Errorf("metrics: %s", body)
	}
	if _, err := w.server.Pool.Exec(context.Background(), `update signing_key set honoured_at = now(), retires_at = now() where algorithm = 'RS256'`); err != nil {
		t.Fatal(err)
	}
	if err := w.server.Ring.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	if status, body := health(); status != http.StatusServiceUnavailable || strings.HasPrefix(body, "ok") || !strings.Contains(body, "no_signer: No RS256 key signs.") {
		t.Errorf("without a key: %d %q", status, body)
	}
	if _, page := w.browser().do("GET", "/metrics", nil); strings.Contains(page, "touchstone_key_problem") {
		t.Error("metrics are served to everybody")
	}
}

// The trust file's bounds and the ring's are the same, though neither package knows the other.
func TestTheTrustFileAllowsWhatTheRingDoes(t *testing.T) {
	const api = "apis: [{name: a, audience: https://a.example, path: /a, token_lifetime: %s}]\n"
	for _, tt := range []struct {
		name, text string
		allowed    bool
	}{
		{"least wait", "keys: {publish_ahead: " + keyring.GatewayWindow.String() + "}", true},
		{"less", "keys: {publish_ahead: " + (keyring.GatewayWindow - time.Second).String() + "}", false},
		{"longest life", fmt.Sprintf(api, keyring.LongestTokenLife), true},
		{"longer", fmt.Sprintf(api, keyring.LongestTokenLife+time.Second), false},
		{"closest rotations", "keys: {rotate_every: 336h, publish_ahead: 168h}", true},
		{"said nothing", "apis: []", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file, err := trust.Parse("trust.yaml", []byte(tt.text))
			if (err == nil) != tt.allowed {
				t.Fatalf("the trust file: %v", err)
			}
			if tt.allowed {
				if err := (keyring.Rules{PublishAhead: file.Keys.PublishAhead, RotateEvery: file.Keys.RotateEvery}).Check(); err != nil {
					t.Errorf("the ring: %v", err)
				}
			}
		})
	}
}

func TestAnAPIChangesItsAlgorithmWithoutAWait(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	if status, out := b.enrol(w.link); status != 200 {
		t.Fatalf("enrol: %d %v", status, out)
	}
	for _, alg := range []string{"RS256", "ES256", "PS256"} {
		text := strings.Replace(trustFile, "path: /orders", "path: /orders\n    signing_algorithm: "+alg, 1)
		if _, err := w.server.Trust.Apply(context.Background(), w.server.Log, time.Now(), "trust.yaml", []byte(text), "test"); err != nil {
			t.Fatal(err)
		}
		w.server.renew()
		if _, published := b.do("GET", "/jwks", nil); !strings.Contains(published, `"alg":"`+alg+`"`) {
			t.Errorf("no %s key is published", alg)
		}
		status, out := b.token(redemption(b.code(request())))
		if status != 200 {
			t.Fatalf("%s: %d %v", alg, status, out)
		}
		if got := decode(t, out["access_token"].(string), 0)["alg"]; got != alg {
			t.Errorf("the access token is signed with %v, want %s", got, alg)
		}
		if got := decode(t, out["id_token"].(string), 0)["alg"]; got != "RS256" {
			t.Errorf("the ID token is signed with %v", got)
		}
	}
}
