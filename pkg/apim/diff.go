package apim

import (
	"fmt"
	"slices"
	"strings"
)

// Difference is one place where a document departs from what was meant.
type Difference struct {
	// Line and Column are the place in the document; 0 for what it lacks as a whole.
	Line, Column int
	// Path names the place: inbound/validate-jwt[1]/audiences[1].
	Path string
	// Message says what differs.
	Message string
}

// String returns "line 3: inbound/…: …".
func (d Difference) String() string {
	if d.Line == 0 {
		return d.Path + ": " + d.Message
	}
	return fmt.Sprintf("line %d: %s: %s", d.Line, d.Path, d.Message)
}

// Diff compares what is deployed with what was meant. White space, comments,
// the order of attributes and how expressions are escaped mean nothing.
func Diff(deployed, meant *Document) []Difference {
	var c comparison
	if (deployed.Fragment == nil) != (meant.Fragment == nil) {
		return []Difference{{Path: "document", Message: "one is a fragment, the other is not"}}
	}
	c.lists("fragment", Position{}, deployed.Fragment, meant.Fragment)
	for _, s := range Sections() {
		d, m := deployed.Section(s), meant.Section(s)
		if (d == nil) != (m == nil) {
			what := "the section is missing, so the wider scope's stays in force"
			if m == nil {
				what = "the section is not meant to be here"
			}
			c = append(c, Difference{Path: string(s), Message: what})
			continue
		}
		c.lists(string(s), Position{}, d, m)
	}
	return c
}

type comparison []Difference

func (c *comparison) add(at Position, path, format string, args ...any) {
	*c = append(*c, Difference{at.Line, at.Column, path, fmt.Sprintf(format, args...)})
}

// lists pairs elements of two lists: those of one name in their order, so that
// one policy too many is one difference and not one for each that follows.
func (c *comparison) lists(path string, at Position, deployed, meant []Element) {
	pairs := pair(deployed, meant)
	count := map[string]int{}
	for _, p := range pairs {
		switch {
		case p.deployed == nil:
			c.add(at, path, "%s is missing", describe(*p.meant))
		case p.meant == nil:
			c.add(p.deployed.Position, path, "%s is not meant to be here", describe(*p.deployed))
		default:
			count[p.meant.Name]++
			c.elements(fmt.Sprintf("%s/%s[%d]", path, p.meant.Name, count[p.meant.Name]), *p.deployed, *p.meant)
		}
	}
}

// describe names an element by what tells it apart.
func describe(e Element) string {
	text := "<" + e.Name
	for _, name := range []string{"id", "name", "condition", "url", "fragment-id"} {
		if v, ok := e.Attribute(name); ok {
			return text + " " + name + "=" + fmt.Sprintf("%q", v.Value) + ">"
		}
	}
	if v := strings.TrimSpace(e.Text); v != "" && len(e.Children) == 0 {
		return text + "> " + fmt.Sprintf("%q", v)
	}
	return text + ">"
}

func (c *comparison) elements(path string, deployed, meant Element) {
	for _, a := range meant.Attributes {
		found, ok := deployed.Attribute(a.Name)
		switch {
		case !ok:
			c.add(deployed.Position, path, "%s is missing, meant is %q", a.Name, a.Value)
		case normal(found.Value) != normal(a.Value):
			c.add(found.ValueAt, path, "%s is %q, meant is %q", a.Name, found.Value, a.Value)
		}
	}
	for _, a := range deployed.Attributes {
		if _, ok := meant.Attribute(a.Name); !ok {
			c.add(a.Position, path, "%s=%q is not meant", a.Name, a.Value)
		}
	}
	if normal(deployed.Text) != normal(meant.Text) {
		c.add(deployed.TextAt, path, "the text is %q, meant is %q", strings.TrimSpace(deployed.Text), strings.TrimSpace(meant.Text))
	}
	c.lists(path, deployed.Position, deployed.Children, meant.Children)
}

// normal takes out what means nothing at the ends of a text.
func normal(text string) string { return strings.TrimSpace(text) }

type pairing struct{ deployed, meant *Element }

// pair aligns two lists by their longest common subsequence of names and ids.
func pair(deployed, meant []Element) []pairing {
	same := func(a, b Element) bool {
		return a.Name == b.Name && a.Value("id") == b.Value("id") && a.Value("name") == b.Value("name") && (len(a.Children)+len(b.Children) > 0 || a.Text == "" || normal(a.Text) == normal(b.Text))
	}
	length := make([][]int, len(deployed)+1)
	for i := range length {
		length[i] = make([]int, len(meant)+1)
	}
	for i := len(deployed) - 1; i >= 0; i-- {
		for j := len(meant) - 1; j >= 0; j-- {
			if same(deployed[i], meant[j]) {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	var out []pairing
	i, j := 0, 0
	for i < len(deployed) || j < len(meant) {
		switch {
		case i < len(deployed) && j < len(meant) && same(deployed[i], meant[j]):
			out = append(out, pairing{&deployed[i], &meant[j]})
			i, j = i+1, j+1
		case j == len(meant) || i < len(deployed) && length[i+1][j] >= length[i][j+1]:
			out = append(out, pairing{deployed: &deployed[i]})
			i++
		default:
			out = append(out, pairing{meant: &meant[j]})
			j++
		}
	}
	return merge(out)
}

// merge joins a removal and an addition of the same name with no unchanged
// element between them: that is one element that was changed.
func merge(pairs []pairing) []pairing {
	var out []pairing
	for start := 0; start < len(pairs); {
		if pairs[start].deployed != nil && pairs[start].meant != nil {
			out = append(out, pairs[start])
			start++
			continue
		}
		end := start
		for end < len(pairs) && (pairs[end].deployed == nil || pairs[end].meant == nil) {
			end++
		}
		out = append(out, changed(slices.Clone(pairs[start:end]))...)
		start = end
	}
	return out
}

// changed pairs removals with additions of their names.
func changed(run []pairing) []pairing {
	for i := 0; i < len(run); i++ {
		if run[i].deployed == nil || run[i].meant != nil {
			continue
		}
		j := slices.IndexFunc(run, func(p pairing) bool { return p.deployed == nil && p.meant.Name == run[i].deployed.Name })
		if j < 0 {
			continue
		}
		run[i].meant = run[j].meant
		run = slices.Delete(run, j, j+1)
		if j < i {
			i--
		}
	}
	return run
}
