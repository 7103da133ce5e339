package admin

import (
	"testing"
	"time"

	"github.com/touchstone-id/touchstone/pkg/audit"
)

func TestEveryActionHasAPhrase(t *testing.T) {
	names := map[string]bool{}
	for _, a := range audit.Actions() {
		p := phrases[a]
		if p.name == "" || p.story == "" || names[p.name] {
			t.Errorf("%s is told as %+v", a, p)
		}
		names[p.name] = true
	}
	if len(phrases) != len(audit.Actions()) {
		t.Errorf("%d phrases for %d actions", len(phrases), len(audit.Actions()))
	}
}

func TestApart(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name string
		by   time.Duration
		want string
	}{
		{"this moment", 0, "just now"},
		{"a little before", -59 * time.Second, "just now"},
		{"a minute before", -time.Minute, "1 minute ago"},
		{"most of an hour before", -59 * time.Minute, "59 minutes ago"},
		{"hours before", -3 * time.Hour, "3 hours ago"},
		{"days before", -49 * time.Hour, "2 days ago"},
		{"soon", 30 * time.Second, "in a moment"},
		{"later today", 90 * time.Minute, "in 1 hour"},
		{"in some days", 72 * time.Hour, "in 3 days"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := apart(now.Add(tt.by), now); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestCount(t *testing.T) {
	for _, tt := range []struct {
		n          int
		noun, want string
	}{
		{0, "person", "0 people"}, {1, "person", "1 person"}, {2, "person", "2 people"}, {2, "passkey", "2 passkeys"}, {1, "entry", "1 entry"}, {3, "entry", "3 entries"},
	} {
		if got := count(tt.n, tt.noun); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		10 * time.Second: "10 seconds", 90 * time.Second: "90 seconds", time.Minute: "1 minute", 70 * time.Minute: "70 minutes", time.Hour: "1 hour",
		24 * time.Hour: "24 hours", 7 * 24 * time.Hour: "7 days", 36 * time.Hour: "36 hours",
	} {
		if got := span(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}
