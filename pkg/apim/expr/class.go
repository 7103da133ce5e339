package expr

import (
	"slices"
	"strings"
)

// call is one use of a member.
type call struct {
	m     *machine
	on    Value // the receiver; nil for static members
	args  []Value
	types []string // type arguments
}

func (c call) has(i int) bool { return i < len(c.args) }

// str returns a string argument; null throws ArgumentNullException.
func (c call) str(i int) string {
	switch v := c.args[i].(type) {
	case string:
		return v
	case nil:
		throwArgumentNull("value")
	case Char:
		return Text(v)
	case *jtoken:
		if s, ok := v.as("string").(string); ok {
			return s
		}
		throwArgumentNull("value")
	default:
		throwCast(dotNet(kind(v)), "System.String")
	}
	return ""
}

func (c call) int(i int) int { return toInt(c.args[i]) }

func (c call) bytes(i int) []byte {
	b, ok := c.args[i].([]byte)
	if !ok {
		if c.args[i] == nil {
			throwArgumentNull("buffer")
		}
		throwCast(dotNet(kind(c.args[i])), "System.Byte[]")
	}
	return b
}

// flag returns a boolean argument, or the fallback when it is left out.
func (c call) flag(i int, fallback bool) bool {
	if !c.has(i) {
		return fallback
	}
	return truth(c.args[i])
}

// out returns what sets an out argument.
func (c call) out(i int) func(Value) {
	r, ok := c.args[i].(*ref)
	if !ok {
		throw("Microsoft.CSharp.RuntimeBinder.RuntimeBinderException", "Argument %d must be passed with the 'out' keyword", i+1)
	}
	return r.set
}

// typ returns the type argument, or "".
func (c call) typ() string {
	if len(c.types) == 0 {
		return ""
	}
	return c.types[0]
}

// member is a property, a method or a constructor.
type member struct {
	// min and max bound the arguments of a method; -1 is any number. A property
	// has property set.
	min, max int
	property bool
	// result is the static type of what it gives: a type, "" for unknown, "T"
	// for the type argument, "elem" for the receiver's element, "same" for the
	// receiver's type.
	result string
	run    func(call) Value
}

// argumentNames are the arguments that calls may name.
var argumentNames = []string{"preserveContent", "defaultValue", "value", "name", "key"}

func prop(result string, run func(call) Value) member {
	return member{property: true, result: result, run: run}
}

func method(min, max int, result string, run func(call) Value) member {
	return member{min: min, max: max, result: result, run: run}
}

// class is what a type offers.
type class struct {
	static, instance map[string]member
	create           *member
	// extends names the class whose members it has, too.
	extends string
}

// classes are the types that this package implements, by name.
var classes map[string]*class

func init() {
	classes = map[string]*class{}
	for _, add := range []func(){addLinq, addStrings, addNumbers, addConversions, addTime, addCollections, addJSON, addCrypto, addRegex, addContext, addJwt} {
		add()
	}
}

// define adds members to a class.
func define(name string) *class {
	k, ok := classes[name]
	if !ok {
		k = &class{static: map[string]member{}, instance: map[string]member{}}
		classes[name] = k
	}
	return k
}

// universal are the members of every object.
var universal = map[string]member{
	"ToString": method(0, 2, "string", func(c call) Value { return c.m.made(formatArgs(c)) }),
	"Equals":   method(1, 1, "bool", func(c call) Value { return equal(c.on, c.args[0]) }),
	"GetHashCode": method(0, 0, "int", func(c call) Value {
		h := int32(17)
		for _, u := range units(Text(c.on)) {
			h = h*31 + int32(u)
		}
		return h
	}),
}

// instanceMember finds a member of a kind. Sequences have the methods of LINQ.
func instanceMember(k, name string) (member, bool) {
	for at := k; at != ""; {
		cl, ok := classes[at]
		if !ok {
			break
		}
		if mem, ok := cl.instance[name]; ok {
			return mem, true
		}
		at = cl.extends
	}
	if sequenceKind(k) {
		if mem, ok := linq[name]; ok {
			return mem, true
		}
	}
	mem, ok := universal[name]
	return mem, ok
}

// methodOf finds a method of a kind: where a property has its name, the method
// of LINQ, as with Count.
func methodOf(k, name string) (member, bool) {
	mem, ok := instanceMember(k, name)
	if ok && mem.property && sequenceKind(k) {
		mem, ok = linq[name]
	}
	return mem, ok && !mem.property
}

// sequenceKind reports whether LINQ applies.
func sequenceKind(k string) bool {
	return slices.Contains([]string{"array", "List", "HashSet", "Queue", "Stack", "IEnumerable", "IGrouping", "Dictionary", "string", "byte[]", "JArray", "JObject", "JToken", "GroupCollection", "MatchCollection"}, k)
}

// anywhere reports whether any class has a member of that name.
func anywhere(name string) bool {
	if _, ok := universal[name]; ok {
		return true
	}
	if _, ok := linq[name]; ok {
		return true
	}
	for _, k := range classes {
		if _, ok := k.instance[name]; ok {
			return true
		}
	}
	return fieldName(name)
}

// fieldName reports whether anonymous objects may have the member: any name
// that code gave them. At run time an unknown one throws.
func fieldName(name string) bool { return name != "" && strings.ToLower(name[:1]) == name[:1] }

// enum is a value of an enumeration.
type enum struct {
	of, name string
	n        int
}

func (e enum) kind() string   { return e.of }
func (e enum) String() string { return e.name }

// enumeration defines a class of constants.
func enumeration(of string, names ...string) {
	k := define(of)
	for i, name := range names {
		v := enum{of, name, i}
		k.static[name] = prop(of, func(call) Value { return v })
	}
}
