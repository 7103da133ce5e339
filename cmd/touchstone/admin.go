package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/signin"
)

type userCommand struct {
	Invite  inviteCommand  `cmd:"" help:"Print a single-use enrolment link for a person, creating them when they are new."`
	List    listUsers      `cmd:"" help:"List people."`
	Suspend suspendCommand `cmd:"" help:"Keep a person from signing in, and end their sessions, their enrolment link and the access they gave."`
	Resume  resumeCommand  `cmd:"" help:"Undo suspend."`
	Groups  groupsCommand  `cmd:"" help:"Put a person into exactly these groups."`
	Profile profileCommand `cmd:"" help:"Print what is known about a person, the standard claims of OpenID Connect, or replace it."`
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

type profileCommand struct {
	Name string `arg:"" help:"The person's name."`
	File string `arg:"" optional:"" type:"existingfile" help:"JSON object with the standard claims (given_name, email, email_verified, locale, address, …) that take the place of all that is there; {} forgets them." placeholder:"FILE"`
	databaseFlags
}

// Run prints the profile, or replaces it by that of the file.
func (c *profileCommand) Run(ctx context.Context, out io.Writer) error {
	if c.File != "" {
		text, err := os.ReadFile(c.File)
		if err != nil {
			return err
		}
		p, err := account.ParseProfile(text)
		if err != nil {
			return err
		}
		return c.act(ctx, c.Name, func(tx pgx.Tx, id account.ID) (audit.Event, error) {
			return audit.Event{Action: audit.UserDescribed, Details: map[string]string{"claims": strings.Join(p.Claims(), ", ")}}, account.SetProfile(ctx, tx, time.Now(), id, p)
		})
	}
	pool, _, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	u, err := account.ByName(ctx, pool, c.Name)
	if err != nil {
		return err
	}
	p, err := account.ProfileOf(ctx, pool, u.ID)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(p)
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

// Run suspends the person and ends what they had, in one act.
func (c *suspendCommand) Run(ctx context.Context) error {
	return c.act(ctx, c.Name, func(tx pgx.Tx, id account.ID) (audit.Event, error) {
		return audit.Event{Action: audit.UserSuspended}, signin.Suspend(ctx, tx, time.Now(), id)
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
