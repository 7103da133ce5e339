package expr

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Jwt is a JSON Web Token as expressions see it (RFC 7519). Claims holds every
// member of the payload as text: see ParseJwt. Times are in UTC and nil when
// the claim is absent or no number.
type Jwt struct {
	// Algorithm and Type are the header's "alg" and "typ".
	Algorithm, ID, Issuer, Subject, Type string
	Audiences                            []string
	Claims                               map[string][]string
	ExpirationTime, IssuedAt, NotBefore  *time.Time
	// Raw is the compact serialization. It is a credential: do not log it.
	Raw string
	// shown is Claims as expressions see it.
	shown *dict
}

var errNotJWT = errors.New("not a compact JWS with JSON header and claims")

// ParseJwt reads a token in compact JWS serialization (RFC 7515 section 7.1).
// It verifies nothing: a policy that trusts its result is wrong.
//
// Claim values become the strings that required-claims compares: a string
// itself, a number its shortest text, a boolean "true" or "false", null the
// empty string, an array one value per element (inner arrays and objects as
// JSON text; an empty array is no claim), an object its JSON text. Repeated
// member names are refused (RFC 7519 section 4).
func ParseJwt(token string) (*Jwt, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errNotJWT
	}
	header, err := parseSegment(parts[0])
	if err != nil {
		return nil, fmt.Errorf("parse header: %w", err)
	}
	payload, err := parseSegment(parts[1])
	if err != nil {
		return nil, fmt.Errorf("parse claims: %w", err)
	}
	if _, err := base64.RawURLEncoding.Strict().DecodeString(parts[2]); err != nil {
		return nil, errNotJWT
	}
	claims := map[string][]string{}
	for name, raw := range payload {
		if values := claimValues(raw); len(values) > 0 {
			claims[name] = values
		}
	}
	j := &Jwt{
		Algorithm: stringMember(header, "alg"), Type: stringMember(header, "typ"),
		ID: stringMember(payload, "jti"), Issuer: stringMember(payload, "iss"), Subject: stringMember(payload, "sub"),
		Audiences: claims["aud"], Claims: claims,
		ExpirationTime: numericDate(payload["exp"]), IssuedAt: numericDate(payload["iat"]), NotBefore: numericDate(payload["nbf"]),
		Raw: token,
	}
	j.show()
	return j, nil
}

// Again returns a token that was read before, for another evaluation: what it
// holds is shared, since nothing changes it; how expressions see it is not.
func (j *Jwt) Again(raw string) *Jwt {
	again := *j
	again.Raw = raw
	again.show()
	return &again
}

// show makes what expressions see of the claims.
func (j *Jwt) show() {
	claims := j.Claims
	j.shown = &dict{joins: true, fixed: true, look: func(name string) (Value, bool) {
		values, ok := claims[name]
		return texts(values), ok
	}, list: func(d *dict) {
		for name, values := range claims {
			d.set(name, texts(values))
		}
	}}
}

// parseSegment decodes base64url without padding and a JSON object whose
// member names do not repeat.
func parseSegment(segment string) (map[string]json.RawMessage, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	if err != nil || strings.ContainsAny(segment, "\r\n") || !json.Valid(data) {
		return nil, errNotJWT
	}
	data = bytes.TrimLeft(data, space)
	if len(data) == 0 || data[0] != '{' {
		return nil, errNotJWT
	}
	members := map[string]json.RawMessage{}
	for rest := bytes.TrimLeft(data[1:], space); rest[0] != '}'; rest = bytes.TrimLeft(rest, space) {
		if rest[0] == ',' {
			rest = bytes.TrimLeft(rest[1:], space)
		}
		end := valueEnd(rest)
		name, ok := stringText(rest[:end])
		if !ok {
			return nil, errNotJWT
		}
		if _, repeated := members[name]; repeated {
			return nil, fmt.Errorf("%w: a member name repeats", errNotJWT)
		}
		rest = bytes.TrimLeft(rest[end:], space)
		rest = bytes.TrimLeft(rest[1:], space) // the colon
		end = valueEnd(rest)
		members[name], rest = json.RawMessage(rest[:end]), rest[end:]
	}
	return members, nil
}

// space is what JSON allows between tokens.
const space = " \t\r\n"

// valueEnd returns the length of the JSON value that valid JSON begins with.
func valueEnd(data []byte) int {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth <= 0 {
				return i + 1 + min(depth, 0)
			}
		case ',', ' ', '\t', '\r', '\n', ':':
			if depth == 0 {
				return i
			}
		}
	}
	return len(data)
}

// stringText reads a JSON string; most need no decoding.
func stringText(raw []byte) (string, bool) {
	if bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
		return string(raw[1 : len(raw)-1]), true
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

func stringMember(members map[string]json.RawMessage, name string) string {
	if raw := members[name]; len(raw) > 0 && raw[0] == '"' {
		s, _ := stringText(raw)
		return s
	}
	return ""
}

// claimValues makes a claim's texts: one, or one for each item of an array.
func claimValues(raw json.RawMessage) []string {
	if raw[0] != '[' {
		return []string{claimText(raw)}
	}
	values := []string{}
	for rest := bytes.TrimLeft(raw[1:], space); rest[0] != ']'; rest = bytes.TrimLeft(rest, space) {
		if rest[0] == ',' {
			rest = bytes.TrimLeft(rest[1:], space)
		}
		end := valueEnd(rest)
		values, rest = append(values, claimText(rest[:end])), rest[end:]
	}
	return values
}

func claimText(raw []byte) string {
	switch raw[0] {
	case '"':
		s, _ := stringText(raw)
		return s
	case 'n':
		return ""
	case '{', '[', 't', 'f':
		return string(raw)
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return strconv.FormatInt(n, 10)
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return string(raw)
	}
	return doubleText(f)
}

// numericDate reads seconds since the epoch, dropping fractions (RFC 7519
// section 2), or nil for what is no number or lies outside years 1 to 9999.
func numericDate(raw json.RawMessage) *time.Time {
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.IsNaN(f) || f < -62135596800 || f > 253402300799 {
		return nil
	}
	t := time.Unix(int64(math.Floor(f)), 0).UTC()
	return &t
}
