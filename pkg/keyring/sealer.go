package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Sealer encrypts private keys for storage. An implementation must bind the
// sealed bytes to the context it is given (the key id), authenticate them, and
// be safe for concurrent use.
type Sealer interface {
	// Name tells sealing keys apart; it is stored beside what was sealed.
	Name() string
	// Seal encrypts plain for this context.
	Seal(plain []byte, context string) ([]byte, error)
	// Open decrypts what Seal returned for the same context.
	Open(sealed []byte, context string) ([]byte, error)
}

// sealingKeySize is the length of the local sealing key in bytes (AES-256).
const sealingKeySize = 32

// localSealer seals with AES-256-GCM under a key from a file or the environment.
type localSealer struct {
	name string
	aead cipher.AEAD
}

// NewLocalSealer returns a sealer for a key of exactly 32 bytes.
func NewLocalSealer(key []byte) (Sealer, error) {
	if len(key) != sealingKeySize {
		return nil, fmt.Errorf("the sealing key has %d bytes, want %d", len(key), sealingKeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	sum := sha256.Sum256(append([]byte("touchstone sealing key name\x00"), key...))
	return localSealer{"local:" + hex.EncodeToString(sum[:6]), aead}, nil
}

func (s localSealer) Name() string { return s.name }

func (s localSealer) Seal(plain []byte, context string) ([]byte, error) {
	return s.aead.Seal(nil, nil, plain, []byte(context)), nil
}

func (s localSealer) Open(sealed []byte, context string) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed, []byte(context))
	if err != nil {
		return nil, fmt.Errorf("unseal %s: %w", context, err)
	}
	return plain, nil
}

// ReadSealingKey reads a sealing key, 32 bytes in base64, from a file that
// only its owner may read. A missing file is an error: the caller decides
// whether to make one, because a new key in place of a lost one would leave
// every stored signing key unreadable.
func ReadSealingKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("sealing key %s may be read by others (mode %o): run chmod 600", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("sealing key %s is not base64", path)
	}
	if len(key) != sealingKeySize {
		return nil, fmt.Errorf("sealing key %s has %d bytes, want %d", path, len(key), sealingKeySize)
	}
	return key, nil
}

// CreateSealingKey writes a fresh sealing key to a file that must not exist.
func CreateSealingKey(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("create sealing key: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create sealing key: %s already exists", path)
	}
	if err != nil {
		return fmt.Errorf("create sealing key: %w", err)
	}
	key := make([]byte, sealingKeySize)
	rand.Read(key)
	_, err = fmt.Fprintln(file, base64.StdEncoding.EncodeToString(key))
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("create sealing key: %w", err)
	}
	return nil
}
