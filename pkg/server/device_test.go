package server

import (
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// television adds a client of the device flow.
const television = trustFile + `  - {id: tv, name: Television, kind: public, first_party: true, grant_types: ["urn:ietf:params:oauth:grant-type:device_code"], scopes: [openid]}
`

// TestGuessingUserCodes types wrong codes, one by one and fifty at once (RFC 8628
// section 5.1), and then the right one.
func TestGuessingUserCodes(t *testing.T) {
	var skew atomic.Int64
	w := newWorldOf(t, Options{Trust: []byte(television), Now: func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }})
	b := w.enrolled()
	if status, out := b.signIn(""); status != 200 {
		t.Fatalf("sign in: %d %v", status, out)
	}
	form := url.Values{"client_id": {"tv"}, "scope": {"openid"}}
	_, text := b.do("POST", "/device_authorization", strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded")
	code := strings.Split(strings.Split(text, `"user_code":"`)[1], `"`)[0]
	find := func(code string) string {
		status, out := b.post("/device/find", map[string]any{"code": code})
		if status == 200 {
			return "found"
		}
		return out["reason"].(string)
	}
	if got := find(code); got != "found" {
		t.Fatalf("the right code: %s", got)
	}
	var wrong, refused atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			switch got := find("BBBB-BBBB"); got {
			case "device_code_unknown":
				wrong.Add(1)
			case "too_many_attempts":
				refused.Add(1)
			default:
				t.Errorf("a wrong code: %s", got)
			}
		})
	}
	all.Wait()
	if wrong.Load() != 10 || refused.Load() != 40 {
		t.Errorf("%d of fifty were tried, %d refused", wrong.Load(), refused.Load())
	}
	if got := find(code); got != "too_many_attempts" {
		t.Errorf("the right code after too many wrong ones: %s", got)
	}
	if status, out := b.post("/device/decide", map[string]any{"code": code, "approve": true}); status == 200 {
		t.Errorf("and approved: %v", out)
	}
	if status, out := b.post("/device/find", map[string]any{"code": ""}); status == 200 || out["reason"] == "fault" {
		t.Errorf("no code: %d %v", status, out)
	}
	skew.Store(int64(9 * time.Minute))
	for range 3 {
		if got := find(code); got != "too_many_attempts" {
			t.Errorf("within the window: %s", got)
		}
	}
	w.invite("bob")
	other := w.enrolled()
	other.signIn("")
	if status, out := other.post("/device/find", map[string]any{"code": code}); status != 200 {
		t.Errorf("somebody else: %d %v", status, out)
	}
}
