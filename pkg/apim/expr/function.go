package expr

// functionSyntax is a local function: int Twice(int n) { return n * 2; }.
type functionSyntax struct {
	position
	of     *typeSyntax
	name   string
	types  []*typeSyntax
	params []string
	body   *blockSyntax
}

// tryFunction reads a local function, or returns nil without moving.
func (p *parser) tryFunction() syntax {
	start := p.i
	p.accept("static")
	f := &functionSyntax{position: p.here(), of: p.tryType()}
	if f.of == nil || p.tok().kind != tokenName || keywords[p.tok().text] || !p.peek(1).is("(") {
		p.i = start
		return nil
	}
	f.name = p.name()
	p.advance()
	for !p.is(")") {
		if len(f.params) > 0 && !p.accept(",") {
			p.i = start
			return nil
		}
		t := p.tryType()
		if t == nil || p.tok().kind != tokenName || keywords[p.tok().text] {
			p.i = start
			return nil
		}
		f.types, f.params = append(f.types, t), append(f.params, p.name())
	}
	p.advance()
	switch {
	case p.is("{"):
		f.body = p.block()
	case p.accept("=>"):
		x := p.expression()
		p.expect(";")
		f.body = &blockSyntax{position: f.position, statements: []syntax{&returnSyntax{f.position, x}}}
	default:
		p.i = start
		return nil
	}
	return f
}

// declareFunction makes a local function known before the block is compiled, so
// that functions can call those below them.
func (c *compiler) declareFunction(s *functionSyntax) {
	f := &function{result: c.typeName(s.of)}
	for _, t := range s.types {
		f.types = append(f.types, c.typeName(t))
	}
	l := c.declare(s, s.name, "")
	l.function, l.fixed = f, true
}

// functionBodies compiles the function that declareFunction made known.
func (c *compiler) functionBodies(s *functionSyntax) {
	f := c.lookup(s.name).function
	first := c.locals
	c.scope(func() {
		for i, name := range s.params {
			f.params = append(f.params, c.declare(s, name, f.types[i]).slot)
		}
		f.body = c.functionBody(s.body)
	})
	// A call keeps the caller's variables of the same function apart.
	last, body := c.locals, f.body
	f.body = func(m *machine) Value {
		v := body(m)
		return assignable(m, v, f.result)
	}
	f.frame = [2]int{first, last}
}

// localCall compiles a call of a local function.
func (c *compiler) localCall(s *callSyntax, f *function) code {
	if len(s.args) != len(f.types) {
		c.fail(s, "the function takes %d arguments", len(f.types))
	}
	args := c.arguments(s, s.args, len(f.types), len(f.types))
	return code{run: func(m *machine) Value {
		m.step(1)
		values := evaluate(m, args)
		defer m.enter()()
		first, last := f.frame[0], f.frame[1]
		m.step((last - first) / 8)
		saved := append([]Value(nil), m.locals[first:last]...)
		for i, v := range values {
			m.locals[f.params[i]] = assignable(m, v, f.types[i])
		}
		v := f.body(m)
		copy(m.locals[first:last], saved)
		return v
	}, typ: f.result}
}
