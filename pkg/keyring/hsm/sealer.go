//go:build cgo

package hsm

import (
	"crypto/cipher"
	"crypto/rand"
	"fmt"

	"github.com/ThalesGroup/crypto11"
)

// Sealer seals in the module. It is safe for concurrent use.
type Sealer struct {
	module *crypto11.Context
	aead   cipher.AEAD
	name   string
}

// Open logs into the token that a PKCS #11 URI names and finds the key. The
// caller closes the sealer.
func Open(text string) (*Sealer, error) {
	u, module, err := connect(text)
	if err != nil {
		return nil, err
	}
	keys, err := module.FindKeys(nil, []byte(u.object))
	if err == nil && len(keys) != 1 {
		err = fmt.Errorf("the token holds %d secret keys of this name, want 1", len(keys))
	}
	if err != nil {
		module.Close()
		return nil, fmt.Errorf("sealing key %s: %w", u.name(), err)
	}
	aead, err := keys[0].NewGCM()
	if err != nil {
		module.Close()
		return nil, fmt.Errorf("sealing key %s: %w", u.name(), err)
	}
	return &Sealer{module, aead, u.name()}, nil
}

// Create makes an AES-256 key in the token. It fails when one of this name is there.
func Create(text string) error {
	u, module, err := connect(text)
	if err != nil {
		return err
	}
	defer module.Close()
	keys, err := module.FindKeys(nil, []byte(u.object))
	if err == nil && len(keys) > 0 {
		err = fmt.Errorf("the token holds %q already", u.object)
	}
	if err != nil {
		return fmt.Errorf("create sealing key: %w", err)
	}
	id := make([]byte, 8)
	rand.Read(id)
	if _, err := module.GenerateSecretKeyWithLabel(id, []byte(u.object), 256, crypto11.CipherAES); err != nil {
		return fmt.Errorf("create sealing key: %w", err)
	}
	return nil
}

func connect(text string) (uri, *crypto11.Context, error) {
	u, err := parse(text)
	if err != nil {
		return u, nil, err
	}
	module, err := crypto11.Configure(&crypto11.Config{Path: u.module, TokenLabel: u.token, Pin: u.pin.Reveal()})
	if err != nil {
		return u, nil, fmt.Errorf("open PKCS #11 token %q: %w", u.token, err)
	}
	return u, module, nil
}

// Name tells sealing keys apart; it holds no PIN.
func (s *Sealer) Name() string { return s.name }

// Seal encrypts plain with AES-GCM under a fresh nonce, which it puts in front.
func (s *Sealer) Seal(plain []byte, context string) (sealed []byte, err error) {
	defer caught(&err)
	nonce := make([]byte, s.aead.NonceSize())
	rand.Read(nonce)
	return s.aead.Seal(nonce, nonce, plain, []byte(context)), nil
}

// Open decrypts what Seal returned for the same context.
func (s *Sealer) Open(sealed []byte, context string) (plain []byte, err error) {
	defer caught(&err)
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, fmt.Errorf("unseal %s: too short", context)
	}
	plain, err = s.aead.Open(nil, sealed[:n], sealed[n:], []byte(context))
	if err != nil {
		return nil, fmt.Errorf("unseal %s: %w", context, err)
	}
	return plain, nil
}

// caught turns a panic into an error: cipher.AEAD.Seal can return none, so that
// the module's failure comes as one.
func caught(err *error) {
	if fault := recover(); fault != nil {
		*err = fmt.Errorf("PKCS #11 module: %v", fault)
	}
}

// Close logs out.
func (s *Sealer) Close() error { return s.module.Close() }
