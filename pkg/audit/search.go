package audit

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/postgres"
)

const (
	// SecretName is that of the installation's sealed secret from which the
	// record's keys are made: the one that signs checkpoints, and the one that
	// signs cursors.
	SecretName = "audit checkpoints"
	// maxPage bounds a page of a search.
	maxPage = 1000
)

// Query chooses entries; empty fields choose all.
type Query struct {
	UserID, ClientID, Credential string
	// Actor is the administrator who did it.
	Actor   string
	Action  Action
	Outcome string
	// From is the first instant, To the first after the last.
	From, To time.Time
	// Cursor is Newer or Older of an earlier page of the same query; empty is the
	// newest page.
	Cursor string
	// Limit is at most 1000, which zero means as well.
	Limit int
}

// Page is a part of what a query chooses, newest first.
type Page struct {
	Entries []Entry
	// Newer and Older are the cursors of the pages beside this one; empty where
	// there is none.
	Newer, Older string
}

// Search reads the record in pages. Cursors are positions, not numbers of pages,
// so entries that arrive meanwhile move nothing; and they are signed, so that no
// one can make one up, or use one with another query than its own.
type Search struct{ key []byte }

// NewSearch returns a search whose cursors are signed with a key made from the
// record's secret. Cursors of one replica are good on all.
func NewSearch(seed []byte) (*Search, error) {
	key, err := hkdf.Key(sha256.New, seed, nil, "touchstone audit cursor v1", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("key of cursors: %w", err)
	}
	return &Search{key}, nil
}

// Page returns a page of the query. A cursor that was not signed here for the
// same query is a denial, denial.CursorInvalid.
func (s *Search) Page(ctx context.Context, q postgres.Querier, query Query) (Page, error) {
	if query.Limit <= 0 || query.Limit > maxPage {
		query.Limit = maxPage
	}
	from := position{older: true, at: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	if query.Cursor != "" {
		var err error
		if from, err = s.open(query.Cursor, query); err != nil {
			return Page{}, err
		}
	}
	// One more than asked for tells whether there is another page.
	entries, err := query.read(ctx, q, from, query.Limit+1)
	if err != nil || len(entries) == 0 {
		return Page{}, err
	}
	more := len(entries) > query.Limit
	entries = entries[:min(len(entries), query.Limit)]
	if !from.older {
		slices.Reverse(entries)
	}
	page := Page{Entries: entries}
	// The page that a cursor came from is there; beyond, what more says.
	if query.Cursor != "" && from.older || more && !from.older {
		page.Newer = s.sign(positionOf(entries[0], false), query)
	}
	if !from.older || more {
		page.Older = s.sign(positionOf(entries[len(entries)-1], true), query)
	}
	return page, nil
}

// read returns entries from a position on, in the order in which they are met.
func (query Query) read(ctx context.Context, q postgres.Querier, from position, limit int) ([]Entry, error) {
	to := query.To
	if to.IsZero() {
		to = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	sql := `
		select id::text, at, action, outcome, reason, user_id, actor, client_id, credential, session, grant_id, address, correlation, details
		from audit_entry
		where (at, id) < ($1, $2::uuid) and ($3 = '' or user_id = $3) and ($4 = '' or client_id = $4) and ($5 = '' or credential = $5) and ($11 = '' or actor = $11)
			and ($6 = '' or action = $6) and ($7 = '' or outcome = $7) and at >= $8 and at < $9
		order by at desc, id desc limit $10`
	if !from.older {
		sql = `
		select id::text, at, action, outcome, reason, user_id, actor, client_id, credential, session, grant_id, address, correlation, details
		from audit_entry
		where (at, id) > ($1, $2::uuid) and ($3 = '' or user_id = $3) and ($4 = '' or client_id = $4) and ($5 = '' or credential = $5) and ($11 = '' or actor = $11)
			and ($6 = '' or action = $6) and ($7 = '' or outcome = $7) and at >= $8 and at < $9
		order by at, id limit $10`
	}
	rows, err := q.Query(ctx, sql, from.at, uuid.UUID(from.id).String(), query.UserID, query.ClientID, query.Credential, query.Action, query.Outcome, query.From, to, limit, query.Actor)
	if err != nil {
		return nil, fmt.Errorf("search the record: %w", err)
	}
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByName[Entry])
	if err != nil {
		return nil, fmt.Errorf("search the record: %w", err)
	}
	return entries, nil
}
