package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/fleet"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

type trustCommand struct {
	Check trustCheck `cmd:"" help:"Check a trust file and print its version."`
	Plan  trustPlan  `cmd:"" help:"Print what a trust file would do to people and their passkeys. Changes nothing."`
	Apply trustApply `cmd:"" help:"Put a trust file in force on every replica; asks first when people are hit."`
}

type trustCheck struct {
	File string `arg:"" help:"Trust file."`
}

// Run prints the version, or every fault.
func (c *trustCheck) Run(out io.Writer) error {
	t, err := readTrust(c.File)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: version %s, %d levels, %d rules, %d APIs, %d clients\n", filepath.Base(c.File), t.Version, len(t.Levels), len(t.Rules), len(t.APIs), len(t.Clients))
	return nil
}

// planFlags say how a plan is printed.
type planFlags struct {
	JSON bool `help:"Print JSON."`
}

type trustPlan struct {
	File string `arg:"" help:"Trust file."`
	planFlags
	basisFlags
}

// Run prints the plan.
func (c *trustPlan) Run(ctx context.Context, out io.Writer) error {
	t, err := readTrust(c.File)
	if err != nil {
		return err
	}
	o, err := c.openBasis(ctx)
	if err != nil {
		return err
	}
	defer o.pool.Close()
	impact, err := fleet.Plan(ctx, o.pool, o.basis(), fleet.NewBasis(o.keep.Current(), t), time.Now())
	if err != nil {
		return err
	}
	return c.print(out, impact)
}

type trustApply struct {
	File      string `arg:"" help:"Trust file."`
	Threshold int    `default:"0" help:"How many people may be locked out or lose an API without being asked about."`
	Yes       bool   `help:"Do not ask."`
	basisFlags
}

// Run applies the file, after a question when the plan hits more people than the threshold.
func (c *trustApply) Run(ctx context.Context, out io.Writer) error {
	t, err := readTrust(c.File)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(c.File)
	if err != nil {
		return fmt.Errorf("trust file: %w", err)
	}
	o, err := c.openBasis(ctx)
	if err != nil {
		return err
	}
	defer o.pool.Close()
	if o.trust.Current().Version == t.Version {
		fmt.Fprintf(out, "Version %s is in force already.\n", t.Version)
		return nil
	}
	impact, err := fleet.Plan(ctx, o.pool, o.basis(), fleet.NewBasis(o.keep.Current(), t), time.Now())
	if err != nil {
		return err
	}
	if hit := impact.Hit(); hit > c.Threshold && !c.Yes {
		if err := (planFlags{}).print(out, impact); err != nil {
			return err
		}
		fmt.Fprintf(out, "\n%d people are locked out, or lose an API or the console. Type the version %s to apply all the same: ", hit, t.Version)
		answer, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		if strings.TrimSpace(answer) != t.Version {
			return fmt.Errorf("not confirmed; nothing was changed")
		}
	}
	by := "unknown"
	if u, err := user.Current(); err == nil {
		by = u.Username
	}
	if _, err := o.trust.Apply(ctx, o.log, time.Now(), filepath.Base(c.File), text, by); err != nil {
		return err
	}
	fmt.Fprintf(out, "Version %s is in force. Servers judge every passkey again now.\n", t.Version)
	return nil
}

// print writes a plan for people, or as JSON.
func (f planFlags) print(out io.Writer, i fleet.Impact) error {
	if f.JSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(i)
	}
	fmt.Fprintf(out, "%d passkeys of %d people were looked at; %d change. %d refresh families end.\n", i.Credentials, i.People, len(i.Changes), i.Grants)
	section := func(title string, people []fleet.Person) {
		if len(people) > 0 {
			fmt.Fprintf(out, "\n%s (%d):\n", title, len(people))
			for _, p := range people {
				fmt.Fprintf(out, "  %s\n", p.Name)
			}
		}
	}
	section("Locked out: no passkey left to sign in with", i.LockedOut)
	section("Left with one passkey", i.NoSpare)
	for _, l := range i.APIs {
		place := l.API
		if l.Operation != "" {
			place += " / " + l.Operation
		}
		section("Lose the API "+place, l.People)
	}
	section("Lose the console", i.Console)
	if i.ConsoleShut {
		fmt.Fprintln(out, "\nNobody could open the console any more.")
	}
	if len(i.Changes) > 0 {
		fmt.Fprintf(out, "\nPasskeys:\n")
	}
	for _, c := range i.Changes {
		model := c.Model
		if model == "" {
			model = "unproved model"
		}
		fmt.Fprintf(out, "  %s, %q (%s): %s\n", c.Owner.Name, c.Nickname, model, strings.Join(effects(c), "; "))
	}
	return nil
}

// effects tells what happens to one passkey.
func effects(c fleet.Change) []string {
	var out []string
	add := func(what string, list []string) {
		if len(list) > 0 {
			out = append(out, what+" "+strings.Join(list, ", "))
		}
	}
	add("loses", facts(c.Lost))
	add("gains", facts(c.Gained))
	add("falls below", c.LevelsLost)
	add("reaches", c.LevelsGained)
	if c.Suspended {
		out = append(out, "is suspended")
	}
	if c.Rule != "" {
		out = append(out, "is refused by rule "+c.Rule)
	}
	if len(c.Lost) > 0 || c.Suspended {
		add("because", c.Because)
	}
	return out
}

func facts(list []claim.Fact) []string {
	texts := make([]string, len(list))
	for i, f := range list {
		texts[i] = string(f)
	}
	return texts
}

// readTrust reads a trust file.
func readTrust(path string) (*trust.Trust, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("trust file: %w", err)
	}
	return trust.Parse(filepath.Base(path), text)
}
