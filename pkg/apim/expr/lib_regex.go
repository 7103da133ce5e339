package expr

import (
	"regexp"
	"strings"
)

// pattern is a Regex. Patterns run on RE2, in time linear in the text.
type pattern struct{ re *regexp.Regexp }

func (*pattern) kind() string     { return "Regex" }
func (p *pattern) String() string { return p.re.String() }

// match is a Match, a Group or a Capture.
type match struct {
	of    string
	text  string
	at    int
	found bool
	inner []*match
	names []string
}

func (m *match) kind() string   { return m.of }
func (m *match) String() string { return m.text }

// group returns a group by number or name; one that is not there did not match.
func (m *match) group(i Value) Value {
	if name, ok := i.(string); ok {
		for n, known := range m.names {
			if known == name && name != "" {
				return m.inner[n]
			}
		}
		return &match{of: "Group"}
	}
	if n := toInt(i); n >= 0 && n < len(m.inner) {
		return m.inner[n]
	}
	return &match{of: "Group"}
}

// groups is a GroupCollection or the captures of a group.
type groups struct{ of *match }

func (*groups) kind() string { return "GroupCollection" }

func (g *groups) all() []Value {
	out := make([]Value, len(g.of.inner))
	for i, x := range g.of.inner {
		out[i] = x
	}
	return out
}

// compilePattern compiles a .NET pattern as far as RE2 has it.
func compilePattern(m *machine, source string, options Value) *regexp.Regexp {
	m.step(10 + len(source))
	if len(source) > 4096 {
		throw("System.ArgumentException", "The pattern is longer than this gateway allows.")
	}
	flags := ""
	if e, ok := options.(enum); ok {
		for name, flag := range map[string]string{"IgnoreCase": "i", "Multiline": "m", "Singleline": "s"} {
			if strings.Contains(e.name, name) {
				flags += flag
			}
		}
	}
	if flags != "" {
		flags = "(?" + flags + ")"
	}
	re, err := regexp.Compile(flags + strings.ReplaceAll(source, "(?<", "(?P<"))
	if err != nil {
		throw("System.ArgumentException", "The pattern is not one that this gateway runs (RE2: no lookaround, no back references).")
	}
	m.alloc(64 * len(source))
	return re
}

// found makes a Match of a regexp's result.
func found(re *regexp.Regexp, s string, loc []int) *match {
	if loc == nil {
		return &match{of: "Match"}
	}
	out := &match{of: "Match", names: re.SubexpNames()}
	for i := 0; i < len(loc); i += 2 {
		g := &match{of: "Group", found: loc[i] >= 0}
		if g.found {
			g.text, g.at = s[loc[i]:loc[i+1]], length(s[:loc[i]])
		}
		out.inner = append(out.inner, g)
	}
	out.text, out.at, out.found = out.inner[0].text, out.inner[0].at, true
	return out
}

func addRegex() {
	enumeration("RegexOptions", "None", "IgnoreCase", "Multiline", "Singleline", "Compiled", "CultureInvariant")
	k := define("Regex")
	create := method(1, 3, "Regex", func(c call) Value { return &pattern{compilePattern(c.m, c.str(0), c.comparison())} })
	k.create = &create
	k.static["Escape"] = method(1, 1, "string", func(c call) Value { return c.m.made(regexp.QuoteMeta(c.str(0))) })
	k.static["Unescape"] = method(1, 1, "string", func(c call) Value { return strings.ReplaceAll(c.str(0), `\`, "") })
	both := func(name, result string, extra int, run func(m *machine, re *regexp.Regexp, s string, args []Value) Value) {
		spend := func(m *machine, s string) { m.step(1 + len(s)/8); m.alloc(len(s)) }
		k.instance[name] = method(1+extra, 2+extra, result, func(c call) Value {
			s := c.str(0)
			spend(c.m, s)
			return run(c.m, c.on.(*pattern).re, s, c.args[1:])
		})
		k.static[name] = method(2+extra, 4+extra, result, func(c call) Value {
			s := c.str(0)
			spend(c.m, s)
			return run(c.m, compilePattern(c.m, c.str(1), c.comparison()), s, c.args[2:])
		})
	}
	both("IsMatch", "bool", 0, func(_ *machine, re *regexp.Regexp, s string, _ []Value) Value { return re.MatchString(s) })
	both("Match", "Match", 0, func(_ *machine, re *regexp.Regexp, s string, _ []Value) Value {
		return found(re, s, re.FindStringSubmatchIndex(s))
	})
	both("Matches", "IEnumerable<Match>", 0, func(m *machine, re *regexp.Regexp, s string, _ []Value) Value {
		out := sequenceValue(nil)
		for _, loc := range re.FindAllStringSubmatchIndex(s, 100_000) {
			m.step(1)
			m.alloc(64)
			out.items = append(out.items, found(re, s, loc))
		}
		return out
	})
	both("Split", "string[]", 0, func(m *machine, re *regexp.Regexp, s string, _ []Value) Value {
		parts := re.Split(s, -1)
		m.step(len(parts))
		return texts(parts)
	})
	both("Replace", "string", 1, func(m *machine, re *regexp.Regexp, s string, args []Value) Value {
		var b strings.Builder
		last := 0
		for _, loc := range re.FindAllStringSubmatchIndex(s, 100_000) {
			m.step(1)
			b.WriteString(s[last:loc[0]])
			if l, ok := args[0].(*lambda); ok {
				b.WriteString(Text(m.invoke(l, found(re, s, loc))))
			} else {
				b.Write(re.ExpandString(nil, substitution(Text(args[0])), s, loc))
			}
			m.room(b.Len())
			last = loc[1]
		}
		b.WriteString(s[last:])
		return m.made(b.String())
	})
	on := func(c call) *match { return c.on.(*match) }
	for _, of := range []string{"Match", "Group", "Capture"} {
		k := define(of)
		k.instance["Success"] = prop("bool", func(c call) Value { return on(c).found })
		k.instance["Value"] = prop("string", func(c call) Value { return on(c).text })
		k.instance["Index"] = prop("int", func(c call) Value { return int32(on(c).at) })
		k.instance["Length"] = prop("int", func(c call) Value { return int32(length(on(c).text)) })
		k.instance["Groups"] = prop("GroupCollection", func(c call) Value { return &groups{on(c)} })
		k.instance["Captures"] = prop("GroupCollection", func(c call) Value { return &groups{&match{inner: []*match{on(c)}}} })
	}
	define("GroupCollection").instance["Count"] = prop("int", func(c call) Value { return int32(len(c.on.(*groups).of.inner)) })
}

// digitsForm is $1 in a .NET replacement, which RE2 writes ${1}.
var digitsForm = regexp.MustCompile(`\$(\d+)`)

func substitution(s string) string {
	return digitsForm.ReplaceAllString(strings.ReplaceAll(s, "$&", "${0}"), "$${$1}")
}
