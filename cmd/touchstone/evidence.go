package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/touchstone-id/touchstone/pkg/evidence"
)

type evidenceCommand struct {
	Collect collectEvidence `cmd:"" help:"Write an archive that proves one sign-in, or the one behind a token."`
	Verify  verifyEvidence  `cmd:"" help:"Recompute an archive's verdict with no database and no network, and print it as a story."`
}

type collectEvidence struct {
	ID     string `arg:"" help:"A token's jti, or a sid."`
	Issuer string `default:"http://localhost:8080" help:"Issuer identifier."`
	Out    string `default:"evidence.zip" help:"File to write." placeholder:"FILE"`
	basisFlags
}

// Run writes the archive whole or not at all.
func (c *collectEvidence) Run(ctx context.Context, out io.Writer) error {
	pool, _, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	roots := map[string]string{}
	var private []string
	for _, path := range c.MetadataRoots {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("metadata roots: %w", err)
		}
		private = append(private, string(text))
	}
	for _, place := range c.Metadata {
		if place != fido {
			roots[place] = strings.Join(private, "\n")
		}
	}
	var archive bytes.Buffer
	if err := evidence.Collect(ctx, pool, &archive, c.Issuer, c.ID, roots, time.Now()); err != nil {
		return err
	}
	if err := os.WriteFile(c.Out, archive.Bytes(), 0o600); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s: %d bytes\n", c.Out, archive.Len())
	return err
}

type verifyEvidence struct {
	File string `arg:"" help:"Archive."`
	Key  string `help:"The log's key, as audit key printed it; without it the archive is only checked against itself." placeholder:"KEY"`
}

// Run prints the story, or what does not hold.
func (c *verifyEvidence) Run(out io.Writer) error {
	archive, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	return evidence.Verify(archive, c.Key, out)
}
