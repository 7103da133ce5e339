package signin

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// End ends one session of a person, with every grant made from it, inside the
// act that records it, and returns how many grants there were. The denial
// SessionEnded means that they have no such session, or that it has ended.
func End(ctx context.Context, tx pgx.Tx, now time.Time, user account.ID, session, why string) (int, error) {
	tag, err := tx.Exec(ctx, `update session set revoked_at = $3 where id = $1 and user_id = $2 and revoked_at is null`, session, user, now)
	if err != nil {
		return 0, fmt.Errorf("end session: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return 0, denial.New(denial.SessionEnded, "session %s", session)
	}
	return grant.RevokeSession(ctx, tx, now, session, why)
}

// EndAll ends every session of a person, with every grant made from them, inside
// the act that records it, and returns how many of both there were.
func EndAll(ctx context.Context, tx pgx.Tx, now time.Time, user account.ID, why string) (sessions, grants int, err error) {
	rows, err := tx.Query(ctx, `update session set revoked_at = $2 where user_id = $1 and revoked_at is null returning id`, user, now)
	if err != nil {
		return 0, 0, fmt.Errorf("end sessions: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return 0, 0, fmt.Errorf("end sessions: %w", err)
	}
	for _, id := range ids {
		n, err := grant.RevokeSession(ctx, tx, now, id, why)
		if err != nil {
			return 0, 0, err
		}
		grants += n
	}
	return len(ids), grants, nil
}

// Live returns the sessions of a person in which they are signed in, the one
// last seen first.
func Live(ctx context.Context, q postgres.Querier, now time.Time, user account.ID) ([]Session, error) {
	rows, err := q.Query(ctx, `
		select id, created_at, seen_at, expires_at, user_agent, address from session
		where user_id = $1 and revoked_at is null and expires_at > $2 and seen_at > $3 order by seen_at desc, id`,
		user, now, now.Add(-IdleLife))
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(c pgx.CollectableRow) (s Session, err error) {
		err = c.Scan(&s.ID, &s.CreatedAt, &s.SeenAt, &s.ExpiresAt, &s.UserAgent, &s.Address)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return list, nil
}
