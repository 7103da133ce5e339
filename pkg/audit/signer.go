package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/note"

	"github.com/touchstone-id/touchstone/pkg/audit/record"
)

// Signer signs the log's checkpoints with a key of its own.
type Signer struct{ note.Signer }

// ErrOtherKey is returned when the seed is not that of the log's key.
var ErrOtherKey = errors.New("the record was signed with another key")

// OpenSigner returns the log's signer from the 32-byte seed of its Ed25519 key.
// The name it is first opened with is the log's origin for ever. Another seed
// than the first is ErrOtherKey.
func OpenSigner(ctx context.Context, pool *pgxpool.Pool, seed []byte, name string) (*Signer, error) {
	private := ed25519.NewKeyFromSeed(seed)
	public := private.Public().(ed25519.PublicKey)
	if _, err := pool.Exec(ctx, `insert into audit_signer (name, public) values ($1, $2) on conflict do nothing`, name, []byte(public)); err != nil {
		return nil, fmt.Errorf("store the record's key: %w", err)
	}
	var kept []byte
	if err := pool.QueryRow(ctx, `select name, public from audit_signer`).Scan(&name, &kept); err != nil {
		return nil, fmt.Errorf("read the record's key: %w", err)
	}
	if !bytes.Equal(public, kept) {
		return nil, ErrOtherKey
	}
	return &Signer{record.NewSigner(name, private)}, nil
}

// Sign returns a checkpoint as a signed note.
func (s *Signer) Sign(c record.Checkpoint) ([]byte, error) { return c.Sign(s.Signer) }
