package expr

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"math"
	mathrand "math/rand/v2"
	"strings"
)

func addNumbers() {
	for _, t := range []string{"int", "long", "byte", "double", "bool", "Guid"} {
		k := define(t)
		parse := func(text string) (Value, bool) {
			switch t {
			case "double":
				return parseDouble(text)
			case "bool":
				return parseBool(text)
			case "Guid":
				return parseGuid(text)
			}
			n, ok := parseInt(text, map[string]int{"int": 32, "long": 64, "byte": 16}[t])
			if t == "byte" && (n < 0 || n > 255) {
				return uint8(0), false
			}
			return toNumeric(n, float64(n), t), ok
		}
		k.static["Parse"] = method(1, 3, t, func(c call) Value {
			v, ok := parse(c.str(0))
			if !ok {
				throwFormat()
			}
			return v
		})
		k.static["TryParse"] = method(2, 4, "bool", func(c call) Value {
			text, _ := plain(c.args[0]).(string)
			v, ok := parse(text)
			if !ok {
				v = zeroOf(t)
			}
			out, isRef := c.args[len(c.args)-1].(*ref)
			if !isRef {
				throw("System.ArgumentException", "TryParse needs an out argument.")
			}
			out.set(v)
			return ok
		})
		k.instance["CompareTo"] = method(1, 1, "int", func(c call) Value { return int32(max(-1, min(1, order(c.on, c.args[0])))) })
		// Nullable<T>
		k.instance["HasValue"] = prop("bool", func(call) Value { return true })
		k.instance["Value"] = prop("same", func(c call) Value { return c.on })
		k.instance["GetValueOrDefault"] = method(0, 1, "same", func(c call) Value { return c.on })
	}
	bounds := map[string][2]Value{"int": {int32(math.MinInt32), int32(math.MaxInt32)}, "long": {int64(math.MinInt64), int64(math.MaxInt64)}, "byte": {uint8(0), uint8(255)}, "double": {-math.MaxFloat64, math.MaxFloat64}}
	for t, b := range bounds {
		define(t).static["MinValue"] = prop(t, func(call) Value { return b[0] })
		define(t).static["MaxValue"] = prop(t, func(call) Value { return b[1] })
	}
	for _, t := range []string{"DateTime", "DateTimeOffset", "TimeSpan"} {
		define(t).instance["HasValue"] = prop("bool", func(call) Value { return true })
		define(t).instance["Value"] = prop("same", func(c call) Value { return c.on })
	}
	define("bool").static["TrueString"] = prop("string", func(call) Value { return "True" })
	define("bool").static["FalseString"] = prop("string", func(call) Value { return "False" })
	addMath()
	addGuid()
	addRandom()
}

func addMath() {
	k := define("Math")
	enumeration("MidpointRounding", "ToEven", "AwayFromZero")
	for name, f := range map[string]func(float64) float64{"Floor": math.Floor, "Ceiling": math.Ceil, "Sqrt": math.Sqrt, "Log10": math.Log10, "Exp": math.Exp, "Truncate": math.Trunc, "Log": math.Log, "Sin": math.Sin, "Cos": math.Cos} {
		k.static[name] = method(1, 1, "double", func(c call) Value { return f(toDouble(c.args[0])) })
	}
	k.static["Pow"] = method(2, 2, "double", func(c call) Value { return math.Pow(toDouble(c.args[0]), toDouble(c.args[1])) })
	k.static["PI"] = prop("double", func(call) Value { return math.Pi })
	k.static["Round"] = method(1, 3, "double", func(c call) Value {
		scale, round := 1.0, math.RoundToEven
		for _, a := range c.args[1:] {
			if e, ok := a.(enum); ok {
				if e.name == "AwayFromZero" {
					round = math.Round
				}
				continue
			}
			scale = math.Pow(10, float64(min(max(toInt(a), 0), 15)))
		}
		return round(toDouble(c.args[0])*scale) / scale
	})
	pick := func(sign int) member {
		return method(2, 2, "", func(c call) Value {
			t := wider(kind(c.args[0]), kind(c.args[1]))
			a, b := cast(c.m, c.args[0], t, false), cast(c.m, c.args[1], t, false)
			if order(a, b)*sign >= 0 {
				return a
			}
			return b
		})
	}
	k.static["Max"], k.static["Min"] = pick(1), pick(-1)
	k.static["Abs"] = method(1, 1, "", func(c call) Value {
		if n, ok := number(c.args[0]); ok && n < 0 {
			return arithmetic(c.m, "-", zeroOf(kind(c.args[0])), c.args[0])
		}
		return c.args[0]
	})
	k.static["Sign"] = method(1, 1, "int", func(c call) Value { return int32(order(c.args[0], int32(0))) })
}

// Guid is a System.Guid, in the order in which it is written.
type Guid [16]byte

func (Guid) kind() string { return "Guid" }

// String writes 32 digits with dashes.
func (g Guid) String() string { return g.format("D") }

func (g Guid) format(f string) string {
	h := hex.EncodeToString(g[:])
	dashed := h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	switch strings.ToUpper(f) {
	case "N":
		return h
	case "B":
		return "{" + dashed + "}"
	case "P":
		return "(" + dashed + ")"
	case "D", "":
		return dashed
	}
	throwFormat()
	return ""
}

func parseGuid(s string) (Guid, bool) {
	s = strings.TrimSpace(s)
	if len(s) == 38 && (s[0] == '{' && s[37] == '}' || s[0] == '(' && s[37] == ')') {
		s = s[1:37]
	}
	if len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' {
		s = strings.ReplaceAll(s, "-", "")
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 16 {
		return Guid{}, false
	}
	return Guid(b), true
}

func addGuid() {
	k := define("Guid")
	k.static["Empty"] = prop("Guid", func(call) Value { return Guid{} })
	k.static["NewGuid"] = method(0, 0, "Guid", func(call) Value {
		var g Guid
		rand.Read(g[:]) // never fails: see crypto/rand.Read
		g[6], g[8] = g[6]&0x0f|0x40, g[8]&0x3f|0x80
		return g
	})
	create := method(1, 1, "Guid", func(c call) Value { return k.static["Parse"].run(c) })
	k.create = &create
}

func addRandom() {
	k := define("Random")
	create := method(0, 1, "Random", func(c call) Value {
		if c.has(0) {
			seed := uint64(c.int(0))
			return &object{kind: "Random", inner: mathrand.New(mathrand.NewPCG(seed, seed))}
		}
		return &object{kind: "Random", inner: mathrand.New(mathrand.NewPCG(mathrand.Uint64(), mathrand.Uint64()))}
	})
	k.create = &create
	on := func(c call) *mathrand.Rand { return c.on.(*object).inner.(*mathrand.Rand) }
	k.instance["Next"] = method(0, 2, "int", func(c call) Value {
		low, high := 0, math.MaxInt32
		switch len(c.args) {
		case 1:
			high = c.int(0)
		case 2:
			low, high = c.int(0), c.int(1)
		}
		if high < low {
			throwRange("maxValue")
		}
		if high == low {
			return int32(low)
		}
		return int32(low + on(c).IntN(high-low))
	})
	k.instance["NextDouble"] = method(0, 0, "double", func(c call) Value { return on(c).Float64() })
}

func base64Text(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
