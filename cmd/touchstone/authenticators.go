package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/fleet"
	"github.com/touchstone-id/touchstone/pkg/passkey"
)

type authenticatorsCommand struct {
	List    listAuthenticators   `cmd:"" default:"withargs" help:"List every enrolled authenticator: model, certification, owner, facts, levels and why not the next."`
	Release releaseAuthenticator `cmd:"" help:"Let a quarantined passkey sign in again."`
}

type listAuthenticators struct {
	Format string `default:"table" enum:"table,csv,json" help:"table, csv or json (JSON Lines)."`
	basisFlags
}

// Run prints the list, one authenticator at a time.
func (c *listAuthenticators) Run(ctx context.Context, out io.Writer) error {
	o, err := c.openBasis(ctx)
	if err != nil {
		return err
	}
	defer o.pool.Close()
	show, done := c.printer(out)
	if err := fleet.Walk(ctx, o.pool, o.basis(), time.Now(), show); err != nil {
		return err
	}
	return done()
}

var authenticatorColumns = []string{"OWNER", "PASSKEY", "MODEL", "STATUS", "STATE", "LAST USED", "LEVELS", "FACTS", "WHY NOT THE NEXT LEVEL", "AUTHENTICATOR ID"}

// printer returns how one is shown, and what ends the list.
func (c *listAuthenticators) printer(out io.Writer) (func(fleet.Member) error, func() error) {
	switch c.Format {
	case "json":
		encoder := json.NewEncoder(out)
		return func(m fleet.Member) error { return encoder.Encode(m) }, func() error { return nil }
	case "csv":
		w := csv.NewWriter(out)
		done := func() error { w.Flush(); return w.Error() }
		if err := w.Write(authenticatorColumns); err != nil {
			return func(fleet.Member) error { return err }, done
		}
		return func(m fleet.Member) error {
			cells := columns(m)
			for i, cell := range cells {
				// A cell that a spreadsheet would calculate is kept as text.
				if strings.ContainsRune("=+-@\t\r", []rune(cell + " ")[0]) {
					cells[i] = "'" + cell
				}
			}
			return w.Write(cells)
		}, done
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(authenticatorColumns, "\t"))
	return func(m fleet.Member) error {
		_, err := fmt.Fprintln(w, strings.Join(columns(m), "\t"))
		return err
	}, w.Flush
}

// columns is one authenticator in the order of authenticatorColumns.
func columns(m fleet.Member) []string {
	model := m.Model
	switch {
	case model == "":
		model = "unknown"
	case !m.Proven:
		model += " (claimed)"
	case m.Operator:
		model += " (operator's)"
	}
	state := "usable"
	switch {
	case m.Quarantine != "":
		state = "quarantined: " + m.Quarantine
	case m.Refused != "":
		state = "refused by rule " + m.Refused
	}
	used := "never"
	if m.LastUsed != nil {
		used = m.LastUsed.UTC().Format(time.DateOnly)
	}
	status := "none"
	if len(m.Status) > 0 {
		status = strings.Join(m.Status, " ")
	}
	return []string{m.Owner.Name, m.Nickname, model, status, state, used, strings.Join(m.Levels, " "), strings.Join(m.Facts, " "), m.WhyNotNext, m.AuthenticatorID}
}

type releaseAuthenticator struct {
	ID string `arg:"" help:"Authenticator id, as in the list."`
	databaseFlags
}

// Run ends the quarantine.
func (c *releaseAuthenticator) Run(ctx context.Context, out io.Writer) error {
	pool, log, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	var released passkey.Credential
	err = log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		var err error
		released, err = passkey.Release(ctx, tx, time.Now(), c.ID)
		if err != nil {
			return audit.Event{}, err
		}
		return audit.Event{Action: audit.CredentialReleased, UserID: string(released.UserID), Credential: c.ID, Details: map[string]string{"quarantined_for": released.QuarantinedWhy}}, nil
	})
	if err == nil {
		_, err = fmt.Fprintf(out, "%q can sign in again.\n", released.Nickname)
	}
	return err
}
