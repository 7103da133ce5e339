package expr

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// plain reads a literal with backslash escapes up to its closing quote.
func (l *lexer) plain(quote byte) string {
	start := l.pos
	var units []uint16
	for {
		if l.pos >= len(l.src) || l.src[l.pos] == '\n' {
			l.fail(start-1, "literal is not closed")
		}
		switch c := l.src[l.pos]; c {
		case quote:
			l.pos++
			return fromUnits(units)
		case '\\':
			units = l.escape(units)
		default:
			units = l.character(units)
		}
	}
}

func (l *lexer) character(units []uint16) []uint16 {
	r, size := utf8.DecodeRuneInString(l.src[l.pos:])
	l.pos += size
	return utf16.AppendRune(units, r)
}

var simpleEscapes = map[byte]uint16{
	'\'': '\'', '"': '"', '\\': '\\', '0': 0, 'a': 7, 'b': 8, 'f': 12, 'n': 10, 'r': 13, 't': 9, 'v': 11,
}

func (l *lexer) escape(units []uint16) []uint16 {
	start := l.pos
	l.pos++
	if l.pos >= len(l.src) {
		l.fail(start, "literal is not closed")
	}
	c := l.src[l.pos]
	l.pos++
	if unit, ok := simpleEscapes[c]; ok {
		return append(units, unit)
	}
	least, most := 4, 4
	switch c {
	case 'u':
	case 'U':
		least, most = 8, 8
	case 'x':
		least = 1
	default:
		l.fail(start, "unrecognized escape sequence")
	}
	digits := 0
	for digits < most && l.pos+digits < len(l.src) && strings.IndexByte("0123456789abcdefABCDEF", l.src[l.pos+digits]) >= 0 {
		digits++
	}
	n, err := strconv.ParseUint(l.src[l.pos:l.pos+digits], 16, 32)
	if digits < least || err != nil || n > 0x10ffff {
		l.fail(start, "unrecognized escape sequence")
	}
	l.pos += digits
	if n < 0x10000 {
		return append(units, uint16(n))
	}
	return utf16.AppendRune(units, rune(n))
}

// verbatim reads a literal in which only a doubled quote is special.
func (l *lexer) verbatim() string {
	start := l.pos
	var b strings.Builder
	for {
		end := strings.IndexByte(l.src[l.pos:], '"')
		if end < 0 {
			l.fail(start-2, "literal is not closed")
		}
		b.WriteString(l.src[l.pos : l.pos+end])
		l.pos += end + 1
		if !strings.HasPrefix(l.src[l.pos:], `"`) {
			return b.String()
		}
		b.WriteByte('"')
		l.pos++
	}
}

// interpolated reads the rest of $"…{hole}…".
func (l *lexer) interpolated(verbatim bool) []textPart {
	start := l.pos
	var parts []textPart
	var units []uint16
	flush := func() {
		if len(units) > 0 {
			parts = append(parts, textPart{text: fromUnits(units)})
			units = nil
		}
	}
	for {
		if l.pos >= len(l.src) || !verbatim && l.src[l.pos] == '\n' {
			l.fail(start-2, "literal is not closed")
		}
		rest := l.src[l.pos:]
		switch {
		case verbatim && strings.HasPrefix(rest, `""`), strings.HasPrefix(rest, "{{"), strings.HasPrefix(rest, "}}"):
			units = append(units, uint16(rest[0]))
			l.pos += 2
		case rest[0] == '"':
			l.pos++
			flush()
			return parts
		case rest[0] == '\\' && !verbatim:
			units = l.escape(units)
		case rest[0] == '{':
			flush()
			l.pos++
			parts = append(parts, l.hole())
		case rest[0] == '}':
			l.fail(l.pos, "a closing brace in an interpolated string is written }}")
		default:
			units = l.character(units)
		}
	}
}

// hole reads the tokens of "expression[,alignment][:format]}".
func (l *lexer) hole() textPart {
	part := textPart{pos: l.pos, isHole: true}
	depth := 0
	for {
		t := l.next()
		if t.kind == tokenEOF {
			l.fail(part.pos-1, "the hole of an interpolated string is not closed")
		}
		if t.kind == tokenPunct {
			switch t.text {
			case "(", "[", "{":
				depth++
			case ")", "]":
				depth--
			case "}":
				if depth == 0 {
					return part
				}
				depth--
			case ",":
				if depth == 0 && !part.aligned {
					part.aligned = true
					continue
				}
			case ":":
				if depth == 0 {
					end := strings.IndexByte(l.src[l.pos:], '}')
					if end < 0 {
						l.fail(part.pos-1, "the hole of an interpolated string is not closed")
					}
					part.format = l.src[l.pos : l.pos+end]
					l.pos += end + 1
					return part
				}
			}
		}
		if part.aligned {
			part.alignment = append(part.alignment, t)
		} else {
			part.hole = append(part.hole, t)
		}
	}
}
