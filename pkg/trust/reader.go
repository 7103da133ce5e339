package trust

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"go.yaml.in/yaml/v3"
)

// reader walks the YAML nodes and collects faults, each with its line and key.
type reader struct {
	name      string
	faults    []error
	levelUses []use
}

// use is a mention of a level, resolved once all levels are known.
type use struct {
	node *yaml.Node
	at   string
	name string
}

// fault notes what is wrong at a node.
func (r *reader) fault(n *yaml.Node, at, format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf("%s:%d: %s: %s", r.name, n.Line, strings.TrimPrefix(at, "."), fmt.Sprintf(format, args...)))
}

// mapping reads the keys of a mapping, each once, each known, and the required ones present.
func (r *reader) mapping(n *yaml.Node, at string, keys map[string]func(*yaml.Node, string), required ...string) {
	if n.Kind != yaml.MappingNode {
		r.fault(n, at, "want keys and values")
		return
	}
	known := make([]string, 0, len(keys))
	for k := range keys {
		known = append(known, k)
	}
	sort.Strings(known)
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		path := at + "." + key.Value
		read, ok := keys[key.Value]
		switch {
		case !ok:
			r.fault(key, path, "unknown key%s", suggestion(key.Value, known))
		case seen[key.Value]:
			r.fault(key, path, "given twice")
		default:
			read(value, path)
		}
		seen[key.Value] = true
	}
	for _, k := range required {
		if !seen[k] {
			r.fault(n, at+"."+k, "is required")
		}
	}
}

// each reads the items of a list.
func (r *reader) each(n *yaml.Node, at string, item func(*yaml.Node, string)) {
	if n.Kind != yaml.SequenceNode {
		r.fault(n, at, "want a list")
		return
	}
	for i, child := range n.Content {
		item(child, fmt.Sprintf("%s[%d]", at, i))
	}
}

// text reads one text that the check accepts. A check returns what is wrong, or "".
func (r *reader) text(into *string, check func(string) string) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
			r.fault(n, at, "want a text")
			return
		}
		if wrong := check(n.Value); wrong != "" {
			r.fault(n, at, "%q %s", n.Value, wrong)
			return
		}
		*into = n.Value
	}
}

// texts reads a list of texts without repetition; it replaces a default.
func (r *reader) texts(into *[]string, check func(string) string) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) {
		*into = nil
		r.each(n, at, func(n *yaml.Node, at string) {
			var text string
			before := len(r.faults)
			r.text(&text, check)(n, at)
			if len(r.faults) > before {
				return
			}
			if slices.Contains(*into, text) {
				r.fault(n, at, "%q is listed twice", text)
				return
			}
			*into = append(*into, text)
		})
	}
}

// duration reads a Go duration such as 5m between two bounds.
func (r *reader) duration(into *time.Duration, least, most time.Duration) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) {
		d, err := time.ParseDuration(n.Value)
		switch {
		case n.Kind != yaml.ScalarNode || err != nil:
			r.fault(n, at, "%q is not a duration such as 5m", n.Value)
		case d < least || d > most:
			r.fault(n, at, "%s is outside %s to %s", d, least, most)
		default:
			*into = d
		}
	}
}

// suggestion offers the nearest known word, when one is near enough to be meant.
func suggestion(word string, known []string) string {
	best, distance := "", len(word)/2+1
	for _, k := range known {
		if d := levenshtein.ComputeDistance(word, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return "; known are " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
