package expr

import (
	"strings"
	"unicode"
)

// ignoresCase reports whether a StringComparison or StringComparer folds case.
func ignoresCase(v Value) bool {
	e, ok := v.(enum)
	return ok && strings.HasSuffix(e.name, "IgnoreCase")
}

// folded prepares a text for comparison.
func folded(s string, comparison Value) string {
	if ignoresCase(comparison) {
		return strings.ToUpper(s)
	}
	return s
}

// comparison is the StringComparison among the arguments, or nil.
func (c call) comparison() Value {
	for _, a := range c.args {
		if e, ok := a.(enum); ok {
			return e
		}
	}
	return nil
}

func addStrings() {
	names := []string{"CurrentCulture", "CurrentCultureIgnoreCase", "InvariantCulture", "InvariantCultureIgnoreCase", "Ordinal", "OrdinalIgnoreCase"}
	enumeration("StringComparison", names...)
	enumeration("StringComparer", names...)
	enumeration("StringSplitOptions", "None", "RemoveEmptyEntries")
	addStringMembers()
	addStringStatics()
	addChars()
	addBuilder()
}

// search is IndexOf and its kin: a position in UTF-16 units, or -1.
func search(c call, find func(s, sub string) int) Value {
	s, sub := c.on.(string), Text(c.args[0])
	if c.args[0] == nil {
		throwArgumentNull("value")
	}
	from := 0
	if c.has(1) {
		if n, ok := integer(c.args[1]); ok {
			if from = int(n); from < 0 || from > length(s) {
				throwRange("startIndex")
			}
		}
	}
	c.m.step(len(s) / 32)
	rest := substring(s, from, length(s))
	at := find(folded(rest, c.comparison()), folded(sub, c.comparison()))
	if at < 0 {
		return int32(-1)
	}
	return int32(from + length(rest[:min(at, len(rest))]))
}

// check is StartsWith, EndsWith and Contains.
func check(test func(s, part string) bool) member {
	return method(1, 2, "bool", func(c call) Value {
		s := c.on.(string)
		c.m.step(len(s) / 32)
		return test(folded(s, c.comparison()), folded(c.str(0), c.comparison()))
	})
}

// trimSet is the characters of Trim's arguments, or white space.
func trimSet(c call) func(rune) bool {
	var set []rune
	for _, a := range c.args {
		if l, ok := a.(*list); ok {
			for _, i := range l.items {
				set = append(set, []rune(Text(i))...)
			}
			continue
		}
		set = append(set, []rune(Text(a))...)
	}
	if len(set) == 0 {
		return unicode.IsSpace
	}
	return func(r rune) bool { return strings.ContainsRune(string(set), r) }
}

// cutPlaces checks Substring and Remove.
func cutPlaces(c call) (s string, from, to int) {
	s, from = c.on.(string), c.int(0)
	c.m.look(s)
	to = length(s)
	if c.has(1) {
		if n := c.int(1); n < 0 || from+n > to {
			throwRange("length")
		} else {
			to = from + n
		}
	}
	if from < 0 || from > to {
		throwRange("startIndex")
	}
	return s, from, to
}

func addStringMembers() {
	k := define("string")
	simple := func(f func(string) string) member {
		return method(0, 1, "string", func(c call) Value { return c.m.made(f(c.on.(string))) })
	}
	k.instance["ToLower"], k.instance["ToLowerInvariant"] = simple(strings.ToLower), simple(strings.ToLower)
	k.instance["ToUpper"], k.instance["ToUpperInvariant"] = simple(strings.ToUpper), simple(strings.ToUpper)
	k.instance["Trim"] = method(0, -1, "string", func(c call) Value { return strings.TrimFunc(c.on.(string), trimSet(c)) })
	k.instance["TrimStart"] = method(0, -1, "string", func(c call) Value { return strings.TrimLeftFunc(c.on.(string), trimSet(c)) })
	k.instance["TrimEnd"] = method(0, -1, "string", func(c call) Value { return strings.TrimRightFunc(c.on.(string), trimSet(c)) })
	k.instance["Length"] = prop("int", func(c call) Value {
		c.m.look(c.on.(string))
		return int32(length(c.on.(string)))
	})
	k.instance["StartsWith"], k.instance["EndsWith"], k.instance["Contains"] = check(strings.HasPrefix), check(strings.HasSuffix), check(strings.Contains)
	k.instance["IndexOf"] = method(1, 3, "int", func(c call) Value { return search(c, strings.Index) })
	k.instance["LastIndexOf"] = method(1, 2, "int", func(c call) Value { return search(call{m: c.m, on: c.on, args: c.args}, strings.LastIndex) })
	k.instance["IndexOfAny"] = method(1, 1, "int", func(c call) Value {
		at := strings.IndexFunc(c.on.(string), trimSet(c))
		if at < 0 {
			return int32(-1)
		}
		return int32(length(c.on.(string)[:at]))
	})
	k.instance["Substring"] = method(1, 2, "string", func(c call) Value {
		s, from, to := cutPlaces(c)
		return c.m.made(substring(s, from, to))
	})
	k.instance["Remove"] = method(1, 2, "string", func(c call) Value {
		s, from, to := cutPlaces(c)
		return c.m.joined(substring(s, 0, from), substring(s, to, length(s)))
	})
	k.instance["Insert"] = method(2, 2, "string", func(c call) Value {
		s, at := c.on.(string), c.int(0)
		if at < 0 || at > length(s) {
			throwRange("startIndex")
		}
		return c.m.joined(substring(s, 0, at), c.str(1), substring(s, at, length(s)))
	})
	k.instance["Replace"] = method(2, 2, "string", replaceText)
	k.instance["Split"] = method(0, -1, "string[]", splitText)
	k.instance["PadLeft"] = method(1, 2, "string", func(c call) Value { return padded(c, true) })
	k.instance["PadRight"] = method(1, 2, "string", func(c call) Value { return padded(c, false) })
	k.instance["ToCharArray"] = method(0, 0, "char[]", func(c call) Value { return array(items(c.m, c.on)...) })
	k.instance["Equals"] = method(1, 2, "bool", func(c call) Value {
		c.m.look(c.on.(string))
		other, ok := c.args[0].(string)
		return ok && folded(c.on.(string), c.comparison()) == folded(other, c.comparison())
	})
	k.instance["CompareTo"] = method(1, 1, "int", func(c call) Value { return int32(compare(c.on, c.args[0])) })
}

func replaceText(c call) Value {
	s, old, by := c.on.(string), Text(c.args[0]), Text(c.args[1])
	if c.args[0] == nil {
		throwArgumentNull("oldValue")
	}
	if old == "" {
		throw("System.ArgumentException", "String cannot be of zero length. (Parameter 'oldValue')")
	}
	n := strings.Count(s, old)
	c.m.step(len(s) / 32)
	c.m.room(len(s) + n*(len(by)-len(old)))
	return strings.ReplaceAll(s, old, by)
}

// splitText is Split with characters, strings or arrays of them, a count and
// options in the usual order.
func splitText(c call) Value {
	s := c.on.(string)
	var separators []string
	limit, removeEmpty := -1, false
	for _, a := range c.args {
		switch v := a.(type) {
		case enum:
			removeEmpty = v.name == "RemoveEmptyEntries"
		case int32, int64:
			limit = toInt(v)
		case *list:
			for _, i := range v.items {
				separators = append(separators, Text(i))
			}
		case nil:
		default:
			separators = append(separators, Text(v))
		}
	}
	c.m.step(len(s) / 16)
	if limit == 0 {
		return array()
	}
	var parts []Value
	start := 0
	keep := func(part string) {
		if part != "" || !removeEmpty {
			c.m.alloc(24)
			parts = append(parts, part)
		}
	}
	for at := 0; at < len(s); {
		n := separatorAt(s[at:], separators)
		if n == 0 || limit > 0 && len(parts) == limit-1 {
			at++
			continue
		}
		keep(s[start:at])
		at += n
		start = at
	}
	keep(s[start:])
	c.m.step(len(parts))
	return &list{of: "array", items: parts}
}

// separatorAt is the length of the separator that s begins with, 0 for none;
// without separators white space separates.
func separatorAt(s string, separators []string) int {
	for _, sep := range separators {
		if sep != "" && strings.HasPrefix(s, sep) {
			return len(sep)
		}
	}
	if len(separators) == 0 && unicode.IsSpace(rune(s[0])) {
		return 1
	}
	return 0
}

func padded(c call, left bool) Value {
	s, by := c.on.(string), " "
	if c.has(1) {
		by = Text(c.args[1])
	}
	n := c.int(0) - length(s)
	if n <= 0 {
		return s
	}
	c.m.room(n*len(by) + len(s))
	if left {
		return strings.Repeat(by, n) + s
	}
	return s + strings.Repeat(by, n)
}

func addStringStatics() {
	k := define("string")
	k.static["Empty"] = prop("string", func(call) Value { return "" })
	k.static["IsNullOrEmpty"] = method(1, 1, "bool", func(c call) Value { return isNull(c.args[0]) || c.str(0) == "" })
	k.static["IsNullOrWhiteSpace"] = method(1, 1, "bool", func(c call) Value { return isNull(c.args[0]) || strings.TrimSpace(c.str(0)) == "" })
	k.static["Format"] = method(1, -1, "string", func(c call) Value {
		args := c.args[1:]
		if len(args) == 1 {
			if l, ok := args[0].(*list); ok && l.of == "array" {
				args = l.items
			}
		}
		return compose(c.m, c.str(0), args)
	})
	k.static["Concat"] = method(1, -1, "string", func(c call) Value {
		all := c.args
		if len(all) == 1 {
			if l, ok := all[0].(*list); ok {
				all = l.items
			}
		}
		c.m.step(len(all))
		parts := make([]string, len(all))
		for i, v := range all {
			parts[i] = Text(v)
		}
		return c.m.joined(parts...)
	})
	k.static["Join"] = method(2, -1, "string", func(c call) Value {
		all := c.args[1:]
		if len(all) == 1 {
			if _, text := all[0].(string); !text {
				all = items(c.m, all[0])
			}
		}
		separator := Text(c.args[0])
		var parts []string
		for i, v := range all {
			if i > 0 {
				parts = append(parts, separator)
			}
			parts = append(parts, Text(v))
		}
		return c.m.joined(parts...)
	})
	k.static["Compare"] = method(2, 3, "int", func(c call) Value {
		a, b := c.args[0], c.args[1]
		if a == nil || b == nil {
			return int32(compare(a, b))
		}
		how := c.comparison()
		if c.has(2) {
			if fold, ok := c.args[2].(bool); ok && fold {
				how = enum{"StringComparison", "OrdinalIgnoreCase", 5}
			}
		}
		return int32(strings.Compare(folded(c.str(0), how), folded(c.str(1), how)))
	})
	k.static["CompareOrdinal"] = method(2, 2, "int", func(c call) Value { return int32(compare(c.args[0], c.args[1])) })
	k.static["Equals"] = method(2, 3, "bool", func(c call) Value {
		if c.args[0] == nil || c.args[1] == nil {
			return c.args[0] == nil && c.args[1] == nil
		}
		return folded(c.str(0), c.comparison()) == folded(c.str(1), c.comparison())
	})
	create := method(2, 2, "string", func(c call) Value {
		if c.int(1) < 0 {
			throwRange("count")
		}
		c.m.room(c.int(1) * 4)
		return strings.Repeat(Text(c.args[0]), c.int(1))
	})
	k.create = &create
}

func addChars() {
	k := define("char")
	for name, test := range map[string]func(rune) bool{"IsDigit": unicode.IsDigit, "IsLetter": unicode.IsLetter, "IsWhiteSpace": unicode.IsSpace, "IsUpper": unicode.IsUpper, "IsLower": unicode.IsLower,
		"IsPunctuation": unicode.IsPunct, "IsLetterOrDigit": func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }} {
		k.static[name] = method(1, 1, "bool", func(c call) Value { return test(rune(toInt(c.args[0]))) })
	}
	k.static["ToUpper"] = method(1, 1, "char", func(c call) Value { return Char(unicode.ToUpper(rune(toInt(c.args[0])))) })
	k.static["ToLower"] = method(1, 1, "char", func(c call) Value { return Char(unicode.ToLower(rune(toInt(c.args[0])))) })
}

// builder is a StringBuilder.
type builder struct{ b strings.Builder }

func (*builder) kind() string     { return "StringBuilder" }
func (b *builder) String() string { return b.b.String() }

func addBuilder() {
	k := define("StringBuilder")
	create := method(0, 2, "StringBuilder", func(c call) Value {
		b := &builder{}
		if c.has(0) {
			if s, ok := c.args[0].(string); ok {
				b.b.WriteString(c.m.made(s))
			}
		}
		return b
	})
	k.create = &create
	write := func(c call, parts ...string) Value {
		b := c.on.(*builder)
		for _, p := range parts {
			if b.b.Len()+len(p) > c.m.limits.String {
				c.m.stop("string length")
			}
			c.m.alloc(len(p))
			b.b.WriteString(p)
		}
		return b
	}
	k.instance["Append"] = method(1, 1, "StringBuilder", func(c call) Value { return write(c, Text(c.args[0])) })
	k.instance["AppendLine"] = method(0, 1, "StringBuilder", func(c call) Value {
		if c.has(0) {
			return write(c, Text(c.args[0]), "\n")
		}
		return write(c, "\n")
	})
	k.instance["AppendFormat"] = method(1, -1, "StringBuilder", func(c call) Value { return write(c, compose(c.m, c.str(0), c.args[1:])) })
	k.instance["Length"] = prop("int", func(c call) Value { return int32(length(c.on.(*builder).b.String())) })
	k.instance["Clear"] = method(0, 0, "StringBuilder", func(c call) Value { c.on.(*builder).b.Reset(); return c.on })
}
