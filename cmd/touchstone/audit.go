package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/audit/record"
	"github.com/touchstone-id/touchstone/pkg/keyring"
)

type auditCommand struct {
	Tail        tailCommand        `cmd:"" help:"Print the newest entries as JSON Lines, newest first."`
	Search      searchCommand      `cmd:"" help:"Print entries by person, client, action, outcome and time, with a cursor to go on."`
	Report      reportCommand      `cmd:"" help:"Print what an auditor asks for about a period, as HTML fit to print or JSON."`
	Key         auditKey           `cmd:"" help:"Print the key that verifies the log's checkpoints. Keep a copy outside."`
	Checkpoint  checkpointCommand  `cmd:"" help:"Print the newest signed checkpoint."`
	Checkpoints checkpointsCommand `cmd:"" help:"Print every checkpoint, each as a JSON string on a line."`
	Export      exportCommand      `cmd:"" help:"Write the log as JSON Lines, from its beginning."`
	Prove       proveCommand       `cmd:"" help:"Write the proof that an entry is in the log."`
	Check       checkCommand       `cmd:"" help:"Compare the record in the database with itself and with its checkpoints; name the first entry that is wrong."`
	Verify      verifyCommand      `cmd:"" help:"Check an export or a proof with no database and no network."`
	Erase       eraseCommand       `cmd:"" help:"Take the personal part out of every entry about a person. Proofs stay valid."`
	Witness     witnessCommand     `cmd:"" help:"Serve a witness that cosigns a log's checkpoints and refuses forks."`
}

type auditKey struct{ databaseFlags }

// Run prints the key.
func (c *auditKey) Run(ctx context.Context, out io.Writer) error {
	return c.reading(ctx, func(pool *pgxpool.Pool) error {
		key, err := audit.Key(ctx, pool)
		if err == nil && key == "" {
			err = errors.New("the log has no key yet: start the server once")
		}
		if err == nil {
			_, err = fmt.Fprintln(out, key)
		}
		return err
	})
}

type checkpointCommand struct{ databaseFlags }

// Run prints the checkpoint.
func (c *checkpointCommand) Run(ctx context.Context, out io.Writer) error {
	return c.reading(ctx, func(pool *pgxpool.Pool) error {
		text, err := audit.Latest(ctx, pool)
		if err == nil {
			_, err = io.WriteString(out, text)
		}
		return err
	})
}

type checkpointsCommand struct{ databaseFlags }

// Run prints the checkpoints.
func (c *checkpointsCommand) Run(ctx context.Context, out io.Writer) error {
	return c.reading(ctx, func(pool *pgxpool.Pool) error {
		return audit.Checkpoints(ctx, pool, out)
	})
}

type exportCommand struct {
	Personal bool   `help:"Include the personal parts that were not erased."`
	Format   string `default:"jsonl" enum:"jsonl,csv" help:"jsonl, which can be verified, or csv, for reading."`
	databaseFlags
}

// Run writes the log.
func (c *exportCommand) Run(ctx context.Context, out io.Writer) error {
	return c.reading(ctx, func(pool *pgxpool.Pool) error {
		if c.Format == "csv" {
			return audit.ExportCSV(ctx, pool, out, c.Personal)
		}
		return audit.Export(ctx, pool, out, c.Personal)
	})
}

type proveCommand struct {
	Entry string `arg:"" help:"The entry's id, as audit tail shows it."`
	databaseFlags
}

// Run writes the proof as JSON.
func (c *proveCommand) Run(ctx context.Context, out io.Writer) error {
	return c.reading(ctx, func(pool *pgxpool.Pool) error {
		return audit.WriteProof(ctx, pool, out, c.Entry)
	})
}

type checkCommand struct{ databaseFlags }

// Run checks the record in the database.
func (c *checkCommand) Run(ctx context.Context, out io.Writer) error {
	return c.reading(ctx, func(pool *pgxpool.Pool) error {
		n, err := audit.Check(ctx, pool)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "%d entries are as they were logged. What was cut off at the end shows only against a checkpoint kept elsewhere.\n", n)
		return err
	})
}

type verifyCommand struct {
	File        string   `arg:"" help:"Export (JSON Lines) or proof."`
	Key         string   `required:"" help:"The log's key, as audit key printed it." placeholder:"KEY"`
	Checkpoint  []string `help:"File with a checkpoint that was kept elsewhere; may be given more than once." placeholder:"FILE"`
	Checkpoints string   `help:"File with the log's checkpoints, as audit checkpoints prints them." placeholder:"FILE"`
	Witness     []string `help:"Key of a witness that must have cosigned the newest checkpoint." placeholder:"KEY"`
}

// Run verifies with the bytes alone.
func (c *verifyCommand) Run(out io.Writer) error {
	return record.VerifyFile(out, record.VerifyOptions{File: c.File, Key: c.Key, Checkpoints: c.Checkpoint, AllCheckpoints: c.Checkpoints, Witnesses: c.Witness})
}

type eraseCommand struct {
	Name   string `arg:"" optional:"" help:"The person's name."`
	Before string `help:"In place of a person: everything from before this day." placeholder:"2024-01-01"`
	Yes    bool   `help:"Confirm: it cannot be undone."`
	databaseFlags
}

// Run erases, and records that it was done without saying of whom.
func (c *eraseCommand) Run(ctx context.Context, out io.Writer) error {
	var before time.Time
	if c.Before != "" {
		var err error
		if before, err = time.Parse(time.DateOnly, c.Before); err != nil {
			return fmt.Errorf("--before: %q is not a date such as 2024-01-31", c.Before)
		}
	}
	switch {
	case (c.Name == "") == before.IsZero():
		return errors.New("name a person, or a day with --before")
	case !c.Yes:
		return errors.New("erasing cannot be undone: add --yes")
	}
	pool, log, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	var n int
	err = log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		var err error
		if c.Name == "" {
			n, err = audit.EraseBefore(ctx, tx, before)
			return audit.Event{Action: audit.PersonErased, Details: map[string]string{"entries": strconv.Itoa(n), "before": c.Before}}, err
		}
		u, err := account.ByName(ctx, tx, c.Name)
		if err != nil {
			return audit.Event{}, err
		}
		n, err = audit.Erase(ctx, tx, string(u.ID))
		return audit.Event{Action: audit.PersonErased, Details: map[string]string{"entries": strconv.Itoa(n)}}, err
	})
	if err == nil {
		_, err = fmt.Fprintf(out, "%d entries tell nothing about a person any more.\n", n)
	}
	return err
}

type witnessCommand struct {
	Listen string `default:"127.0.0.1:8090" help:"Address to listen on; TLS is terminated in front."`
	Name   string `required:"" help:"The witness's name in cosignatures, such as witness.example.org." placeholder:"NAME"`
	Dir    string `required:"" help:"Where the witness keeps its key and the newest checkpoint." placeholder:"DIR"`
	Log    string `required:"" help:"The key of the log that it watches, as audit key printed it." placeholder:"KEY"`
}

// Run serves until a signal comes, and prints the witness's own key first.
func (c *witnessCommand) Run(ctx context.Context, out io.Writer) error {
	log, err := record.NewVerifier(c.Log)
	if err != nil {
		return fmt.Errorf("the log's key: %w", err)
	}
	key, err := witnessKey(c.Dir)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\n", record.WitnessKey(c.Name, key.Public().(ed25519.PublicKey)))
	return serveUntil(ctx, listener, audit.NewWitness(log, record.NewCosigner(c.Name, key, time.Now), c.Dir))
}

// witnessKey reads the witness's key, making one at the first start.
func witnessKey(dir string) (ed25519.PrivateKey, error) {
	path := dir + "/witness.key"
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("witness: %w", err)
		}
		_, key, err := record.GenerateKey()
		if err != nil {
			return nil, fmt.Errorf("witness: %w", err)
		}
		return key, os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(key.Seed())+"\n"), 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	seed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("witness: %s holds no key", path)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

type tailCommand struct {
	Number int `short:"n" default:"20" help:"How many."`
	databaseFlags
}

// Run prints the entries.
func (c *tailCommand) Run(ctx context.Context, out io.Writer) error {
	return c.reading(ctx, func(pool *pgxpool.Pool) error {
		entries, err := audit.Recent(ctx, pool, c.Number)
		if err != nil {
			return err
		}
		encoder := json.NewEncoder(out)
		for _, e := range entries {
			if err := encoder.Encode(e); err != nil {
				return err
			}
		}
		return nil
	})
}

// seed returns the secret that cursors are signed with.
func (c *searchCommand) seed(ctx context.Context, pool *pgxpool.Pool) ([]byte, error) {
	sealer, _, done, err := openSealers(c.sealing(c.SealingKey), nil)
	if err != nil {
		return nil, err
	}
	defer done()
	return keyring.Secret(ctx, pool, sealer, nil, audit.SecretName)
}

type searchCommand struct {
	Person     string    `help:"The person's name."`
	By         string    `help:"Name of the administrator who did it in the console."`
	Client     string    `help:"client_id."`
	Credential string    `help:"Authenticator id."`
	Action     string    `help:"Action, such as session.signed_in."`
	Outcome    string    `enum:",done,refused" default:"" help:"done or refused."`
	From       time.Time `help:"Not before this instant (RFC 3339)." placeholder:"TIME"`
	To         time.Time `help:"Before this instant (RFC 3339)." placeholder:"TIME"`
	Cursor     string    `help:"Cursor that an earlier page of the same search ended with." placeholder:"CURSOR"`
	SealingKey string    `help:"Sealing key, for further pages, whose cursors are signed: a FILE, env:NAME, or a PKCS #11 URI (RFC 7512); by default sealing.key in the state directory." placeholder:"KEY"`
	Number     int       `short:"n" default:"100" help:"How many."`
	databaseFlags
}

// Run prints a page as JSON Lines, and the cursors of those beside it on standard error.
func (c *searchCommand) Run(ctx context.Context, out io.Writer) error {
	return c.reading(ctx, func(pool *pgxpool.Pool) error {
		seed, err := c.seed(ctx, pool)
		alone := c.Cursor == "" && c.SealingKey == "" && errors.Is(err, fs.ErrNotExist)
		if alone { // the first page needs no key, and nobody can continue it
			seed, err = make([]byte, 32), nil
		}
		if err != nil {
			return err
		}
		search, err := audit.NewSearch(seed)
		if err != nil {
			return err
		}
		q := audit.Query{ClientID: c.Client, Credential: c.Credential, Action: audit.Action(c.Action), Outcome: c.Outcome, From: c.From, To: c.To, Cursor: c.Cursor, Limit: c.Number}
		if c.Person != "" {
			u, err := account.ByName(ctx, pool, c.Person)
			if err != nil {
				return err
			}
			q.UserID = string(u.ID)
		}
		if c.By != "" {
			u, err := account.ByName(ctx, pool, c.By)
			if err != nil {
				return err
			}
			q.Actor = string(u.ID)
		}
		page, err := search.Page(ctx, pool, q)
		if err != nil {
			return err
		}
		encoder := json.NewEncoder(out)
		for _, e := range page.Entries {
			if err := encoder.Encode(e); err != nil {
				return err
			}
		}
		if alone && page.Older != "" {
			fmt.Fprintln(os.Stderr, "there is more; its cursor needs --sealing-key")
			return nil
		}
		if page.Newer != "" {
			fmt.Fprintln(os.Stderr, "newer: --cursor="+page.Newer)
		}
		if page.Older != "" {
			fmt.Fprintln(os.Stderr, "older: --cursor="+page.Older)
		}
		return nil
	})
}
