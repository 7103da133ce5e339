package apim

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// namedValueForm is {{name}}: letters, digits, dots, hyphens and underscores.
var namedValueForm = regexp.MustCompile(`\{\{[A-Za-z0-9._-]+\}\}`)

// Substitute replaces {{name}} by the value of that name, everywhere in a
// document, before anything in it is interpreted. A value may hold an
// expression but no further named value. Names without a value are an error
// that lists them all.
func Substitute(data []byte, values map[string]string) ([]byte, error) {
	var unknown []string
	out := namedValueForm.ReplaceAllFunc(data, func(match []byte) []byte {
		name := string(match[2 : len(match)-2])
		value, ok := values[name]
		if !ok && !slices.Contains(unknown, name) {
			unknown = append(unknown, name)
		}
		return []byte(value)
	})
	if len(unknown) > 0 {
		return nil, fmt.Errorf("named values without a value: %s", strings.Join(unknown, ", "))
	}
	return out, nil
}
