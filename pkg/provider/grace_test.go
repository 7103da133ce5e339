package provider_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestALostResponseIsNotAReplay(t *testing.T) {
	for _, tt := range []struct {
		name  string
		wait  time.Duration
		again bool
	}{{"at once", 0, false}, {"too soon", 4 * time.Second, false}, {"after a while", 10 * time.Second, true}, {"too late", 2 * time.Minute, false}} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			b := w.browser()
			first := b.obtain("ada", params())
			lost := b.tokens(w.refresh(first.refresh)) // the answer never arrives
			w.advance(tt.wait)
			a := b.post("/token", w.refresh(first.refresh))
			if got := a.StatusCode == http.StatusOK; got != tt.again {
				t.Fatalf("status %d %s, want a token: %v", a.StatusCode, a.Text, tt.again)
			}
			if !tt.again {
				b.refused("the family afterwards", b.post("/token", w.refresh(lost.refresh)), "invalid_grant", 400)
				return
			}
			next, _ := a.JSON["refresh_token"].(string)
			next = b.tokens(w.refresh(next)).refresh
			// Whoever caught the lost answer gets nothing for it, and ends the family.
			b.refused("the lost token", b.post("/token", w.refresh(lost.refresh)), "invalid_grant", 400)
			b.refused("the family afterwards", b.post("/token", w.refresh(next)), "invalid_grant", 400)
		})
	}
}

func TestAUsedSuccessorLeavesNoGrace(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	first := b.obtain("ada", params())
	second := b.tokens(w.refresh(first.refresh))
	w.advance(10 * time.Second)
	third := b.tokens(w.refresh(second.refresh))
	b.refused("the first token once more", b.post("/token", w.refresh(first.refresh)), "invalid_grant", 400)
	b.refused("the family afterwards", b.post("/token", w.refresh(third.refresh)), "invalid_grant", 400)
}

func TestFiftyRetriesLeaveOneToken(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	first := b.obtain("ada", params())
	b.tokens(w.refresh(first.refresh))
	w.advance(10 * time.Second)
	var won atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if w.browser().post("/token", w.refresh(first.refresh)).StatusCode == http.StatusOK {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 50 retries passed, want 1", won.Load())
	}
}
