package expr

import "strings"

// signal says how a statement ended.
type signal int

const (
	goesOn signal = iota
	breaks
	continues
	returns
)

// statement is a compiled statement. The value is what return gives.
type statement func(*machine) (signal, Value)

// function is a local function.
type function struct {
	params []int
	types  []string
	result string
	body   func(*machine) Value
	// frame is the range of its variables: parameters first.
	frame [2]int
}

// functionBody compiles the block of an expression, a lambda or a function.
func (c *compiler) functionBody(s *blockSyntax) func(*machine) Value {
	loops := c.loops
	c.loops = 0
	body := c.block(s)
	c.loops = loops
	return func(m *machine) Value {
		_, v := body(m)
		return v
	}
}

func (c *compiler) block(s *blockSyntax) statement {
	var all []statement
	c.scope(func() {
		for _, inner := range s.statements {
			if f, ok := inner.(*functionSyntax); ok {
				c.declareFunction(f)
			}
		}
		for _, inner := range s.statements {
			all = append(all, c.statement(inner))
		}
	})
	return sequence(all)
}

func sequence(all []statement) statement {
	return func(m *machine) (signal, Value) {
		for _, s := range all {
			m.step(1)
			if how, v := s(m); how != goesOn {
				return how, v
			}
		}
		return goesOn, nil
	}
}

func (c *compiler) statement(s syntax) statement {
	switch s := s.(type) {
	case *blockSyntax:
		return c.block(s)
	case *functionSyntax:
		c.functionBodies(s)
		return func(*machine) (signal, Value) { return goesOn, nil }
	case *declarationSyntax:
		return c.declaration(s)
	case *expressionStatement:
		x := c.value(s.x)
		return func(m *machine) (signal, Value) { x.run(m); return goesOn, nil }
	case *ifSyntax:
		return c.ifStatement(s)
	case *whileSyntax:
		return c.while(s)
	case *forSyntax:
		return c.forStatement(s)
	case *foreachSyntax:
		return c.foreach(s)
	case *returnSyntax:
		if s.x == nil {
			return func(*machine) (signal, Value) { return returns, nil }
		}
		x := c.value(s.x)
		return func(m *machine) (signal, Value) { return returns, x.run(m) }
	case *jumpSyntax:
		if c.loops == 0 {
			c.fail(s, "%s stands in no loop", s.word)
		}
		how := breaks
		if s.word == "continue" {
			how = continues
		}
		return func(*machine) (signal, Value) { return how, nil }
	case *throwSyntax:
		return c.throwStatement(s)
	case *trySyntax:
		return c.try(s)
	case *usingSyntax:
		var all []statement
		c.scope(func() { all = []statement{c.statement(s.resource), c.statement(s.body)} })
		return sequence(all)
	case *switchSyntax:
		return c.switchStatement(s)
	}
	c.fail(s, "this statement %s", notImplemented)
	return nil
}

func (c *compiler) declaration(s *declarationSyntax) statement {
	typ := c.typeName(s.of)
	inferred := s.of.name == "var" || s.of.name == "dynamic"
	var all []statement
	for i, name := range s.names {
		if s.values[i] == nil {
			if inferred {
				c.fail(s, "var needs a value")
			}
			l, zero := c.declare(s, name, typ), zeroOf(typ)
			all = append(all, func(m *machine) (signal, Value) { m.locals[l.slot] = zero; return goesOn, nil })
			continue
		}
		x := c.value(s.values[i])
		t := typ
		if inferred && s.of.name == "var" {
			if x.null {
				c.fail(s, "var cannot be null")
			}
			t = x.typ
		} else if !inferred && !fits(x, typ) {
			c.fail(s.values[i], "a value of type %s cannot be assigned to %s", x.typ, typ)
		}
		l := c.declare(s, name, t)
		l.fixed = s.fixed
		all = append(all, func(m *machine) (signal, Value) {
			m.locals[l.slot] = assignable(m, x.run(m), typ)
			return goesOn, nil
		})
	}
	if len(all) == 1 {
		return all[0]
	}
	return sequence(all)
}

func (c *compiler) ifStatement(s *ifSyntax) statement {
	test := c.boolean(s.test)
	var then, otherwise statement
	c.scope(func() { then = c.statement(s.then) })
	if s.otherwise == nil {
		otherwise = sequence(nil)
	} else {
		c.scope(func() { otherwise = c.statement(s.otherwise) })
	}
	return func(m *machine) (signal, Value) {
		if test(m) {
			return then(m)
		}
		return otherwise(m)
	}
}

// loop compiles a loop's body.
func (c *compiler) loop(s syntax) statement {
	c.loops++
	var body statement
	c.scope(func() { body = c.statement(s) })
	c.loops--
	return body
}

func (c *compiler) while(s *whileSyntax) statement {
	test, body := c.boolean(s.test), c.loop(s.body)
	return func(m *machine) (signal, Value) {
		for first := s.atLast; first || test(m); first = false {
			m.step(1)
			if how, v := body(m); how == returns {
				return how, v
			} else if how == breaks {
				break
			}
		}
		return goesOn, nil
	}
}

func (c *compiler) forStatement(s *forSyntax) statement {
	var init, step, body statement
	test := func(*machine) bool { return true }
	c.scope(func() {
		list := func(all []syntax) statement {
			var out []statement
			for _, x := range all {
				out = append(out, c.statement(x))
			}
			return sequence(out)
		}
		init = list(s.init)
		if s.test != nil {
			test = c.boolean(s.test)
		}
		step = list(s.step)
		body = c.loop(s.body)
	})
	return func(m *machine) (signal, Value) {
		for init(m); test(m); step(m) {
			m.step(1)
			if how, v := body(m); how == returns {
				return how, v
			} else if how == breaks {
				break
			}
		}
		return goesOn, nil
	}
}

func (c *compiler) foreach(s *foreachSyntax) statement {
	x := c.value(s.x)
	typ := c.typeName(s.of)
	if typ == "" {
		if typ = element(x.typ); strings.HasPrefix(base(x.typ), "Dictionary") {
			typ = "KeyValuePair"
		}
	}
	var l *local
	var body statement
	c.scope(func() {
		l = c.declare(s, s.name, typ)
		body = c.loop(s.body)
	})
	return func(m *machine) (signal, Value) {
		for _, v := range items(m, x.run(m)) {
			m.step(1)
			m.locals[l.slot] = v
			if typ != "" {
				m.locals[l.slot] = cast(m, v, typ, false)
			}
			if how, v := body(m); how == returns {
				return how, v
			} else if how == breaks {
				break
			}
		}
		return goesOn, nil
	}
}

func (c *compiler) switchStatement(s *switchSyntax) statement {
	x := c.value(s.x)
	type section struct {
		labels []code
		body   statement
	}
	var sections []section
	fallback := -1
	c.loops++ // break ends the switch
	for i, sec := range s.sections {
		q := section{}
		for _, l := range sec.labels {
			q.labels = append(q.labels, c.value(l))
		}
		if sec.isDefault {
			fallback = i
		}
		c.scope(func() {
			var all []statement
			for _, inner := range sec.body {
				all = append(all, c.statement(inner))
			}
			q.body = sequence(all)
		})
		sections = append(sections, q)
	}
	c.loops--
	run := func(m *machine, i int) (signal, Value) {
		how, v := sections[i].body(m)
		if how == breaks {
			return goesOn, nil
		}
		return how, v
	}
	return func(m *machine) (signal, Value) {
		v := x.run(m)
		for i, sec := range sections {
			for _, l := range sec.labels {
				if m.equal(v, l.run(m)) {
					return run(m, i)
				}
			}
		}
		if fallback >= 0 {
			return run(m, fallback)
		}
		return goesOn, nil
	}
}

func (c *compiler) throwStatement(s *throwSyntax) statement {
	if s.x == nil {
		if c.tries == 0 {
			c.fail(s, "throw without an exception stands in no catch")
		}
		slot := c.caught()
		return func(m *machine) (signal, Value) { panic(m.locals[slot]) }
	}
	x := c.value(s.x)
	return func(m *machine) (signal, Value) {
		e, ok := x.run(m).(*Exception)
		if !ok {
			throwNull()
		}
		panic(e)
	}
}

// caught is the slot of the exception that a throw; rethrows.
func (c *compiler) caught() int {
	l, ok := c.scopes[0]["?caught"]
	if !ok {
		l = &local{slot: c.slot()}
		c.scopes[0]["?caught"] = l
	}
	return l.slot
}

func (c *compiler) try(s *trySyntax) statement {
	body := c.block(s.body)
	type handler struct {
		typ  string
		slot int
		body statement
	}
	var handlers []handler
	caught := c.caught()
	c.tries++
	for _, h := range s.catches {
		q := handler{typ: "Exception", slot: -1}
		if h.of != nil {
			q.typ = c.typeName(h.of)
		}
		c.scope(func() {
			if h.name != "" {
				q.slot = c.declare(s, h.name, "Exception").slot
			}
			q.body = c.block(h.body)
		})
		handlers = append(handlers, q)
	}
	c.tries--
	var finally statement
	if s.finally != nil {
		finally = c.block(s.finally)
	}
	return func(m *machine) (how signal, v Value) {
		if finally != nil {
			defer func() {
				r := recover()
				if e, ok := r.(*Exception); ok && !e.final || r == nil {
					finally(m)
				}
				if r != nil {
					panic(r)
				}
			}()
		}
		depth := m.depth
		thrown, how, v := attempt(m, body)
		if thrown == nil {
			return how, v
		}
		m.depth = depth
		for _, h := range handlers {
			if h.typ == "Exception" || strings.HasSuffix(thrown.Type, "."+h.typ) {
				m.locals[caught] = thrown
				if h.slot >= 0 {
					m.locals[h.slot] = thrown
				}
				return h.body(m)
			}
		}
		panic(thrown)
	}
}

// attempt runs a statement and returns the exception it threw. Limits pass through.
func attempt(m *machine, body statement) (thrown *Exception, how signal, v Value) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Exception)
			if !ok || e.final {
				panic(r)
			}
			thrown = e
		}
	}()
	how, v = body(m)
	return nil, how, v
}
