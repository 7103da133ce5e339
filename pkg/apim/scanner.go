package apim

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// scanner reads the subset of XML that policies use: elements, attributes,
// text, comments, CDATA and the five named entities. Declarations of document
// types and processing instructions are refused, so there is nothing to expand.
type scanner struct {
	text      string
	format    Format
	at        int
	line      int
	lineStart int
}

func (s *scanner) position() Position { return Position{s.line, s.at - s.lineStart + 1} }

func (s *scanner) fault(format string, args ...any) *SyntaxError {
	return &SyntaxError{s.position(), fmt.Sprintf(format, args...)}
}

// skip moves on by n bytes and counts the lines in them.
func (s *scanner) skip(n int) {
	passed := s.text[s.at : s.at+n]
	if lines := strings.Count(passed, "\n"); lines > 0 {
		s.line += lines
		s.lineStart = s.at + strings.LastIndexByte(passed, '\n') + 1
	}
	s.at += n
}

func (s *scanner) rest() string            { return s.text[s.at:] }
func (s *scanner) sees(prefix string) bool { return strings.HasPrefix(s.rest(), prefix) }

func (s *scanner) space() bool {
	n := len(s.rest()) - len(strings.TrimLeft(s.rest(), " \t\r\n"))
	s.skip(n)
	return n > 0
}

// document reads the one root element and what may surround it.
func (s *scanner) document() (Element, *SyntaxError) {
	if s.sees("<?xml") {
		end := strings.Index(s.rest(), "?>")
		if end < 0 {
			return Element{}, s.fault("the XML declaration does not end")
		}
		s.skip(end + 2)
	}
	if err := s.blank(); err != nil {
		return Element{}, err
	}
	if !s.sees("<") {
		return Element{}, s.fault("the document does not start with an element")
	}
	root, err := s.element(0)
	if err != nil {
		return Element{}, err
	}
	if err := s.blank(); err != nil {
		return Element{}, err
	}
	if s.at < len(s.text) {
		return Element{}, s.fault("only one root element is allowed")
	}
	return root, nil
}

// blank skips white space and comments.
func (s *scanner) blank() *SyntaxError {
	for s.space(); s.sees("<!--"); s.space() {
		if err := s.comment(); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) comment() *SyntaxError {
	end := strings.Index(s.rest()[4:], "-->")
	if end < 0 {
		return s.fault("the comment does not end")
	}
	s.skip(end + 7)
	return nil
}

func (s *scanner) name() (string, *SyntaxError) {
	n := 0
	for n < len(s.rest()) && nameByte(s.rest()[n], n == 0) {
		n++
	}
	if n == 0 {
		return "", s.fault("a name is expected here")
	}
	name := s.rest()[:n]
	s.skip(n)
	return name, nil
}

func nameByte(c byte, first bool) bool {
	letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
	return letter || !first && (c == '-' || c == '.' || c == ':' || '0' <= c && c <= '9')
}

// element reads an element that starts here.
func (s *scanner) element(depth int) (Element, *SyntaxError) {
	e := Element{Position: s.position()}
	if depth > maxDepth {
		return e, s.fault("elements are nested deeper than %d", maxDepth)
	}
	if s.sees("<!") || s.sees("<?") {
		return e, s.fault("document type declarations and processing instructions are not allowed")
	}
	s.skip(1)
	var err *SyntaxError
	if e.Name, err = s.name(); err != nil {
		return e, err
	}
	for {
		spaced := s.space()
		switch {
		case s.sees("/>"):
			s.skip(2)
			return e, nil
		case s.sees(">"):
			s.skip(1)
			return e, s.content(&e, depth)
		case s.at == len(s.text):
			return e, s.fault("<%s> does not end", e.Name)
		case !spaced:
			return e, s.fault("white space is expected here")
		}
		a, err := s.attribute()
		if err != nil {
			return e, err
		}
		if _, twice := e.Attribute(a.Name); twice {
			return e, &SyntaxError{a.Position, fmt.Sprintf("the attribute %s appears twice", a.Name)}
		}
		e.Attributes = append(e.Attributes, a)
	}
}

// attribute reads name="value".
func (s *scanner) attribute() (Attribute, *SyntaxError) {
	a := Attribute{Position: s.position()}
	var err *SyntaxError
	if a.Name, err = s.name(); err != nil {
		return a, err
	}
	s.space()
	if !s.sees("=") {
		return a, s.fault("the attribute %s has no value", a.Name)
	}
	s.skip(1)
	s.space()
	if !s.sees(`"`) && !s.sees(`'`) {
		return a, s.fault("the value of the attribute %s is not quoted", a.Name)
	}
	quote := s.rest()[:1]
	s.skip(1)
	a.ValueAt = s.position()
	if s.format == FormatRawXML && IsExpression(s.rest()) {
		a.Value, err = s.expression()
		if err != nil {
			return a, err
		}
		s.space()
		if !s.sees(quote) {
			return a, s.fault("the quote that closes the attribute %s is expected behind its expression", a.Name)
		}
		s.skip(1)
		return a, nil
	}
	end := strings.Index(s.rest(), quote)
	if end < 0 {
		return a, s.fault("the value of the attribute %s does not end", a.Name)
	}
	if a.Value, err = s.literal(end); err == nil {
		s.skip(1)
	}
	return a, err
}

// expression reads an unescaped expression with the white space before it.
func (s *scanner) expression() (string, *SyntaxError) {
	lead := strings.IndexByte(s.rest(), '@')
	end := expressionEnd(s.rest()[lead:])
	if end < 0 {
		return "", s.fault("the policy expression does not end: a bracket or quote in it is not closed")
	}
	text := s.rest()[:lead+end]
	s.skip(lead + end)
	return text, nil
}

// literal reads n bytes of text, decodes entities in it, and makes sure that
// an expression in it is whole.
func (s *scanner) literal(n int) (string, *SyntaxError) {
	start := s.position()
	source := s.rest()[:n]
	if at := strings.IndexByte(source, '<'); at >= 0 {
		s.skip(at)
		return "", s.fault("< is not allowed here: write &lt;")
	}
	var text strings.Builder
	for {
		at := strings.IndexByte(source, '&')
		if at < 0 {
			break
		}
		text.WriteString(source[:at])
		s.skip(at)
		decoded, length := entity(source[at:])
		if length == 0 {
			return "", s.fault("& does not start an entity: write &amp;")
		}
		text.WriteString(decoded)
		s.skip(length)
		source = source[at+length:]
	}
	text.WriteString(source)
	s.skip(len(source))
	if value := strings.TrimSpace(text.String()); IsExpression(value) && expressionEnd(value) != len(value) {
		return "", &SyntaxError{start, "the policy expression does not fill the value: a bracket or quote in it is not closed, or text follows it"}
	}
	return text.String(), nil
}

// entity decodes the entity that s starts with and returns its length, 0 for none.
func entity(s string) (string, int) {
	end := strings.IndexByte(s[:min(len(s), 12)], ';')
	if end < 0 {
		return "", 0
	}
	name := s[1:end]
	if named, ok := map[string]string{"lt": "<", "gt": ">", "amp": "&", "quot": `"`, "apos": "'"}[name]; ok {
		return named, end + 1
	}
	base := 10
	digits, numeric := strings.CutPrefix(name, "#")
	if hexadecimal, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hexadecimal, 16
	}
	code, err := strconv.ParseUint(digits, base, 21)
	r := rune(code)
	if !numeric || err != nil || !utf8.ValidRune(r) || r < 0x20 && r != '\t' && r != '\n' && r != '\r' {
		return "", 0
	}
	return string(r), end + 1
}

// content reads what stands between an element's tags, the end tag included.
func (s *scanner) content(e *Element, depth int) *SyntaxError {
	e.TextAt = s.position()
	var text strings.Builder
	for {
		switch {
		case s.at == len(s.text):
			return s.fault("<%s> on line %d is not closed", e.Name, e.Line)
		case s.sees("</"):
			e.Text = text.String()
			return s.endTag(e)
		case s.sees("<!--"):
			if err := s.comment(); err != nil {
				return err
			}
		case s.sees("<![CDATA["):
			end := strings.Index(s.rest(), "]]>")
			if end < 0 {
				return s.fault("the CDATA section does not end")
			}
			text.WriteString(s.rest()[len("<![CDATA["):end])
			s.skip(end + 3)
		case s.sees("<"):
			child, err := s.element(depth + 1)
			if err != nil {
				return err
			}
			e.Children = append(e.Children, child)
		case s.format == FormatRawXML && strings.TrimSpace(text.String()) == "" && IsExpression(s.rest()):
			expression, err := s.expression()
			if err != nil {
				return err
			}
			text.WriteString(expression)
		default:
			end := strings.IndexByte(s.rest(), '<')
			if end < 0 {
				end = len(s.rest())
			}
			piece, err := s.literal(end)
			if err != nil {
				return err
			}
			text.WriteString(piece)
		}
	}
}

func (s *scanner) endTag(e *Element) *SyntaxError {
	at := s.position()
	s.skip(2)
	name, err := s.name()
	if err != nil {
		return err
	}
	if name != e.Name {
		return &SyntaxError{at, fmt.Sprintf("</%s> does not close <%s> of line %d", name, e.Name, e.Line)}
	}
	s.space()
	if !s.sees(">") {
		return s.fault("> is expected here")
	}
	s.skip(1)
	return nil
}
