package expr

// binaryLevels are the binary operators, from those that bind least.
var binaryLevels = [][]string{
	{"||"}, {"&&"}, {"|"}, {"^"}, {"&"}, {"==", "!="}, {"<", ">", "<=", ">="}, {"<<", ">>"}, {"+", "-"}, {"*", "/", "%"},
}

// relational is the level at which is and as stand.
const relational = 6

func (p *parser) expression() syntax {
	p.nest()
	defer p.unnest()
	if l := p.tryLambda(); l != nil {
		return l
	}
	left := p.conditional()
	for _, op := range []string{"=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^="} {
		if p.is(op) {
			pos := p.here()
			p.advance()
			return &assignmentSyntax{position: pos, op: op[:len(op)-1], l: left, r: p.expression()}
		}
	}
	return left
}

func (p *parser) conditional() syntax {
	test := p.coalescing()
	if !p.is("?") {
		return test
	}
	pos := p.here()
	p.advance()
	then := p.expression()
	p.expect(":")
	return &conditionalSyntax{position: pos, test: test, then: then, otherwise: p.expression()}
}

func (p *parser) coalescing() syntax {
	left := p.binary(0)
	if !p.is("??") {
		return left
	}
	pos := p.here()
	p.advance()
	p.nest()
	defer p.unnest()
	return &binarySyntax{position: pos, op: "??", l: left, r: p.coalescing()}
}

// binary reads operators of a level and those that bind tighter. Chains are
// read in a loop, so that a long one does not exhaust the stack.
func (p *parser) binary(level int) syntax {
	if level == len(binaryLevels) {
		return p.unary()
	}
	left := p.binary(level + 1)
	for length := 0; ; length++ {
		if length > 10*maxNesting {
			p.fail("expression is too long")
		}
		if level == relational && (p.is("is") || p.is("as")) {
			left = p.typeTest(left)
			continue
		}
		op := p.operator(binaryLevels[level])
		if op == "" {
			return left
		}
		pos := p.here()
		for range len(op) - len(p.tok().text) + 1 {
			p.advance()
		}
		left = &binarySyntax{position: pos, op: op, l: left, r: p.binary(level + 1)}
	}
}

// operator returns which of these operators comes next. The lexer leaves >> as
// two tokens, because of generics.
func (p *parser) operator(ops []string) string {
	for _, op := range ops {
		if op == ">>" {
			if p.is(">") && p.peek(1).is(">") && p.tok().end == p.peek(1).pos {
				return op
			}
			continue
		}
		if op == ">" && p.peek(1).is(">") && p.tok().end == p.peek(1).pos {
			continue
		}
		if p.tok().kind == tokenPunct && p.tok().text == op {
			return op
		}
	}
	return ""
}

func (p *parser) typeTest(x syntax) syntax {
	t := &typeTestSyntax{position: p.here(), x: x, as: p.is("as")}
	p.advance()
	if p.is("null") {
		p.advance()
		return &binarySyntax{position: t.position, op: "==", l: x, r: &literalSyntax{position: t.position}}
	}
	t.to = p.typ()
	if !t.as && p.tok().kind == tokenName && !keywords[p.tok().text] {
		t.name = p.name()
	}
	return t
}

func (p *parser) unary() syntax {
	p.nest()
	defer p.unnest()
	pos := p.here()
	switch {
	case p.is("!"), p.is("-"), p.is("+"), p.is("~"):
		op := p.advance().text
		return &unarySyntax{position: pos, op: op, x: p.unary()}
	case p.is("++"), p.is("--"):
		op := p.advance().text
		return &stepSyntax{position: pos, op: op[:1], x: p.unary(), prefix: true}
	case p.is("("):
		if c := p.tryCast(); c != nil {
			return c
		}
	case p.is("await"), p.is("typeof"), p.is("nameof"), p.is("sizeof"):
		p.fail("'" + p.tok().text + "' " + notImplemented)
	}
	return p.postfix(p.primary())
}

// tryCast reads "(T) x", or returns nil without moving. A parenthesized name
// is a cast when what follows can only begin an operand.
func (p *parser) tryCast() syntax {
	start := p.i
	pos := p.here()
	p.advance()
	to := p.tryType()
	if to == nil || !p.accept(")") {
		p.i = start
		return nil
	}
	next := p.tok()
	operand := next.kind == tokenValue || next.kind == tokenText || next.is("(") || next.is("!") || next.is("~") ||
		next.kind == tokenName && next.text != "is" && next.text != "as" && next.text != "in"
	certain := predefined[to.name] || to.nullable || to.rank > 0
	if !operand && !(certain && (next.is("-") || next.is("+"))) {
		p.i = start
		return nil
	}
	return &castSyntax{position: pos, to: to, x: p.unary()}
}

// tryLambda reads "x => …" or "(x, y) => …", or returns nil without moving.
func (p *parser) tryLambda() syntax {
	start := p.i
	l := &lambdaSyntax{position: p.here()}
	switch {
	case p.tok().kind == tokenName && p.peek(1).is("=>"):
		l.params = []lambdaParam{{name: p.name()}}
	case p.is("("):
		p.advance()
		for !p.is(")") {
			param := lambdaParam{}
			if p.tok().kind == tokenName && (p.peek(1).is(",") || p.peek(1).is(")")) && !keywords[p.tok().text] {
				param.name = p.name()
			} else if param.of = p.tryType(); param.of == nil || p.tok().kind != tokenName || keywords[p.tok().text] {
				p.i = start
				return nil
			} else {
				param.name = p.name()
			}
			l.params = append(l.params, param)
			if !p.accept(",") && !p.is(")") {
				p.i = start
				return nil
			}
		}
		p.advance()
		if !p.is("=>") {
			p.i = start
			return nil
		}
	default:
		return nil
	}
	p.expect("=>")
	if p.is("{") {
		l.block = p.block()
	} else {
		l.body = p.expression()
	}
	return l
}

// postfix reads members, calls and indexes behind an operand.
func (p *parser) postfix(x syntax) syntax {
	for length := 0; ; length++ {
		if length > 10*maxNesting {
			p.fail("expression is too long")
		}
		pos := p.here()
		switch {
		case p.is("."):
			p.advance()
			x = p.member(x)
		case p.is("?."):
			p.advance()
			rest := p.postfix(p.member(&receiverSyntax{pos}))
			return &conditionalAccessSyntax{position: pos, x: x, rest: rest}
		case p.is("?") && p.peek(1).is("["):
			if !p.conditionalIndex() {
				return x
			}
			p.advance()
			rest := p.postfix(&indexSyntax{position: pos, x: &receiverSyntax{pos}, args: p.arguments("[", "]")})
			return &conditionalAccessSyntax{position: pos, x: x, rest: rest}
		case p.is("("):
			x = &callSyntax{position: pos, fn: x, args: p.arguments("(", ")")}
		case p.is("["):
			x = &indexSyntax{position: pos, x: x, args: p.arguments("[", "]")}
		case p.is("++"), p.is("--"):
			op := p.advance().text
			x = &stepSyntax{position: pos, op: op[:1], x: x}
		default:
			return x
		}
	}
}

// conditionalIndex tells x?[0] from the conditional x ? [… — C# 7 has no
// expression that begins with a bracket, so it is always an index.
func (p *parser) conditionalIndex() bool { return p.tok().end == p.peek(1).pos }

func (p *parser) member(x syntax) syntax {
	m := &memberSyntax{position: p.here(), x: x}
	if p.tok().kind != tokenName {
		p.fail("expected a member's name, found " + p.describe())
	}
	m.name = p.advance().text
	m.args = p.typeArguments()
	return m
}

// typeArguments reads "<T, …>" when a call follows it: otherwise < compares.
func (p *parser) typeArguments() []*typeSyntax {
	if !p.is("<") {
		return nil
	}
	start := p.i
	args := p.tryTypeArgs()
	if args != nil && !p.is("(") && !p.is(".") {
		p.i = start
		return nil
	}
	return args
}

func (p *parser) arguments(open, end string) []argumentSyntax {
	p.expect(open)
	var args []argumentSyntax
	for !p.is(end) {
		if len(args) > 0 {
			p.expect(",")
		}
		a := argumentSyntax{pos: p.tok().pos}
		if p.tok().kind == tokenName && p.peek(1).is(":") && !keywords[p.tok().text] {
			a.name = p.name()
			p.advance()
		}
		switch {
		case p.accept("out"):
			a.out = true
			start := p.i
			if t := p.tryType(); t != nil && p.tok().kind == tokenName && !keywords[p.tok().text] {
				a.declare = t
				a.x = &nameSyntax{position: p.here(), name: p.name()}
			} else {
				p.i = start
				a.x = p.expression()
			}
		case p.is("ref"), p.is("in"):
			p.fail("'" + p.tok().text + "' " + notImplemented)
		default:
			a.x = p.expression()
		}
		args = append(args, a)
	}
	p.expect(end)
	return args
}
