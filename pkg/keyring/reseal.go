package keyring

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
)

// Reseal brings every private key under the sealer, so that the previous ones
// can be destroyed. It is one act: all or nothing. It returns how many keys were
// sealed anew.
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
			der, err := r.openSealed(sealed, k.SealedUnder, k.ID)
			if err != nil {
				return audit.Event{}, err
			}
			if sealed, err = r.options.Sealer.Seal(der, k.ID); err != nil {
				return audit.Event{}, fmt.Errorf("reseal key %s: %w", k.ID, err)
			}
			tag, err := tx.Exec(ctx, `update signing_key set sealed = $2, sealed_under = $3 where kid = $1 and sealed_under = $4 and destroyed_at is null`, k.ID, sealed, r.options.Sealer.Name(), k.SealedUnder)
			if err != nil {
				return audit.Event{}, fmt.Errorf("reseal key %s: %w", k.ID, err)
			}
			done += int(tag.RowsAffected())
		}
		if done == 0 {
			return audit.Event{}, errNothing
		}
		return audit.Event{Action: audit.KeysResealed, Details: map[string]string{"keys": strconv.Itoa(done), "sealed_under": r.options.Sealer.Name()}}, nil
	})
	return done, err
}
