// Package expr evaluates policy expressions: the part of C# that the policies
// rendered here use.
//
// It decides what an expression means and refuses, when a policy is loaded,
// everything it does not know: there is no silent approximation. It covers
// single expressions, @(…), over context, the Jwt object, strings, integers and
// booleans. Statement blocks, lambdas and object creation are refused by name.
// It refuses to know how policies run.
package expr

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error is a refusal at load, at a byte offset of the source.
type Error struct {
	Offset int
	Msg    string
}

// Error returns the message with its place.
func (e *Error) Error() string { return fmt.Sprintf("expression, character %d: %s", e.Offset+1, e.Msg) }

// Context is what an expression may read; the gateway fills it.
type Context struct {
	Method, URL, IPAddress string
	Header                 http.Header
	Variables              map[string]any
	LastError              *LastError
	RequestID              string
	Now                    time.Time
}

// LastError is context.LastError: what the failed policy left.
type LastError struct{ Source, Reason, Message, PolicyID string }

// Jwt is a parsed token, as an output variable of validate-jwt holds it.
type Jwt struct {
	Subject, Issuer, ID string
	// Claims holds every claim as strings: arrays by element, numbers in decimal, objects as JSON.
	Claims map[string][]string
}

// ParseJwt parses a compact token without validating anything.
func ParseJwt(token string) (*Jwt, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("not three segments")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, errors.New("payload is not base64url")
	}
	decoder := json.NewDecoder(strings.NewReader(string(payload)))
	decoder.UseNumber()
	var claims map[string]any
	if err := decoder.Decode(&claims); err != nil {
		return nil, errors.New("payload is not a JSON object")
	}
	j := &Jwt{Claims: map[string][]string{}}
	for name, value := range claims {
		if list, ok := value.([]any); ok {
			for _, v := range list {
				j.Claims[name] = append(j.Claims[name], claimText(v))
			}
			continue
		}
		j.Claims[name] = []string{claimText(value)}
	}
	first := func(name string) string { return strings.Join(j.Claims[name], ",") }
	j.Subject, j.Issuer, j.ID = first("sub"), first("iss"), first("jti")
	return j, nil
}

// claimText turns a JSON value into the string that policies compare.
func claimText(v any) string {
	switch t := v.(type) {
	case string:
		return t
	case json.Number:
		return t.String()
	case bool:
		return strconv.FormatBool(t)
	case nil:
		return ""
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}

// Exception is what evaluation throws: it runs the policy's error path.
type Exception struct{ Type, Message string }

// Error names the .NET exception.
func (e *Exception) Error() string { return e.Type + ": " + e.Message }

func throw(kind, format string, args ...any) error {
	return &Exception{kind, fmt.Sprintf(format, args...)}
}

// Program is a compiled expression, safe for concurrent use.
type Program struct{ root node }

// node evaluates to nil, string, int64, bool or one of the object types below.
type node func(*Context) (any, error)

// Eval evaluates the expression.
func (p *Program) Eval(c *Context) (any, error) { return p.root(c) }

// Text writes a value as .NET's ToString does in the invariant culture.
func Text(v any) string {
	switch t := v.(type) {
	case nil:
		return ""
	case bool:
		if t {
			return "True"
		}
		return "False"
	case int64:
		return strconv.FormatInt(t, 10)
	case string:
		return t
	}
	return fmt.Sprintf("%T", v)
}
