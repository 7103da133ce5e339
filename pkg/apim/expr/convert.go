package expr

import (
	"math"
	"strconv"
	"strings"
)

// cast converts as (T)v does. A boxed value, one whose static type is object,
// can only be unboxed to exactly its type.
func cast(m *machine, v Value, to string, boxed bool) Value {
	target, nullable := strings.CutSuffix(to, "?")
	if isNull(v) || (v == nil) {
		if valueType(to) {
			throwNull()
		}
		return nil
	}
	if nullable {
		return cast(m, v, target, boxed)
	}
	k, b := kind(v), base(target)
	switch b {
	case "", "object", "IEnumerable":
		return v
	case k:
		return v
	}
	if j, ok := v.(*jtoken); ok && (b == "string" || valueType(b)) {
		return j.as(b)
	}
	if numeric(b) && !boxed {
		if n, ok := number(v); ok {
			return toNumeric(v, n, b)
		}
	}
	switch {
	case b == "JToken" && jsonKind(k), b == "array" && k == "array", b == "HashAlgorithm" && hashKind(k), b == "dynamic",
		b == "List" && k == "List", b == "Dictionary" && k == "Dictionary", b == "Exception" && strings.HasSuffix(k, "Exception"), b == "Group" && k == "Match", b == "Capture" && (k == "Match" || k == "Group"):
		return v
	}
	throwCast(dotNet(k), dotNet(b))
	return nil
}

// narrowing cuts what a cast to a type without a kind of its own cuts: short,
// ushort and uint compute as int and long.
func narrowing(name string) func(Value) Value {
	var cut func(int64) Value
	switch name {
	case "short", "Int16":
		cut = func(n int64) Value { return int32(int16(n)) }
	case "ushort", "UInt16":
		cut = func(n int64) Value { return int32(uint16(n)) }
	case "uint", "UInt32":
		cut = func(n int64) Value { return int64(uint32(n)) }
	}
	return func(v Value) Value {
		if n, ok := integer(v); ok && cut != nil {
			return cut(n)
		}
		return v
	}
}

// dotNet is a type's name in messages.
func dotNet(k string) string {
	if name, ok := map[string]string{"string": "System.String", "int": "System.Int32", "long": "System.Int64", "bool": "System.Boolean", "double": "System.Double", "DateTime": "System.DateTime"}[k]; ok {
		return name
	}
	return k
}

func toNumeric(v Value, n float64, to string) Value {
	whole, integral := integer(v)
	if !integral {
		if math.IsNaN(n) || n < math.MinInt64 || n >= math.MaxInt64 {
			whole = math.MinInt64 // unchecked conversion of what does not fit
		} else {
			whole = int64(n)
		}
	}
	switch to {
	case "byte":
		return uint8(whole)
	case "char":
		return Char(whole)
	case "int":
		return int32(whole)
	case "long":
		return whole
	}
	return n
}

// integer returns an integral value exactly.
func integer(v Value) (int64, bool) {
	switch v := v.(type) {
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint8:
		return int64(v), true
	case Char:
		return int64(v), true
	}
	return 0, false
}

// is reports whether v is of the type.
func is(m *machine, v Value, to string) (result bool) {
	if isNull(v) {
		return false
	}
	if b := base(strings.TrimSuffix(to, "?")); b == "object" || b == kind(v) {
		return true
	} else if b == "IEnumerable" {
		_, ok := v.(*list)
		return ok
	} else if b == "string" || valueType(b) {
		return false
	}
	defer func() {
		if r := recover(); r != nil {
			if e, ok := r.(*Exception); !ok || e.final {
				panic(r)
			}
			result = false
		}
	}()
	return cast(m, v, to, true) != nil
}

func (c *compiler) typeTest(s *typeTestSyntax) code {
	x, to := c.value(s.x), c.typeName(s.to)
	if s.as {
		if valueType(to) {
			c.fail(s, "as needs a type that can be null")
		}
		return code{run: func(m *machine) Value {
			m.step(1)
			if v := x.run(m); is(m, v, to) {
				return v
			}
			return nil
		}, typ: to}
	}
	var l *local
	if s.name != "" && s.name != "_" {
		l = c.declare(s, s.name, to)
	}
	return code{run: func(m *machine) Value {
		m.step(1)
		v := x.run(m)
		ok := is(m, v, to)
		if ok && l != nil {
			m.locals[l.slot] = v
		}
		return ok
	}, typ: "bool"}
}

// toInt reads an argument of type int.
func toInt(v Value) int {
	if j, ok := v.(*jtoken); ok {
		v = j.as("int")
	}
	n, ok := integer(v)
	if !ok {
		if v == nil {
			throwNull()
		}
		throwCast(dotNet(kind(v)), "System.Int32")
	}
	return int(n)
}

func toDouble(v Value) float64 {
	n, ok := number(v)
	if !ok {
		throwCast(dotNet(kind(v)), "System.Double")
	}
	return n
}

func toBool(j *jtoken) bool {
	b, ok := j.as("bool").(bool)
	return ok && b
}

// parseInt reads digits as int.Parse and long.Parse do.
func parseInt(s string, bits int) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimPrefix(strings.TrimSpace(s), "+"), 10, bits)
	return n, err == nil && !strings.Contains(s, "_")
}

func parseDouble(s string) (float64, bool) {
	s = strings.ReplaceAll(strings.TrimSpace(s), ",", "")
	if strings.ContainsAny(s, "xXpP_iInN") {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

func parseBool(s string) (value, ok bool) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}
