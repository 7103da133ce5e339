// Package secret holds values that must never be printed: codes, tokens,
// links and keys.
//
// It decides how such a value is made (256 random bits), how it is kept at
// rest (as its SHA-256, never as itself) and that nothing but an explicit
// Reveal turns it back into text: fmt, JSON and zerolog all see "[secret]".
// It refuses to know what a value is for.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"log/slog"

	"github.com/rs/zerolog"
)

// placeholder is what every printer of a Value writes.
const placeholder = "[secret]"

// Size is the number of random bytes behind a value made by New: 256 bits, so
// that guessing is hopeless and a plain hash, without salt or stretching, is
// the right way to store it (RFC 6749 section 10.10).
const Size = 32

// Value is a secret text. Its zero value is empty. Values are compared with
// Equal, stored as Digest and turned into text only by Reveal.
type Value struct{ text string }

// New returns a fresh value of 256 random bits as 43 characters of base64url.
func New() Value {
	b := make([]byte, Size)
	rand.Read(b) // never fails: see crypto/rand.Read
	return Value{base64.RawURLEncoding.EncodeToString(b)}
}

// Of wraps text that arrived from outside, of any length and alphabet.
func Of(text string) Value { return Value{text} }

// Reveal returns the text. The caller must hand it to its one recipient and to
// nobody else: not to a log, an error or a redirect it does not control.
func (v Value) Reveal() string { return v.text }

// Empty reports whether the value holds no text.
func (v Value) Empty() bool { return v.text == "" }

// Digest returns the SHA-256 of the text: what tables keep in its place.
func (v Value) Digest() []byte {
	sum := sha256.Sum256([]byte(v.text))
	return sum[:]
}

// Equal compares in constant time.
func (v Value) Equal(other Value) bool {
	return subtle.ConstantTimeCompare(v.Digest(), other.Digest()) == 1
}

// String returns a placeholder, so that fmt cannot print a secret.
func (Value) String() string { return placeholder }

// GoString returns a placeholder, so that %#v cannot print a secret.
func (Value) GoString() string { return placeholder }

// MarshalText writes a placeholder, so that encoders cannot print a secret.
func (Value) MarshalText() ([]byte, error) { return []byte(placeholder), nil }

// UnmarshalText reads a secret, as configuration files need.
func (v *Value) UnmarshalText(text []byte) error {
	v.text = string(text)
	return nil
}

// MarshalZerologObject writes a placeholder.
func (Value) MarshalZerologObject(e *zerolog.Event) { e.Str("value", placeholder) }

// LogValue writes a placeholder in log/slog records of our libraries.
func (Value) LogValue() slog.Value { return slog.StringValue(placeholder) }
