package expr

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

func addConversions() {
	k := define("Convert")
	for name, to := range map[string]string{"ToInt32": "int", "ToInt64": "long", "ToByte": "byte", "ToDouble": "double", "ToBoolean": "bool", "ToDateTime": "DateTime", "ToInt16": "int", "ToChar": "char"} {
		k.static[name] = method(1, 2, to, func(c call) Value {
			v := plain(c.args[0])
			if v == nil {
				return zeroOf(to)
			}
			if radix, ok := c.radix(); ok {
				n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(Text(v)), "0x"), radix, 64)
				if err != nil {
					throwFormat()
				}
				return toNumeric(int64(n), 0, to)
			}
			if s, text := v.(string); text && to == "char" {
				return Char(units(s + "\x00")[0])
			}
			return changeType(v, to)
		})
	}
	k.static["ToString"] = method(1, 2, "string", func(c call) Value {
		if radix, ok := c.radix(); ok {
			return strconv.FormatInt(int64(c.int(0)), radix)
		}
		return Text(c.args[0])
	})
	k.static["ToBase64String"] = method(1, 1, "string", func(c call) Value {
		b := c.bytes(0)
		c.m.room(len(b)*4/3 + 4)
		return base64Text(b)
	})
	k.static["FromBase64String"] = method(1, 1, "byte[]", func(c call) Value {
		text := strings.Join(strings.Fields(c.str(0)), "")
		c.m.room(len(text))
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			throw("System.FormatException", "The input is not a valid Base-64 string.")
		}
		return b
	})
	addBits()
	addEncodings()
	addURIs()
}

// radix is the base that Convert takes as second argument, when it is one.
func (c call) radix() (int, bool) {
	if !c.has(1) {
		return 0, false
	}
	n, ok := c.args[1].(int32)
	if ok && n != 2 && n != 8 && n != 10 && n != 16 {
		throw("System.ArgumentException", "Invalid Base.")
	}
	return int(n), ok
}

func addBits() {
	k := define("BitConverter")
	k.static["ToString"] = method(1, 3, "string", func(c call) Value {
		b := c.bytes(0)
		if c.has(1) {
			from, to := c.int(1), len(b)
			if c.has(2) {
				to = from + c.int(2)
			}
			if from < 0 || to < from || to > len(b) {
				throwRange("startIndex")
			}
			b = b[from:to]
		}
		c.m.room(3 * len(b))
		parts := make([]string, len(b))
		for i, x := range b {
			parts[i] = fmt.Sprintf("%02X", x)
		}
		return strings.Join(parts, "-")
	})
	read := func(size int, result string, f func([]byte) Value) member {
		return method(2, 2, result, func(c call) Value {
			b, at := c.bytes(0), c.int(1)
			if at < 0 || at+size > len(b) {
				throwRange("startIndex")
			}
			return f(b[at:])
		})
	}
	k.static["ToInt32"] = read(4, "int", func(b []byte) Value { return int32(binary.LittleEndian.Uint32(b)) })
	k.static["ToUInt32"] = read(4, "long", func(b []byte) Value { return int64(binary.LittleEndian.Uint32(b)) })
	k.static["ToInt64"] = read(8, "long", func(b []byte) Value { return int64(binary.LittleEndian.Uint64(b)) })
	k.static["IsLittleEndian"] = prop("bool", func(call) Value { return true })
	k.static["GetBytes"] = method(1, 1, "byte[]", func(c call) Value {
		switch v := c.args[0].(type) {
		case int32:
			return binary.LittleEndian.AppendUint32(nil, uint32(v))
		case int64:
			return binary.LittleEndian.AppendUint64(nil, uint64(v))
		}
		throwCast(kind(c.args[0]), "System.Int32")
		return nil
	})
	define("Convert").static["ToHexString"] = method(1, 1, "string", func(c call) Value { return c.m.made(strings.ToUpper(hex.EncodeToString(c.bytes(0)))) })
}

func addEncodings() {
	k := define("Encoding")
	for _, name := range []string{"UTF8", "ASCII", "Unicode"} {
		e := &object{kind: "Encoding", inner: name}
		k.static[name] = prop("Encoding", func(call) Value { return e })
	}
	k.static["GetEncoding"] = method(1, 1, "Encoding", func(c call) Value {
		switch strings.ToLower(Text(c.args[0])) {
		case "utf-8", "utf8", "65001":
			return &object{kind: "Encoding", inner: "UTF8"}
		case "us-ascii", "ascii":
			return &object{kind: "Encoding", inner: "ASCII"}
		case "iso-8859-1", "latin1", "28591":
			return &object{kind: "Encoding", inner: "Latin1"}
		}
		throw("System.ArgumentException", "The encoding is not implemented by this gateway.")
		return nil
	})
	k.instance["GetBytes"] = method(1, 1, "byte[]", func(c call) Value {
		s := Text(c.args[0])
		if c.args[0] == nil {
			throwArgumentNull("s")
		}
		c.m.room(2 * len(s))
		switch c.on.(*object).inner {
		case "Unicode":
			var b []byte
			for _, u := range units(s) {
				b = binary.LittleEndian.AppendUint16(b, u)
			}
			return b
		case "ASCII", "Latin1":
			limit := rune(0x7f)
			if c.on.(*object).inner == "Latin1" {
				limit = 0xff
			}
			var b []byte
			for _, r := range s {
				if r > limit {
					r = '?'
				}
				b = append(b, byte(r))
			}
			return b
		}
		return []byte(s)
	})
	k.instance["GetString"] = method(1, 3, "string", func(c call) Value {
		b := c.bytes(0)
		if len(c.args) == 3 {
			from, n := c.int(1), c.int(2)
			if from < 0 || n < 0 || from+n > len(b) {
				throwRange("index")
			}
			b = b[from : from+n]
		}
		c.m.room(3 * len(b))
		switch c.on.(*object).inner {
		case "Unicode":
			var u []uint16
			for i := 0; i+1 < len(b); i += 2 {
				u = append(u, binary.LittleEndian.Uint16(b[i:]))
			}
			return fromUnits(u)
		case "Latin1":
			var s strings.Builder
			for _, x := range b {
				s.WriteRune(rune(x))
			}
			return s.String()
		}
		if utf8.Valid(b) {
			return string(b)
		}
		return strings.ToValidUTF8(string(b), "\uFFFD")
	})
	k.instance["GetByteCount"] = method(1, 1, "int", func(c call) Value { return int32(len(c.str(0))) })
}

// uri is a System.Uri or an IUrl.
type uri struct {
	*url.URL
	of string
}

func (u *uri) kind() string { return u.of }

// escapeData is Uri.EscapeDataString: everything but unreserved characters.
func escapeData(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(s), "+", "%20"), "%7E", "~")
}

func addURIs() {
	k := define("Uri")
	k.static["EscapeDataString"] = method(1, 1, "string", func(c call) Value { return c.m.made(escapeData(c.str(0))) })
	k.static["EscapeUriString"] = method(1, 1, "string", func(c call) Value {
		u := url.URL{Path: c.str(0)}
		return c.m.made(strings.TrimPrefix(u.EscapedPath(), "./"))
	})
	k.static["UnescapeDataString"] = method(1, 1, "string", func(c call) Value {
		s, err := url.PathUnescape(c.str(0))
		if err != nil {
			return c.str(0)
		}
		return s
	})
	create := method(1, 2, "Uri", func(c call) Value {
		u, err := url.Parse(Text(c.args[0]))
		if err == nil && c.has(1) {
			if relative, ok := c.args[1].(string); ok {
				u, err = u.Parse(relative)
			}
		}
		if err != nil || u.Scheme == "" {
			throw("System.UriFormatException", "Invalid URI: The format of the URI could not be determined.")
		}
		return &uri{u, "Uri"}
	})
	k.create = &create
	on := func(c call) *url.URL { return c.on.(*uri).URL }
	port := func(c call) Value {
		n, err := strconv.Atoi(on(c).Port())
		if err != nil {
			n = map[string]int{"http": 80, "https": 443}[on(c).Scheme]
		}
		return int32(n)
	}
	text := func(f func(*url.URL) string) member { return prop("string", func(c call) Value { return f(on(c)) }) }
	query := func(u *url.URL) string {
		if u.RawQuery == "" {
			return ""
		}
		return "?" + u.RawQuery
	}
	for _, of := range []string{"Uri", "IUrl"} {
		k := define(of)
		k.instance["Host"] = text((*url.URL).Hostname)
		k.instance["Scheme"] = text(func(u *url.URL) string { return u.Scheme })
		k.instance["Port"] = prop("int", port)
	}
	k.instance["AbsolutePath"] = text((*url.URL).EscapedPath)
	k.instance["LocalPath"] = text(func(u *url.URL) string { return u.Path })
	k.instance["PathAndQuery"] = text(func(u *url.URL) string { return u.EscapedPath() + query(u) })
	k.instance["Query"] = text(query)
	k.instance["AbsoluteUri"] = text((*url.URL).String)
	k.instance["OriginalString"] = text((*url.URL).String)
	k.instance["Authority"] = text(func(u *url.URL) string { return u.Host })
	k.instance["Fragment"] = text(func(u *url.URL) string { return u.Fragment })
	i := define("IUrl")
	i.instance["Path"] = text((*url.URL).EscapedPath)
	i.instance["QueryString"] = text(query)
	i.instance["Query"] = prop("Dictionary<string,string[]>", func(c call) Value { return valuesDict(on(c).Query()) })
	w := define("WebUtility")
	w.static["UrlEncode"] = method(1, 1, "string", func(c call) Value { return c.m.made(url.QueryEscape(c.str(0))) })
	w.static["UrlDecode"] = method(1, 1, "string", func(c call) Value {
		s, err := url.QueryUnescape(c.str(0))
		if err != nil {
			return c.str(0)
		}
		return s
	})
	w.static["HtmlEncode"] = method(1, 1, "string", func(c call) Value { return c.m.made(html.EscapeString(c.str(0))) })
	w.static["HtmlDecode"] = method(1, 1, "string", func(c call) Value { return html.UnescapeString(c.str(0)) })
}

// valuesDict shows names with several values: a query or a form.
func valuesDict(values map[string][]string) *dict {
	d := &dict{values: map[Value]Value{}, joins: true, folds: true, fixed: true}
	for name, v := range values {
		d.set(name, texts(v))
	}
	return d
}
