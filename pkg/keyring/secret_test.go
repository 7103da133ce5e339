package keyring

import (
	"bytes"
	"testing"

	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
)

func TestSecretsOutliveSealingKeys(t *testing.T) {
	pool := pgtest.New(t)
	sealer := func(b byte) Sealer {
		s, err := NewLocalSealer(bytes.Repeat([]byte{b}, sealingKeySize))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	get := func(s Sealer, previous ...Sealer) ([]byte, error) {
		return Secret(t.Context(), pool, s, previous, "pairwise")
	}
	first, err := get(sealer(1))
	if err != nil || len(first) != secretSize {
		t.Fatal(err)
	}
	for name, step := range map[string]func() ([]byte, error){
		"again":             func() ([]byte, error) { return get(sealer(1)) },
		"under another key": func() ([]byte, error) { return get(sealer(2), sealer(1)) },
	} {
		if got, err := step(); err != nil || !bytes.Equal(got, first) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "under another key" {
			if _, err := get(sealer(1)); err == nil {
				t.Error("the old key still opens it")
			}
			if got, err := get(sealer(1), sealer(2)); err != nil || !bytes.Equal(got, first) {
				t.Error("and back:", err)
			}
		}
	}
	if other, err := Secret(t.Context(), pool, sealer(1), nil, "another"); err != nil || bytes.Equal(other, first) {
		t.Errorf("two names, one secret: %v", err)
	}
	if _, err := get(sealer(3)); err == nil {
		t.Error("a lost sealing key was passed over")
	}
}
