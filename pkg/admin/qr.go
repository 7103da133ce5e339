package admin

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// quietZone is how many modules of white a reader needs around a QR code
// (ISO/IEC 18004 section 9.1).
const quietZone = 4

// picture is a QR code as a path in a square of Size modules.
type picture struct {
	Size int
	Path string
}

// pictured draws a text as a QR code, to be taken to a phone without being sent
// to anybody. A text that is too long has no picture.
func pictured(text string) *picture {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil
	}
	var path strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			from := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from+quietZone, y+quietZone, x-from, x-from)
			}
		}
	}
	return &picture{code.Size + 2*quietZone, path.String()}
}
