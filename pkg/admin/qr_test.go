package admin

import (
	"fmt"
	"strings"
	"testing"
)

// TestPictured reads the drawing back: it has the three finder patterns where a
// reader looks for them, white around, and nothing outside.
func TestPictured(t *testing.T) {
	p := pictured("https://login.example/enrol#d_zQ7YtIq_yG2z8L4u84KlUBSDOUrf9hVPllzcRscgA")
	if p == nil {
		t.Fatal("no picture")
	}
	black := map[[2]int]bool{}
	for run := range strings.SplitSeq(strings.TrimPrefix(p.Path, "M"), "M") {
		var x, y, width, back int
		if _, err := fmt.Sscanf(run, "%d %dh%dv1h-%dz", &x, &y, &width, &back); err != nil || back != width {
			t.Fatalf("run %q: %v", run, err)
		}
		for i := range width {
			black[[2]int{x + i, y}] = true
		}
	}
	for at := range black {
		if min(at[0], at[1]) < quietZone || max(at[0], at[1]) >= p.Size-quietZone {
			t.Errorf("%v is in the quiet zone", at)
		}
	}
	far := p.Size - quietZone - 7
	for _, corner := range [][2]int{{quietZone, quietZone}, {far, quietZone}, {quietZone, far}} {
		for dy := range 7 {
			for dx := range 7 {
				ring := max(max(dx, 6-dx), max(dy, 6-dy)) // 6 outside, 3 in the middle
				if got, want := black[[2]int{corner[0] + dx, corner[1] + dy}], ring != 5; got != want {
					t.Errorf("finder pattern at %v: module %d,%d is %v", corner, dx, dy, got)
				}
			}
		}
	}
	if pictured(strings.Repeat("x", 4000)) != nil {
		t.Error("a text that does not fit has a picture")
	}
}
