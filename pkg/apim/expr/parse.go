package expr

import "strings"

// maxNesting bounds how deep syntax nests, so that hostile source cannot
// exhaust the stack. The deepest published snippet nests 14 levels.
const maxNesting = 200

// parser is a recursive descent parser. Like the lexer it fails by panicking
// with *Error.
type parser struct {
	src   string
	toks  []token
	i     int
	depth int
}

// parse returns an expression, or a *blockSyntax for "@{…}".
func parse(src string) syntax {
	if len(src) > maxSource {
		fail(src, 0, "expression is longer than 256 KiB")
	}
	start := len(src) - len(strings.TrimLeft(src, " \t\r\n"))
	rest := src[start:]
	if !strings.HasPrefix(rest, "@(") && !strings.HasPrefix(rest, "@{") {
		fail(src, start, "a policy expression begins with @( or @{")
	}
	l := &lexer{src: src, pos: start + 1}
	p := &parser{src: src, toks: l.all()}
	var tree syntax
	if p.is("{") {
		tree = p.block()
	} else {
		p.expect("(")
		tree = p.expression()
		p.expect(")")
	}
	if p.tok().kind != tokenEOF {
		p.fail("unexpected " + p.describe() + " after the end of the expression")
	}
	return tree
}

func (p *parser) tok() token { return p.toks[p.i] }

func (p *parser) peek(n int) token { return p.toks[min(p.i+n, len(p.toks)-1)] }

func (p *parser) advance() token {
	t := p.toks[p.i]
	if p.i < len(p.toks)-1 {
		p.i++
	}
	return t
}

func (p *parser) here() position { return position(p.tok().pos) }

// is reports whether the next token is this punctuator or keyword.
func (p *parser) is(text string) bool { return p.tok().is(text) }

func (t token) is(text string) bool {
	return (t.kind == tokenPunct || t.kind == tokenName) && t.text == text
}

func (p *parser) accept(text string) bool {
	if p.is(text) {
		p.advance()
		return true
	}
	return false
}

func (p *parser) expect(text string) token {
	if !p.is(text) {
		p.fail("expected '" + text + "', found " + p.describe())
	}
	return p.advance()
}

func (p *parser) describe() string {
	switch t := p.tok(); t.kind {
	case tokenEOF:
		return "the end"
	case tokenValue, tokenText:
		return "a literal"
	default:
		return "'" + t.text + "'"
	}
}

func (p *parser) fail(msg string) { fail(p.src, p.tok().pos, msg) }

func (p *parser) nest() {
	p.depth++
	if p.depth > maxNesting {
		p.fail("expression nests too deeply")
	}
}

func (p *parser) unnest() { p.depth-- }

// keywords cannot name a variable. Contextual words such as var can.
var keywords = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`abstract as base bool break byte case catch char checked class const continue
		decimal default delegate do double else enum event explicit extern false finally fixed float for foreach goto if
		implicit in int interface internal is lock long namespace new null object operator out override params private
		protected public readonly ref return sbyte sealed short sizeof stackalloc static string struct switch this throw
		true try typeof uint ulong unchecked unsafe ushort using virtual void volatile while`) {
		m[w] = true
	}
	return m
}()

// name reads an identifier that is no keyword.
func (p *parser) name() string {
	t := p.tok()
	if t.kind != tokenName || keywords[t.text] && p.src[t.pos] != '@' {
		p.fail("expected a name, found " + p.describe())
	}
	return p.advance().text
}

// predefined types are keywords.
var predefined = map[string]bool{
	"bool": true, "byte": true, "char": true, "decimal": true, "double": true, "float": true, "int": true, "long": true, "object": true,
	"sbyte": true, "short": true, "string": true, "uint": true, "ulong": true, "ushort": true,
}

// tryType reads a type, or returns nil and leaves the parser where it was.
// Failure costs no more than the tokens read, because types hold no
// expressions.
func (p *parser) tryType() *typeSyntax {
	start := p.i
	t := p.typeOrNil()
	if t == nil {
		p.i = start
	}
	return t
}

func (p *parser) typeOrNil() *typeSyntax {
	p.nest()
	defer p.unnest()
	t := &typeSyntax{position: p.here()}
	if p.tok().kind != tokenName || keywords[p.tok().text] && !predefined[p.tok().text] {
		return nil
	}
	t.name = p.advance().text
	for p.is(".") && p.peek(1).kind == tokenName && !predefined[t.name] {
		p.advance()
		t.name += "." + p.advance().text
	}
	if p.is("<") {
		if t.args = p.tryTypeArgs(); t.args == nil {
			return nil
		}
	}
	if p.is("?") && !p.peek(1).is("?") {
		p.advance()
		t.nullable = true
	}
	for p.is("[") && p.peek(1).is("]") {
		p.advance()
		p.advance()
		t.rank++
	}
	return t
}

// tryTypeArgs reads "<T, …>" or returns nil without moving.
func (p *parser) tryTypeArgs() []*typeSyntax {
	start := p.i
	if !p.accept("<") {
		return nil
	}
	var args []*typeSyntax
	for {
		t := p.typeOrNil()
		if t == nil {
			p.i = start
			return nil
		}
		args = append(args, t)
		if p.accept(">") {
			return args
		}
		if !p.accept(",") {
			p.i = start
			return nil
		}
	}
}

func (p *parser) typ() *typeSyntax {
	t := p.tryType()
	if t == nil {
		p.fail("expected a type, found " + p.describe())
	}
	return t
}
