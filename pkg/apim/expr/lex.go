package expr

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

type tokenKind int

const (
	tokenEOF tokenKind = iota
	tokenName
	tokenValue // a literal: its value is in token.value
	tokenText  // an interpolated string: its parts are in token.parts
	tokenPunct
)

type token struct {
	kind  tokenKind
	pos   int    // byte offset in the source
	end   int    // byte offset after the token
	text  string // a name, or a punctuator
	value Value
	parts []textPart
}

// textPart is a piece of an interpolated string: plain text, or a hole with
// the tokens of its expression, of its alignment, and its format.
type textPart struct {
	text            string
	hole            []token
	alignment       []token
	format          string
	pos             int
	isHole, aligned bool
}

// maxSource bounds a source, in bytes: API Management refuses longer policies.
const maxSource = 256 << 10

// lexer turns C# source into tokens. It fails by panicking with *Error, which
// Compile recovers, as go/parser does.
type lexer struct {
	src string
	pos int
}

func fail(src string, pos int, msg string) {
	pos = min(pos, len(src))
	before := src[:pos]
	line := strings.Count(before, "\n") + 1
	start := strings.LastIndexByte(before, '\n') + 1
	panic(&Error{Line: line, Column: utf8.RuneCountInString(before[start:]) + 1, Msg: msg})
}

func (l *lexer) fail(pos int, msg string) { fail(l.src, pos, msg) }

// all returns the tokens up to the end of the source.
func (l *lexer) all() []token {
	var out []token
	for {
		t := l.next()
		out = append(out, t)
		if t.kind == tokenEOF {
			return out
		}
	}
}

// punctuators, longest first. ">>" is left to the parser, because of generics.
var punctuators = []string{
	"<<=", "??", "?.", "=>", "==", "!=", "<=", ">=", "&&", "||", "++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<",
	"(", ")", "[", "]", "{", "}", ",", ";", ":", "?", ".", "+", "-", "*", "/", "%", "<", ">", "=", "!", "~", "&", "|", "^",
}

func (l *lexer) next() token {
	l.skipSpace()
	start := l.pos
	rest := l.src[l.pos:]
	if rest == "" {
		return token{kind: tokenEOF, pos: start, end: start}
	}
	c := rest[0]
	switch {
	case c == '"':
		l.pos++
		return l.finish(token{kind: tokenValue, pos: start, value: l.plain('"')})
	case strings.HasPrefix(rest, `@"`):
		l.pos += 2
		return l.finish(token{kind: tokenValue, pos: start, value: l.verbatim()})
	case strings.HasPrefix(rest, `$"`):
		l.pos += 2
		return l.finish(token{kind: tokenText, pos: start, parts: l.interpolated(false)})
	case strings.HasPrefix(rest, `$@"`), strings.HasPrefix(rest, `@$"`):
		l.pos += 3
		return l.finish(token{kind: tokenText, pos: start, parts: l.interpolated(true)})
	case c == '\'':
		l.pos++
		units := utf16.Encode([]rune(l.plain('\'')))
		if len(units) != 1 {
			l.fail(start, "a character literal holds exactly one character")
		}
		return l.finish(token{kind: tokenValue, pos: start, value: Char(units[0])})
	case c >= '0' && c <= '9', c == '.' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9':
		return l.finish(token{kind: tokenValue, pos: start, value: l.number()})
	}
	if c == '@' {
		l.pos++
	}
	if name := l.name(); name != "" {
		return l.finish(token{kind: tokenName, pos: start, text: name})
	}
	l.pos = start
	for _, p := range punctuators {
		if strings.HasPrefix(rest, p) {
			if p == "?." && len(rest) > 2 && rest[2] >= '0' && rest[2] <= '9' {
				p = "?" // a conditional with a number such as .5
			}
			l.pos += len(p)
			return l.finish(token{kind: tokenPunct, pos: start, text: p})
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	l.fail(start, "unexpected character "+strconv.QuoteRune(r))
	return token{}
}

func (l *lexer) finish(t token) token {
	t.end = l.pos
	return t
}

func (l *lexer) skipSpace() {
	for l.pos < len(l.src) {
		rest := l.src[l.pos:]
		switch {
		case strings.HasPrefix(rest, "//"):
			if end := strings.IndexByte(rest, '\n'); end >= 0 {
				l.pos += end
			} else {
				l.pos = len(l.src)
			}
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				l.fail(l.pos, "comment is not closed")
			}
			l.pos += end + 4
		default:
			r, size := utf8.DecodeRuneInString(rest)
			if !unicode.IsSpace(r) && r != '\ufeff' {
				return
			}
			l.pos += size
		}
	}
}

func (l *lexer) name() string {
	start := l.pos
	for l.pos < len(l.src) {
		r, size := utf8.DecodeRuneInString(l.src[l.pos:])
		if r != '_' && !unicode.IsLetter(r) && (l.pos == start || !unicode.IsDigit(r)) {
			break
		}
		l.pos += size
	}
	return l.src[start:l.pos]
}

func (l *lexer) number() Value {
	start := l.pos
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		exponent := (c == '+' || c == '-') && (l.src[l.pos-1]|0x20) == 'e' && !strings.HasPrefix(l.src[start:], "0x")
		member := c == '.' && (l.pos+1 >= len(l.src) || l.src[l.pos+1] < '0' || l.src[l.pos+1] > '9')
		if member || !exponent && c != '.' && c != '_' && !isAlphanumeric(c) {
			break
		}
		l.pos++
	}
	digits := strings.ToLower(strings.ReplaceAll(l.src[start:l.pos], "_", ""))
	if hex, ok := strings.CutPrefix(digits, "0x"); ok {
		return l.integer(start, strings.TrimSuffix(hex, "l"), 16, strings.HasSuffix(hex, "l"))
	}
	if bits, ok := strings.CutPrefix(digits, "0b"); ok {
		return l.integer(start, strings.TrimSuffix(bits, "l"), 2, strings.HasSuffix(bits, "l"))
	}
	switch last := digits[len(digits)-1]; {
	case last == 'l':
		return l.integer(start, digits[:len(digits)-1], 10, true)
	case last == 'm' || last == 'f' || last == 'u':
		l.fail(start, "the number type of suffix '"+string(last)+"' "+notImplemented)
	case last == 'd' || strings.ContainsAny(digits, ".e"):
		f, err := strconv.ParseFloat(strings.TrimSuffix(digits, "d"), 64)
		if err != nil {
			l.fail(start, "malformed number")
		}
		return f
	}
	return l.integer(start, digits, 10, false)
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

func (l *lexer) integer(start int, digits string, base int, long bool) Value {
	n, err := strconv.ParseInt(digits, base, 64)
	if err != nil {
		l.fail(start, "malformed number, or a number beyond long")
	}
	if long || n != int64(int32(n)) {
		return n
	}
	return int32(n)
}
