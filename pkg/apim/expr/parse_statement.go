package expr

func (p *parser) block() *blockSyntax {
	p.nest()
	defer p.unnest()
	b := &blockSyntax{position: p.here()}
	p.expect("{")
	for !p.is("}") {
		if p.tok().kind == tokenEOF {
			p.fail("expected '}', found the end")
		}
		b.statements = append(b.statements, p.statement())
	}
	p.expect("}")
	return b
}

func (p *parser) statement() syntax {
	p.nest()
	defer p.unnest()
	pos := p.here()
	if p.tok().kind == tokenName {
		switch word := p.tok().text; word {
		case "if":
			p.advance()
			s := &ifSyntax{position: pos, test: p.parenthesized(), then: p.statement()}
			if p.accept("else") {
				s.otherwise = p.statement()
			}
			return s
		case "while":
			p.advance()
			return &whileSyntax{position: pos, test: p.parenthesized(), body: p.statement()}
		case "do":
			p.advance()
			body := p.statement()
			p.expect("while")
			s := &whileSyntax{position: pos, test: p.parenthesized(), body: body, atLast: true}
			p.expect(";")
			return s
		case "for":
			return p.forStatement()
		case "foreach":
			p.advance()
			p.expect("(")
			s := &foreachSyntax{position: pos, of: p.typ(), name: p.name()}
			p.expect("in")
			s.x = p.expression()
			p.expect(")")
			s.body = p.statement()
			return s
		case "return", "throw":
			p.advance()
			var x syntax
			if !p.is(";") {
				x = p.expression()
			}
			p.expect(";")
			if word == "throw" {
				return &throwSyntax{position: pos, x: x}
			}
			return &returnSyntax{position: pos, x: x}
		case "break", "continue":
			p.advance()
			p.expect(";")
			return &jumpSyntax{position: pos, word: word}
		case "try":
			return p.tryStatement()
		case "using":
			p.advance()
			p.expect("(")
			s := &usingSyntax{position: pos}
			if s.resource = p.tryDeclaration(); s.resource == nil {
				s.resource = &expressionStatement{position: p.here(), x: p.expression()}
			}
			p.expect(")")
			s.body = p.statement()
			return s
		case "switch":
			return p.switchStatement()
		case "const":
			p.advance()
			d := p.tryDeclaration()
			if d == nil {
				p.fail("expected a declaration after const")
			}
			d.(*declarationSyntax).fixed = true
			p.expect(";")
			return d
		case "goto", "lock", "fixed", "unsafe", "yield", "checked", "unchecked":
			if !p.peek(1).is("=") && !p.peek(1).is(".") {
				p.fail("the statement '" + word + "' " + notImplemented)
			}
		}
	}
	switch {
	case p.is("{"):
		return p.block()
	case p.accept(";"):
		return &blockSyntax{position: pos}
	}
	if f := p.tryFunction(); f != nil {
		return f
	}
	s := p.simpleStatement()
	p.expect(";")
	return s
}

// simpleStatement is a declaration or an expression with an effect.
func (p *parser) simpleStatement() syntax {
	if d := p.tryDeclaration(); d != nil {
		return d
	}
	s := &expressionStatement{position: p.here(), x: p.expression()}
	switch x := s.x.(type) {
	case *callSyntax, *assignmentSyntax, *stepSyntax, *newSyntax:
	case *conditionalAccessSyntax:
		if _, ok := x.rest.(*callSyntax); !ok {
			fail(p.src, s.at(), "only calls and assignments can be statements")
		}
	default:
		fail(p.src, s.at(), "only calls and assignments can be statements")
	}
	return s
}

// tryDeclaration reads "T a = x, b", or returns nil without moving.
func (p *parser) tryDeclaration() syntax {
	start := p.i
	of := p.tryType()
	if of == nil || p.tok().kind != tokenName || keywords[p.tok().text] || p.is("is") || p.is("as") {
		p.i = start
		return nil
	}
	d := &declarationSyntax{position: of.position, of: of}
	for {
		d.names = append(d.names, p.name())
		var value syntax
		if p.accept("=") {
			if p.is("{") {
				value = &newArraySyntax{position: p.here(), init: p.initializer()}
			} else {
				value = p.expression()
			}
		} else if !p.is(",") && !p.is(";") {
			p.fail("expected '=' or ';', found " + p.describe())
		}
		d.values = append(d.values, value)
		if !p.accept(",") {
			return d
		}
	}
}

func (p *parser) parenthesized() syntax {
	p.expect("(")
	x := p.expression()
	p.expect(")")
	return x
}

func (p *parser) forStatement() syntax {
	s := &forSyntax{position: p.here()}
	p.advance()
	p.expect("(")
	s.init = p.statementList(";")
	if !p.is(";") {
		s.test = p.expression()
	}
	p.expect(";")
	s.step = p.statementList(")")
	s.body = p.statement()
	return s
}

func (p *parser) statementList(end string) []syntax {
	var list []syntax
	for !p.is(end) {
		if len(list) > 0 {
			p.expect(",")
		}
		list = append(list, p.simpleStatement())
	}
	p.expect(end)
	return list
}

func (p *parser) tryStatement() syntax {
	s := &trySyntax{position: p.here()}
	p.advance()
	s.body = p.block()
	for p.accept("catch") {
		var c catchSyntax
		if p.accept("(") {
			c.of = p.typ()
			if !p.is(")") {
				c.name = p.name()
			}
			p.expect(")")
		}
		if p.is("when") {
			p.fail("the exception filter 'when' " + notImplemented)
		}
		c.body = p.block()
		s.catches = append(s.catches, c)
	}
	if p.accept("finally") {
		s.finally = p.block()
	}
	if s.catches == nil && s.finally == nil {
		p.fail("expected catch or finally, found " + p.describe())
	}
	return s
}

func (p *parser) switchStatement() syntax {
	s := &switchSyntax{position: p.here()}
	p.advance()
	s.x = p.parenthesized()
	p.expect("{")
	for !p.accept("}") {
		section := switchSection{pos: p.tok().pos}
		for p.is("case") || p.is("default") {
			if p.accept("default") {
				section.isDefault = true
			} else {
				p.advance()
				section.labels = append(section.labels, p.expression())
				if p.is("when") || p.tok().kind == tokenName {
					p.fail("pattern matching in switch " + notImplemented)
				}
			}
			p.expect(":")
		}
		if section.labels == nil && !section.isDefault {
			p.fail("expected case or default, found " + p.describe())
		}
		for !p.is("case") && !p.is("default") && !p.is("}") {
			section.body = append(section.body, p.statement())
		}
		s.sections = append(s.sections, section)
	}
	return s
}
