package audit

import (
	"context"
	"crypto/ed25519"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/note"

	"github.com/touchstone-id/touchstone/pkg/audit/record"
)

// Sealer encrypts the checkpoint key for storage; package keyring has one.
type Sealer interface {
	Name() string
	Seal(plain []byte, context string) ([]byte, error)
	Open(sealed []byte, context string) ([]byte, error)
}

// signerContext binds the sealed key to its purpose.
const signerContext = "audit checkpoint key"

// Signer signs the log's checkpoints with a key of its own.
type Signer struct {
	note.Signer
	public ed25519.PublicKey
}

// OpenSigner returns the log's signer. The first replica makes its key; the name
// it is made with is the log's origin for ever. A key that cannot be unsealed is
// an error, never a reason for a new one.
func OpenSigner(ctx context.Context, pool *pgxpool.Pool, sealer Sealer, name string) (*Signer, error) {
	public, private, err := record.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("make the record's key: %w", err)
	}
	sealed, err := sealer.Seal(private.Seed(), signerContext)
	if err != nil {
		return nil, fmt.Errorf("seal the record's key: %w", err)
	}
	if _, err := pool.Exec(ctx, `insert into audit_signer (name, public, sealed, sealed_under) values ($1, $2, $3, $4) on conflict do nothing`, name, []byte(public), sealed, sealer.Name()); err != nil {
		return nil, fmt.Errorf("store the record's key: %w", err)
	}
	var kept []byte
	if err := pool.QueryRow(ctx, `select name, public, sealed from audit_signer`).Scan(&name, &kept, &sealed); err != nil {
		return nil, fmt.Errorf("read the record's key: %w", err)
	}
	seed, err := sealer.Open(sealed, signerContext)
	if err != nil {
		return nil, fmt.Errorf("the record's key cannot be unsealed; it was sealed with another sealing key: %w", err)
	}
	private = ed25519.NewKeyFromSeed(seed)
	if public = private.Public().(ed25519.PublicKey); !public.Equal(ed25519.PublicKey(kept)) {
		return nil, fmt.Errorf("the record's key does not fit its public part")
	}
	return &Signer{record.NewSigner(name, private), public}, nil
}

// Sign returns a checkpoint as a signed note.
func (s *Signer) Sign(c record.Checkpoint) ([]byte, error) { return c.Sign(s.Signer) }

// Reseal seals the key anew, after the sealing key was replaced.
func Reseal(ctx context.Context, pool *pgxpool.Pool, from, to Sealer) error {
	var sealed []byte
	if err := pool.QueryRow(ctx, `select coalesce((select sealed from audit_signer), '')`).Scan(&sealed); err != nil || len(sealed) == 0 {
		return err
	}
	seed, err := from.Open(sealed, signerContext)
	if err != nil {
		return fmt.Errorf("reseal the record's key: %w", err)
	}
	if sealed, err = to.Seal(seed, signerContext); err != nil {
		return fmt.Errorf("reseal the record's key: %w", err)
	}
	if _, err := pool.Exec(ctx, `update audit_signer set sealed = $1, sealed_under = $2`, sealed, to.Name()); err != nil {
		return fmt.Errorf("reseal the record's key: %w", err)
	}
	return nil
}
