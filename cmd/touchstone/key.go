package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/pkg/fleet"
	"github.com/touchstone-id/touchstone/pkg/keyring"
)

type keyCommand struct {
	List             listKeys         `cmd:"" help:"List signing keys with their states, and when each ring rotates."`
	Show             showKey          `cmd:"" help:"Say what gateways make of a token under a key id now."`
	Rotate           rotateKeys       `cmd:"" help:"Let the published successor sign now, or as soon as it may."`
	Retire           retireKey        `cmd:"" help:"Take a successor, or an honoured key whose tokens have all ended, out of the key set."`
	Emergency        emergencyKeys    `cmd:"" help:"Take every key that has signed out of the key set now; the successor signs."`
	Timeline         timelineKeys     `cmd:"" help:"Draw past, present and planned keys as SVG, with metadata updates and what gateways may still cache."`
	Import           importKey        `cmd:"" help:"Make a private key (PKCS #8, PEM) the successor."`
	ExportPublic     exportKeys       `cmd:"" help:"Print the published key set (JWKS)."`
	Reseal           resealKeys       `cmd:"" help:"Seal every private key and secret under another sealing key."`
	CreateSealingKey createSealingKey `cmd:"" help:"Make a sealing key in a file, or in a hardware module."`
}

type listKeys struct {
	All bool `help:"Those that left the key set as well."`
	databaseFlags
}

// Run prints a table of keys and one of rings. It needs no sealing key.
func (c *listKeys) Run(ctx context.Context, out io.Writer) error {
	pool, _, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	line, err := readTimeline(ctx, pool)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KID\tALGORITHM\tSTATE\tPUBLISHED\tSIGNS FROM\tUNTIL\tLEAVES KEY SET\tUNDER")
	for _, k := range line.Keys {
		if k.StateAt(line.Now) == keyring.Retired && !c.All && !line.Now.Before(k.AcceptedUntil()) {
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Algorithm, k.StateAt(line.Now), instant(&k.CreatedAt), instant(k.ActivatesAt), instant(k.HonouredAt), instant(k.RetiresAt), line.Under(k.ID))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, k := range line.Keys {
		if line.Now.Before(k.AcceptedUntil()) {
			fmt.Fprintf(out, "\n%s was withdrawn; gateways may accept it until %s.\n", k.ID, instant(ptr(k.AcceptedUntil())))
		}
	}
	fmt.Fprintln(out)
	for _, p := range line.Planned {
		why := ""
		if p.Follows {
			why = ", after the metadata's update"
		}
		fmt.Fprintf(out, "%s rotates on %s%s.\n", p.Algorithm, instant(&p.Due), why)
		if p.Demanded != "" && !p.ReadyAt.IsZero() {
			fmt.Fprintf(out, "%s: %s was demanded; the successor may sign from %s.\n", p.Algorithm, p.Demanded, instant(&p.ReadyAt))
		}
	}
	return nil
}

type showKey struct {
	Kid string `arg:"" help:"The kid in the token's header."`
	databaseFlags
}

// Run prints one sentence. It needs no sealing key.
func (c *showKey) Run(ctx context.Context, out io.Writer) error {
	pool, _, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	sentence, err := keyring.Explain(ctx, pool, c.Kid)
	if err == nil {
		_, err = fmt.Fprintln(out, sentence)
	}
	return err
}

// describeKey says what gateways make of a token's key, which no policy and no
// key set of the moment can tell: that it was published lately, or withdrawn.
func (f databaseFlags) describeKey(ctx context.Context, out io.Writer, token string) error {
	var header struct{ Kid string }
	first, _, _ := strings.Cut(token, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil || json.Unmarshal(decoded, &header) != nil {
		return nil // said already: the token cannot be read
	}
	pool, _, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	sentence, err := keyring.Explain(ctx, pool, header.Kid)
	if err == nil {
		_, err = fmt.Fprintf(out, "%-26s %s\n", "key", sentence)
	}
	return err
}

type rotateKeys struct {
	Algorithm string `default:"RS256" enum:"RS256,PS256,ES256,EdDSA" help:"RS256, PS256, ES256 or EdDSA."`
	keyFlags
}

// Run asks for the rotation and says what became of it.
func (c *rotateKeys) Run(ctx context.Context, out io.Writer) error {
	ring, done, err := c.ring(ctx)
	if err != nil {
		return err
	}
	defer done()
	kid, err := ring.Rotate(ctx, keyring.Algorithm(c.Algorithm), by("rotate"))
	switch {
	case err != nil:
		return err
	case kid == "":
		fmt.Fprintln(out, "The successor signs as soon as every gateway knows it and no judgement is under way; see touchstone key list.")
	default:
		fmt.Fprintf(out, "%s signs now.\n", kid)
	}
	return nil
}

type retireKey struct {
	Kid string `arg:"" help:"The key's id."`
	keyFlags
}

// Run retires the key.
func (c *retireKey) Run(ctx context.Context) error {
	ring, done, err := c.ring(ctx)
	if err != nil {
		return err
	}
	defer done()
	return ring.Retire(ctx, c.Kid)
}

type emergencyKeys struct {
	Algorithm string `default:"RS256" enum:"RS256,PS256,ES256,EdDSA,all" help:"RS256, PS256, ES256, EdDSA or all."`
	Cause     string `required:"" help:"Why, for the record."`
	Fresh     bool   `help:"Distrust the published successor too: a new key signs after five minutes, and gateways may refuse its tokens for a while."`
	keyFlags
}

// Run withdraws the keys and says until when gateways may accept them.
func (c *emergencyKeys) Run(ctx context.Context, out io.Writer) error {
	ring, done, err := c.ring(ctx)
	if err != nil {
		return err
	}
	defer done()
	algorithms := keyring.Algorithms()
	if c.Algorithm != "all" {
		algorithms = []keyring.Algorithm{keyring.Algorithm(c.Algorithm)}
	}
	var faults []error
	for _, alg := range algorithms {
		w, err := ring.Emergency(ctx, alg, by(c.Cause), c.Fresh)
		if err != nil {
			faults = append(faults, err) // the other rings must not wait for this one
			continue
		}
		for _, kid := range w.Withdrawn {
			fmt.Fprintf(out, "%s %s left the key set; gateways may accept it until %s.\n", alg, kid, instant(&w.AcceptedUntil))
		}
		fmt.Fprintf(out, "%s %s signs from %s.\n", alg, w.Successor, instant(&w.SignsFrom))
		if !w.RefusedUntil.IsZero() {
			fmt.Fprintf(out, "Gateways may refuse its tokens until %s.\n", instant(&w.RefusedUntil))
		}
	}
	return errors.Join(faults...)
}

type timelineKeys struct {
	Out string `short:"o" help:"File to write; standard output by default." placeholder:"FILE"`
	databaseFlags
}

// Run draws the timeline. It needs no sealing key.
func (c *timelineKeys) Run(ctx context.Context, out io.Writer) error {
	pool, _, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	line, err := readTimeline(ctx, pool)
	if err != nil {
		return err
	}
	if c.Out == "" {
		_, err := out.Write(line.SVG())
		return err
	}
	return os.WriteFile(c.Out, line.SVG(), 0o644)
}

// readTimeline reads the keys' timeline under the rules in force.
func readTimeline(ctx context.Context, pool *pgxpool.Pool) (keyring.Timeline, error) {
	rules, err := rulesInForce(ctx, pool)
	if err != nil {
		return keyring.Timeline{}, err
	}
	return keyring.ReadTimeline(ctx, pool, rules)
}

// rulesInForce are those of the trust file in force.
func rulesInForce(ctx context.Context, pool *pgxpool.Pool) (keyring.Rules, error) {
	file, err := fleet.OpenTrustFile(ctx, pool)
	if err != nil {
		return keyring.Rules{}, err
	}
	k := file.Current().Keys
	return keyring.Rules{PublishAhead: k.PublishAhead, RotateEvery: k.RotateEvery}, nil
}

type importKey struct {
	File      string `arg:"" help:"File with the private key; - reads standard input."`
	Algorithm string `default:"RS256" enum:"RS256,PS256,ES256,EdDSA" help:"RS256, PS256, ES256 or EdDSA."`
	keyFlags
}

// Run prints the id of the imported key.
func (c *importKey) Run(ctx context.Context, out io.Writer) error {
	read := func() ([]byte, error) { return os.ReadFile(c.File) }
	if c.File == "-" {
		read = func() ([]byte, error) { return io.ReadAll(io.LimitReader(os.Stdin, 64<<10)) }
	}
	text, err := read()
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	ring, done, err := c.ring(ctx)
	if err != nil {
		return err
	}
	defer done()
	kid, err := ring.Import(ctx, keyring.Algorithm(c.Algorithm), text)
	if err == nil {
		_, err = fmt.Fprintln(out, kid)
	}
	return err
}

type exportKeys struct{ databaseFlags }

// Run prints the key set. It needs no sealing key.
func (c *exportKeys) Run(ctx context.Context, out io.Writer) error {
	pool, _, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	set, err := keyring.ExportPublic(ctx, pool)
	if err == nil {
		_, err = fmt.Fprintf(out, "%s\n", set)
	}
	return err
}

// by names the operator beside a cause.
func by(cause string) string {
	if u, err := user.Current(); err == nil {
		return cause + " (by " + u.Username + ")"
	}
	return cause
}

func instant(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func ptr[T any](v T) *T { return &v }
