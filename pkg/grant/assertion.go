package grant

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// UseAssertion notes the jti of a client's assertion until it expires, by one
// guarded insert: of many that present it one passes, and the others get the
// denial ClientAuthentication (RFC 7523 section 3 item 7).
func UseAssertion(ctx context.Context, q postgres.Querier, client ClientID, jti string, expires time.Time) error {
	digest := sha256.Sum256([]byte(string(client) + "\x00" + jti))
	tag, err := q.Exec(ctx, `insert into client_assertion (digest, expires_at) values ($1, $2) on conflict do nothing`, digest[:], expires)
	if err != nil {
		return fmt.Errorf("use client assertion: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return denial.New(denial.ClientAuthentication, "client %s: the assertion was used before", client)
	}
	return nil
}
