package passkey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// First is before every credential, as the start of a walk with Stored.
const First = "00000000-0000-0000-0000-000000000000"

// Kept is a credential with what it can be judged by again.
type Kept struct {
	Credential
	UserName   string
	UserStatus string
	Groups     []string
	Evidence   attest.Evidence
}

// Stored returns up to limit credentials that were not removed, in the order of
// their ids, beginning after the one with this id.
func Stored(ctx context.Context, q postgres.Querier, after string, limit int) ([]Kept, error) {
	rows, err := q.Query(ctx, `
		select c.id::text, c.user_id, c.authenticator_id, c.nickname, c.aaguid::text, c.model, c.format, c.facts, c.levels, c.attachment, c.transports, c.backup_eligible, c.backup_state,
			c.created_at, c.last_used_at, c.quarantined_at is not null, c.quarantined_why, c.pardoned, c.chain,
			a.name, a.status, array(select group_name from account_group g where g.user_id = a.id order by 1)
		from credential c join account a on a.id = c.user_id
		where c.id > $1 and c.removed_at is null order by c.id limit $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read stored credentials: %w", err)
	}
	kept, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (Kept, error) {
		var k Kept
		err := r.Scan(&k.ID, &k.UserID, &k.AuthenticatorID, &k.Nickname, &k.AAGUID, &k.Model, &k.Format, &k.Facts, &k.Levels, &k.Attachment, &k.Transports, &k.BackupEligible, &k.BackupState,
			&k.CreatedAt, &k.LastUsedAt, &k.Quarantined, &k.QuarantinedWhy, &k.Pardoned, &k.Evidence.Chain, &k.UserName, &k.UserStatus, &k.Groups)
		k.Evidence.Format, k.Evidence.AAGUID, k.Evidence.DeviceBound, k.Evidence.RegisteredAt = k.Format, k.AAGUID, !k.BackupEligible, k.CreatedAt
		return k, err
	})
	if err != nil {
		return nil, fmt.Errorf("read stored credentials: %w", err)
	}
	return kept, nil
}

// Restate stores what a credential is worth now. It reports false, and changes
// nothing, when somebody else stated something new since it was read. With
// suspend the credential signs nobody in until it is released.
func Restate(ctx context.Context, tx pgx.Tx, now time.Time, k Kept, v attest.Verdict, levels []string, suspend bool) (bool, error) {
	tag, err := tx.Exec(ctx, `
		update credential set facts = $3, levels = $4, model = $5, metadata_number = nullif($6, 0),
			quarantined_at = case when $7 then coalesce(quarantined_at, $8) else quarantined_at end,
			quarantined_why = case when $7 and quarantined_at is null then $9 else quarantined_why end,
			quarantined_for = case when $7 and quarantined_at is null then $11 else quarantined_for end
		where id = $1 and facts = $2 and levels is not distinct from $10 and removed_at is null`,
		k.ID, nonNil(k.Facts), nonNil(v.Facts), nonNil(levels), v.Model, v.MetadataNumber, suspend, now, QuarantineMetadata, k.Levels, nonNil(v.Undesired))
	if err != nil {
		return false, fmt.Errorf("restate credential: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// Release ends the quarantine of the credential with this public handle, and
// pardons the statuses it was for, so that they do not suspend it again. The
// counter starts from what the authenticator says next, for a clone suspicion
// would otherwise return at once. The denial CredentialUnknown means that no
// such credential is quarantined.
func Release(ctx context.Context, tx pgx.Tx, now time.Time, authenticatorID string) (Credential, error) {
	c := Credential{AuthenticatorID: authenticatorID}
	err := tx.QueryRow(ctx, `
		update credential c set quarantined_at = null, quarantined_why = '', quarantined_for = '{}', pardoned = c.pardoned || before.quarantined_for, sign_count = case when before.quarantined_why = 'clone' then 0 else c.sign_count end
		from credential before where before.id = c.id and c.authenticator_id = $1 and c.quarantined_at is not null and c.removed_at is null
		returning c.id::text, c.user_id, c.nickname, before.quarantined_why`, authenticatorID).Scan(&c.ID, &c.UserID, &c.Nickname, &c.QuarantinedWhy)
	if errors.Is(err, pgx.ErrNoRows) {
		return Credential{}, denial.New(denial.CredentialUnknown, "")
	}
	if err != nil {
		return Credential{}, fmt.Errorf("release credential: %w", err)
	}
	return c, account.Notify(ctx, tx, now, c.UserID, account.NoticeReleased, c.Nickname, "")
}
