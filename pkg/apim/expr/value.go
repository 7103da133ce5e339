package expr

import (
	"crypto/x509"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Value is what expressions compute with: see the package's comment.
type Value = any

// Char is a C# char: one UTF-16 code unit.
type Char uint16

// kind names a value's type as C# code writes it; members are looked up by it.
func kind(v Value) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "bool"
	case int32:
		return "int"
	case int64:
		return "long"
	case uint8:
		return "byte"
	case float64:
		return "double"
	case Char:
		return "char"
	case string:
		return "string"
	case []byte:
		return "byte[]"
	case *Jwt:
		return "Jwt"
	case *x509.Certificate:
		return "X509Certificate2"
	case *object:
		return v.kind
	case interface{ kind() string }:
		return v.kind()
	}
	return "object"
}

// list is an array, a List<T>, a HashSet<T>, a Queue<T>, a Stack<T> or the
// result of a sequence method. Sequences are evaluated at once, not lazily.
type list struct {
	of    string // "array", "List", "HashSet", "Queue", "Stack", "IEnumerable", "IGrouping"
	items []Value
	key   Value // of an IGrouping
}

func (l *list) kind() string { return l.of }

func array(items ...Value) *list { return &list{of: "array", items: items} }

func texts(items []string) *list {
	l := &list{of: "array", items: make([]Value, len(items))}
	for i, s := range items {
		l.items[i] = s
	}
	return l
}

// entry is a KeyValuePair.
type entry struct{ key, value Value }

func (*entry) kind() string { return "KeyValuePair" }

// dict is a Dictionary, or one of the read-only dictionaries of context. joins
// makes GetValueOrDefault join the values of a name with commas, as headers
// and claims do; folds ignores letter case in names.
type dict struct {
	keys         []Value
	values       map[Value]Value
	joins, folds bool
	fixed        bool
	// look and list stand in for what is not copied until somebody asks for all
	// of it.
	look func(name string) (Value, bool)
	list func(*dict)
}

func newDict() *dict { return &dict{values: map[Value]Value{}} }

func (*dict) kind() string { return "Dictionary" }

// hashable returns what a value is stored under.
func (d *dict) hashable(key Value) Value {
	switch k := key.(type) {
	case nil:
		throwArgumentNull("key")
	case string:
		if d.folds {
			return strings.ToLower(k)
		}
		return k
	case bool, int32, int64, uint8, float64, Char, Guid, DateTime:
		return k
	case *jtoken:
		return Text(k)
	}
	throw("System.NotSupportedException", "A key of type %s is not implemented by this gateway.", kind(key))
	return nil
}

// load copies what look stands for.
func (d *dict) load() {
	if list := d.list; list != nil {
		d.look, d.list, d.values = nil, nil, map[Value]Value{}
		list(d)
	}
}

func (d *dict) get(key Value) (Value, bool) {
	if name, ok := key.(string); ok && d.look != nil {
		return d.look(name)
	}
	d.load()
	v, ok := d.values[d.hashable(key)]
	return v, ok
}

func (d *dict) set(key, value Value) {
	h := d.hashable(key)
	if _, ok := d.values[h]; !ok {
		d.keys = append(d.keys, key)
	}
	d.values[h] = value
}

func (d *dict) remove(key Value) bool {
	h := d.hashable(key)
	if _, ok := d.values[h]; !ok {
		return false
	}
	delete(d.values, h)
	for i, k := range d.keys {
		if d.hashable(k) == h {
			d.keys = append(d.keys[:i:i], d.keys[i+1:]...)
			break
		}
	}
	return true
}

func (d *dict) entries() []Value {
	d.load()
	out := make([]Value, len(d.keys))
	for i, k := range d.keys {
		out[i] = &entry{k, d.values[d.hashable(k)]}
	}
	return out
}

// object is a value whose members are given by name: context and what hangs on
// it, anonymous objects, and small library objects.
type object struct {
	kind   string
	fields map[string]Value
	order  []string
	text   string
	// inner is what library objects keep.
	inner any
}

// Text writes a value as ToString does in the invariant culture; null is empty.
func Text(v Value) string {
	switch v := v.(type) {
	case nil:
		return ""
	case bool:
		if v {
			return "True"
		}
		return "False"
	case int32:
		return strconv.Itoa(int(v))
	case int64:
		return strconv.FormatInt(v, 10)
	case uint8:
		return strconv.Itoa(int(v))
	case float64:
		return doubleText(v)
	case Char:
		return fromUnits([]uint16{uint16(v)})
	case string:
		return v
	case []byte:
		return "System.Byte[]"
	case fmt.Stringer:
		return v.String()
	case *object:
		if v.text != "" {
			return v.text
		}
		return v.kind
	case *list:
		return map[string]string{"array": "System.Object[]"}[v.of]
	}
	return kind(v)
}

// doubleText is the shortest text that reads back, as .NET writes it.
func doubleText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-5 || a >= 1e15) {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
		return mantissa + "E" + exponent
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

func units(s string) []uint16 { return utf16.Encode([]rune(s)) }

func fromUnits(u []uint16) string { return string(utf16.Decode(u)) }

// ascii reports whether byte offsets are character offsets.
func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// length is the number of UTF-16 code units.
func length(s string) int {
	if ascii(s) {
		return len(s)
	}
	return len(units(s))
}

// substring cuts by UTF-16 code units.
func substring(s string, from, to int) string {
	if ascii(s) {
		return s[from:to]
	}
	return fromUnits(units(s)[from:to])
}

// equal is ==, and Equals for values.
func equal(a, b Value) bool {
	if x, y, ok := numbers(a, b); ok {
		i, whole := integer(a)
		j, both := integer(b)
		return x == y && (!whole || !both || i == j)
	}
	switch x := a.(type) {
	case nil:
		if j, ok := b.(*jtoken); ok {
			return j == nil
		}
		return b == nil
	case string:
		switch y := b.(type) {
		case string:
			return x == y
		case *jtoken:
			return y.isText() && y.text() == x
		}
		return false
	case bool, Guid, TimeSpan:
		if j, ok := b.(*jtoken); ok {
			return equal(j.value(), a)
		}
		return a == b
	case DateTime:
		y, ok := b.(DateTime)
		return ok && x.Time.Equal(y.Time)
	case DateTimeOffset:
		y, ok := b.(DateTimeOffset)
		return ok && x.Time.Equal(y.Time)
	case *jtoken:
		if y, ok := b.(*jtoken); ok {
			return x == y || x.isValue() && y.isValue() && equal(x.value(), y.value())
		}
		if b == nil {
			return false
		}
		return x.isValue() && equal(x.value(), b)
	case *uri:
		y, ok := b.(*uri)
		return ok && x.String() == y.String()
	case []byte, *list, *dict:
		return same(a, b)
	}
	if _, bytes := b.([]byte); bytes {
		return false
	}
	return a == b
}

// same compares references.
func same(a, b Value) bool {
	switch x := a.(type) {
	case []byte:
		y, ok := b.([]byte)
		return ok && len(x) == len(y) && (len(x) == 0 || &x[0] == &y[0])
	case *list:
		y, ok := b.(*list)
		return ok && x == y
	case *dict:
		y, ok := b.(*dict)
		return ok && x == y
	}
	return false
}

// compare orders two values as IComparable does.
func compare(a, b Value) int {
	if x, y, ok := numbers(a, b); ok {
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	switch x := a.(type) {
	case nil:
		if b == nil {
			return 0
		}
		return -1
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y)
		}
	case bool:
		if y, ok := b.(bool); ok {
			return btoi(x) - btoi(y)
		}
	case DateTime:
		if y, ok := b.(DateTime); ok {
			return x.Time.Compare(y.Time)
		}
	case DateTimeOffset:
		if y, ok := b.(DateTimeOffset); ok {
			return x.Time.Compare(y.Time)
		}
	case TimeSpan:
		if y, ok := b.(TimeSpan); ok {
			return compare(int64(x), int64(y))
		}
	case *jtoken:
		return compare(x.value(), plain(b))
	}
	if b == nil {
		return 1
	}
	if j, ok := b.(*jtoken); ok {
		return compare(a, j.value())
	}
	throw("System.ArgumentException", "Object must be of type %s.", kind(a))
	return 0
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// numbers returns two numeric values as doubles; integers stay exact up to 2^53,
// beyond which operators use integer arithmetic of their own.
func numbers(a, b Value) (x, y float64, ok bool) {
	x, okX := number(a)
	y, okY := number(b)
	return x, y, okX && okY
}

func number(v Value) (float64, bool) {
	switch v := v.(type) {
	case int32:
		return float64(v), true
	case int64:
		return float64(v), true
	case uint8:
		return float64(v), true
	case Char:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}
