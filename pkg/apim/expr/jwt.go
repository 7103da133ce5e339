package expr

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
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
		values, err := claimValues(raw)
		if err != nil {
			return nil, err
		}
		if len(values) > 0 {
			claims[name] = values
		}
	}
	return &Jwt{
		Algorithm: stringMember(header, "alg"), Type: stringMember(header, "typ"),
		ID: stringMember(payload, "jti"), Issuer: stringMember(payload, "iss"), Subject: stringMember(payload, "sub"),
		Audiences: claims["aud"], Claims: claims,
		ExpirationTime: numericDate(payload["exp"]), IssuedAt: numericDate(payload["iat"]), NotBefore: numericDate(payload["nbf"]),
		Raw: token,
	}, nil
}

// parseSegment decodes base64url without padding and a JSON object whose
// member names do not repeat.
func parseSegment(segment string) (map[string]json.RawMessage, error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	if err != nil || strings.ContainsAny(segment, "\r\n") {
		return nil, errNotJWT
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, errNotJWT
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, errNotJWT
		}
		name, ok := key.(string)
		if !ok {
			return nil, errNotJWT
		}
		if _, repeated := members[name]; repeated {
			return nil, fmt.Errorf("%w: a member name repeats", errNotJWT)
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, errNotJWT
		}
		members[name] = raw
	}
	if _, err := d.Token(); err != nil {
		return nil, errNotJWT
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errNotJWT
	}
	return members, nil
}

func stringMember(members map[string]json.RawMessage, name string) string {
	var s string
	if raw := members[name]; len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		return s
	}
	return ""
}

func claimValues(raw json.RawMessage) ([]string, error) {
	if raw[0] != '[' {
		return []string{claimText(raw)}, nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, errNotJWT
	}
	values := make([]string, len(items))
	for i, item := range items {
		values[i] = claimText(item)
	}
	return values, nil
}

func claimText(raw json.RawMessage) string {
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return s
		}
		return string(raw)
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
