package audit

import (
	"context"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit/record"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// maxPage bounds a page of a search.
const maxPage = 1000

// Query chooses entries; empty fields choose all.
type Query struct {
	UserID, ClientID, Credential string
	Action                       Action
	Outcome                      string
	// From is the first instant, To the first after the last.
	From, To time.Time
	// After is the cursor that an earlier page ended with.
	After string
	// Limit is at most 1000, which zero means as well.
	Limit int
}

// ErrCursor is returned for a cursor that no page ended with.
var ErrCursor = errors.New("the cursor is not one that a page ended with")

// Search returns a page of entries, newest first, and the cursor of the next, or
// "" at the end. A cursor names the last entry of its page, so entries that
// arrive meanwhile move nothing.
func Search(ctx context.Context, q postgres.Querier, query Query) ([]Entry, string, error) {
	at, id := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), "ffffffff-ffff-ffff-ffff-ffffffffffff"
	if query.After != "" {
		text, err := base64.RawURLEncoding.DecodeString(query.After)
		micros, rest, ok := strings.Cut(string(text), " ")
		n, err2 := strconv.ParseInt(micros, 10, 64)
		if err != nil || err2 != nil || !ok || len(rest) != len(id) {
			return nil, "", ErrCursor
		}
		at, id = time.UnixMicro(n), rest
	}
	if query.Limit <= 0 || query.Limit > maxPage {
		query.Limit = maxPage
	}
	if query.To.IsZero() {
		query.To = at
	}
	rows, err := q.Query(ctx, `
		select id::text, at, action, outcome, reason, user_id, client_id, credential, session, grant_id, address, correlation, details
		from audit_entry
		where (at, id::text) < ($1, $2) and ($3 = '' or user_id = $3) and ($4 = '' or client_id = $4) and ($5 = '' or credential = $5)
			and ($6 = '' or action = $6) and ($7 = '' or outcome = $7) and at >= $8 and at < $9
		order by at desc, id::text desc limit $10`,
		at, id, query.UserID, query.ClientID, query.Credential, query.Action, query.Outcome, query.From, query.To, query.Limit)
	if err != nil {
		return nil, "", fmt.Errorf("search the record: %w", err)
	}
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByName[Entry])
	if err != nil {
		return nil, "", fmt.Errorf("search the record: %w", err)
	}
	if len(entries) < query.Limit {
		return entries, "", nil
	}
	last := entries[len(entries)-1]
	return entries, base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(last.At.UnixMicro(), 10) + " " + last.ID)), nil
}

// ExportCSV writes the log for reading: it cannot be verified in this form.
func ExportCSV(ctx context.Context, q postgres.Querier, w io.Writer, personal bool) error {
	c, err := head(ctx, q)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	out := csv.NewWriter(w)
	if err := out.Write([]string{"index", "at", "action", "outcome", "reason", "client_id", "grant_id", "correlation", "details", "user_id", "credential", "session", "address"}); err != nil {
		return err
	}
	err = lines(ctx, q, 0, c.Size, personal, func(l record.Line) error {
		leaf, err := record.ParseLeaf(l.Leaf)
		if err != nil {
			return err
		}
		var p record.Personal
		if l.Personal != nil {
			p = *l.Personal
		}
		var details []string
		for name, value := range leaf.Details {
			details = append(details, name+"="+value)
		}
		cells := []string{strconv.FormatInt(l.Index, 10), leaf.At.Format(time.RFC3339Nano), leaf.Action, leaf.Outcome, leaf.Reason, leaf.ClientID, leaf.GrantID, leaf.Correlation,
			strings.Join(sorted(details), "; "), p.UserID, p.Credential, p.Session, p.Address}
		for i, cell := range cells {
			// A cell that a spreadsheet would calculate is kept as text.
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				cells[i] = "'" + cell
			}
		}
		return out.Write(cells)
	})
	out.Flush()
	return errors.Join(err, out.Error())
}
