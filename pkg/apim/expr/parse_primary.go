package expr

func (p *parser) primary() syntax {
	t, pos := p.tok(), p.here()
	switch {
	case t.kind == tokenValue:
		p.advance()
		return &literalSyntax{position: pos, value: t.value}
	case t.kind == tokenText:
		p.advance()
		return p.interpolation(t)
	case p.is("("):
		p.advance()
		x := p.expression()
		p.expect(")")
		return x
	case t.kind != tokenName:
		p.fail("expected an expression, found " + p.describe())
	}
	switch t.text {
	case "true", "false":
		p.advance()
		return &literalSyntax{position: pos, value: t.text == "true"}
	case "null":
		p.advance()
		return &literalSyntax{position: pos}
	case "new":
		p.advance()
		return p.creation(pos)
	case "default":
		p.advance()
		d := &defaultSyntax{position: pos}
		if p.accept("(") {
			d.of = p.typ()
			p.expect(")")
		}
		return d
	}
	if predefined[t.text] {
		p.advance()
		if !p.is(".") {
			p.fail("expected '.' after the type, found " + p.describe())
		}
		return &typeNameSyntax{position: pos, of: &typeSyntax{position: pos, name: t.text}}
	}
	n := &nameSyntax{position: pos, name: p.name()}
	n.args = p.typeArguments()
	return n
}

// interpolation reads the holes of an interpolated string.
func (p *parser) interpolation(t token) syntax {
	s := &interpolationSyntax{position: position(t.pos)}
	for _, part := range t.parts {
		if !part.isHole {
			s.parts = append(s.parts, interpolationPart{text: part.text})
			continue
		}
		piece := interpolationPart{format: part.format, x: p.inner(part.hole, part.pos)}
		if part.aligned {
			piece.alignment = p.inner(part.alignment, part.pos)
		}
		s.parts = append(s.parts, piece)
	}
	return s
}

// inner parses the tokens of a hole.
func (p *parser) inner(toks []token, pos int) syntax {
	end := token{kind: tokenEOF, pos: pos, end: pos}
	q := &parser{src: p.src, toks: append(toks, end), depth: p.depth + 1}
	q.nest()
	x := q.expression()
	if q.tok().kind != tokenEOF {
		q.fail("unexpected " + q.describe() + " in an interpolated string")
	}
	return x
}

// creation reads what follows new.
func (p *parser) creation(pos position) syntax {
	switch {
	case p.is("{"):
		return p.anonymous(pos)
	case p.is("["):
		p.advance()
		p.expect("]")
		return &newArraySyntax{position: pos, init: p.initializer()}
	}
	of := p.typ()
	if of.rank > 0 {
		elem := *of
		elem.rank--
		return &newArraySyntax{position: pos, elem: &elem, init: p.initializer()}
	}
	if p.is("[") {
		p.advance()
		size := p.expression()
		p.expect("]")
		a := &newArraySyntax{position: pos, elem: of, size: size}
		if p.is("{") {
			a.init = p.initializer()
		}
		return a
	}
	n := &newSyntax{position: pos, of: of}
	if p.is("(") {
		n.args = p.arguments("(", ")")
	} else if !p.is("{") {
		p.fail("expected '(' after the type, found " + p.describe())
	}
	if p.is("{") {
		n.init = p.initializer()
	}
	return n
}

func (p *parser) anonymous(pos position) syntax {
	n := &newAnonymousSyntax{position: pos}
	p.expect("{")
	for !p.is("}") {
		name := ""
		if p.tok().kind == tokenName && p.peek(1).is("=") {
			name = p.name()
			p.advance()
		}
		x := p.expression()
		if name == "" {
			switch x := x.(type) {
			case *nameSyntax:
				name = x.name
			case *memberSyntax:
				name = x.name
			default:
				p.fail("a member of an anonymous object needs a name")
			}
		}
		n.names, n.values = append(n.names, name), append(n.values, x)
		if !p.accept(",") && !p.is("}") {
			p.fail("expected ',' or '}', found " + p.describe())
		}
	}
	p.expect("}")
	return n
}

func (p *parser) initializer() *initializerSyntax {
	init := &initializerSyntax{position: p.here()}
	p.expect("{")
	for !p.is("}") {
		item := initializerItem{pos: p.tok().pos}
		switch {
		case p.accept("["):
			item.key = p.expression()
			p.expect("]")
			p.expect("=")
			item.values = []syntax{p.expression()}
		case p.is("{"):
			p.advance()
			for !p.is("}") {
				if len(item.values) > 0 {
					p.expect(",")
				}
				item.values = append(item.values, p.expression())
			}
			p.advance()
		case p.tok().kind == tokenName && p.peek(1).is("="):
			item.name = p.name()
			p.advance()
			item.values = []syntax{p.expression()}
		default:
			item.values = []syntax{p.expression()}
		}
		init.items = append(init.items, item)
		if !p.accept(",") && !p.is("}") {
			p.fail("expected ',' or '}', found " + p.describe())
		}
	}
	p.expect("}")
	return init
}
