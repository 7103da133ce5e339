package provider_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/grant"
)

// listener is a client's back-channel logout endpoint.
type listener struct {
	*httptest.Server
	mu     sync.Mutex
	tokens []string
	status int
	got    chan struct{}
}

func listen(t *testing.T) *listener {
	l := &listener{status: http.StatusInternalServerError, got: make(chan struct{}, 16)}
	l.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.tokens = append(l.tokens, r.PostFormValue("logout_token"))
		rw.WriteHeader(l.status)
		l.got <- struct{}{}
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *listener) answer(status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status = status
}

func TestClientsAreToldThatASessionEnded(t *testing.T) {
	w, l := newWorld(t), listen(t)
	w.declare(strings.Replace(trustFile, "{id: web, name: Web,", "{id: web, name: Web, backchannel_logout_uri: "+l.URL+"/out,", 1))
	b := w.browser()
	tk := b.obtain("ada", params())
	b.obtain("ada", params()) // a second grant of the session is told of once
	_, c := w.decode(tk.id, claim.TypeIDToken)
	b.post("/test/signout", nil)

	// A replica that dies while the client is down loses nothing: another goes on.
	for _, status := range []int{http.StatusInternalServerError, http.StatusOK} {
		l.answer(status)
		ctx, stop := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { w.provider.DeliverLogouts(ctx) })
		<-l.got
		for state := ""; state != map[int]string{500: "retry", 200: "done"}[status]; {
			list, err := grant.Deliveries(t.Context(), w.pool, "", 10)
			w.must(err)
			if len(list) != 1 {
				t.Fatalf("%d deliveries", len(list))
			}
			switch {
			case list[0].DoneAt != nil:
				state = "done"
			case strings.Contains(list[0].LastError, "answered 500"):
				state = "retry"
			}
		}
		stop()
		done.Wait()
		w.advance(time.Hour)
	}
	if len(l.tokens) != 2 {
		t.Fatalf("told %d times", len(l.tokens))
	}
	_, out := w.decode(l.tokens[1], claim.TypeLogoutToken)
	events, _ := out["events"].(map[string]any)
	if out["iss"] != issuer || out["aud"] != "web" || out["sid"] != c["sid"] || out["sub"] != c["sub"] || out["nonce"] != nil || events["http://schemas.openid.net/event/backchannel-logout"] == nil {
		t.Errorf("logout token %v", out)
	}
	// It is good for nothing else.
	if a := b.userInfo(l.tokens[1]); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("userinfo takes a logout token: status %d", a.StatusCode)
	}
}
