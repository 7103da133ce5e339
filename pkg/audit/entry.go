package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// Entry is one line of the record.
type Entry struct {
	ID      string        `db:"id" json:"id"`
	At      time.Time     `db:"at" json:"at"`
	Action  Action        `db:"action" json:"action"`
	Outcome string        `db:"outcome" json:"outcome"`
	Reason  denial.Reason `db:"reason" json:"reason,omitempty"`
	UserID  string        `db:"user_id" json:"user_id,omitempty"`
	// Actor is the administrator who did it to the person; empty when they did it
	// themselves, or an operator on the command line.
	Actor       string            `db:"actor" json:"actor,omitempty"`
	ClientID    string            `db:"client_id" json:"client_id,omitempty"`
	Credential  string            `db:"credential" json:"credential,omitempty"`
	Session     string            `db:"session" json:"session,omitempty"`
	GrantID     string            `db:"grant_id" json:"grant_id,omitempty"`
	Address     string            `db:"address" json:"address,omitempty"`
	Correlation string            `db:"correlation" json:"correlation,omitempty"`
	Details     map[string]string `db:"details" json:"details,omitempty"`
}

// Recent returns the newest entries, newest first, at most limit of them.
func Recent(ctx context.Context, q postgres.Querier, limit int) ([]Entry, error) {
	rows, err := q.Query(ctx, `
		select id::text, at, action, outcome, reason, user_id, actor, client_id, credential, session, grant_id, address, correlation, details
		from audit_entry order by at desc, id desc limit $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("read audit entries: %w", err)
	}
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByName[Entry])
	if err != nil {
		return nil, fmt.Errorf("read audit entries: %w", err)
	}
	return entries, nil
}

// ErrNoEntry is returned for an id that no entry has.
var ErrNoEntry = errors.New("the record has no such entry")

// ByID returns an entry.
func ByID(ctx context.Context, q postgres.Querier, id string) (Entry, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return Entry{}, ErrNoEntry
	}
	rows, err := q.Query(ctx, `
		select id::text, at, action, outcome, reason, user_id, actor, client_id, credential, session, grant_id, address, correlation, details
		from audit_entry where id = $1`, parsed.String())
	if err != nil {
		return Entry{}, fmt.Errorf("read audit entry: %w", err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Entry])
	if errors.Is(err, pgx.ErrNoRows) {
		return Entry{}, ErrNoEntry
	}
	if err != nil {
		return Entry{}, fmt.Errorf("read audit entry: %w", err)
	}
	return e, nil
}
