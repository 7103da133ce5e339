package expr

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"strconv"
	"strings"
)

// jtoken is a JToken of Json.NET: an object, an array, a value or a property.
// Text that looks like a date stays text, and only standard JSON is read.
type jtoken struct {
	of      string // "JObject", "JArray", "JValue", "JProperty"
	keys    []string
	members map[string]*jtoken
	items   []*jtoken
	scalar  Value   // of a JValue
	name    string  // of a JProperty, whose value is items[0]
	owner   *jtoken // of a JProperty that stands in an object
	// parent is the object or array that the token stands in.
	parent *jtoken
}

func (j *jtoken) kind() string {
	if j == nil {
		return "null"
	}
	return j.of
}

// String writes indented JSON; a JValue writes its value.
func (j *jtoken) String() string {
	if j == nil {
		return ""
	}
	if j.of == "JValue" {
		return Text(j.scalar)
	}
	return j.write(true)
}

func jsonKind(k string) bool {
	return k == "JObject" || k == "JArray" || k == "JValue" || k == "JProperty"
}

func (j *jtoken) isValue() bool { return j != nil && j.of == "JValue" }

func (j *jtoken) isText() bool {
	if !j.isValue() {
		return false
	}
	_, ok := j.scalar.(string)
	return ok
}

func (j *jtoken) text() string { s, _ := j.scalar.(string); return s }

// value is what a JValue holds; other tokens hold nothing comparable.
func (j *jtoken) value() Value {
	if !j.isValue() {
		return nil
	}
	return j.scalar
}

// plain takes the value out of a JValue.
func plain(v Value) Value {
	if j, ok := v.(*jtoken); ok && j.isValue() {
		return j.scalar
	}
	return v
}

// as converts as Json.NET's explicit operators do.
func (j *jtoken) as(to string) Value {
	if j.of == "JProperty" {
		return j.items[0].as(to)
	}
	if j.of != "JValue" {
		throw("System.ArgumentException", "Can not convert %s to %s.", strings.TrimPrefix(j.of, "J"), dotNet(to))
	}
	if j.scalar == nil {
		if valueType(to) {
			throw("System.ArgumentException", "Can not convert Null to %s.", dotNet(to))
		}
		return nil
	}
	return changeType(j.scalar, to)
}

// changeType converts as Convert.ChangeType does.
func changeType(v Value, to string) Value {
	switch to {
	case "string":
		return Text(v)
	case "bool":
		switch x := v.(type) {
		case bool:
			return x
		case string:
			b, ok := parseBool(x)
			if !ok {
				throw("System.FormatException", "String was not recognized as a valid Boolean.")
			}
			return b
		}
		if n, ok := number(v); ok {
			return n != 0
		}
	case "int", "long", "byte", "char":
		return toWhole(v, to)
	case "double":
		switch x := v.(type) {
		case string:
			f, ok := parseDouble(x)
			if !ok {
				throwFormat()
			}
			return f
		case bool:
			return float64(btoi(x))
		}
		if n, ok := number(v); ok {
			return n
		}
	case "DateTime", "DateTimeOffset":
		t, ok := parseTime(Text(v))
		if !ok {
			throw("System.FormatException", "String was not recognized as a valid DateTime.")
		}
		if to == "DateTime" {
			return DateTime{t.UTC()}
		}
		return DateTimeOffset{t}
	case "Guid":
		g, ok := parseGuid(Text(v))
		if !ok {
			throwFormat()
		}
		return g
	}
	throwCast(dotNet(kind(v)), dotNet(to))
	return nil
}

// toWhole converts to an integer, refusing what does not fit; doubles round to even.
func toWhole(v Value, to string) Value {
	bits := map[string]int{"int": 32, "long": 64, "byte": 8, "char": 16}[to]
	n, ok := integer(v)
	switch x := v.(type) {
	case string:
		if n, ok = parseInt(x, 64); !ok {
			throwFormat()
		}
	case bool:
		n, ok = int64(btoi(x)), true
	case float64:
		r := math.RoundToEven(x)
		if ok = r >= math.MinInt64 && r < math.MaxInt64; !ok {
			throwOverflow(dotNet(to))
		}
		n = int64(r)
	}
	if !ok {
		throwCast(dotNet(kind(v)), dotNet(to))
	}
	low, high := int64(math.MinInt64)>>(64-bits), int64(math.MaxInt64)>>(64-bits)
	if bits <= 16 {
		low, high = 0, 1<<bits-1
	}
	if n < low || n > high {
		throwOverflow("an " + to)
	}
	return toNumeric(n, float64(n), to)
}

// parseJSON reads one JSON text.
func parseJSON(m *machine, text string) *jtoken {
	m.room(4 * len(text))
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	j, err := readJSON(m, d, 0)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return j
		}
	}
	throw("Newtonsoft.Json.JsonReaderException", "The text is not one JSON value (near byte %d).", d.InputOffset())
	return nil
}

// maxJSONDepth is Json.NET's limit.
const maxJSONDepth = 64

func readJSON(m *machine, d *json.Decoder, depth int) (*jtoken, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	return continueJSON(m, d, t, depth)
}

func continueJSON(m *machine, d *json.Decoder, t json.Token, depth int) (*jtoken, error) {
	m.alloc(96)
	if depth > maxJSONDepth {
		return nil, io.ErrUnexpectedEOF
	}
	switch t := t.(type) {
	case json.Delim:
		j := &jtoken{of: "JArray"}
		if t == '{' {
			j = &jtoken{of: "JObject", members: map[string]*jtoken{}}
		}
		for d.More() {
			name := ""
			if t == '{' {
				key, err := d.Token()
				if err != nil {
					return nil, err
				}
				name, _ = key.(string)
			}
			v, err := readJSON(m, d, depth+1)
			if err != nil {
				return nil, err
			}
			if t == '{' {
				m.put(j, name, v)
			} else {
				m.push(j, v)
			}
		}
		_, err := d.Token()
		return j, err
	case json.Number:
		if n, err := t.Int64(); err == nil {
			return scalar(n), nil
		}
		f, err := t.Float64()
		return scalar(f), err
	}
	return scalar(t), nil
}

func scalar(v Value) *jtoken { return &jtoken{of: "JValue", scalar: v} }

// attach gives a token a place. One that has a place, or that holds the
// container, is copied: so no token ever holds itself.
func (m *machine) attach(to, v *jtoken) *jtoken {
	if v == nil {
		v = scalar(nil)
	}
	held := v.parent != nil
	for at := to; at != nil && !held; at = at.parent {
		m.step(1)
		held = at == v
	}
	if held {
		v = m.copy(v, 0)
	}
	v.parent = to
	return v
}

// copy makes a token of its own.
func (m *machine) copy(j *jtoken, depth int) *jtoken {
	m.step(1)
	m.alloc(96)
	if depth > maxTokenDepth {
		m.stop("nested JSON")
	}
	c := &jtoken{of: j.of, scalar: j.scalar, name: j.name}
	if j.members != nil {
		c.members = map[string]*jtoken{}
	}
	for _, k := range j.keys {
		m.put(c, k, m.copy(j.members[k], depth+1))
	}
	for _, i := range j.items {
		m.push(c, m.copy(i, depth+1))
	}
	return c
}

// maxTokenDepth bounds how deep tokens that expressions build may nest.
const maxTokenDepth = 512

// push adds an item to an array.
func (m *machine) push(j, v *jtoken) {
	m.alloc(16)
	j.items = append(j.items, m.attach(j, v))
}

// put sets a member of an object.
func (m *machine) put(j *jtoken, name string, v *jtoken) {
	v = m.attach(j, v)
	if old := j.members[name]; old != nil {
		old.parent = nil
	}
	if _, ok := j.members[name]; !ok {
		j.keys = append(j.keys, name)
	}
	j.members[name] = v
}

func (j *jtoken) drop(name string) bool {
	old, ok := j.members[name]
	if !ok {
		return false
	}
	if old != nil {
		old.parent = nil
	}
	delete(j.members, name)
	for i, k := range j.keys {
		if k == name {
			j.keys = append(j.keys[:i:i], j.keys[i+1:]...)
			break
		}
	}
	return true
}

// write serializes.
func (j *jtoken) write(indented bool) string {
	var b strings.Builder
	j.writeTo(&b, indented, "", 0)
	return b.String()
}

// writeTo stops what grows beyond every limit, since a token can hold one long
// text many times.
func (j *jtoken) writeTo(b *strings.Builder, indented bool, indent string, depth int) {
	if b.Len() > DefaultLimits.String || depth > maxTokenDepth {
		panic(&Exception{Type: "Touchstone.LimitExceeded", Message: "The JSON text exceeded its limit.", final: true})
	}
	line, colon := "", ":"
	inner := indent + "  "
	if indented {
		line, colon = "\n", ": "
	}
	next := func(i int) {
		if i > 0 {
			b.WriteByte(',')
		}
		if b.WriteString(line); indented {
			b.WriteString(inner)
		}
	}
	end := func(n int, c byte) {
		if n > 0 {
			if b.WriteString(line); indented {
				b.WriteString(indent)
			}
		}
		b.WriteByte(c)
	}
	switch {
	case j == nil:
		b.WriteString("null")
	case j.of == "JObject":
		b.WriteByte('{')
		for i, k := range j.keys {
			next(i)
			b.WriteString(quoted(k) + colon)
			j.members[k].writeTo(b, indented, inner, depth+1)
		}
		end(len(j.keys), '}')
	case j.of == "JArray":
		b.WriteByte('[')
		for i, v := range j.items {
			next(i)
			v.writeTo(b, indented, inner, depth+1)
		}
		end(len(j.items), ']')
	case j.of == "JProperty":
		b.WriteString(quoted(j.name) + colon)
		j.items[0].writeTo(b, indented, indent, depth+1)
	default:
		b.WriteString(scalarText(j.scalar))
	}
}

func scalarText(v Value) string {
	switch x := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(x)
	case int32, int64, uint8:
		return Text(x)
	case float64:
		text := doubleText(x)
		if !strings.ContainsAny(text, ".EN") {
			text += ".0"
		}
		return text
	case DateTime:
		return quoted(formatTime(x.UTC(), "yyyy-MM-ddTHH:mm:ss.FFFFFFFK", "Z"))
	case []byte:
		return quoted(base64Text(x))
	}
	return quoted(Text(v))
}

// quoted writes a JSON string as Json.NET does: markup is not escaped.
func quoted(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// toToken is JToken.FromObject.
func toToken(m *machine, v Value) *jtoken { return tokenAt(m, v, 0) }

func tokenAt(m *machine, v Value, depth int) *jtoken {
	m.step(1)
	m.alloc(64)
	if depth > maxJSONDepth {
		throw("Newtonsoft.Json.JsonSerializationException", "The object nests too deeply.")
	}
	switch x := v.(type) {
	case *jtoken:
		return x
	case *list:
		j := &jtoken{of: "JArray"}
		for _, i := range x.items {
			m.push(j, tokenAt(m, i, depth+1))
		}
		return j
	case *dict:
		j := &jtoken{of: "JObject", members: map[string]*jtoken{}}
		for _, e := range x.entries() {
			m.put(j, Text(e.(*entry).key), tokenAt(m, e.(*entry).value, depth+1))
		}
		return j
	case *entry:
		j := &jtoken{of: "JObject", members: map[string]*jtoken{}}
		m.put(j, "Key", tokenAt(m, x.key, depth+1))
		m.put(j, "Value", tokenAt(m, x.value, depth+1))
		return j
	case *object:
		if x.order == nil {
			break
		}
		j := &jtoken{of: "JObject", members: map[string]*jtoken{}}
		for _, name := range x.order {
			m.put(j, name, tokenAt(m, x.fields[name], depth+1))
		}
		return j
	case nil, bool, string, int32, int64, uint8, float64, DateTime, DateTimeOffset, TimeSpan, Guid, []byte, enum:
		return scalar(x)
	case Char:
		return scalar(Text(x))
	}
	throw("Newtonsoft.Json.JsonSerializationException", "A %s is not serialized by this gateway.", kind(v))
	return nil
}
