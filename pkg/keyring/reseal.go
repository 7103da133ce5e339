package keyring

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
)

// Reseal brings every private key and secret under the sealer, so that the
// previous ones can be destroyed. It is one act: all or nothing. It returns how
// many were sealed anew.
func (r *Ring) Reseal(ctx context.Context) (int, error) {
	var done int
	_, err := r.act(ctx, func(tx pgx.Tx, l look) (audit.Event, error) {
		done = 0
		for _, k := range l.keys {
			if k.SealedUnder == r.options.Sealer.Name() {
				continue
			}
			var sealed []byte
			if err := tx.QueryRow(ctx, `select sealed from signing_key where kid = $1`, k.ID).Scan(&sealed); err != nil {
				return audit.Event{}, fmt.Errorf("reseal key %s: %w", k.ID, err)
			}
			sealed, err := r.sealAnew(sealed, k.SealedUnder, k.ID)
			if err != nil {
				return audit.Event{}, err
			}
			tag, err := tx.Exec(ctx, `update signing_key set sealed = $2, sealed_under = $3 where kid = $1 and sealed_under = $4 and destroyed_at is null`, k.ID, sealed, r.options.Sealer.Name(), k.SealedUnder)
			if err != nil {
				return audit.Event{}, fmt.Errorf("reseal key %s: %w", k.ID, err)
			}
			done += int(tag.RowsAffected())
		}
		secrets, err := r.resealSecrets(ctx, tx)
		if err != nil {
			return audit.Event{}, err
		}
		done += secrets
		if done == 0 {
			return audit.Event{}, errNothing
		}
		return audit.Event{Action: audit.KeysResealed, Details: map[string]string{"keys": strconv.Itoa(done), "sealed_under": r.options.Sealer.Name()}}, nil
	})
	return done, err
}

// resealSecrets brings every other secret under the sealer as well.
func (r *Ring) resealSecrets(ctx context.Context, tx pgx.Tx) (int, error) {
	type secret struct {
		Name        string
		Sealed      []byte
		SealedUnder string
	}
	rows, err := tx.Query(ctx, `select name, sealed, sealed_under from sealed_secret where sealed_under <> $1 order by name for update`, r.options.Sealer.Name())
	if err != nil {
		return 0, fmt.Errorf("reseal secrets: %w", err)
	}
	left, err := pgx.CollectRows(rows, pgx.RowToStructByName[secret])
	if err != nil {
		return 0, fmt.Errorf("reseal secrets: %w", err)
	}
	for _, s := range left {
		sealed, err := r.sealAnew(s.Sealed, s.SealedUnder, boundTo(s.Name))
		if err != nil {
			return 0, err
		}
		if _, err := tx.Exec(ctx, `update sealed_secret set sealed = $2, sealed_under = $3 where name = $1 and sealed_under = $4`, s.Name, sealed, r.options.Sealer.Name(), s.SealedUnder); err != nil {
			return 0, fmt.Errorf("reseal secret %s: %w", s.Name, err)
		}
	}
	return len(left), nil
}

// sealAnew opens what one sealer sealed and seals it under the one in use.
func (r *Ring) sealAnew(sealed []byte, under, context string) ([]byte, error) {
	plain, err := r.openSealed(sealed, under, context)
	if err != nil {
		return nil, err
	}
	if sealed, err = r.options.Sealer.Seal(plain, context); err != nil {
		return nil, fmt.Errorf("reseal %s: %w", context, err)
	}
	return sealed, nil
}
