//go:build !cgo

package hsm

import "errors"

// Sealer seals in the module; there is none in a binary without cgo.
type Sealer struct{}

var errAbsent = errors.New("this binary cannot load PKCS #11 modules: build it with CGO_ENABLED=1 (make build-hsm)")

// Open returns an error.
func Open(text string) (*Sealer, error) { return nil, absent(text) }

// Create returns an error.
func Create(text string) error { return absent(text) }

// absent tells a faulty URI from a binary that cannot use it.
func absent(text string) error {
	if _, err := parse(text); err != nil {
		return err
	}
	return errAbsent
}

// Name returns "".
func (*Sealer) Name() string { return "" }

// Seal returns an error.
func (*Sealer) Seal([]byte, string) ([]byte, error) { return nil, errAbsent }

// Open returns an error.
func (*Sealer) Open([]byte, string) ([]byte, error) { return nil, errAbsent }

// Close does nothing.
func (*Sealer) Close() error { return nil }
