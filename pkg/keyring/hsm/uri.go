package hsm

import (
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/secret"
)

// Scheme begins every PKCS #11 URI.
const Scheme = "pkcs11:"

// uri is what we understand of RFC 7512.
type uri struct {
	module, token, object string
	pin                   secret.Value
}

// parse reads pkcs11:token=LABEL;object=LABEL?module-path=FILE&pin-source=file:FILE.
// The PIN comes from a file alone: a pin-value would stand in process lists.
func parse(text string) (uri, error) {
	var u uri
	rest, ok := strings.CutPrefix(text, Scheme)
	if !ok {
		return u, fmt.Errorf("%q is not a PKCS #11 URI", text)
	}
	path, query, _ := strings.Cut(rest, "?")
	attributes := append(split(path, ";"), split(query, "&")...)
	var pinFile string
	for _, a := range attributes {
		name, value, _ := strings.Cut(a, "=")
		value, err := url.PathUnescape(value)
		if err != nil {
			return u, fmt.Errorf("PKCS #11 URI: %s is not percent-encoded well", name)
		}
		switch name {
		case "token":
			u.token = value
		case "object":
			u.object = value
		case "module-path":
			u.module = value
		case "pin-source":
			pinFile = strings.TrimPrefix(strings.TrimPrefix(value, "file:"), "//")
		case "pin-value":
			return u, fmt.Errorf("PKCS #11 URI: pin-value would show the PIN to every process; write it to a file and use pin-source")
		default:
			return u, fmt.Errorf("PKCS #11 URI: unknown attribute %q", name)
		}
	}
	for name, value := range map[string]string{"token": u.token, "object": u.object, "module-path": u.module, "pin-source": pinFile} {
		if value == "" {
			return u, fmt.Errorf("PKCS #11 URI: %s is required", name)
		}
	}
	pin, err := os.ReadFile(pinFile)
	if err != nil {
		return u, fmt.Errorf("PKCS #11 PIN: %w", err)
	}
	u.pin = secret.Of(strings.TrimSpace(string(pin)))
	return u, nil
}

func split(text, by string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, by)
}

// name is how sealed keys refer to the sealing key.
func (u uri) name() string { return Scheme + "token=" + u.token + ";object=" + u.object }
