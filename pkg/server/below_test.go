package server

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestAnIssuerWithAPath runs the whole chain below a path, and follows every
// address that a page, a redirect or the metadata name.
func TestAnIssuerWithAPath(t *testing.T) {
	w := newWorldOf(t, Options{Issuer: "/login/eu-1", Trust: []byte(trustFile)})
	b := w.enrolled()
	status, got := b.token(redemption(b.code(request())))
	if status != 200 {
		t.Fatalf("token: %d %v", status, got)
	}
	if claims := decode(t, got["access_token"].(string), 1); claims["iss"] != w.http.URL {
		t.Errorf("iss %v", claims["iss"])
	}
	// RFC 8414 section 3.1, and OpenID Connect Discovery section 4.1.
	var first string
	for _, where := range []string{"/login/eu-1/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/login/eu-1", "/.well-known/openid-configuration/login/eu-1"} {
		answer, text := b.do("GET", w.origin+where, nil)
		if first == "" {
			first = text
		}
		if answer.StatusCode != 200 || text != first {
			t.Errorf("%s: %d %s", where, answer.StatusCode, text)
		}
	}
	var metadata map[string]any
	if err := json.Unmarshal([]byte(first), &metadata); err != nil {
		t.Fatal(err)
	}
	for name, value := range metadata {
		if at, ok := value.(string); ok && !strings.HasPrefix(at, w.http.URL) {
			t.Errorf("%s is %s", name, at)
		}
	}
	if answer, _ := b.do("GET", metadata["jwks_uri"].(string), nil); answer.StatusCode != 200 {
		t.Errorf("jwks: %d", answer.StatusCode)
	}
	addresses := regexp.MustCompile(`\s(href|src|action)="([^"]*)"`)
	for _, page := range []string{"/", "/enrol", "/signin", "/signout", "/device", "/nothing"} {
		_, text := b.do("GET", page, nil)
		found := addresses.FindAllStringSubmatch(text, -1)
		if len(found) < 3 {
			t.Errorf("%s has %d addresses", page, len(found))
		}
		for _, a := range found {
			if !strings.HasPrefix(a[2], w.base+"/") {
				t.Errorf("%s leads to %s", page, a[2])
			}
			if a[1] == "action" {
				continue
			}
			if answer, _ := b.do("GET", a[2], nil); answer.StatusCode != 200 {
				t.Errorf("%s leads to %s, which answers %d", page, a[2], answer.StatusCode)
			}
		}
	}
	for _, tt := range []struct {
		path, location string
		status         int
	}{
		{"/healthz", "", 200},
		{"/login/eu-1", "/login/eu-1/", http.StatusPermanentRedirect},
		{"/login/eu-1/end_session", "/login/eu-1/signout", 303},
		{"/login/eu-1/account//rename", "/login/eu-1/account/rename", http.StatusTemporaryRedirect},
		{"/authorize", "", 404},
		{"/", "", 404},
		{"/login/eu-10/authorize", "", 404},
		{"/login/eu-1%2fauthorize", "", 404},
		{"/.well-known/openid-configuration", "", 404},
		{"/.well-known/jwks/login/eu-1", "", 404},
	} {
		answer, _ := b.do("GET", w.origin+tt.path, nil)
		if location := answer.Header.Get("Location"); answer.StatusCode != tt.status || location != tt.location {
			t.Errorf("GET %s: %d %q", tt.path, answer.StatusCode, location)
		}
	}
}
