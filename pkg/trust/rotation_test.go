package trust

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestKeys(t *testing.T) {
	day := 24 * time.Hour
	for _, tt := range []struct {
		name, text string
		want       Keys
		fault      string
	}{
		{"nothing said", "apis: []", Keys{KeysRotate, day, 30 * day}, ""},
		{"all said", "keys: {on_compromise: emergency, publish_ahead: 70m, rotate_every: 2160h}", Keys{KeysEmergency, 70 * time.Minute, 90 * day}, ""},
		{"one said", "keys: {on_compromise: nothing}", Keys{KeysNothing, day, 30 * day}, ""},
		{"misspelt", "keys: {on_compromise: emergancy}", Keys{}, `did you mean "emergency"`},
		{"published for less than gateways cache", "keys: {publish_ahead: 69m59s}", Keys{}, "keys.publish_ahead: 1h9m59s is outside 1h10m0s"},
		{"so often that no metadata update is followed", "keys: {rotate_every: 24h}", Keys{}, "keys.rotate_every: 24h0m0s is outside"},
		{"no room between publication and rotation", "keys: {publish_ahead: 480h, rotate_every: 600h}", Keys{}, "keys.rotate_every: 600h0m0s leaves no room"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse("trust.yaml", []byte(tt.text))
			if tt.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fault) {
					t.Fatalf("error %v, want %q", err, tt.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Keys); diff != "" {
				t.Error(diff)
			}
		})
	}
	if Empty().Keys != defaultKeys() {
		t.Error("a file that says nothing rotates otherwise than none")
	}
}
