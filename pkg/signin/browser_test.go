package signin

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/touchstone-id/touchstone/pkg/secret"
)

// cookies returns what a sign-in would set.
func cookies(t *testing.T, secure bool) []*http.Cookie {
	t.Helper()
	f := New(Options{Secure: secure, CookieKey: make([]byte, 32), Now: time.Now})
	rec, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	f.Browser(rec, r)
	if err := f.remember(rec, r, secret.New()); err != nil {
		t.Fatal(err)
	}
	return rec.Result().Cookies()
}

func TestCookiesAreHostBoundOutsideDevelopment(t *testing.T) {
	for _, c := range cookies(t, true) {
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("%+v", c)
		}
	}
	for _, c := range cookies(t, false) {
		if strings.HasPrefix(c.Name, "__Host-") || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
			t.Errorf("%+v", c)
		}
	}
}

func TestForgedSessionCookiesAreAsGoodAsNone(t *testing.T) {
	f := New(Options{CookieKey: make([]byte, 32), Now: time.Now})
	other := New(Options{CookieKey: append(make([]byte, 31), 1), Now: time.Now})
	rec, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	if err := other.remember(rec, r, secret.Of("x")); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"other key": rec.Result().Cookies()[0].Value, "rubbish": "x", "empty": ""} {
		r := httptest.NewRequest("GET", "/", nil)
		r.AddCookie(&http.Cookie{Name: f.sessionCookie, Value: value})
		if !f.identifier(r).Empty() {
			t.Errorf("%s is believed", name)
		}
	}
	long := httptest.NewRequest("GET", "/", nil)
	long.AddCookie(&http.Cookie{Name: f.browserCookie, Value: strings.Repeat("x", maxBindingLength+1)})
	if f.BrowserOf(long) != nil {
		t.Error("a binding of any length is hashed")
	}
}
