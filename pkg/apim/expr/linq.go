package expr

import (
	"slices"
	"strings"
)

// sequenceValue makes the result of a sequence method.
func sequenceValue(items []Value) *list { return &list{of: "IEnumerable", items: items} }

// matching returns the items for which the optional predicate holds.
func matching(c call) []Value {
	all := items(c.m, c.on)
	if !c.has(0) {
		return all
	}
	var out []Value
	for _, v := range all {
		if truth(c.m.invoke(c.args[0], v)) {
			out = append(out, v)
		}
	}
	return out
}

// selected returns the items, or what the optional selector makes of them.
func selected(c call) []Value {
	all := items(c.m, c.on)
	if !c.has(0) {
		return all
	}
	out := make([]Value, len(all))
	for i, v := range all {
		out[i] = c.m.invoke(c.args[0], v, int32(i))
	}
	return out
}

const (
	noElements = "Sequence contains no elements"
	severalMsg = "Sequence contains more than one element"
)

// pick is First, Last, Single and their OrDefault forms.
func pick(choose func([]Value) (Value, bool), lenient bool) member {
	return method(0, 1, "elem", func(c call) Value {
		found := matching(c)
		if len(found) == 0 {
			if !lenient {
				throwInvalid(noElements)
			}
			return nil
		}
		v, ok := choose(found)
		if !ok {
			throwInvalid(severalMsg)
		}
		return v
	})
}

// extreme is Min and Max.
func extreme(sign int) member {
	return method(0, 1, "", func(c call) Value {
		all := selected(c)
		if len(all) == 0 {
			throwInvalid(noElements)
		}
		best := all[0]
		for _, v := range all[1:] {
			if compare(plain(v), plain(best))*sign > 0 {
				best = v
			}
		}
		return best
	})
}

// total is Sum and Average.
func total(c call) (Value, int) {
	all := selected(c)
	sum := Value(int32(0))
	for _, v := range all {
		sum = arithmetic(c.m, "+", sum, plain(v))
	}
	return sum, len(all)
}

// sorted is OrderBy; the sort is stable.
func sorted(sign int) member {
	return method(1, 1, "elems", func(c call) Value {
		all := items(c.m, c.on)
		type keyed struct{ key, v Value }
		rows := make([]keyed, len(all))
		for i, v := range all {
			rows[i] = keyed{plain(c.m.invoke(c.args[0], v)), v}
		}
		slices.SortStableFunc(rows, func(a, b keyed) int {
			c.m.step(1)
			if text, ok := a.key.(string); ok {
				c.m.look(text)
			}
			return sign * compare(a.key, b.key)
		})
		out := make([]Value, len(rows))
		for i, r := range rows {
			out[i] = r.v
		}
		return sequenceValue(out)
	})
}

// distinct keeps the first of equal items.
func distinct(m *machine, all []Value) []Value {
	var out []Value
	for _, v := range all {
		if !has(m, out, v) {
			out = append(out, v)
		}
	}
	return out
}

// cut returns bounds for Skip and Take.
func cut(n, length int) int { return max(0, min(n, length)) }

// linq are the methods of System.Linq.Enumerable.
var linq map[string]member

func addLinq() {
	k := define("Enumerable")
	k.static["Range"] = method(2, 2, "IEnumerable<int>", func(c call) Value {
		from, n := c.int(0), c.int(1)
		if n < 0 {
			throwRange("count")
		}
		c.m.step(n)
		out := make([]Value, n)
		for i := range out {
			out[i] = int32(from + i)
		}
		return sequenceValue(out)
	})
	k.static["Repeat"] = method(2, 2, "IEnumerable", func(c call) Value {
		n := c.int(1)
		if n < 0 {
			throwRange("count")
		}
		c.m.step(n)
		return sequenceValue(slices.Repeat(c.args[:1], n))
	})
	k.static["Empty"] = method(0, 0, "IEnumerable", func(call) Value { return sequenceValue(nil) })
	linq = map[string]member{
		"Where":           method(1, 1, "elems", func(c call) Value { return sequenceValue(matching(c)) }),
		"Select":          method(1, 1, "IEnumerable", func(c call) Value { return sequenceValue(selected(c)) }),
		"Any":             method(0, 1, "bool", func(c call) Value { return len(matching(c)) > 0 }),
		"Count":           method(0, 1, "int", func(c call) Value { return int32(len(matching(c))) }),
		"All":             method(1, 1, "bool", func(c call) Value { return len(matching(c)) == len(sequenceOf(c.on)) }),
		"First":           pick(func(v []Value) (Value, bool) { return v[0], true }, false),
		"FirstOrDefault":  pick(func(v []Value) (Value, bool) { return v[0], true }, true),
		"Last":            pick(func(v []Value) (Value, bool) { return v[len(v)-1], true }, false),
		"LastOrDefault":   pick(func(v []Value) (Value, bool) { return v[len(v)-1], true }, true),
		"Single":          pick(func(v []Value) (Value, bool) { return v[0], len(v) == 1 }, false),
		"SingleOrDefault": pick(func(v []Value) (Value, bool) { return v[0], len(v) == 1 }, true),
		"Contains": method(1, 2, "bool", func(c call) Value {
			folds := c.has(1) && ignoresCase(c.args[1])
			for _, v := range items(c.m, c.on) {
				a, text := v.(string)
				b, other := c.args[0].(string)
				if folds && text && other && strings.EqualFold(a, b) || c.m.equal(v, c.args[0]) {
					return true
				}
			}
			return false
		}),
		"ElementAt": method(1, 1, "elem", func(c call) Value { return at(c.m, array(items(c.m, c.on)...), c.args[0]) }),
		"ElementAtOrDefault": method(1, 1, "elem", func(c call) Value {
			all, i := items(c.m, c.on), c.int(0)
			if i < 0 || i >= len(all) {
				return nil
			}
			return all[i]
		}),
		"Skip": method(1, 1, "elems", func(c call) Value {
			all := items(c.m, c.on)
			return sequenceValue(all[cut(c.int(0), len(all)):])
		}),
		"Take": method(1, 1, "elems", func(c call) Value {
			all := items(c.m, c.on)
			return sequenceValue(all[:cut(c.int(0), len(all))])
		}),
		"SkipWhile": method(1, 1, "elems", func(c call) Value {
			all := items(c.m, c.on)
			i := slices.IndexFunc(all, func(v Value) bool { return !truth(c.m.invoke(c.args[0], v)) })
			if i < 0 {
				i = len(all)
			}
			return sequenceValue(all[i:])
		}),
		"TakeWhile": method(1, 1, "elems", func(c call) Value {
			all := items(c.m, c.on)
			i := slices.IndexFunc(all, func(v Value) bool { return !truth(c.m.invoke(c.args[0], v)) })
			if i < 0 {
				i = len(all)
			}
			return sequenceValue(all[:i])
		}),
		"Concat":   method(1, 1, "elems", func(c call) Value { return sequenceValue(slices.Concat(items(c.m, c.on), items(c.m, c.args[0]))) }),
		"Append":   method(1, 1, "elems", func(c call) Value { return sequenceValue(slices.Concat(items(c.m, c.on), c.args[:1])) }),
		"Prepend":  method(1, 1, "elems", func(c call) Value { return sequenceValue(slices.Concat(c.args[:1], items(c.m, c.on))) }),
		"Distinct": method(0, 1, "elems", func(c call) Value { return sequenceValue(distinct(c.m, items(c.m, c.on))) }),
		"Union": method(1, 1, "elems", func(c call) Value {
			return sequenceValue(distinct(c.m, slices.Concat(items(c.m, c.on), items(c.m, c.args[0]))))
		}),
		"Except":    setOperation(false),
		"Intersect": setOperation(true),
		"Reverse": method(0, 0, "elems", func(c call) Value {
			out := slices.Clone(items(c.m, c.on))
			slices.Reverse(out)
			return sequenceValue(out)
		}),
		"OrderBy": sorted(1), "OrderByDescending": sorted(-1),
		"Min": extreme(-1), "Max": extreme(1),
		"Sum": method(0, 1, "", func(c call) Value { sum, _ := total(c); return sum }),
		"Average": method(0, 1, "double", func(c call) Value {
			sum, n := total(c)
			if n == 0 {
				throwInvalid(noElements)
			}
			return toDouble(sum) / float64(n)
		}),
		"SelectMany": method(1, 1, "IEnumerable", func(c call) Value {
			var out []Value
			for _, v := range selected(c) {
				out = append(out, items(c.m, v)...)
			}
			return sequenceValue(out)
		}),
		"Aggregate": method(1, 2, "", func(c call) Value {
			all, f := items(c.m, c.on), c.args[len(c.args)-1]
			var sum Value
			switch {
			case len(c.args) == 2:
				sum = c.args[0]
			case len(all) == 0:
				throwInvalid(noElements)
			default:
				sum, all = all[0], all[1:]
			}
			for _, v := range all {
				sum = c.m.invoke(f, sum, v)
			}
			return sum
		}),
		"Zip": method(2, 2, "IEnumerable", func(c call) Value {
			a, b := items(c.m, c.on), items(c.m, c.args[0])
			var out []Value
			for i := range min(len(a), len(b)) {
				out = append(out, c.m.invoke(c.args[1], a[i], b[i]))
			}
			return sequenceValue(out)
		}),
		"GroupBy": method(1, 1, "IEnumerable<IGrouping>", func(c call) Value {
			groups := newDict()
			for _, v := range items(c.m, c.on) {
				key := c.m.invoke(c.args[0], v)
				if _, ok := groups.get(key); !ok {
					groups.set(key, &list{of: "IGrouping", key: key})
				}
				g, _ := groups.get(key)
				g.(*list).items = append(g.(*list).items, v)
			}
			var out []Value
			for _, e := range groups.entries() {
				out = append(out, e.(*entry).value)
			}
			return sequenceValue(out)
		}),
		"ToDictionary": method(1, 2, "Dictionary", func(c call) Value {
			d := newDict()
			for _, v := range items(c.m, c.on) {
				key, value := c.m.invoke(c.args[0], v), v
				if c.has(1) {
					value = c.m.invoke(c.args[1], v)
				}
				if _, twice := d.get(key); twice {
					throw("System.ArgumentException", "An item with the same key has already been added.")
				}
				d.set(key, value)
			}
			return d
		}),
		"ToList":       copied("List"),
		"ToArray":      copied("array"),
		"ToHashSet":    method(0, 0, "HashSet", func(c call) Value { return &list{of: "HashSet", items: distinct(c.m, items(c.m, c.on))} }),
		"AsEnumerable": copied("IEnumerable"),
		"Cast": method(0, 0, "IEnumerable", func(c call) Value {
			var out []Value
			for _, v := range items(c.m, c.on) {
				out = append(out, cast(c.m, v, c.typ(), true))
			}
			return sequenceValue(out)
		}),
		"OfType": method(0, 0, "IEnumerable", func(c call) Value {
			var out []Value
			for _, v := range items(c.m, c.on) {
				if is(c.m, v, c.typ()) {
					out = append(out, v)
				}
			}
			return sequenceValue(out)
		}),
		"SequenceEqual": method(1, 1, "bool", func(c call) Value {
			return slices.EqualFunc(items(c.m, c.on), items(c.m, c.args[0]), func(a, b Value) bool { return equal(a, b) })
		}),
		"DefaultIfEmpty": method(0, 1, "elems", func(c call) Value {
			if all := items(c.m, c.on); len(all) > 0 {
				return sequenceValue(all)
			}
			if c.has(0) {
				return sequenceValue(c.args)
			}
			return sequenceValue([]Value{nil})
		}),
	}
}

// setOperation is Intersect (keep) and Except.
func setOperation(keep bool) member {
	return method(1, 1, "elems", func(c call) Value {
		other := items(c.m, c.args[0])
		var out []Value
		for _, v := range distinct(c.m, items(c.m, c.on)) {
			if has(c.m, other, v) == keep {
				out = append(out, v)
			}
		}
		return sequenceValue(out)
	})
}

// copied is ToList and ToArray; bytes stay bytes.
func copied(of string) member {
	return method(0, 0, of, func(c call) Value {
		all := items(c.m, c.on)
		if of == "array" && len(all) > 0 {
			if _, bytes := all[0].(uint8); bytes {
				out := make([]byte, len(all))
				for i, v := range all {
					out[i] = byte(toInt(v))
				}
				return out
			}
		}
		return &list{of: of, items: slices.Clone(all)}
	})
}
