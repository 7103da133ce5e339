package expr

// at is x[i].
func at(m *machine, x, i Value) Value {
	switch v := x.(type) {
	case nil:
		throwNull()
	case *jtoken:
		if v == nil {
			throwNull()
		}
		return child(v, i)
	case *list:
		n := toInt(i)
		if n < 0 || n >= len(v.items) {
			if v.of == "array" {
				throwIndex()
			}
			throwRange("index")
		}
		return v.items[n]
	case []byte:
		n := toInt(i)
		if n < 0 || n >= len(v) {
			throwIndex()
		}
		return v[n]
	case string:
		n := toInt(i)
		m.look(v)
		if n < 0 || n >= length(v) {
			throwIndex()
		}
		if ascii(v) {
			return Char(v[n])
		}
		m.step(len(v) / 16)
		return Char(units(v)[n])
	case *dict:
		if name, ok := i.(string); ok {
			m.look(name)
		}
		found, ok := v.get(i)
		if !ok {
			throwKey()
		}
		return found
	case *match:
		return v.group(i)
	case *groups:
		return v.of.group(i)
	}
	throw("Microsoft.CSharp.RuntimeBinder.RuntimeBinderException", "Cannot apply indexing with [] to an expression of type '%s'", kind(x))
	return nil
}

// store is x[i] = v.
func store(m *machine, x, i, v Value) {
	switch to := x.(type) {
	case nil:
		throwNull()
	case *jtoken:
		token := toToken(m, v)
		switch to.of {
		case "JObject":
			m.put(to, Text(i), token)
			return
		case "JArray":
			n := toInt(i)
			if n < 0 || n >= len(to.items) {
				throwRange("index")
			}
			to.items[n].parent = nil
			to.items[n] = m.attach(to, token)
			return
		}
	case *list:
		n := toInt(i)
		if n < 0 || n >= len(to.items) {
			throwIndex()
		}
		to.items[n] = v
		return
	case []byte:
		n := toInt(i)
		if n < 0 || n >= len(to) {
			throwIndex()
		}
		to[n] = byte(toInt(v))
		return
	case *dict:
		if !to.fixed {
			m.alloc(48)
			to.set(i, v)
			return
		}
	}
	throw("System.NotSupportedException", "A %s cannot be changed.", kind(x))
}

// items lists a sequence's items and spends a step for each.
func items(m *machine, v Value) []Value {
	out := sequenceOf(v)
	m.step(len(out))
	m.alloc(16 * len(out))
	return out
}

func sequenceOf(v Value) []Value {
	switch x := v.(type) {
	case nil:
		throwNull()
	case *list:
		return x.items
	case *dict:
		return x.entries()
	case *jtoken:
		if x == nil {
			throwNull()
		}
		if x.of == "JObject" || x.of == "JArray" {
			return children(x)
		}
	case string:
		u := units(x)
		out := make([]Value, len(u))
		for i, c := range u {
			out[i] = Char(c)
		}
		return out
	case []byte:
		out := make([]Value, len(x))
		for i, b := range x {
			out[i] = b
		}
		return out
	case *groups:
		return x.all()
	}
	throwCast(dotNet(kind(v)), "System.Collections.IEnumerable")
	return nil
}

func addCollections() {
	create := func(of string, run func(call) Value) {
		mem := method(0, 2, of, run)
		define(of).create = &mem
	}
	for _, of := range []string{"List", "HashSet", "Queue", "Stack"} {
		create(of, func(c call) Value {
			l := &list{of: of}
			if c.has(0) {
				if _, capacity := integer(c.args[0]); !capacity {
					if _, comparer := c.args[0].(enum); !comparer {
						for _, v := range items(c.m, c.args[0]) {
							add(c.m, l, v)
						}
					}
				}
			}
			return l
		})
		k := define(of)
		k.instance["Count"] = prop("int", func(c call) Value { return int32(len(c.on.(*list).items)) })
		k.instance["Clear"] = method(0, 0, "", func(c call) Value { c.on.(*list).items = nil; return nil })
	}
	addList()
	addQueues()
	array := define("array")
	array.instance["Length"] = prop("int", func(c call) Value { return int32(len(c.on.(*list).items)) })
	define("byte[]").instance["Length"] = prop("int", func(c call) Value { return int32(len(c.on.([]byte))) })
	pair := define("KeyValuePair")
	pair.instance["Key"] = prop("", func(c call) Value { return c.on.(*entry).key })
	pair.instance["Value"] = prop("", func(c call) Value { return c.on.(*entry).value })
	define("IGrouping").instance["Key"] = prop("", func(c call) Value { return c.on.(*list).key })
	addDictionary(create)
	addArray()
}

// addArray adds the functions of Array, which are those of sequences with the
// array as first argument.
func addArray() {
	k := define("Array")
	for name, of := range map[string]string{"Exists": "Any", "Find": "FirstOrDefault", "FindAll": "Where", "TrueForAll": "All", "ConvertAll": "Select"} {
		mem := linq[of]
		k.static[name] = method(2, 2, "", func(c call) Value { return mem.run(call{m: c.m, on: c.args[0], args: c.args[1:]}) })
	}
	k.static["IndexOf"] = method(2, 2, "int", func(c call) Value {
		for i, v := range items(c.m, c.args[0]) {
			if c.m.equal(v, c.args[1]) {
				return int32(i)
			}
		}
		return int32(-1)
	})
}

// add appends; a HashSet keeps one of each. It reports whether it did.
func add(m *machine, l *list, v Value) bool {
	m.alloc(16)
	if l.of == "HashSet" && has(m, l.items, v) {
		return false
	}
	l.items = append(l.items, v)
	return true
}

func has(m *machine, all []Value, v Value) bool {
	m.step(len(all))
	for _, x := range all {
		if m.equal(x, v) {
			return true
		}
	}
	return false
}

func addList() {
	for _, of := range []string{"List", "HashSet"} {
		k := define(of)
		k.instance["Add"] = method(1, 1, map[string]string{"HashSet": "bool"}[of], func(c call) Value { return add(c.m, c.on.(*list), c.args[0]) })
		k.instance["AddRange"] = method(1, 1, "", func(c call) Value {
			for _, v := range items(c.m, c.args[0]) {
				add(c.m, c.on.(*list), v)
			}
			return nil
		})
		k.instance["Remove"] = method(1, 1, "bool", func(c call) Value {
			l := c.on.(*list)
			for i, v := range items(c.m, l) {
				if c.m.equal(v, c.args[0]) {
					l.items = append(l.items[:i:i], l.items[i+1:]...)
					return true
				}
			}
			return false
		})
	}
	k := define("List")
	k.instance["RemoveAt"] = method(1, 1, "", func(c call) Value {
		l, i := c.on.(*list), c.int(0)
		if i < 0 || i >= len(l.items) {
			throwRange("index")
		}
		l.items = append(l.items[:i:i], l.items[i+1:]...)
		return nil
	})
	k.instance["Insert"] = method(2, 2, "", func(c call) Value {
		l, i := c.on.(*list), c.int(0)
		if i < 0 || i > len(l.items) {
			throwRange("index")
		}
		c.m.step(len(l.items))
		c.m.alloc(16 * len(l.items))
		l.items = append(l.items[:i:i], append([]Value{c.args[1]}, l.items[i:]...)...)
		return nil
	})
	k.instance["IndexOf"] = method(1, 1, "int", func(c call) Value {
		for i, v := range items(c.m, c.on) {
			if c.m.equal(v, c.args[0]) {
				return int32(i)
			}
		}
		return int32(-1)
	})
	k.instance["Find"] = linq["FirstOrDefault"]
	k.instance["FindAll"] = linq["Where"]
	k.instance["Exists"] = linq["Any"]
	k.instance["ForEach"] = method(1, 1, "", func(c call) Value {
		for _, v := range items(c.m, c.on) {
			c.m.invoke(c.args[0], v)
		}
		return nil
	})
}

// addQueues adds Queue and Stack: one takes from the front, the other from the back.
func addQueues() {
	take := func(of string, front, keep bool) func(call) Value {
		return func(c call) Value {
			l := c.on.(*list)
			if len(l.items) == 0 {
				throwInvalid(of + " empty.")
			}
			i := len(l.items) - 1
			if front {
				i = 0
			}
			v := l.items[i]
			if !keep {
				l.items = append(l.items[:i:i], l.items[i+1:]...)
				c.m.step(len(l.items) / 8)
			}
			return v
		}
	}
	push := func(c call) Value { add(c.m, c.on.(*list), c.args[0]); return nil }
	q, s := define("Queue"), define("Stack")
	q.instance["Enqueue"], s.instance["Push"] = method(1, 1, "", push), method(1, 1, "", push)
	q.instance["Dequeue"], s.instance["Pop"] = method(0, 0, "elem", take("Queue", true, false)), method(0, 0, "elem", take("Stack", false, false))
	q.instance["Peek"], s.instance["Peek"] = method(0, 0, "elem", take("Queue", true, true)), method(0, 0, "elem", take("Stack", false, true))
}

// lookKey spends what a long key costs.
func (c call) lookKey() {
	if name, ok := c.args[0].(string); ok {
		c.m.look(name)
	}
}

func addDictionary(create func(string, func(call) Value)) {
	create("Dictionary", func(c call) Value {
		d := newDict()
		for _, a := range c.args {
			switch x := a.(type) {
			case *dict:
				for _, e := range items(c.m, x) {
					d.set(e.(*entry).key, e.(*entry).value)
				}
			case enum:
				d.folds = ignoresCase(x)
			}
		}
		return d
	})
	k := define("Dictionary")
	on := func(c call) *dict { return c.on.(*dict) }
	k.instance["ContainsKey"] = method(1, 1, "bool", func(c call) Value { c.lookKey(); _, ok := on(c).get(c.args[0]); return ok })
	k.instance["TryGetValue"] = method(2, 2, "bool", func(c call) Value {
		c.lookKey()
		v, ok := on(c).get(c.args[0])
		c.out(1)(v)
		return ok
	})
	k.instance["GetValueOrDefault"] = method(1, 2, "T", func(c call) Value {
		c.lookKey()
		v, ok := on(c).get(c.args[0])
		switch {
		case !ok && c.has(1):
			return c.args[1]
		case !ok:
			return zeroOf(c.typ())
		case on(c).joins:
			return joinValues(c.m, v)
		case c.typ() != "":
			return cast(c.m, v, c.typ(), true)
		}
		return v
	})
	k.instance["Add"] = method(2, 2, "", func(c call) Value {
		if _, twice := on(c).get(c.args[0]); twice {
			throw("System.ArgumentException", "An item with the same key has already been added.")
		}
		store(c.m, c.on, c.args[0], c.args[1])
		return nil
	})
	k.instance["Remove"] = method(1, 1, "bool", func(c call) Value {
		if on(c).fixed {
			throw("System.NotSupportedException", "The dictionary is read-only.")
		}
		c.m.step(len(on(c).keys))
		return on(c).remove(c.args[0])
	})
	k.instance["Count"] = prop("int", func(c call) Value { return int32(len(on(c).entries())) })
	k.instance["Keys"] = prop("IEnumerable", func(c call) Value {
		on(c).load()
		return &list{of: "IEnumerable", items: append([]Value(nil), on(c).keys...)}
	})
	k.instance["Values"] = prop("IEnumerable", func(c call) Value {
		l := &list{of: "IEnumerable"}
		for _, e := range on(c).entries() {
			l.items = append(l.items, e.(*entry).value)
		}
		return l
	})
}

// joinValues joins the values of a header or claim with commas.
func joinValues(m *machine, v Value) Value {
	l, ok := v.(*list)
	if !ok {
		return v
	}
	var parts []string
	for i, x := range l.items {
		if i > 0 {
			parts = append(parts, ",")
		}
		parts = append(parts, Text(x))
	}
	return m.joined(parts...)
}
