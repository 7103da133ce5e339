package audit_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/audit"
)

func TestRetentionErasesOnceAndKeepsTheTreeWhole(t *testing.T) {
	w := newWorld(t)
	w.act(6, "ada")
	w.step()
	proof, err := audit.Prove(t.Context(), w.pool, w.entryAt(2))
	w.must(err)
	var erased, acts atomic.Int32
	later := func(days int) *audit.Retention {
		return audit.NewRetention(w.log, 30*24*time.Hour, zerolog.Nop(), func() time.Time { return time.Now().AddDate(0, 0, days) })
	}
	if n, err := later(29).Step(t.Context()); err != nil || n != 0 {
		t.Errorf("before its time: %d, %v", n, err)
	}
	var all sync.WaitGroup
	for range 50 { // replicas at once
		all.Go(func() {
			n, err := later(32).Step(t.Context())
			if err != nil {
				t.Error(err)
			}
			erased.Add(int32(n))
			if n > 0 {
				acts.Add(1)
			}
		})
	}
	all.Wait()
	if erased.Load() != 6 || acts.Load() != 1 {
		t.Errorf("%d entries erased in %d acts", erased.Load(), acts.Load())
	}
	w.step()
	recent, err := audit.Recent(t.Context(), w.pool, 10)
	w.must(err)
	if len(recent) != 7 || recent[0].Action != audit.PersonErased || recent[0].Details["entries"] != "6" || recent[3].UserID != "" {
		t.Errorf("the record says %+v", recent)
	}
	if n, err := audit.Check(t.Context(), w.pool); err != nil || n != 7 {
		t.Errorf("%d entries: %v", n, err)
	}
	if _, _, err := proof.Verify(w.verifier()); err != nil {
		t.Errorf("a proof from before: %v", err)
	}
}
