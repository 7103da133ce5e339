package expr

import (
	"math"
	"slices"
)

func (c *compiler) unary(s *unarySyntax) code {
	x := c.value(s.x)
	switch s.op {
	case "!":
		test := c.boolean(s.x)
		return code{run: func(m *machine) Value { m.step(1); return !test(m) }, typ: "bool"}
	case "~":
		return code{run: func(m *machine) Value {
			m.step(1)
			switch v := x.run(m).(type) {
			case int64:
				return ^v
			default:
				return int32(^toInt(v))
			}
		}, typ: x.typ}
	}
	if x.typ != "" && !numeric(x.typ) && x.typ != "TimeSpan" {
		c.fail(s, "operator %s cannot be applied to %s", s.op, x.typ)
	}
	return code{constant: x.constant, run: func(m *machine) Value {
		m.step(1)
		v := x.run(m)
		if s.op == "+" {
			return v
		}
		if t, ok := v.(TimeSpan); ok {
			return -t
		}
		return arithmetic(m, "-", zeroOf(wider(kind(v), "int")), v)
	}, typ: x.typ}
}

func (c *compiler) binary(s *binarySyntax) code {
	switch s.op {
	case "&&", "||":
		left, right, stop := c.boolean(s.l), c.boolean(s.r), s.op == "||"
		return code{run: func(m *machine) Value {
			m.step(1)
			if left(m) == stop {
				return stop
			}
			return right(m)
		}, typ: "bool"}
	case "??":
		left, right := c.value(s.l), c.value(s.r)
		if valueType(left.typ) {
			c.fail(s, "operator ?? needs a left side that can be null, not %s", left.typ)
		}
		typ := left.typ
		if left.null || left.typ != right.typ && !right.null {
			typ = ""
			if left.null {
				typ = right.typ
			}
		}
		return code{run: func(m *machine) Value {
			m.step(1)
			if v := left.run(m); !isNull(v) {
				return v
			}
			return right.run(m)
		}, typ: typ}
	}
	left, right := c.value(s.l), c.value(s.r)
	if s.op == "==" || s.op == "!=" {
		c.comparable(s, left, right)
		negate := s.op == "!="
		return code{run: func(m *machine) Value {
			m.step(1)
			return m.equal(left.run(m), right.run(m)) != negate
		}, typ: "bool"}
	}
	operate := c.operator(s, s.op, left.typ, right.typ)
	return code{run: func(m *machine) Value {
		m.step(1)
		return operate(m, left.run(m), right.run(m))
	}, typ: resultType(s.op, left.typ, right.typ)}
}

// comparable refuses == between types that C# does not compare, as far as the
// types are known.
func (c *compiler) comparable(s syntax, l, r code) {
	a, b := base(l.typ), base(r.typ)
	known := func(t string) bool { return valueType(t) || t == "string" }
	switch {
	case l.null && valueType(r.typ), r.null && valueType(l.typ):
		c.fail(s, "%s%s is never null", l.typ, r.typ)
	case l.null || r.null || a == b || numeric(a) && numeric(b):
	case known(a) && known(b), a == "object" && valueType(b), b == "object" && valueType(a):
		c.fail(s, "operator == cannot be applied to %s and %s; cast first", l.typ, r.typ)
	}
}

// operator checks the static types and returns how to compute.
func (c *compiler) operator(s syntax, op, a, b string) func(*machine, Value, Value) Value {
	if a != "" && b != "" && resultType(op, a, b) == "" && !slices.Contains([]string{base(a), base(b)}, "JToken") {
		c.fail(s, "operator %s cannot be applied to %s and %s", op, a, b)
	}
	switch op {
	case "<", ">", "<=", ">=":
		return func(m *machine, x, y Value) Value {
			if isNull(x) || isNull(y) {
				return false // lifted comparison
			}
			x, y = plain(x), plain(y)
			if _, ok := x.(string); ok {
				throw("System.InvalidOperationException", "Operator '%s' cannot be applied to operands of type 'string'.", op)
			}
			n := order(x, y)
			return op == "<" && n < 0 || op == ">" && n > 0 || op == "<=" && (n == -1 || n == 0) || op == ">=" && (n == 1 || n == 0)
		}
	}
	return func(m *machine, x, y Value) Value { return arithmetic(m, op, x, y) }
}

// order compares exactly; 2 means that NaN is involved.
func order(x, y Value) int {
	if a, ok := integer(x); ok {
		if b, ok := integer(y); ok {
			switch {
			case a < b:
				return -1
			case a > b:
				return 1
			}
			return 0
		}
	}
	if a, b, ok := numbers(x, y); ok && (math.IsNaN(a) || math.IsNaN(b)) {
		return 2
	}
	n := compare(x, y)
	return max(-1, min(1, n))
}

// resultType is the type that an operator gives, "" for operands that it does
// not take or that are not known.
func resultType(op, a, b string) string {
	a, b = base(a), base(b)
	switch op {
	case "<", ">", "<=", ">=":
		if numeric(a) && numeric(b) || a == b && a != "string" && a != "bool" || a == "" || b == "" {
			return "bool"
		}
		return ""
	case "&", "|", "^":
		if a == b && (a == "bool" || a == "RegexOptions") {
			return a
		}
	case "<<", ">>":
		if numeric(a) && numeric(b) {
			return wider(a, "int")
		}
	}
	switch {
	case op == "+" && (a == "string" || b == "string"):
		return "string"
	case numeric(a) && numeric(b):
		return wider(a, b)
	case (a == "DateTime" || a == "DateTimeOffset") && b == "TimeSpan" && (op == "+" || op == "-"):
		return a
	case a == b && (a == "DateTime" || a == "DateTimeOffset") && op == "-", a == "TimeSpan" && b == "TimeSpan" && (op == "+" || op == "-"):
		return "TimeSpan"
	}
	return ""
}

// arithmetic computes + - * / % & | ^ << >> on values. Integers wrap around, as
// unchecked C# does.
func arithmetic(m *machine, op string, x, y Value) Value {
	if op == "+" {
		_, l := x.(string)
		_, r := y.(string)
		if l || r {
			return m.joined(Text(x), Text(y))
		}
	}
	x, y = plain(x), plain(y)
	switch a := x.(type) {
	case DateTime:
		return a.operate(op, y)
	case DateTimeOffset:
		return a.operate(op, y)
	case TimeSpan:
		if b, ok := y.(TimeSpan); ok && op == "+" {
			return a + b
		} else if ok && op == "-" {
			return a - b
		}
	case bool:
		if b, ok := y.(bool); ok {
			switch op {
			case "&":
				return a && b
			case "|":
				return a || b
			case "^":
				return a != b
			}
		}
	case string:
		if op == "+" {
			return m.joined(a, Text(y))
		}
	case enum:
		if b, ok := y.(enum); ok && op == "|" && a.of == b.of {
			return enum{a.of, a.name + ", " + b.name, a.n | b.n}
		}
	}
	if s, ok := y.(string); ok && op == "+" {
		return m.joined(Text(x), s)
	}
	if x == nil || y == nil {
		return nil // lifted
	}
	a, b, ok := numbers(x, y)
	if !ok {
		throw("Microsoft.CSharp.RuntimeBinder.RuntimeBinderException", "Operator '%s' cannot be applied to operands of type '%s' and '%s'.", op, kind(x), kind(y))
	}
	if wider(kind(x), kind(y)) == "double" {
		switch op {
		case "+":
			return a + b
		case "-":
			return a - b
		case "*":
			return a * b
		case "/":
			return a / b
		case "%":
			return math.Mod(a, b)
		}
		throw("Microsoft.CSharp.RuntimeBinder.RuntimeBinderException", "Operator '%s' cannot be applied to operands of type '%s' and '%s'.", op, kind(x), kind(y))
	}
	i, _ := integer(x)
	j, _ := integer(y)
	long := wider(kind(x), kind(y)) == "long"
	if op == "<<" || op == ">>" {
		long = kind(x) == "long"
	}
	n := integral(op, i, j, long)
	if long {
		return n
	}
	return int32(n)
}

func integral(op string, a, b int64, long bool) int64 {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/", "%":
		if b == 0 {
			throw("System.DivideByZeroException", "Attempted to divide by zero.")
		}
		if b == -1 {
			if op == "%" {
				return 0
			}
			return -a
		}
		if op == "/" {
			return a / b
		}
		return a % b
	case "&":
		return a & b
	case "|":
		return a | b
	case "^":
		return a ^ b
	}
	bits := uint(b) & 31
	if long {
		bits = uint(b) & 63
	}
	if op == "<<" {
		return a << bits
	}
	return a >> bits
}
