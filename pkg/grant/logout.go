package grant

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

const (
	// logoutLease is how long a replica has to deliver what it took.
	logoutLease = time.Minute
	// logoutAttempts bounds how often a delivery is tried: the pauses double from
	// ten seconds, so the last try comes after about three hours.
	logoutAttempts   = 11
	logoutFirstPause = 10 * time.Second
)

// Logout is a back-channel logout to be delivered (OpenID Connect Back-Channel
// Logout section 2.5).
type Logout struct {
	ID       string
	ClientID ClientID
	URI      string
	UserID   account.ID
	Session  string
	Attempts int
}

// queueLogouts notes, inside the act that ends a session, which clients must be told.
func queueLogouts(ctx context.Context, tx pgx.Tx, now time.Time, session string) error {
	_, err := tx.Exec(ctx, `
		insert into logout_delivery (id, client_id, uri, user_id, session, created_at, next_at)
		select gen_random_uuid(), c.id, c.settings->>'backchannel_logout_uri', g.user_id, $1, $2, $2
		from client c join (select distinct client_id, user_id from access_grant where session = $1 and user_id is not null) g on g.client_id = c.id
		where coalesce(c.settings->>'backchannel_logout_uri', '') <> '' and c.deleted_at is null
			and not exists (select from logout_delivery d where d.session = $1 and d.client_id = c.id)`, session, now)
	return wrap(err, "queue back-channel logouts")
}

// DueLogouts takes up to limit deliveries that are due. Nobody else gets them
// for a minute; one that is neither done nor failed by then comes again, so that
// a replica that dies loses none.
func DueLogouts(ctx context.Context, q postgres.Querier, now time.Time, limit int) ([]Logout, error) {
	rows, err := q.Query(ctx, `
		update logout_delivery set next_at = $2, attempts = attempts + 1
		where id in (select id from logout_delivery where done_at is null and failed_at is null and next_at <= $1 order by next_at limit $3 for update skip locked)
		returning id::text, client_id, uri, user_id, session, attempts`, now, now.Add(logoutLease), limit)
	if err != nil {
		return nil, fmt.Errorf("take back-channel logouts: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Logout])
	if err != nil {
		return nil, fmt.Errorf("take back-channel logouts: %w", err)
	}
	return list, nil
}

// LogoutDone notes that the client took a logout.
func LogoutDone(ctx context.Context, q postgres.Querier, now time.Time, l Logout) error {
	_, err := q.Exec(ctx, `update logout_delivery set done_at = $2, last_error = '' where id = $1`, l.ID, now)
	return wrap(err, "note a back-channel logout")
}

// LogoutFailed notes why a delivery failed, and when it is tried again; after
// the last try it has failed for good.
func LogoutFailed(ctx context.Context, q postgres.Querier, now time.Time, l Logout, why string) error {
	_, err := q.Exec(ctx, `update logout_delivery set last_error = $3, next_at = $4, failed_at = case when attempts >= $5 then $2::timestamptz end where id = $1`,
		l.ID, now, why, now.Add(logoutFirstPause<<min(l.Attempts-1, logoutAttempts)), logoutAttempts)
	return wrap(err, "note a failed back-channel logout")
}

// Delivery is the state of a back-channel logout, for operators.
type Delivery struct {
	ClientID         ClientID
	URI, Session     string
	CreatedAt        time.Time
	Attempts         int
	DoneAt, FailedAt *time.Time
	LastError        string
}

// Deliveries returns the newest deliveries to a client, or to all when it is
// empty, those that are not done first.
func Deliveries(ctx context.Context, q postgres.Querier, client ClientID, limit int) ([]Delivery, error) {
	rows, err := q.Query(ctx, `
		select client_id, uri, session, created_at, attempts, done_at, failed_at, last_error from logout_delivery
		where $1 = '' or client_id = $1 order by done_at is not null, created_at desc limit $2`, client, limit)
	if err != nil {
		return nil, fmt.Errorf("list back-channel logouts: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Delivery])
	if err != nil {
		return nil, fmt.Errorf("list back-channel logouts: %w", err)
	}
	return list, nil
}
