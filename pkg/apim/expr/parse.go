package expr

import (
	"strconv"
	"strings"
	"unicode"
)

// maxSource and maxDepth bound what is compiled: policies are at most 256 KiB,
// and no honest expression nests a hundred deep.
const (
	maxSource = 256 << 10
	maxDepth  = 100
)

// Compile compiles "@(…)". It returns *Error for everything it does not know.
func Compile(source string) (*Program, error) {
	text := strings.TrimSpace(source)
	switch {
	case len(source) > maxSource:
		return nil, &Error{0, "longer than a policy may be"}
	case strings.HasPrefix(text, "@{"):
		return nil, &Error{0, "statement blocks @{…} are not implemented by this gateway; write a single expression @(…)"}
	case !strings.HasPrefix(text, "@(") || !strings.HasSuffix(text, ")"):
		return nil, &Error{0, "an expression is written @(…)"}
	}
	p := &parser{source: text[2 : len(text)-1]}
	p.next()
	root, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if p.token.kind != end {
		return nil, p.fail("unexpected %q", p.token.text)
	}
	return &Program{root}, nil
}

type kind int

const (
	end kind = iota
	identifier
	text
	number
	operator
	broken
)

type token struct {
	kind kind
	text string
	at   int
}

type parser struct {
	source string
	pos    int
	token  token
	depth  int
}

func (p *parser) fail(format string, args ...any) error {
	return &Error{p.token.at + 2, sprintf(format, args...)}
}

// next reads the next token.
func (p *parser) next() {
	for p.pos < len(p.source) && unicode.IsSpace(rune(p.source[p.pos])) {
		p.pos++
	}
	start := p.pos
	if p.pos >= len(p.source) {
		p.token = token{end, "", start}
		return
	}
	c := p.source[p.pos]
	switch {
	case c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		for p.pos < len(p.source) && (p.source[p.pos] == '_' || unicode.IsLetter(rune(p.source[p.pos])) || unicode.IsDigit(rune(p.source[p.pos]))) {
			p.pos++
		}
		p.token = token{identifier, p.source[start:p.pos], start}
	case c >= '0' && c <= '9':
		for p.pos < len(p.source) && p.source[p.pos] >= '0' && p.source[p.pos] <= '9' {
			p.pos++
		}
		p.token = token{number, p.source[start:p.pos], start}
	case c == '"':
		p.literal(start)
	default:
		for _, op := range []string{"==", "!=", "<=", ">=", "&&", "||", "??", "?."} {
			if strings.HasPrefix(p.source[p.pos:], op) {
				p.pos += 2
				p.token = token{operator, op, start}
				return
			}
		}
		p.pos++
		p.token = token{operator, string(c), start}
	}
}

// literal reads a string literal with C#'s simple escapes.
func (p *parser) literal(start int) {
	var b strings.Builder
	for p.pos++; p.pos < len(p.source); p.pos++ {
		switch c := p.source[p.pos]; c {
		case '"':
			p.pos++
			p.token = token{text, b.String(), start}
			return
		case '\\':
			p.pos++
			if p.pos < len(p.source) {
				i := strings.IndexByte(`"\nrt`, p.source[p.pos])
				if i < 0 {
					p.token = token{broken, "escape", start}
					return
				}
				b.WriteByte("\"\\\n\r\t"[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	p.token = token{broken, "string without end", start}
}

func (p *parser) accept(op string) bool {
	if p.token.kind == operator && p.token.text == op {
		p.next()
		return true
	}
	return false
}

func (p *parser) expect(op string) error {
	if !p.accept(op) {
		return p.fail("want %q, found %q", op, p.token.text)
	}
	return nil
}

// binding is how tightly each binary operator holds.
var binding = map[string]int{"??": 2, "||": 3, "&&": 4, "==": 5, "!=": 5, "<": 6, ">": 6, "<=": 6, ">=": 6, "+": 7, "-": 7}

// expression parses operators that hold at least as tightly as least.
func (p *parser) expression(least int) (node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail("nested too deeply")
	}
	defer func() { p.depth-- }()
	left, err := p.unary()
	if err != nil {
		return nil, err
	}
	for p.token.kind == operator {
		op := p.token.text
		if op == "?" && least <= 1 {
			p.next()
			if left, err = p.conditional(left); err != nil {
				return nil, err
			}
			continue
		}
		tight, ok := binding[op]
		if !ok || tight < least {
			break
		}
		p.next()
		next := tight + 1
		if op == "??" {
			next = tight // binds to the right
		}
		right, err := p.expression(next)
		if err != nil {
			return nil, err
		}
		left = binary(op, left, right)
	}
	return left, nil
}

func (p *parser) conditional(test node) (node, error) {
	then, err := p.expression(1)
	if err != nil {
		return nil, err
	}
	if err := p.expect(":"); err != nil {
		return nil, err
	}
	otherwise, err := p.expression(1)
	if err != nil {
		return nil, err
	}
	return func(c *Context) (any, error) {
		yes, err := truth(test, c)
		if err != nil {
			return nil, err
		}
		if yes {
			return then(c)
		}
		return otherwise(c)
	}, nil
}

// casts lists the types one may cast to.
var casts = map[string]bool{"Jwt": true, "string": true, "int": true, "long": true, "bool": true}

func (p *parser) unary() (node, error) {
	if p.accept("!") {
		x, err := p.unary()
		if err != nil {
			return nil, err
		}
		return func(c *Context) (any, error) {
			yes, err := truth(x, c)
			return !yes, err
		}, nil
	}
	if p.token.kind == operator && p.token.text == "(" {
		before := *p
		p.next()
		if name := p.token.text; p.token.kind == identifier && casts[name] {
			p.next()
			if p.accept(")") {
				x, err := p.unary()
				if err != nil {
					return nil, err
				}
				return cast(name, x), nil
			}
		}
		depth := p.depth
		*p = before
		p.depth = depth
	}
	return p.postfix()
}

// postfix parses a primary and the members, indexes and calls after it.
func (p *parser) postfix() (node, error) {
	x, path, err := p.primary()
	if err != nil {
		return nil, err
	}
	for p.token.kind == operator {
		switch {
		case p.token.text == "." || p.token.text == "?.":
			conditional := p.token.text == "?."
			p.next()
			name := p.token
			if name.kind != identifier {
				return nil, p.fail("want a member's name")
			}
			p.next()
			var args []node
			called := p.accept("(")
			if called {
				if args, err = p.arguments(")"); err != nil {
					return nil, err
				}
			}
			if path != "" {
				path += "." + name.text
				if x = static(path, called, args); x == nil {
					if !prefixes[path] || called {
						return nil, &Error{name.at + 2, path + " is not implemented by this gateway"}
					}
					continue
				}
				path = ""
				continue
			}
			key := name.text
			if called {
				key += "()"
			}
			if !members[key] {
				return nil, &Error{name.at + 2, "member " + key + " is not implemented by this gateway"}
			}
			x = member(x, key, args, conditional)
		case p.accept("["):
			args, err := p.arguments("]")
			if err != nil {
				return nil, err
			}
			if len(args) != 1 || x == nil {
				return nil, p.fail("want one index")
			}
			x = index(x, args[0])
		default:
			if path != "" {
				return nil, p.fail("%s is not a value", path)
			}
			return x, nil
		}
	}
	if path != "" {
		return nil, p.fail("%s is not a value", path)
	}
	return x, nil
}

// primary returns a value, or the beginning of a dotted path such as context.
func (p *parser) primary() (node, string, error) {
	t := p.token
	switch t.kind {
	case text:
		p.next()
		return constant(t.text), "", nil
	case number:
		p.next()
		n, err := strconv.ParseInt(t.text, 10, 64)
		if err != nil {
			return nil, "", &Error{t.at + 2, "number out of range"}
		}
		return constant(n), "", nil
	case identifier:
		p.next()
		switch t.text {
		case "true", "false":
			return constant(t.text == "true"), "", nil
		case "null":
			return constant(nil), "", nil
		}
		if !prefixes[t.text] {
			return nil, "", &Error{t.at + 2, t.text + " is not implemented by this gateway"}
		}
		return nil, t.text, nil
	case operator:
		if p.accept("(") {
			x, err := p.expression(0)
			if err != nil {
				return nil, "", err
			}
			return x, "", p.expect(")")
		}
	}
	return nil, "", p.fail("unexpected %q", t.text)
}

func (p *parser) arguments(closing string) ([]node, error) {
	var args []node
	if p.accept(closing) {
		return args, nil
	}
	for {
		x, err := p.expression(0)
		if err != nil {
			return nil, err
		}
		args = append(args, x)
		if p.accept(",") {
			continue
		}
		return args, p.expect(closing)
	}
}
