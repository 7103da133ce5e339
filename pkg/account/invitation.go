package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// InvitationLife is how long an enrolment link works unless the operator says
// otherwise: long enough for a message to be read, short enough to go stale.
const InvitationLife = 24 * time.Hour

// Invitation is what a live enrolment link stands for.
type Invitation struct {
	User      User
	ExpiresAt time.Time
}

// Invite makes a single-use enrolment link for the person and revokes the
// earlier ones that were not used, so that at most one works at a time. The
// secret is returned once and kept only as its SHA-256.
func Invite(ctx context.Context, tx pgx.Tx, now time.Time, id ID, life time.Duration) (secret.Value, error) {
	link := secret.New()
	_, err := tx.Exec(ctx, `
		with older as (
			update invitation set revoked_at = $3 where user_id = $2 and spent_at is null and revoked_at is null
		)
		insert into invitation (digest, user_id, created_at, expires_at) values ($1, $2, $3, $4)`,
		link.Digest(), id, now, now.Add(life))
	if err != nil {
		return secret.Value{}, fmt.Errorf("invite: %w", err)
	}
	return link, nil
}

// Uninvite takes the person's enrolment link back. The denial InvitationUnknown
// means that none was open.
func Uninvite(ctx context.Context, tx pgx.Tx, now time.Time, id ID) error {
	tag, err := tx.Exec(ctx, `update invitation set revoked_at = $2 where user_id = $1 and spent_at is null and revoked_at is null and expires_at > $2`, id, now)
	if err != nil {
		return fmt.Errorf("take an invitation back: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return denial.New(denial.InvitationUnknown, "%s has no open link", id)
	}
	return nil
}

// LookUpInvitation returns the invitation behind a link and changes nothing.
// Denials: InvitationUnknown, InvitationSpent, InvitationExpired (also for a
// link that a newer one replaced) and UserSuspended.
func LookUpInvitation(ctx context.Context, q postgres.Querier, now time.Time, link secret.Value) (Invitation, error) {
	var i Invitation
	var spent, revoked *time.Time
	var userID ID
	err := q.QueryRow(ctx, `select user_id, expires_at, spent_at, revoked_at from invitation where digest = $1`,
		link.Digest()).Scan(&userID, &i.ExpiresAt, &spent, &revoked)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Invitation{}, denial.New(denial.InvitationUnknown, "")
	case err != nil:
		return Invitation{}, fmt.Errorf("look up invitation: %w", err)
	case spent != nil:
		return Invitation{}, denial.New(denial.InvitationSpent, "spent at %s", spent)
	case revoked != nil || !now.Before(i.ExpiresAt):
		return Invitation{}, denial.New(denial.InvitationExpired, "expired at %s", i.ExpiresAt)
	}
	if i.User, err = ByID(ctx, q, userID); err != nil {
		return Invitation{}, err
	}
	if !i.User.Active() {
		return Invitation{}, denial.New(denial.UserSuspended, "")
	}
	return i, nil
}

// SpendInvitation uses the link up, by one guarded update: of many callers at
// once one gets the person and the others the denial InvitationSpent. The
// other denials are those of LookUpInvitation. Nothing is spent on a denial.
func SpendInvitation(ctx context.Context, tx pgx.Tx, now time.Time, link secret.Value) (User, error) {
	var id ID
	err := tx.QueryRow(ctx, `
		update invitation i set spent_at = $2
		from account a
		where i.digest = $1 and i.spent_at is null and i.revoked_at is null and i.expires_at > $2
		  and a.id = i.user_id and a.status = 'active'
		returning a.id`, link.Digest(), now).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err := LookUpInvitation(ctx, tx, now, link); err != nil {
			return User{}, err
		}
		return User{}, errors.New("spend invitation: a live invitation was not updated")
	}
	if err != nil {
		return User{}, fmt.Errorf("spend invitation: %w", err)
	}
	return ByID(ctx, tx, id)
}
