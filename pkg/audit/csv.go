package audit

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/touchstone-id/touchstone/pkg/audit/record"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// ExportCSV writes the log for reading: it cannot be verified in this form.
func ExportCSV(ctx context.Context, q postgres.Querier, w io.Writer, personal bool) error {
	c, err := head(ctx, q)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	out := csv.NewWriter(w)
	if err := out.Write([]string{"index", "at", "action", "outcome", "reason", "client_id", "grant_id", "correlation", "details", "user_id", "actor", "credential", "session", "address"}); err != nil {
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
			strings.Join(sorted(details), "; "), p.UserID, p.Actor, p.Credential, p.Session, p.Address}
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
