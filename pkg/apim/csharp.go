package apim

import "strings"

// expressionEnd returns the offset just behind the policy expression that
// starts at s[0] (an @ before a bracket), or -1 when it does not end. Brackets
// within strings, characters and comments do not count. The nesting of
// interpolated strings is bounded by maxDepth.
func expressionEnd(s string) int {
	if len(s) < 2 || s[0] != '@' || (s[1] != '(' && s[1] != '{') {
		return -1
	}
	return bracketEnd(s, 1, 0)
}

// bracketEnd returns the offset behind the bracket that closes s[at].
func bracketEnd(s string, at, depth int) int {
	if depth > maxDepth {
		return -1
	}
	var open []byte
	for i := at; i < len(s); {
		switch c := s[i]; {
		case c == '(' || c == '[' || c == '{':
			open = append(open, closing(c))
			i++
		case c == ')' || c == ']' || c == '}':
			if len(open) == 0 || open[len(open)-1] != c {
				return -1
			}
			open = open[:len(open)-1]
			i++
			if len(open) == 0 {
				return i
			}
		default:
			next := lexemeEnd(s, i, depth)
			if next < 0 {
				return -1
			}
			i = next
		}
	}
	return -1
}

func closing(c byte) byte {
	switch c {
	case '(':
		return ')'
	case '[':
		return ']'
	}
	return '}'
}

// lexemeEnd skips one string, character or comment that starts at s[i], or one byte.
func lexemeEnd(s string, i, depth int) int {
	rest := s[i:]
	switch {
	case strings.HasPrefix(rest, "//"):
		if n := strings.IndexByte(rest, '\n'); n >= 0 {
			return i + n
		}
		return -1
	case strings.HasPrefix(rest, "/*"):
		if n := strings.Index(rest[2:], "*/"); n >= 0 {
			return i + n + 4
		}
		return -1
	case strings.HasPrefix(rest, `$@"`), strings.HasPrefix(rest, `@$"`):
		return stringEnd(s, i+3, true, true, depth)
	case strings.HasPrefix(rest, `$"`):
		return stringEnd(s, i+2, false, true, depth)
	case strings.HasPrefix(rest, `@"`):
		return stringEnd(s, i+2, true, false, depth)
	case s[i] == '"':
		return stringEnd(s, i+1, false, false, depth)
	case s[i] == '\'':
		return characterEnd(s, i+1)
	}
	return i + 1
}

// stringEnd returns the offset behind the string whose text starts at s[i].
// Verbatim strings double their quotes, others escape them; interpolated ones
// hold expressions in braces, themselves with strings.
func stringEnd(s string, i int, verbatim, interpolated bool, depth int) int {
	for i < len(s) {
		switch c := s[i]; {
		case c == '"' && verbatim && strings.HasPrefix(s[i:], `""`):
			i += 2
		case c == '"':
			return i + 1
		case c == '\\' && !verbatim:
			i += 2
		case c == '\n' && !verbatim:
			return -1
		case c == '{' && interpolated && strings.HasPrefix(s[i:], "{{"):
			i += 2
		case c == '{' && interpolated:
			if i = bracketEnd(s, i, depth+1); i < 0 {
				return -1
			}
		default:
			i++
		}
	}
	return -1
}

// characterEnd returns the offset behind the character literal whose text starts at s[i].
func characterEnd(s string, i int) int {
	for i < len(s) && s[i] != '\n' {
		switch s[i] {
		case '\\':
			i += 2
		case '\'':
			return i + 1
		default:
			i++
		}
	}
	return -1
}
