package expr

import (
	"slices"
	"strings"
)

// static returns the class that a syntax names: String, or
// System.Text.Encoding.
func (c *compiler) static(s syntax) (string, bool) {
	switch s := s.(type) {
	case *typeNameSyntax:
		return c.typeName(s.of), true
	case *nameSyntax:
		if c.lookup(s.name) != nil || s.name == "context" {
			return "", false
		}
		name := s.name
		if same, ok := sameType[name]; ok && same != "" {
			name = same
		}
		if _, ok := classes[name]; ok {
			return name, true
		}
		if slices.Contains(allowedTypes, name) {
			c.unknownType(s, name)
		}
	case *memberSyntax:
		q, ok := qualifier(s.x)
		if ok && namespace(q) {
			if _, known := classes[s.name]; known {
				return s.name, true
			}
			if same, ok := sameType[s.name]; ok {
				return same, true
			}
			if !namespace(q + "." + s.name) {
				c.unknownType(s, s.name)
			}
		}
	}
	return "", false
}

// qualifier returns a dotted name.
func qualifier(s syntax) (string, bool) {
	switch s := s.(type) {
	case *nameSyntax:
		return s.name, len(s.args) == 0
	case *memberSyntax:
		q, ok := qualifier(s.x)
		return q + "." + s.name, ok && len(s.args) == 0
	}
	return "", false
}

// member compiles x.Name that is not called.
func (c *compiler) member(s *memberSyntax) code {
	if class, ok := c.static(s.x); ok {
		mem, ok := classes[class].static[s.name]
		if !ok || !mem.property {
			c.fail(s, "%s.%s %s", class, s.name, notImplemented)
		}
		return code{run: func(m *machine) Value { m.step(1); return mem.run(call{m: m}) }, typ: mem.result}
	}
	x := c.value(s.x)
	mem, static := c.find(s, x, true)
	name := s.name
	if static {
		return code{run: func(m *machine) Value {
			m.step(1)
			v := x.run(m)
			if isNull(v) {
				throwNull()
			}
			if kindFits(base(x.typ), kind(v)) {
				return mem.run(call{m: m, on: v})
			}
			return property(m, v, name)
		}, typ: resultOf(mem, x.typ, nil)}
	}
	return code{run: func(m *machine) Value {
		m.step(1)
		return property(m, x.run(m), name)
	}}
}

// kindFits reports whether a member found for the static type serves the value.
func kindFits(static, dynamic string) bool { return static == dynamic }

// find looks a member up by the static type. It reports false when only the
// evaluation can tell, and refuses what no type has.
func (c *compiler) find(s *memberSyntax, x code, asProperty bool) (member, bool) {
	if x.null {
		c.fail(s, "null has no members")
	}
	b := base(x.typ)
	_, known := classes[b]
	if !known && !sequenceKind(b) {
		if b == "object" && !universalName(s.name) && !strings.HasPrefix(s.name, "As") {
			c.fail(s, "object has no member %s; cast first", s.name)
		}
		if !anywhere(s.name) {
			c.fail(s, "the member %s %s", s.name, notImplemented)
		}
		return member{}, false
	}
	mem, ok := instanceMember(b, s.name)
	if !ok && b == "JToken" {
		return member{}, false
	}
	if !ok {
		c.fail(s, "%s has no member %s that %s", x.typ, s.name, "is allowed and implemented by this gateway")
	}
	if asProperty && !mem.property {
		c.fail(s, "%s is a method: call it", s.name)
	}
	if !asProperty && mem.property {
		if mem, ok = methodOf(b, s.name); !ok {
			c.fail(s, "%s is a property, not a method", s.name)
		}
	}
	return mem, true
}

func universalName(name string) bool { _, ok := universal[name]; return ok }

// property reads a member of a value whose type only the evaluation knows.
func property(m *machine, v Value, name string) Value {
	if isNull(v) {
		throwNull()
	}
	if o, ok := v.(*object); ok {
		if f, ok := o.fields[name]; ok {
			return f
		}
	}
	mem, ok := instanceMember(kind(v), name)
	if !ok || !mem.property {
		throw("Microsoft.CSharp.RuntimeBinder.RuntimeBinderException", "'%s' does not contain a definition for '%s'", kind(v), name)
	}
	return mem.run(call{m: m, on: v})
}

// resultOf resolves the symbolic results of members.
func resultOf(mem member, receiver string, types []string) string {
	switch mem.result {
	case "T":
		if len(types) == 0 {
			return ""
		}
		return types[0]
	case "elem":
		return element(receiver)
	case "same":
		return receiver
	case "elems":
		if e := element(receiver); e != "" {
			return "IEnumerable<" + e + ">"
		}
		return "IEnumerable"
	}
	return mem.result
}

// call compiles a call of a member or of a local function.
func (c *compiler) call(s *callSyntax) code {
	switch fn := s.fn.(type) {
	case *memberSyntax:
		return c.memberCall(s, fn)
	case *nameSyntax:
		if l := c.lookup(fn.name); l != nil && l.function != nil {
			return c.localCall(s, l.function)
		}
		c.fail(s, "there is no function %s", fn.name)
	}
	c.fail(s, "this cannot be called")
	return code{}
}

func (c *compiler) memberCall(s *callSyntax, fn *memberSyntax) code {
	types := make([]string, len(fn.args))
	for i, t := range fn.args {
		types[i] = c.typeName(t)
	}
	if class, ok := c.static(fn.x); ok {
		if class == "ExpressionSyntaxExtensions" && len(s.args) > 0 {
			return c.memberCall(&callSyntax{s.position, fn, s.args[1:]}, &memberSyntax{fn.position, s.args[0].x, fn.name, fn.args})
		}
		mem, ok := classes[class].static[fn.name]
		if !ok || mem.property {
			c.fail(fn, "%s.%s %s", class, fn.name, notImplemented)
		}
		args := c.arguments(s, s.args, mem.min, mem.max)
		return code{run: func(m *machine) Value {
			m.step(1)
			return mem.run(call{m: m, args: evaluate(m, args), types: types})
		}, typ: resultOf(mem, "", types)}
	}
	x := c.value(fn.x)
	mem, static := c.find(fn, x, false)
	if !static {
		mem.max = -1
	}
	args := c.arguments(s, s.args, mem.min, mem.max)
	name := fn.name
	return code{run: func(m *machine) Value {
		m.step(1)
		v := x.run(m)
		if isNull(v) && !extension[name] {
			throwNull()
		}
		k, found := kind(v), mem
		if !static || !kindFits(base(x.typ), k) {
			if v == nil {
				k = "string" // extension methods take null
			}
			var ok bool
			if found, ok = methodOf(k, name); !ok || len(args) < found.min || found.max >= 0 && len(args) > found.max {
				throw("Microsoft.CSharp.RuntimeBinder.RuntimeBinderException", "'%s' does not contain a definition for '%s'", k, name)
			}
		}
		return found.run(call{m: m, on: v, args: evaluate(m, args), types: types})
	}, typ: resultOf(mem, x.typ, types)}
}

// extension are the methods that API Management adds to string; they take null.
var extension = map[string]bool{"AsJwt": true, "TryParseJwt": true, "AsBasic": true, "TryParseBasic": true}

// ref is an out argument.
type ref struct{ set func(Value) }

// lambda is a function argument.
type lambda struct {
	params []int
	run    func(*machine) Value
}

// invoke calls a lambda.
func (m *machine) invoke(f Value, args ...Value) Value {
	l, ok := f.(*lambda)
	if !ok {
		throwArgumentNull("predicate")
	}
	defer m.enter()()
	m.step(1)
	if len(l.params) < len(args) {
		args = args[:len(l.params)]
	}
	for i, a := range args {
		m.locals[l.params[i]] = a
	}
	return l.run(m)
}

// arguments compiles arguments. Named ones must stand where they belong.
func (c *compiler) arguments(at syntax, args []argumentSyntax, least, most int) []func(*machine) Value {
	if len(args) < least || most >= 0 && len(args) > most {
		c.fail(at, "%d arguments %s", len(args), notImplemented)
	}
	out := make([]func(*machine) Value, len(args))
	for i, a := range args {
		if a.name != "" && !slices.Contains(argumentNames, a.name) {
			c.fail(at, "the argument name %s %s", a.name, notImplemented)
		}
		switch x := a.x.(type) {
		case *lambdaSyntax:
			out[i] = c.lambda(x)
			continue
		case *nameSyntax:
			if a.out && (a.declare != nil || x.name == "_") {
				slot := c.slot()
				if x.name != "_" {
					slot = c.declare(x, x.name, c.typeName(a.declare)).slot
				}
				out[i] = func(m *machine) Value { return &ref{func(v Value) { m.locals[slot] = v }} }
				continue
			}
			if l := c.lookup(x.name); l != nil && l.function != nil {
				f := l.function
				out[i] = func(*machine) Value { return &lambda{f.params, f.body} }
				continue
			}
		}
		v := c.value(a.x)
		if !a.out {
			out[i] = v.run
			continue
		}
		if v.assign == nil {
			c.fail(a.x, "an out argument must be a variable")
		}
		out[i] = func(m *machine) Value { return &ref{func(x Value) { v.assign(m, x) }} }
	}
	return out
}

func evaluate(m *machine, args []func(*machine) Value) []Value {
	if len(args) == 0 {
		return nil
	}
	out := make([]Value, len(args))
	for i, a := range args {
		out[i] = a(m)
	}
	return out
}

// lambda compiles a function argument. Its parameters' types are inferred at
// run time.
func (c *compiler) lambda(s *lambdaSyntax) func(*machine) Value {
	l := &lambda{}
	c.scope(func() {
		for _, p := range s.params {
			typ := ""
			if p.of != nil {
				typ = c.typeName(p.of)
			}
			l.params = append(l.params, c.declare(s, p.name, typ).slot)
		}
		if s.block != nil {
			l.run = c.functionBody(s.block)
		} else {
			l.run = c.value(s.body).run
		}
	})
	return func(m *machine) Value { m.step(1); return l }
}

// index compiles x[i].
func (c *compiler) index(s *indexSyntax) code {
	x := c.value(s.x)
	if len(s.args) != 1 {
		c.fail(s, "several indexes %s", notImplemented)
	}
	i := c.value(s.args[0].x)
	typ := element(x.typ)
	switch {
	case strings.HasPrefix(base(x.typ), "J"):
		typ = "JToken"
	case strings.HasPrefix(x.typ, "Dictionary<"):
		_, typ, _ = strings.Cut(strings.TrimSuffix(x.typ, ">"), ",")
	case base(x.typ) == "byte[]":
		typ = "byte"
	case base(x.typ) == "object":
		c.fail(s, "object has no index; cast first")
	}
	read := func(m *machine) Value { m.step(1); return at(m, x.run(m), i.run(m)) }
	return code{run: read, typ: typ, assign: func(m *machine, v Value) { store(m, x.run(m), i.run(m), v) }}
}
