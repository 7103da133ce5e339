package expr

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func sprintf(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// prefixes are the names that lead to something in static.
var prefixes = map[string]bool{"context": true, "context.Request": true, "context.LastError": true,
	"DateTimeOffset": true, "DateTimeOffset.UtcNow": true, "Convert": true, "string": true, "String": true}

// Object types that expressions pass around.
type (
	claims    map[string][]string
	headers   struct{ *Context }
	variables struct{ *Context }
)

// static resolves a dotted path, or returns nil when it is not yet a value.
func static(path string, called bool, args []node) node {
	value := func(read func(*Context) any) node {
		if called {
			return nil
		}
		return func(c *Context) (any, error) { return read(c), nil }
	}
	lastError := func(read func(*LastError) string) node {
		return value(func(c *Context) any {
			if c.LastError == nil {
				return nil
			}
			return read(c.LastError)
		})
	}
	switch path {
	case "context.Variables":
		return value(func(c *Context) any { return variables{c} })
	case "context.RequestId":
		return value(func(c *Context) any { return c.RequestID })
	case "context.Request.Method":
		return value(func(c *Context) any { return c.Method })
	case "context.Request.IpAddress":
		return value(func(c *Context) any { return c.IPAddress })
	case "context.Request.Headers":
		return value(func(c *Context) any { return headers{c} })
	case "context.LastError.Source":
		return lastError(func(e *LastError) string { return e.Source })
	case "context.LastError.Reason":
		return lastError(func(e *LastError) string { return e.Reason })
	case "context.LastError.Message":
		return lastError(func(e *LastError) string { return e.Message })
	case "context.LastError.PolicyId":
		return lastError(func(e *LastError) string { return e.PolicyID })
	case "DateTimeOffset.UtcNow.ToUnixTimeSeconds":
		if !called || len(args) != 0 {
			return nil
		}
		return func(c *Context) (any, error) { return c.Now.Unix(), nil }
	case "Convert.ToInt64":
		if !called || len(args) != 1 {
			return nil
		}
		return func(c *Context) (any, error) {
			v, err := args[0](c)
			if err != nil {
				return nil, err
			}
			n, err := strconv.ParseInt(strings.TrimSpace(Text(v)), 10, 64)
			if err != nil {
				return nil, throw("System.FormatException", "Input string was not in a correct format.")
			}
			return n, nil
		}
	case "string.IsNullOrEmpty", "String.IsNullOrEmpty":
		if !called || len(args) != 1 {
			return nil
		}
		return func(c *Context) (any, error) {
			v, err := args[0](c)
			return v == nil || v == "", err
		}
	}
	return nil
}

// members are the instance members; a trailing () marks a method.
var members = map[string]bool{"Subject": true, "Issuer": true, "Id": true, "Claims": true, "GetValueOrDefault()": true, "ContainsKey()": true,
	"Contains()": true, "StartsWith()": true, "EndsWith()": true, "ToLowerInvariant()": true, "ToUpperInvariant()": true, "ToString()": true, "Length": true, "AsJwt()": true}

func constant(v any) node { return func(*Context) (any, error) { return v, nil } }

func truth(x node, c *Context) (bool, error) {
	v, err := x(c)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, throw("System.InvalidCastException", "Unable to cast to Boolean.")
	}
	return b, nil
}

// cast converts as C# does at run time.
func cast(to string, x node) node {
	return func(c *Context) (any, error) {
		v, err := x(c)
		if err != nil || v == nil && (to == "Jwt" || to == "string") {
			return nil, err
		}
		ok := false
		switch to {
		case "Jwt":
			_, ok = v.(*Jwt)
		case "string":
			_, ok = v.(string)
		case "int", "long":
			_, ok = v.(int64)
		case "bool":
			_, ok = v.(bool)
		}
		if !ok {
			return nil, throw("System.InvalidCastException", "Unable to cast to %s.", to)
		}
		return v, nil
	}
}

// member reads a member of a value, or calls a method on it.
func member(x node, key string, args []node, conditional bool) node {
	return func(c *Context) (any, error) {
		receiver, err := x(c)
		if err != nil {
			return nil, err
		}
		if receiver == nil {
			if conditional {
				return nil, nil
			}
			return nil, throw("System.NullReferenceException", "Object reference not set to an instance of an object.")
		}
		values := make([]any, len(args))
		for i, a := range args {
			if values[i], err = a(c); err != nil {
				return nil, err
			}
		}
		if v, ok := invoke(receiver, key, values); ok {
			return v, nil
		}
		return nil, throw("System.MissingMethodException", "%s with %d arguments", key, len(args))
	}
}

// invoke runs a member; it reports false when the receiver has none like it.
func invoke(receiver any, key string, args []any) (any, bool) {
	name := ""
	if len(args) > 0 {
		name, _ = args[0].(string)
	}
	lookup := func(values []string, found bool) (any, bool) {
		if len(args) != 2 {
			return nil, false
		}
		if !found {
			return args[1], true
		}
		return strings.Join(values, ","), true
	}
	switch r := receiver.(type) {
	case *Jwt:
		switch key {
		case "Subject":
			return r.Subject, true
		case "Issuer":
			return r.Issuer, true
		case "Id":
			return r.ID, true
		case "Claims":
			return claims(r.Claims), true
		}
	case claims:
		values, found := r[name]
		switch {
		case key == "ContainsKey()" && len(args) == 1:
			return found, true
		case key == "GetValueOrDefault()":
			return lookup(values, found)
		}
	case headers:
		values := r.Header.Values(name)
		switch {
		case key == "ContainsKey()" && len(args) == 1:
			return len(values) > 0, true
		case key == "GetValueOrDefault()":
			return lookup(values, len(values) > 0)
		}
	case variables:
		_, found := r.Variables[name]
		if key == "ContainsKey()" && len(args) == 1 {
			return found, true
		}
	case []string:
		if key == "Contains()" && len(args) == 1 {
			return slices.Contains(r, name), true
		}
		if key == "Length" {
			return int64(len(r)), true
		}
	case string:
		return onString(r, key, args, name)
	case int64, bool:
		if key == "ToString()" {
			return Text(r), true
		}
	}
	return nil, false
}

// onString runs a member of a string; comparisons are ordinal.
func onString(s, key string, args []any, argument string) (any, bool) {
	switch {
	case key == "Length":
		return int64(len([]rune(s))), true
	case key == "ToLowerInvariant()" && len(args) == 0:
		return strings.ToLower(s), true
	case key == "ToUpperInvariant()" && len(args) == 0:
		return strings.ToUpper(s), true
	case key == "ToString()" && len(args) == 0:
		return s, true
	case key == "Contains()" && len(args) == 1:
		return strings.Contains(s, argument), true
	case key == "StartsWith()" && len(args) == 1:
		return strings.HasPrefix(s, argument), true
	case key == "EndsWith()" && len(args) == 1:
		return strings.HasSuffix(s, argument), true
	case key == "AsJwt()" && len(args) == 0:
		j, err := ParseJwt(s)
		if err != nil {
			return nil, true
		}
		return j, true
	}
	return nil, false
}

// index reads an element by key.
func index(x, key node) node {
	return func(c *Context) (any, error) {
		receiver, err := x(c)
		if err != nil {
			return nil, err
		}
		k, err := key(c)
		if err != nil {
			return nil, err
		}
		name, _ := k.(string)
		missing := throw("System.Collections.Generic.KeyNotFoundException", "The given key %q was not present in the dictionary.", name)
		switch r := receiver.(type) {
		case variables:
			if v, ok := r.Variables[name]; ok {
				return v, nil
			}
			return nil, missing
		case claims:
			if v, ok := r[name]; ok {
				return v, nil
			}
			return nil, missing
		case nil:
			return nil, throw("System.NullReferenceException", "Object reference not set to an instance of an object.")
		}
		return nil, throw("System.InvalidOperationException", "Cannot apply indexing.")
	}
}

// binary combines two values; && and || look at the right one only when needed.
func binary(op string, left, right node) node {
	return func(c *Context) (any, error) {
		if op == "&&" || op == "||" {
			l, err := truth(left, c)
			if err != nil || l == (op == "||") {
				return l, err
			}
			return truth(right, c)
		}
		l, err := left(c)
		if err != nil || op == "??" && l != nil {
			return l, err
		}
		r, err := right(c)
		if err != nil || op == "??" {
			return r, err
		}
		return combine(op, l, r)
	}
}

func combine(op string, l, r any) (any, error) {
	ln, lok := l.(int64)
	rn, rok := r.(int64)
	numbers := lok && rok
	switch {
	case op == "==":
		return equal(l, r), nil
	case op == "!=":
		return !equal(l, r), nil
	case op == "+" && !numbers:
		if _, ok := l.(string); !ok {
			if _, ok := r.(string); !ok {
				return nil, throw("System.InvalidOperationException", "Cannot add.")
			}
		}
		return Text(l) + Text(r), nil
	case !numbers:
		return nil, throw("System.InvalidOperationException", "Operator %s needs numbers.", op)
	}
	switch op {
	case "+":
		return ln + rn, nil
	case "-":
		return ln - rn, nil
	case "<":
		return ln < rn, nil
	case ">":
		return ln > rn, nil
	case "<=":
		return ln <= rn, nil
	}
	return ln >= rn, nil
}

// equal compares strings ordinally; values of different types are never equal.
func equal(l, r any) bool {
	switch l.(type) {
	case nil, string, int64, bool:
		switch r.(type) {
		case nil, string, int64, bool:
			return l == r
		}
	}
	return false
}
