package expr

import (
	"slices"
	"strings"
)

// numericRanks order the numeric types by width.
var numericRanks = []string{"char", "byte", "int", "long", "double"}

func numeric(t string) bool { return slices.Contains(numericRanks, t) }

// wider is the type that an operator on two numeric types gives.
func wider(a, b string) string {
	rank := max(slices.Index(numericRanks, a), slices.Index(numericRanks, b), 2)
	return numericRanks[rank]
}

func valueType(t string) bool {
	return numeric(t) || slices.Contains([]string{"bool", "DateTime", "DateTimeOffset", "TimeSpan", "Guid"}, t)
}

// sameType maps the ways to write a type to one; unsigned and short integers
// compute as int and long.
var sameType = map[string]string{
	"Boolean": "bool", "Int32": "int", "Int64": "long", "Byte": "byte", "Double": "double", "Char": "char", "String": "string", "Object": "object",
	"short": "int", "Int16": "int", "ushort": "int", "UInt16": "int", "uint": "long", "UInt32": "long", "float": "double", "Single": "double",
	"X509Certificate": "X509Certificate2", "IReadOnlyList": "IEnumerable", "IList": "List", "ICollection": "IEnumerable", "IReadOnlyCollection": "IEnumerable",
	"IDictionary": "Dictionary", "IReadOnlyDictionary": "Dictionary", "ISet": "HashSet", "JContainer": "JToken", "SHA256Managed": "SHA256", "SHA1Managed": "SHA1",
	"SHA512Managed": "SHA512", "SHA384Managed": "SHA384", "SHA1CryptoServiceProvider": "SHA1", "MD5CryptoServiceProvider": "MD5", "HMAC": "HashAlgorithm",
	"KeyedHashAlgorithm": "HashAlgorithm", "Nullable": "",
}

// writable are the types that code may name for variables and casts beside
// those in classes.
var writable = []string{"bool", "byte", "char", "double", "int", "long", "object", "string", "var", "dynamic", "IResponse", "IRequest", "IUrl", "IMessageBody",
	"IEnumerable", "KeyValuePair", "IGrouping", "Match", "Group", "Capture", "MatchCollection", "GroupCollection", "BasicAuthCredentials", "HashAlgorithm", "IProxyRequestContext",
	"Exception", "FormatException", "ArgumentException", "ArgumentNullException", "NullReferenceException", "InvalidCastException", "KeyNotFoundException",
	"InvalidOperationException", "JsonReaderException", "OverflowException", "IndexOutOfRangeException", "IUser", "IApi", "IOperation", "IProduct", "ISubscription"}

// allowedTypes are types that API Management allows and this package lacks.
var allowedTypes = strings.Fields(`Byte Char Decimal decimal sbyte SByte ulong UInt64 Single TimeZone TimeZoneInfo Tuple IEnumerator StringReader StringWriter
	AsymmetricAlgorithm Oid CipherMode PaddingMode RNGCryptoServiceProvider RSA RSAEncryptionPadding RSASignaturePadding SymmetricAlgorithm Aes PublicKey RSACertificateExtensions
	X500DistinguishedName X509ContentType X509NameType XAttribute XComment XContainer XDeclaration XDocument XElement XName XNamespace XNode XObject XText XmlNodeType
	JConstructor JRaw Extensions IPAddress UriPartial Enum HashAlgorithmName`)

// typeName resolves a written type to the form used here: "List<string>",
// "string[]". "" is var.
func (c *compiler) typeName(t *typeSyntax) string {
	name := t.name
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		if !namespace(name[:i]) {
			c.fail(t, "%s %s", name, notAvailable)
		}
		name = name[i+1:]
	}
	if same, ok := sameType[name]; ok {
		name = same
	}
	if t.name == "var" || t.name == "dynamic" {
		return ""
	}
	if name == "" && len(t.args) == 1 { // Nullable<T>
		return c.typeName(t.args[0]) + "?"
	}
	if _, known := classes[name]; !known && !slices.Contains(writable, name) {
		c.unknownType(t, name)
	}
	if len(t.args) > 0 {
		args := make([]string, len(t.args))
		for i, a := range t.args {
			args[i] = c.typeName(a)
		}
		name += "<" + strings.Join(args, ",") + ">"
	}
	if t.nullable && valueType(name) {
		name += "?"
	}
	return name + strings.Repeat("[]", t.rank)
}

// namespace reports whether a qualifier is one of the namespaces of the types
// that API Management allows.
func namespace(q string) bool {
	return slices.Contains([]string{"System", "System.Text", "System.Linq", "System.Net", "System.Collections.Generic", "System.Text.RegularExpressions", "System.Security.Cryptography",
		"System.Security.Cryptography.X509Certificates", "System.IO", "System.Globalization", "System.Xml.Linq", "Newtonsoft.Json", "Newtonsoft.Json.Linq"}, q)
}

// base is the kind whose members a static type has: "array" for T[].
func base(t string) string {
	switch {
	case t == "byte[]":
		return t
	case strings.HasSuffix(t, "[]"):
		return "array"
	}
	name, _, _ := strings.Cut(strings.TrimSuffix(t, "?"), "<")
	return name
}

// element is the type of a sequence's items, "" when unknown.
func element(t string) string {
	if t == "string" {
		return "char"
	}
	if e, ok := strings.CutSuffix(t, "[]"); ok {
		return e
	}
	_, args, ok := strings.Cut(strings.TrimSuffix(t, ">"), "<")
	if ok && !strings.ContainsAny(args, ",<") {
		return args
	}
	return ""
}

// zeroOf is a type's default value.
func zeroOf(t string) Value {
	switch t {
	case "bool":
		return false
	case "byte":
		return uint8(0)
	case "int":
		return int32(0)
	case "long":
		return int64(0)
	case "double":
		return float64(0)
	case "char":
		return Char(0)
	case "DateTime":
		return DateTime{}
	case "DateTimeOffset":
		return DateTimeOffset{}
	case "TimeSpan":
		return TimeSpan(0)
	case "Guid":
		return Guid{}
	}
	return nil
}

// fits reports whether a value of that static type may be assigned: it refuses
// what a compiler would, as far as types are known.
func fits(x code, to string) bool {
	if x.null {
		return !valueType(to)
	}
	from, target := base(x.typ), base(to)
	switch {
	case from == "" || target == "" || from == target || target == "object":
		return true
	case numeric(from) && numeric(target):
		return from != "char" && slices.Index(numericRanks, from) <= slices.Index(numericRanks, target) || x.constant && target != "char" && from != "double" || from == "char" && target != "byte"
	case from == "object":
		return false
	case strings.HasPrefix(target, "J"):
		return true // implicit conversions to JToken
	case valueType(target) || target == "string" || valueType(from) || from == "string":
		return target == "IEnumerable"
	}
	return true
}

// assignable converts a value to a variable's type, as an implicit conversion does.
func assignable(m *machine, v Value, t string) Value {
	switch {
	case t == "" || t == "object" || kind(v) == t:
		return v
	case numeric(t):
		if _, ok := number(v); ok {
			return cast(m, v, t, false)
		}
		throwCast(kind(v), t)
	case v == nil && valueType(t):
		throwNull()
	case strings.HasPrefix(base(t), "J") && !isNull(v):
		return cast(m, toToken(m, v), t, false)
	}
	return cast(m, v, t, false)
}

// Copy returns a value of its own: JSON tokens can be changed by expressions,
// so what one request caches another must not share.
func Copy(v Value) Value {
	j, ok := v.(*jtoken)
	if !ok || j == nil {
		return v
	}
	c := *j
	c.parent = nil
	c.keys, c.items = slices.Clone(j.keys), slices.Clone(j.items)
	for i, item := range c.items {
		c.items[i], _ = Copy(item).(*jtoken)
		c.items[i].parent = &c
	}
	if j.members != nil {
		c.members = make(map[string]*jtoken, len(j.members))
		for name, m := range j.members {
			c.members[name], _ = Copy(m).(*jtoken)
			c.members[name].parent = &c
		}
	}
	return &c
}

// Storable reports whether set-variable may keep a value: the reference lists
// Json.NET tokens, primitives, Guid, String, DateTime and TimeSpan, and neither
// arrays nor Jwt.
func Storable(v Value) bool {
	switch v.(type) {
	case nil, bool, int32, int64, uint8, float64, Char, string, Guid, DateTime, DateTimeOffset, TimeSpan, *jtoken:
		return true
	}
	return false
}
