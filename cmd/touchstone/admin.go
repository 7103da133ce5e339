package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/grant"
)

type userCommand struct {
	Invite  inviteCommand  `cmd:"" help:"Print a single-use enrolment link for a person, creating them when they are new."`
	List    listUsers      `cmd:"" help:"List people."`
	Suspend suspendCommand `cmd:"" help:"Keep a person from signing in, and end the access they gave."`
	Resume  resumeCommand  `cmd:"" help:"Undo suspend."`
	Groups  groupsCommand  `cmd:"" help:"Put a person into exactly these groups."`
}

type groupsCommand struct {
	Name   string   `arg:"" help:"The person's name."`
	Groups []string `arg:"" optional:"" help:"Groups; none takes the person out of all."`
	databaseFlags
}

// Run replaces the person's groups.
func (c *groupsCommand) Run(ctx context.Context) error {
	if c.Groups == nil {
		c.Groups = []string{}
	}
	return c.act(ctx, c.Name, func(tx pgx.Tx, id account.ID) (audit.Event, error) {
		return audit.Event{Action: audit.UserGrouped, Details: map[string]string{"groups": strings.Join(c.Groups, ", ")}}, account.SetGroups(ctx, tx, id, c.Groups)
	})
}

type inviteCommand struct {
	Name   string `arg:"" help:"The person's name."`
	Issuer string `default:"http://localhost:8080" help:"Issuer identifier, for the link."`
	databaseFlags
}

// Run prints the link, alone on its line.
func (c *inviteCommand) Run(ctx context.Context, out io.Writer) error {
	pool, log, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	link, err := invite(ctx, log, c.Issuer, c.Name)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, link)
	return err
}

type listUsers struct{ databaseFlags }

// Run prints a table.
func (c *listUsers) Run(ctx context.Context, out io.Writer) error {
	pool, _, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	users, err := account.All(ctx, pool)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tID\tSTATUS\tGROUPS\tSINCE")
	for _, u := range users {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", u.Name, u.ID, u.Status, strings.Join(u.Groups, ","), u.CreatedAt.Format(time.DateOnly))
	}
	return w.Flush()
}

type suspendCommand struct {
	Name string `arg:"" help:"The person's name."`
	databaseFlags
}

// Run suspends the person and ends their grants in one act.
func (c *suspendCommand) Run(ctx context.Context) error {
	return c.act(ctx, c.Name, func(tx pgx.Tx, id account.ID) (audit.Event, error) {
		if err := account.Suspend(ctx, tx, id); err != nil {
			return audit.Event{}, err
		}
		_, err := grant.RevokeUser(ctx, tx, time.Now(), id, string(audit.UserSuspended))
		return audit.Event{Action: audit.UserSuspended}, err
	})
}

type resumeCommand struct {
	Name string `arg:"" help:"The person's name."`
	databaseFlags
}

// Run lets the person in again.
func (c *resumeCommand) Run(ctx context.Context) error {
	return c.act(ctx, c.Name, func(tx pgx.Tx, id account.ID) (audit.Event, error) {
		return audit.Event{Action: audit.UserResumed}, account.Resume(ctx, tx, id)
	})
}

// act runs an act on the person with this name.
func (f databaseFlags) act(ctx context.Context, name string, do func(pgx.Tx, account.ID) (audit.Event, error)) error {
	pool, log, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	return log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		u, err := account.ByName(ctx, tx, name)
		if err != nil {
			return audit.Event{}, err
		}
		event, err := do(tx, u.ID)
		event.UserID = string(u.ID)
		return event, err
	})
}
