package keyring

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
)

// secretSize is the length of a sealed secret in bytes.
const secretSize = 32

// Secret returns the installation's random secret of this name, 32 bytes, the
// same on every replica and for ever: the first who asks makes it. It is kept
// sealed; one that is sealed under a previous key is sealed anew. A secret that
// cannot be unsealed is an error, never a reason for a new one.
func Secret(ctx context.Context, pool *pgxpool.Pool, sealer Sealer, previous []Sealer, name string) ([]byte, error) {
	fresh := make([]byte, secretSize)
	rand.Read(fresh)
	bound := boundTo(name)
	sealed, err := sealer.Seal(fresh, bound)
	if err != nil {
		return nil, fmt.Errorf("seal secret %s: %w", name, err)
	}
	if _, err := pool.Exec(ctx, `insert into sealed_secret (name, sealed, sealed_under) values ($1, $2, $3) on conflict do nothing`, name, sealed, sealer.Name()); err != nil {
		return nil, fmt.Errorf("store secret %s: %w", name, err)
	}
	var under string
	if err := pool.QueryRow(ctx, `select sealed, sealed_under from sealed_secret where name = $1`, name).Scan(&sealed, &under); err != nil {
		return nil, fmt.Errorf("read secret %s: %w", name, err)
	}
	for _, s := range append([]Sealer{sealer}, previous...) {
		if s.Name() != under {
			continue
		}
		plain, err := s.Open(sealed, bound)
		if err != nil || under == sealer.Name() {
			return plain, err
		}
		if sealed, err = sealer.Seal(plain, bound); err != nil {
			return nil, fmt.Errorf("seal secret %s: %w", name, err)
		}
		if _, err := pool.Exec(ctx, `update sealed_secret set sealed = $2, sealed_under = $3 where name = $1 and sealed_under = $4`, name, sealed, sealer.Name(), under); err != nil {
			return nil, fmt.Errorf("reseal secret %s: %w", name, err)
		}
		return plain, nil
	}
	return nil, fmt.Errorf("secret %s is sealed under %s, which is not given: start with that sealing key as a previous one", name, under)
}

// boundTo is the context under which a secret is sealed; no kid has a space.
func boundTo(name string) string { return "secret " + name }
