package keyring

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// Explain says in a sentence what gateways make of a token under this kid now,
// and until when that may differ from gateway to gateway. It needs no sealing
// key.
func Explain(ctx context.Context, q postgres.Querier, kid string) (string, error) {
	now, err := clock(ctx, q)
	if err != nil {
		return "", err
	}
	keys, err := AllKeys(ctx, q)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(keys, func(k Key) bool { return k.ID == kid })
	if i < 0 {
		return "No key here ever had this id: the token comes from another issuer, or was made up.", nil
	}
	return keys[i].explain(now), nil
}

// explain says it of one key at an instant.
func (k Key) explain(now time.Time) string {
	known, window := k.CreatedAt.Add(GatewayWindow), "; every gateway knows it"
	if now.Before(known) {
		window = "; gateways may hold the key set from before until " + stamp(known)
	}
	switch k.StateAt(now) {
	case Pending:
		if k.ActivatesAt != nil {
			return fmt.Sprintf("Published on %s, signs from %s%s.", stamp(k.CreatedAt), stamp(*k.ActivatesAt), window)
		}
		return fmt.Sprintf("Published on %s, does not sign yet: a token under it was not made here%s.", stamp(k.CreatedAt), window)
	case Active:
		return fmt.Sprintf("Signs since %s%s.", stamp(*k.ActivatesAt), window)
	case Honoured:
		return fmt.Sprintf("Signed until %s, and stays in the key set until %s: its tokens are accepted until they expire.", stamp(*k.HonouredAt), stamp(*k.RetiresAt))
	}
	how, until := "Left the key set on", k.RetiresAt.Add(GatewayWindow)
	if k.WithdrawnAt != nil {
		how = "Taken out of the key set in an emergency on"
	}
	if now.Before(until) {
		return fmt.Sprintf("%s %s; gateways may still accept it until %s.", how, stamp(*k.RetiresAt), stamp(until))
	}
	return fmt.Sprintf("%s %s; no gateway that reaches us has accepted it since %s.", how, stamp(*k.RetiresAt), stamp(until))
}
