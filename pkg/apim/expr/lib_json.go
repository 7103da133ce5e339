package expr

import (
	"strconv"
	"strings"
)

func addJSON() {
	token := define("JToken")
	for _, name := range []string{"JObject", "JArray", "JValue", "JProperty"} {
		define(name).extends = "JToken"
	}
	parse := func(want string) member {
		return method(1, 1, map[string]string{"": "JToken"}[want]+want, func(c call) Value {
			j := parseJSON(c.m, c.str(0))
			if want != "" && j.of != want {
				throw("Newtonsoft.Json.JsonReaderException", "Error reading %s from JsonReader.", want)
			}
			return j
		})
	}
	token.static["Parse"], define("JObject").static["Parse"], define("JArray").static["Parse"] = parse(""), parse("JObject"), parse("JArray")
	from := func(result string) member {
		return method(1, 1, result, func(c call) Value { return toToken(c.m, c.args[0]) })
	}
	token.static["FromObject"], define("JObject").static["FromObject"], define("JArray").static["FromObject"] = from("JToken"), from("JObject"), from("JArray")
	on := func(c call) *jtoken { return c.on.(*jtoken) }
	token.instance["Value"] = method(1, 1, "T", func(c call) Value { return convertToken(c.m, child(on(c), c.args[0]), c.typ()) })
	token.instance["ToObject"] = method(0, 0, "T", func(c call) Value { return convertToken(c.m, on(c), c.typ()) })
	token.instance["SelectToken"] = method(1, 2, "JToken", func(c call) Value { return selectToken(on(c), c.str(0), c.flag(1, false)) })
	token.instance["DeepClone"] = method(0, 0, "JToken", func(c call) Value { return c.m.copy(on(c), 0) })
	token.instance["HasValues"] = prop("bool", func(c call) Value { return len(children(on(c))) > 0 })
	token.instance["Children"] = method(0, 0, "IEnumerable", func(c call) Value { return &list{of: "IEnumerable", items: children(on(c))} })
	token.instance["Values"] = method(0, 1, "IEnumerable", func(c call) Value {
		out := &list{of: "IEnumerable"}
		for _, v := range children(on(c)) {
			if j, ok := v.(*jtoken); ok && j.of == "JProperty" {
				v = j.items[0]
			}
			if c.has(0) {
				v = child(v.(*jtoken), c.args[0])
			}
			if c.typ() != "" {
				v = convertToken(c.m, v, c.typ())
			}
			out.items = append(out.items, v)
		}
		return out
	})
	token.instance["Type"] = prop("JTokenType", func(c call) Value { return tokenType(on(c)) })
	names := strings.Fields("None Object Array Constructor Property Comment Integer Float String Boolean Null Undefined Date Raw Bytes Guid Uri TimeSpan")
	enumeration("JTokenType", names...)
	enumeration("Formatting", "None", "Indented")
	addJObject()
	addJArray()
	value := define("JValue")
	value.instance["Value"] = prop("", func(c call) Value { return on(c).scalar })
	property := define("JProperty")
	property.instance["Name"] = prop("string", func(c call) Value { return on(c).name })
	property.instance["Value"] = prop("JToken", func(c call) Value { return on(c).items[0] })
	property.instance["Remove"] = method(0, 0, "", func(c call) Value {
		if on(c).owner == nil {
			throwInvalid("The parent is missing.")
		}
		on(c).owner.drop(on(c).name)
		return nil
	})
	make := func(k string, min, max int, run func(call) Value) {
		mem := method(min, max, k, run)
		define(k).create = &mem
	}
	make("JValue", 1, 1, func(c call) Value { return scalar(plain(c.args[0])) })
	make("JProperty", 2, -1, func(c call) Value {
		v := c.args[1]
		if len(c.args) > 2 {
			v = array(c.args[1:]...)
		}
		return &jtoken{of: "JProperty", name: c.str(0), items: []*jtoken{toToken(c.m, v)}}
	})
	convert := define("JsonConvert")
	convert.static["SerializeObject"] = method(1, 2, "string", func(c call) Value {
		f, indented := enum{}, false
		if c.has(1) {
			f, _ = c.args[1].(enum)
			indented = f.name == "Indented"
		}
		return c.m.made(toToken(c.m, c.args[0]).write(indented))
	})
	convert.static["DeserializeObject"] = method(1, 1, "T", func(c call) Value { return convertToken(c.m, parseJSON(c.m, c.str(0)), c.typ()) })
}

func tokenType(j *jtoken) Value {
	name := strings.TrimPrefix(j.of, "J")
	if j.of == "JValue" {
		name = map[string]string{"null": "Null", "bool": "Boolean", "int": "Integer", "long": "Integer", "double": "Float", "DateTime": "Date", "Guid": "Guid", "byte[]": "Bytes"}[kind(j.scalar)]
		if name == "" {
			name = "String"
		}
	}
	return enum{"JTokenType", name, 0}
}

func addJObject() {
	k := define("JObject")
	on := func(c call) *jtoken { return c.on.(*jtoken) }
	create := method(0, -1, "JObject", func(c call) Value {
		j := &jtoken{of: "JObject", members: map[string]*jtoken{}}
		for _, a := range c.args {
			addTo(c.m, j, a)
		}
		return j
	})
	k.create = &create
	k.instance["Add"] = method(1, 2, "", func(c call) Value {
		if len(c.args) == 1 {
			addTo(c.m, on(c), c.args[0])
			return nil
		}
		if _, twice := on(c).members[c.str(0)]; twice {
			throw("System.ArgumentException", "Can not add property to JObject. Property with the same name already exists on object.")
		}
		c.m.put(on(c), c.str(0), toToken(c.m, c.args[1]))
		return nil
	})
	k.instance["Remove"] = method(1, 1, "bool", func(c call) Value { return on(c).drop(c.str(0)) })
	k.instance["ContainsKey"] = method(1, 1, "bool", func(c call) Value { _, ok := on(c).members[c.str(0)]; return ok })
	k.instance["TryGetValue"] = method(2, 2, "bool", func(c call) Value {
		v, ok := on(c).members[c.str(0)]
		c.out(1)(orNull(v))
		return ok
	})
	k.instance["GetValue"] = method(1, 2, "JToken", func(c call) Value {
		want := c.str(0)
		if v, ok := on(c).members[want]; ok {
			return v
		}
		if c.has(1) && ignoresCase(c.args[1]) {
			for _, name := range on(c).keys {
				if strings.EqualFold(name, want) {
					return on(c).members[name]
				}
			}
		}
		return nil
	})
	k.instance["Property"] = method(1, 1, "JProperty", func(c call) Value {
		if v, ok := on(c).members[c.str(0)]; ok {
			return &jtoken{of: "JProperty", name: c.str(0), items: []*jtoken{v}, owner: on(c)}
		}
		return nil
	})
	k.instance["Properties"] = method(0, 0, "IEnumerable<JProperty>", func(c call) Value { return &list{of: "IEnumerable", items: children(on(c))} })
	k.instance["Count"] = prop("int", func(c call) Value { return int32(len(on(c).keys)) })
}

func addTo(m *machine, j *jtoken, v Value) {
	switch x := v.(type) {
	case *jtoken:
		if x.of == "JProperty" {
			m.put(j, x.name, x.items[0])
			return
		}
		if x.of == "JObject" {
			for _, k := range x.keys {
				m.put(j, k, x.members[k])
			}
			return
		}
	case *list:
		for _, i := range x.items {
			addTo(m, j, i)
		}
		return
	}
	throw("System.ArgumentException", "Can not add %s to JObject.", kind(v))
}

func addJArray() {
	k := define("JArray")
	on := func(c call) *jtoken { return c.on.(*jtoken) }
	create := method(0, -1, "JArray", func(c call) Value {
		j := &jtoken{of: "JArray"}
		for _, a := range c.args {
			if l, ok := a.(*list); ok {
				for _, v := range l.items {
					c.m.push(j, toToken(c.m, v))
				}
				continue
			}
			c.m.push(j, toToken(c.m, a))
		}
		return j
	})
	k.create = &create
	k.instance["Add"] = method(1, 1, "", func(c call) Value {
		c.m.push(on(c), toToken(c.m, c.args[0]))
		return nil
	})
	k.instance["RemoveAt"] = method(1, 1, "", func(c call) Value {
		i := c.int(0)
		if i < 0 || i >= len(on(c).items) {
			throwRange("index")
		}
		on(c).items = append(on(c).items[:i:i], on(c).items[i+1:]...)
		return nil
	})
	k.instance["Count"] = prop("int", func(c call) Value { return int32(len(on(c).items)) })
}

// children are the tokens directly inside.
func children(j *jtoken) []Value {
	var out []Value
	switch j.of {
	case "JObject":
		for _, k := range j.keys {
			out = append(out, &jtoken{of: "JProperty", name: k, items: []*jtoken{j.members[k]}, owner: j})
		}
	case "JArray", "JProperty":
		for _, i := range j.items {
			out = append(out, i)
		}
	}
	return out
}

// orNull keeps a nil token from hiding in an interface.
func orNull(j *jtoken) Value {
	if j == nil {
		return nil
	}
	return j
}

// child is token[key].
func child(j *jtoken, key Value) Value {
	switch k := plain(key).(type) {
	case string:
		switch j.of {
		case "JObject":
			return orNull(j.members[k])
		case "JProperty":
			return child(j.items[0], k)
		}
		throwInvalid("Cannot access child value on Newtonsoft.Json.Linq." + j.of + ".")
	default:
		i := toInt(k)
		if j.of != "JArray" {
			throwInvalid("Cannot access child value on Newtonsoft.Json.Linq." + j.of + ".")
		}
		if i < 0 || i >= len(j.items) {
			throwRange("index")
		}
		return j.items[i]
	}
	return nil
}

// convertToken is Value<T> and ToObject<T>; a missing token is null.
func convertToken(m *machine, v Value, to string) Value {
	if to == "" {
		return v
	}
	j, ok := v.(*jtoken)
	if !ok || j == nil || j.isValue() && j.scalar == nil {
		return zeroOf(to)
	}
	to = strings.TrimSuffix(to, "?")
	b := base(to)
	switch {
	case b == "object":
		return j
	case strings.HasPrefix(b, "J"):
		return cast(m, j, to, false)
	case b == "array" || b == "List" || b == "IEnumerable":
		if j.of != "JArray" {
			throw("Newtonsoft.Json.JsonSerializationException", "Cannot deserialize the current JSON into a list.")
		}
		l := &list{of: b}
		for _, i := range j.items {
			m.step(1)
			l.items = append(l.items, convertToken(m, i, element(to)))
		}
		return l
	case b == "Dictionary":
		if j.of != "JObject" {
			throw("Newtonsoft.Json.JsonSerializationException", "Cannot deserialize the current JSON into a dictionary.")
		}
		_, of, _ := strings.Cut(strings.TrimSuffix(to, ">"), ",")
		d := newDict()
		for _, k := range j.keys {
			m.step(1)
			d.set(k, convertToken(m, j.members[k], of))
		}
		return d
	}
	return j.as(b)
}

// selectToken follows a path such as $.items[0].name or items['a b'].
func selectToken(j *jtoken, path string, must bool) Value {
	at := Value(j)
	rest := strings.TrimPrefix(strings.TrimPrefix(path, "$"), ".")
	for rest != "" {
		var key Value
		switch {
		case strings.HasPrefix(rest, "['"):
			end := strings.Index(rest, "']")
			if end < 0 {
				throw("Newtonsoft.Json.JsonException", "Path ended with open indexer.")
			}
			key, rest = rest[2:end], rest[end+2:]
		case strings.HasPrefix(rest, "["):
			end := strings.IndexByte(rest, ']')
			n, err := strconv.Atoi(rest[1:max(end, 1)])
			if err != nil {
				throw("System.NotSupportedException", "JSON paths with filters or wildcards are not implemented by this gateway.")
			}
			key, rest = int32(n), rest[end+1:]
		default:
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			if key = rest[:end]; key == "*" || key == "" {
				throw("System.NotSupportedException", "JSON paths with filters or wildcards are not implemented by this gateway.")
			}
			rest = rest[end:]
		}
		rest = strings.TrimPrefix(rest, ".")
		t := at.(*jtoken)
		_, named := key.(string)
		if named && t.of != "JObject" || !named && (t.of != "JArray" || toInt(key) >= len(t.items) || toInt(key) < 0) {
			at = nil
		} else {
			at = child(t, key)
		}
		if at == nil {
			if must {
				throw("Newtonsoft.Json.JsonException", "The path does not exist.")
			}
			return nil
		}
	}
	return at
}
