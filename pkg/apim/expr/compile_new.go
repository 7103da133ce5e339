package expr

import "strings"

// creation compiles new T(…) { … }.
func (c *compiler) creation(s *newSyntax) code {
	t := c.typeName(s.of)
	b := base(t)
	k, ok := classes[b]
	if !ok || k.create == nil {
		c.fail(s, "new %s %s", s.of.name, notImplemented)
	}
	args := c.arguments(s, s.args, k.create.min, k.create.max)
	types := []string{}
	if e := element(t); e != "" {
		types = append(types, e)
	}
	fill := c.initialize(s.init)
	return code{run: func(m *machine) Value {
		m.step(1)
		m.alloc(64)
		v := k.create.run(call{m: m, args: evaluate(m, args), types: types})
		fill(m, v)
		return v
	}, typ: t}
}

// initialize compiles { a, b }, { { k, v } }, { [k] = v } and { Name = v }.
func (c *compiler) initialize(s *initializerSyntax) func(*machine, Value) {
	if s == nil {
		return func(*machine, Value) {}
	}
	type item struct {
		name   string
		key    *code
		values []code
	}
	var items []item
	for _, i := range s.items {
		it := item{name: i.name}
		if i.key != nil {
			key := c.value(i.key)
			it.key = &key
		}
		for _, v := range i.values {
			it.values = append(it.values, c.value(v))
		}
		items = append(items, it)
	}
	return func(m *machine, into Value) {
		for _, i := range items {
			m.step(1)
			m.alloc(16)
			var values []Value
			for _, v := range i.values {
				values = append(values, v.run(m))
			}
			switch {
			case i.name != "":
				mem, ok := instanceMember(kind(into), "set_"+i.name)
				if !ok {
					throwInvalid("The property " + i.name + " cannot be set.")
				}
				mem.run(call{m: m, on: into, args: values})
			case i.key != nil:
				store(m, into, i.key.run(m), values[0])
			default:
				mem, ok := instanceMember(kind(into), "Add")
				if !ok || len(values) < mem.min || mem.max >= 0 && len(values) > mem.max {
					throwInvalid("The object takes no initializer.")
				}
				mem.run(call{m: m, on: into, args: values})
			}
		}
	}
}

// newArray compiles new[] {…}, new T[] {…} and new T[n].
func (c *compiler) newArray(s *newArraySyntax) code {
	of := ""
	if s.elem != nil {
		of = c.typeName(s.elem)
	}
	var size *code
	if s.size != nil {
		x := c.value(s.size)
		size = &x
	}
	var items []code
	if s.init != nil {
		for _, i := range s.init.items {
			if len(i.values) != 1 || i.key != nil || i.name != "" {
				c.fail(s, "an array holds plain items")
			}
			items = append(items, c.value(i.values[0]))
		}
	}
	if of == "" && len(items) > 0 {
		of = items[0].typ
	}
	typ := "array"
	if of != "" {
		typ = of + "[]"
	}
	bytes := typ == "byte[]"
	return code{run: func(m *machine) Value {
		m.step(1 + len(items))
		n := len(items)
		if size != nil {
			if n = toInt(size.run(m)); n < 0 {
				throwOverflow("an array's length")
			}
		}
		if bytes {
			m.room(n)
			b := make([]byte, n)
			for i, x := range items {
				b[i] = byte(toInt(x.run(m)))
			}
			return b
		}
		m.alloc(16*n + 32)
		l := &list{of: "array", items: make([]Value, n)}
		for i := range l.items {
			if i < len(items) {
				l.items[i] = assignable(m, items[i].run(m), of)
			} else {
				l.items[i] = zeroOf(of)
			}
		}
		return l
	}, typ: typ}
}

// anonymous compiles new { a = 1 }.
func (c *compiler) anonymous(s *newAnonymousSyntax) code {
	var values []code
	for _, v := range s.values {
		values = append(values, c.value(v))
	}
	return code{run: func(m *machine) Value {
		m.step(1)
		m.alloc(48 * len(values))
		o := &object{kind: "anonymous", fields: map[string]Value{}, order: s.names}
		parts := make([]string, len(values))
		for i, v := range values {
			x := v.run(m)
			o.fields[s.names[i]] = x
			parts[i] = s.names[i] + " = " + Text(x)
		}
		o.text = "{ " + strings.Join(parts, ", ") + " }"
		return o
	}}
}
