package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestACompromisedModelReachesTheSigningKeys(t *testing.T) {
	for _, tt := range []struct{ name, keys, follows, demands string }{
		{"said nothing", "", "rotate", "ES256 rotate, PS256 rotate, RS256 rotate"},
		{"nothing", "keys: {on_compromise: nothing}\n", "nothing", ""},
		{"emergency", "keys: {on_compromise: emergency}\n", "emergency", "ES256 emergency, PS256 emergency, RS256 emergency"},
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
