package expr

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Program is a compiled expression, safe for concurrent use.
type Program struct {
	run    func(*machine) Value
	locals int
	limits Limits
}

// Compile compiles a policy expression, @(…) or @{…}. It refuses, as an *Error,
// what does not parse, whatever API Management does not allow, and what this
// package does not implement.
func Compile(source string) (p *Program, err error) {
	defer func() {
		if r := recover(); r != nil {
			refusal, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			p, err = nil, refusal
		}
	}()
	c := &compiler{src: source, scopes: []map[string]*local{{}}}
	tree := parse(source)
	if block, ok := tree.(*blockSyntax); ok {
		body := c.functionBody(block)
		return &Program{body, c.locals, DefaultLimits}, nil
	}
	x := c.value(tree)
	return &Program{x.run, c.locals, DefaultLimits}, nil
}

// WithLimits returns the same program with other limits.
func (p *Program) WithLimits(l Limits) *Program { return &Program{p.run, p.locals, l} }

// Eval evaluates the expression. Its error is an *Exception.
func (p *Program) Eval(ctx context.Context, env *Context) (v Value, err error) {
	m := &machine{ctx: ctx, env: env, limits: p.limits}
	if p.locals > 0 {
		m.locals = make([]Value, p.locals)
	}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Exception)
			if !ok {
				panic(r)
			}
			v, err = nil, e
		}
	}()
	return p.run(m), nil
}

// code is a compiled part: how it runs and its static type, "" when only the
// evaluation can tell.
type code struct {
	run func(*machine) Value
	typ string
	// assign stores into what the part names; nil when it names nothing.
	assign func(*machine, Value)
	// null is the literal null, constant a literal.
	null, constant bool
}

// local is a variable: its place in the machine and its type.
type local struct {
	slot  int
	typ   string
	fixed bool
	// function is a local function instead of a variable.
	function *function
}

// compiler resolves names and types.
type compiler struct {
	src    string
	scopes []map[string]*local
	locals int
	// receivers are the slots that x?. keeps x in, the innermost last.
	receivers []int
	loops     int
	tries     int
}

func (c *compiler) fail(at syntax, format string, args ...any) {
	fail(c.src, at.at(), fmt.Sprintf(format, args...))
}

func (c *compiler) slot() int { c.locals++; return c.locals - 1 }

// declare makes a variable. C# knows no shadowing within a function.
func (c *compiler) declare(at syntax, name, typ string) *local {
	if c.lookup(name) != nil {
		c.fail(at, "a variable named %s is already declared", name)
	}
	l := &local{slot: c.slot(), typ: typ}
	c.scopes[len(c.scopes)-1][name] = l
	return l
}

func (c *compiler) lookup(name string) *local {
	for _, s := range slices.Backward(c.scopes) {
		if l, ok := s[name]; ok {
			return l
		}
	}
	return nil
}

// scope runs f with a scope of its own.
func (c *compiler) scope(f func()) {
	c.scopes = append(c.scopes, map[string]*local{})
	f()
	c.scopes = c.scopes[:len(c.scopes)-1]
}

// boolean compiles a condition.
func (c *compiler) boolean(s syntax) func(*machine) bool {
	x := c.value(s)
	if x.typ != "" && x.typ != "bool" && x.typ != "object" {
		c.fail(s, "a condition must be bool, not %s", x.typ)
	}
	return func(m *machine) bool { return truth(x.run(m)) }
}

func truth(v Value) bool {
	switch v := v.(type) {
	case bool:
		return v
	case nil:
		throwNull()
	case *jtoken:
		return toBool(v)
	}
	throwCast(kind(v), "System.Boolean")
	return false
}

// value compiles an expression, by the kind of its syntax.
func (c *compiler) value(s syntax) code {
	switch s := s.(type) {
	case *literalSyntax:
		v := s.value
		t := kind(v)
		if v == nil {
			t = ""
		}
		return code{run: func(m *machine) Value { m.step(1); return v }, typ: t, null: v == nil, constant: true}
	case *interpolationSyntax:
		return c.interpolation(s)
	case *nameSyntax:
		return c.name(s)
	case *memberSyntax:
		return c.member(s)
	case *indexSyntax:
		return c.index(s)
	case *callSyntax:
		return c.call(s)
	case *conditionalAccessSyntax:
		return c.conditionalAccess(s)
	case *receiverSyntax:
		slot := c.receivers[len(c.receivers)-1]
		return code{run: func(m *machine) Value { return m.locals[slot] }, typ: c.scopes[0][receiverName(slot)].typ}
	case *unarySyntax:
		return c.unary(s)
	case *stepSyntax:
		return c.increment(s)
	case *binarySyntax:
		return c.binary(s)
	case *assignmentSyntax:
		return c.assignment(s)
	case *conditionalSyntax:
		return c.conditional(s)
	case *castSyntax:
		x, to := c.value(s.x), c.typeName(s.to)
		boxed, narrow := x.typ == "object", narrowing(s.to.name)
		return code{run: func(m *machine) Value { m.step(1); return narrow(cast(m, x.run(m), to, boxed)) }, typ: to}
	case *typeTestSyntax:
		return c.typeTest(s)
	case *newSyntax:
		return c.creation(s)
	case *newArraySyntax:
		return c.newArray(s)
	case *newAnonymousSyntax:
		return c.anonymous(s)
	case *defaultSyntax:
		if s.of == nil {
			return code{run: func(*machine) Value { return nil }, null: true}
		}
		t := c.typeName(s.of)
		zero := zeroOf(t)
		return code{run: func(*machine) Value { return zero }, typ: t}
	case *lambdaSyntax:
		c.fail(s, "a lambda can only be an argument; storing one %s", notImplemented)
	case *typeNameSyntax:
		c.fail(s, "a type is not a value")
	}
	panic(fmt.Sprintf("expr: syntax %T", s))
}

func receiverName(slot int) string { return fmt.Sprint("?", slot) }

func (c *compiler) conditionalAccess(s *conditionalAccessSyntax) code {
	x := c.value(s.x)
	slot := c.slot()
	c.scopes[0][receiverName(slot)] = &local{slot: slot, typ: x.typ}
	c.receivers = append(c.receivers, slot)
	rest := c.value(s.rest)
	c.receivers = c.receivers[:len(c.receivers)-1]
	typ := rest.typ
	if valueType(typ) {
		typ = "" // Nullable
	}
	return code{run: func(m *machine) Value {
		v := x.run(m)
		if isNull(v) {
			return nil
		}
		m.locals[slot] = v
		return rest.run(m)
	}, typ: typ}
}

func isNull(v Value) bool {
	j, ok := v.(*jtoken)
	return v == nil || ok && j == nil
}

func (c *compiler) interpolation(s *interpolationSyntax) code {
	type piece struct {
		text, format string
		x            *code
		width        *code
	}
	var pieces []piece
	for _, p := range s.parts {
		q := piece{text: p.text, format: p.format}
		if p.x != nil {
			x := c.value(p.x)
			q.x = &x
		}
		if p.alignment != nil {
			w := c.value(p.alignment)
			q.width = &w
		}
		pieces = append(pieces, q)
	}
	return code{run: func(m *machine) Value {
		m.step(1)
		parts := make([]string, len(pieces))
		for i, p := range pieces {
			parts[i] = p.text
			if p.x != nil {
				parts[i] = formatValue(p.x.run(m), p.format)
			}
			if p.width != nil {
				parts[i] = pad(m, parts[i], toInt(p.width.run(m)))
			}
		}
		return m.joined(parts...)
	}, typ: "string"}
}

// pad aligns a text: right for positive widths, left for negative ones.
func pad(m *machine, s string, width int) string {
	n := max(width, -width) - length(s)
	if n <= 0 {
		return s
	}
	m.room(n + len(s))
	if width < 0 {
		return s + strings.Repeat(" ", n)
	}
	return strings.Repeat(" ", n) + s
}

// name compiles a variable, a local function's name or context.
func (c *compiler) name(s *nameSyntax) code {
	if l := c.lookup(s.name); l != nil {
		if l.function != nil {
			c.fail(s, "the function %s is not called here", s.name)
		}
		x := code{run: func(m *machine) Value { m.step(1); return m.locals[l.slot] }, typ: l.typ}
		if !l.fixed {
			x.assign = func(m *machine, v Value) { m.locals[l.slot] = assignable(m, v, l.typ) }
		}
		return x
	}
	if s.name == "context" {
		return code{run: func(m *machine) Value { m.step(1); return m.env }, typ: "IProxyRequestContext"}
	}
	if _, ok := classes[s.name]; ok {
		c.fail(s, "the type %s is not a value", s.name)
	}
	c.unknownType(s, s.name)
	return code{}
}

// unknownType refuses a name: as a type that this package lacks, or as one that
// nobody has.
func (c *compiler) unknownType(at syntax, name string) {
	if slices.Contains(allowedTypes, name) {
		c.fail(at, "the type %s %s", name, notImplemented)
	}
	c.fail(at, "%s %s", name, notAvailable)
}

func (c *compiler) conditional(s *conditionalSyntax) code {
	test, then, otherwise := c.boolean(s.test), c.value(s.then), c.value(s.otherwise)
	typ := then.typ
	switch {
	case then.null:
		typ = otherwise.typ
	case otherwise.null, then.typ == otherwise.typ:
	case numeric(then.typ) && numeric(otherwise.typ):
		typ = wider(then.typ, otherwise.typ)
	case then.typ == "" || otherwise.typ == "":
		typ = ""
	default:
		typ = "object"
	}
	widen := numeric(typ)
	return code{run: func(m *machine) Value {
		m.step(1)
		v := Value(nil)
		if test(m) {
			v = then.run(m)
		} else {
			v = otherwise.run(m)
		}
		if widen {
			return cast(m, v, typ, false)
		}
		return v
	}, typ: typ}
}

func (c *compiler) assignment(s *assignmentSyntax) code {
	left, right := c.value(s.l), c.value(s.r)
	if left.assign == nil {
		c.fail(s, "this cannot be assigned to")
	}
	if s.op == "" {
		if !fits(right, left.typ) {
			c.fail(s.r, "a value of type %s cannot be assigned to %s", right.typ, left.typ)
		}
		return code{run: func(m *machine) Value {
			m.step(1)
			v := right.run(m)
			left.assign(m, v)
			return v
		}, typ: left.typ}
	}
	operate := c.operator(s, s.op, left.typ, right.typ)
	return code{run: func(m *machine) Value {
		m.step(1)
		v := operate(m, left.run(m), right.run(m))
		if left.typ != "" && left.typ != "string" {
			v = cast(m, v, left.typ, false)
		}
		left.assign(m, v)
		return v
	}, typ: left.typ}
}

func (c *compiler) increment(s *stepSyntax) code {
	x := c.value(s.x)
	if x.assign == nil || x.typ != "" && !numeric(x.typ) {
		c.fail(s, "%s%s needs a numeric variable", s.op, s.op)
	}
	return code{run: func(m *machine) Value {
		m.step(1)
		before := x.run(m)
		after := cast(m, arithmetic(m, s.op, before, int32(1)), kind(before), false)
		x.assign(m, after)
		if s.prefix {
			return after
		}
		return before
	}, typ: x.typ}
}
