package record

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint is the head of a log (C2SP tlog-checkpoint): its origin, size and
// root hash, signed.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
}

// Text is the body that is signed.
func (c Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// Sign returns the checkpoint as a signed note.
func (c Checkpoint) Sign(signer note.Signer) ([]byte, error) {
	return note.Sign(&note.Note{Text: c.Text()}, signer)
}

// ParseCheckpoint reads the body of a checkpoint. Lines after the third are
// extensions and are passed over.
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) < 4 || lines[0] == "" {
		return Checkpoint{}, errors.New("not a checkpoint")
	}
	c := Checkpoint{Origin: lines[0]}
	var err error
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Size < 0 || strconv.FormatInt(c.Size, 10) != lines[1] {
		return Checkpoint{}, fmt.Errorf("checkpoint: size %q", lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, errors.New("checkpoint: root hash")
	}
	c.Root = tlog.Hash(root)
	return c, nil
}

// OpenCheckpoint verifies a signed checkpoint of the log with this key.
func OpenCheckpoint(signed []byte, verifier note.Verifier) (Checkpoint, error) {
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	// The library reads more than one encoding of a signature; a stored one is compared byte for byte.
	if _, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64); err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	c, err := ParseCheckpoint(n.Text)
	if err == nil && c.Origin != verifier.Name() {
		err = fmt.Errorf("checkpoint of %q, want %q", c.Origin, verifier.Name())
	}
	return c, err
}

// Signature types (C2SP signed-note and tlog-cosignature).
const (
	algEd25519     = 1
	algCosignature = 4
)

// keyID is the hash that names a key in a note (C2SP signed-note).
func keyID(name string, alg byte, public ed25519.PublicKey) uint32 {
	sum := sha256.Sum256(append(append([]byte(name+"\n"), alg), public...))
	return binary.BigEndian.Uint32(sum[:])
}

// signer signs notes with an Ed25519 key.
type signer struct {
	name string
	hash uint32
	key  ed25519.PrivateKey
}

// NewSigner returns a signer of checkpoints under a name.
func NewSigner(name string, key ed25519.PrivateKey) note.Signer {
	return signer{name, keyID(name, algEd25519, key.Public().(ed25519.PublicKey)), key}
}

func (s signer) Name() string                    { return s.name }
func (s signer) KeyHash() uint32                 { return s.hash }
func (s signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

// VerifierKey is a checkpoint key in the text form that note.NewVerifier reads.
func VerifierKey(name string, public ed25519.PublicKey) string {
	return fmt.Sprintf("%s+%08x+%s", name, keyID(name, algEd25519, public), base64.StdEncoding.EncodeToString(append([]byte{algEd25519}, public...)))
}

// cosigner signs checkpoints as a witness (C2SP tlog-cosignature): the signature
// says that at an instant this was the newest checkpoint that the witness knew,
// and consistent with all before.
type cosigner struct {
	signer
	now func() time.Time
}

// NewCosigner returns a witness's signer.
func NewCosigner(name string, key ed25519.PrivateKey, now func() time.Time) note.Signer {
	return cosigner{signer{name, keyID(name, algCosignature, key.Public().(ed25519.PublicKey)), key}, now}
}

func (c cosigner) Sign(msg []byte) ([]byte, error) {
	at := uint64(c.now().Unix())
	return append(binary.BigEndian.AppendUint64(nil, at), ed25519.Sign(c.key, cosigned(at, msg))...), nil
}

func cosigned(at uint64, msg []byte) []byte {
	return append([]byte("cosignature/v1\ntime "+strconv.FormatUint(at, 10)+"\n"), msg...)
}

// WitnessKey is a witness's key in text form.
func WitnessKey(name string, public ed25519.PublicKey) string {
	return fmt.Sprintf("%s+%08x+%s", name, keyID(name, algCosignature, public), base64.StdEncoding.EncodeToString(append([]byte{algCosignature}, public...)))
}

// witnessVerifier verifies cosignatures.
type witnessVerifier struct {
	name   string
	hash   uint32
	public ed25519.PublicKey
}

func (v witnessVerifier) Name() string    { return v.name }
func (v witnessVerifier) KeyHash() uint32 { return v.hash }
func (v witnessVerifier) Verify(msg, sig []byte) bool {
	return len(sig) == 8+ed25519.SignatureSize && ed25519.Verify(v.public, cosigned(binary.BigEndian.Uint64(sig), msg), sig[8:])
}

// NewVerifier reads a key of a log or of a witness.
func NewVerifier(key string) (note.Verifier, error) {
	name, rest, _ := strings.Cut(key, "+")
	hash, encoded, ok := strings.Cut(rest, "+")
	data, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(data) != 1+ed25519.PublicKeySize || data[0] != algCosignature {
		return note.NewVerifier(key)
	}
	v := witnessVerifier{name, keyID(name, algCosignature, data[1:]), data[1:]}
	if name == "" || fmt.Sprintf("%08x", v.hash) != hash {
		return nil, errors.New("malformed witness key")
	}
	return v, nil
}

// GenerateKey returns a fresh Ed25519 key.
func GenerateKey() (ed25519.PublicKey, ed25519.PrivateKey, error) {
	return ed25519.GenerateKey(rand.Reader)
}
