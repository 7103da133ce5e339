// Package expr interprets the policy expressions of Azure API Management: the
// subset of C# 7 that policies write between "@(" and ")" or "@{" and "}".
//
// It decides what an expression means: it parses the source, gives every part
// a static type, resolves members and overloads as a C# compiler would, and
// refuses at Compile whatever it does not implement, so that a policy never
// half works. It decides how much an expression may spend (Limits). It refuses
// to know policies, sections, HTTP handling and where tokens are verified:
// ParseJwt and AsJwt read a token, they never trust it.
//
// # Values
//
// Expressions exchange these Go values with their caller:
//
//	C#                    Go
//	null                  nil
//	bool                  bool
//	int, long, byte       int32, int64, uint8
//	double                float64
//	char                  Char (one UTF-16 code unit)
//	string                string (UTF-8; lone surrogates become U+FFFD)
//	byte[]                []byte
//	DateTime              DateTime
//	DateTimeOffset        DateTimeOffset
//	TimeSpan              TimeSpan
//	Guid                  Guid
//	Jwt                   *Jwt
//	IResponse, IRequest   *Response, *Request
//	X509Certificate2      *x509.Certificate
//	everything else       an opaque value of this package
//
// Any other Go value that a caller puts into Context.Variables is an opaque
// object: it can be passed on, and every cast of it fails.
//
// # Departures from the managed gateway
//
// Culture is always invariant and comparison by culture is comparison by
// ordinal. Local time is UTC. Regular expressions run on RE2: what RE2 cannot
// do is refused. JSON is indented with "\n", as on Linux. Definite assignment
// is not checked: an unassigned local holds its default. Reference comparison
// of values typed object is refused instead of being false by surprise.
package expr
