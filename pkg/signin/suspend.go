package signin

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
)

// Suspend keeps a person out, inside the act that records it: their account, an
// enrolment link that was not used, every session and every grant. Letting them
// in again brings none of these back, so that whoever had got hold of one has
// lost it. The denial UserUnknown means that nobody active has the id.
func Suspend(ctx context.Context, tx pgx.Tx, now time.Time, user account.ID) error {
	if err := account.Suspend(ctx, tx, user); err != nil {
		return err
	}
	if err := account.Uninvite(ctx, tx, now, user); err != nil && !denial.Is(err, denial.InvitationUnknown) {
		return err
	}
	if _, _, err := EndAll(ctx, tx, now, user, string(audit.UserSuspended)); err != nil {
		return err
	}
	_, err := grant.RevokeUser(ctx, tx, now, user, string(audit.UserSuspended))
	return err
}
