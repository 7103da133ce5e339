package provider

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/touchstone-id/touchstone/pkg/keyring"
)

// A replica that lost the database says so to gateways and caches alike: what
// they hold is better than what it last knew.
func TestAStaleKeySetIsNotServed(t *testing.T) {
	var p Provider
	for _, tt := range []struct {
		name          string
		err           error
		status        int
		caching, body string
	}{
		{"in force", nil, http.StatusOK, cacheFor, `{"keys":[]}`},
		{"stale", keyring.ErrStale, http.StatusServiceUnavailable, "no-store", "the signing keys could not be confirmed lately\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := httptest.NewRecorder()
			p.static(func() (keyring.Document, error) {
				return keyring.Document{Body: []byte(`{"keys":[]}`), ETag: `"x"`}, tt.err
			})(a, httptest.NewRequest("GET", pathJWKS, nil))
			if a.Code != tt.status || a.Header().Get("Cache-Control") != tt.caching || a.Body.String() != tt.body || (tt.err != nil) != (a.Header().Get("Retry-After") != "") {
				t.Errorf("%d %v %q", a.Code, a.Header(), a.Body)
			}
		})
	}
}
