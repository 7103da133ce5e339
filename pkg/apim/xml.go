package apim

import (
	"bytes"
	"strings"
)

// writer writes indented XML that reads the same as xml and as rawxml: values
// with double quotes stand in single quotes, so expressions need no escaping
// as long as they hold no &, < and '.
type writer struct {
	bytes.Buffer
	depth int
}

// open writes a start tag; attributes come in pairs.
func (w *writer) open(name string, attrs ...string) { w.tag(name, ">", attrs...); w.depth++ }

func (w *writer) close(name string) {
	w.depth--
	w.line("</" + name + ">")
}

func (w *writer) empty(name string, attrs ...string) { w.tag(name, " />", attrs...) }

// text writes an element that holds nothing but text.
func (w *writer) text(name, content string) {
	w.line("<" + name + ">" + escape(content) + "</" + name + ">")
}

// list writes an element with one text element per value.
func (w *writer) list(outer, inner string, values []string, attrs ...string) {
	w.open(outer, attrs...)
	for _, v := range values {
		w.text(inner, v)
	}
	w.close(outer)
}

// comment writes a comment; hyphens that would end it are taken apart.
func (w *writer) comment(text string) {
	for strings.Contains(text, "--") {
		text = strings.ReplaceAll(text, "--", "- -")
	}
	w.line("<!-- " + strings.TrimRight(text, "-") + " -->")
}

func (w *writer) tag(name, closing string, attrs ...string) {
	var b strings.Builder
	b.WriteString("<" + name)
	for i := 0; i+1 < len(attrs); i += 2 {
		quote, value := `"`, escape(attrs[i+1])
		if strings.Contains(value, `"`) {
			quote, value = `'`, strings.ReplaceAll(value, "'", "&apos;")
		}
		b.WriteString(" " + attrs[i] + "=" + quote + value + quote)
	}
	w.line(b.String() + closing)
}

func (w *writer) line(text string) {
	w.WriteString(strings.Repeat("    ", w.depth) + text + "\n")
}

// escape writes what XML reserves in text and in attributes, quotes excepted. A
// bare > is allowed except where it would end a CDATA section.
func escape(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", "]]>", "]]&gt;", "\n", "&#xA;").Replace(text)
}
