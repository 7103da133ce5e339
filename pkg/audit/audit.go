package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// Event is what happened, as the outermost story tells it. Fields that do not
// apply stay empty. No field may hold a secret; Details is for short public
// facts such as a metadata number or an algorithm.
type Event struct {
	Action     Action
	UserID     string
	ClientID   string
	Credential string
	Session    string
	GrantID    string
	Details    map[string]string
}

// Log writes the record.
type Log struct{ pool *pgxpool.Pool }

// New returns the log kept in the pool's database.
func New(pool *pgxpool.Pool) *Log { return &Log{pool} }

// Do runs one act. The closure works in the transaction and returns its event:
//
//   - no error: the entry and the work commit together;
//   - a denial with an event: the work so far and an entry with the reason
//     commit together, and Do returns the denial;
//   - a denial with the zero event: the work so far commits without an entry,
//     because nothing was consumed, and Do returns the denial;
//   - a fault: everything is undone and Do returns the fault.
//
// The closure may run more than once (serialization failures), so it must have
// no effect outside the transaction.
func (l *Log) Do(ctx context.Context, act func(tx pgx.Tx) (Event, error)) error {
	var denied *denial.Error
	err := postgres.InTx(ctx, l.pool, func(tx pgx.Tx) error {
		denied = nil
		event, err := act(tx)
		if err != nil && !errors.As(err, &denied) {
			return err
		}
		if event.Action == "" {
			if denied == nil {
				return errors.New("act without an event")
			}
			return nil
		}
		return write(ctx, tx, event, denied)
	})
	if err != nil {
		return err
	}
	if denied != nil {
		return denied
	}
	return nil
}

// write inserts the entry for the event, refused when denied is not nil.
func write(ctx context.Context, tx pgx.Tx, e Event, denied *denial.Error) error {
	if err := e.fits(); err != nil {
		return err
	}
	outcome, reason := "done", ""
	if denied != nil {
		outcome, reason = "refused", string(denied.Reason)
	}
	details := []byte("{}")
	if len(e.Details) > 0 {
		var err error
		if details, err = json.Marshal(e.Details); err != nil {
			return fmt.Errorf("encode audit details: %w", err)
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make entry id: %w", err)
	}
	o := OriginOf(ctx)
	if e.Session == "" {
		e.Session = o.Session
	}
	return postgres.Later(ctx, tx, "write audit entry", `
		with waiting as (insert into audit_pending values ($1))
		insert into audit_entry (id, action, outcome, reason, user_id, actor, client_id, credential, session, grant_id, address, correlation, details)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		id, e.Action, outcome, reason, e.UserID, o.Actor, e.ClientID, e.Credential, e.Session, e.GrantID, o.Address, o.Correlation, details)
}
