package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/attest/mds"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/fleet"
)

// metadataFlags name the sources of FIDO metadata.
type metadataFlags struct {
	Metadata      []string `help:"Source of FIDO metadata: fido (the FIDO Alliance's service), an https URL, a BLOB file or a directory of them; may be given more than once." placeholder:"SOURCE"`
	MetadataRoots []string `help:"PEM file with the roots of privately signed BLOBs, for every source but fido." placeholder:"FILE"`
}

// fido names the FIDO Alliance's service.
const fido = "fido"

// sources returns the sources, each named by what was given.
func (f metadataFlags) sources() ([]mds.Source, error) {
	roots, err := readRoots(f.MetadataRoots)
	if err != nil {
		return nil, err
	}
	var sources []mds.Source
	for _, place := range f.Metadata {
		switch {
		case place == fido:
			sources = append(sources, mds.Source{Name: fido, URL: mds.ServiceURL})
		case strings.Contains(place, "://"):
			sources = append(sources, mds.Source{Name: place, URL: place, Roots: roots})
		default:
			sources = append(sources, mds.Source{Name: place, Path: place, Roots: roots})
		}
	}
	return sources, nil
}

// readRoots reads PEM files; none gives nil.
func readRoots(paths []string) ([]*x509.Certificate, error) {
	var roots []*x509.Certificate
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("metadata roots: %w", err)
		}
		parsed, err := mds.ParseRoots(text)
		if err != nil {
			return nil, fmt.Errorf("metadata roots %s: %w", path, err)
		}
		roots = append(roots, parsed...)
	}
	return roots, nil
}

// basisFlags open what authenticators are judged by.
type basisFlags struct {
	databaseFlags
	metadataFlags
}

// opened is what the commands about trust and metadata work with.
type opened struct {
	pool  *pgxpool.Pool
	log   *audit.Log
	keep  *mds.Keeper
	trust *fleet.TrustFile
}

func (f basisFlags) openBasis(ctx context.Context) (*opened, error) {
	sources, err := f.sources()
	if err != nil {
		return nil, err
	}
	o := &opened{}
	if o.pool, o.log, err = f.open(ctx); err != nil {
		return nil, err
	}
	if o.keep, err = mds.Open(ctx, mds.Options{Pool: o.pool, Log: o.log, Sources: sources, Logger: zerolog.Nop(), Passive: true, Now: time.Now}); err == nil {
		o.trust, err = fleet.OpenTrustFile(ctx, o.pool)
	}
	if err != nil {
		o.pool.Close()
		return nil, err
	}
	return o, nil
}

// basis is what is in force.
func (o *opened) basis() fleet.Basis { return fleet.NewBasis(o.keep.Current(), o.trust.Current()) }

type mdsCommand struct {
	Status  mdsStatus  `cmd:"" help:"Print which BLOBs are in use."`
	Refresh mdsRefresh `cmd:"" help:"Read every source now; servers judge all passkeys again when something is newer."`
	Show    mdsShow    `cmd:"" help:"Print what the metadata says about a model."`
	Diff    mdsDiff    `cmd:"" help:"Print what changed between two BLOB files."`
	Plan    mdsPlan    `cmd:"" help:"Print what a BLOB would do to the enrolled passkeys. Changes nothing."`
}

type mdsStatus struct{ databaseFlags }

// Run prints a table.
func (c *mdsStatus) Run(ctx context.Context, out io.Writer) error {
	pool, _, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	copies, err := mds.Copies(ctx, pool)
	if err != nil {
		return err
	}
	if len(copies) == 0 {
		fmt.Fprintln(out, "No metadata was ever loaded: no passkey can be attested. Start the server with --metadata=fido or --metadata=FILE.")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SOURCE\tNUMBER\tNEXT UPDATE\tIN USE SINCE\tLAST TRIED\tSTATE")
	for _, m := range copies {
		state := "current"
		if time.Now().After(m.NextUpdate) {
			state = "past its next update"
		}
		if m.Failures > 0 {
			state += fmt.Sprintf(", %d attempts in vain", m.Failures)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", m.Source, m.Number, m.NextUpdate.UTC().Format(time.DateOnly), m.VerifiedAt.UTC().Format(time.RFC3339), m.TriedAt.UTC().Format(time.RFC3339), state)
	}
	return w.Flush()
}

type mdsRefresh struct{ basisFlags }

// Run prints what became of each source; it fails when one could not be read.
func (c *mdsRefresh) Run(ctx context.Context, out io.Writer) error {
	if len(c.Metadata) == 0 {
		return fmt.Errorf("name the sources with --metadata, as for the server")
	}
	o, err := c.openBasis(ctx)
	if err != nil {
		return err
	}
	defer o.pool.Close()
	reports, err := o.keep.Refresh(ctx)
	if err != nil {
		return err
	}
	var failed int
	for _, r := range reports {
		switch {
		case r.Err != nil && r.Kept:
			fmt.Fprintf(out, "%s: %v; no. %d stays in use\n", r.Source, r.Err, r.Number)
			failed++
		case r.Err != nil:
			fmt.Fprintf(out, "%s: %v\n", r.Source, r.Err)
			failed++
		default:
			fmt.Fprintf(out, "%s: no. %d, %d models, next update %s\n", r.Source, r.Number, r.Entries, r.NextUpdate.Format(time.DateOnly))
		}
		if r.Unreadable > 0 {
			fmt.Fprintf(out, "%s: %d entries could not be read and were passed over\n", r.Source, r.Unreadable)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d sources could not be refreshed", failed, len(reports))
	}
	return nil
}

// readBLOB reads a BLOB file, which may be older than its signer.
func readBLOB(out io.Writer, path string, rootFiles []string) (*mds.Set, error) {
	roots, err := readRoots(rootFiles)
	if err != nil {
		return nil, err
	}
	if set, err := mds.LoadFile(path, roots, time.Now()); err == nil {
		return set, nil
	}
	set, at, err := mds.LoadHistoric(path, roots)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "%s: no. %d is historic: verified as of %s, inside its signer's validity\n", path, set.Number(), at.Format(time.DateOnly))
	return set, nil
}

type mdsShow struct {
	AAGUID string `arg:"" help:"The model's AAGUID."`
	File   string `help:"BLOB file to read, in place of what is in use." placeholder:"FILE"`
	basisFlags
}

// Run prints the entry.
func (c *mdsShow) Run(ctx context.Context, out io.Writer) error {
	var m attest.Metadata
	if c.File != "" {
		set, err := readBLOB(out, c.File, c.MetadataRoots)
		if err != nil {
			return err
		}
		m = set
	} else {
		o, err := c.openBasis(ctx)
		if err != nil {
			return err
		}
		defer o.pool.Close()
		m = o.basis().Metadata
	}
	e, ok := m.Lookup(strings.ToLower(c.AAGUID))
	if !ok {
		return fmt.Errorf("the metadata (no. %d) has no entry for model %s", m.Number(), c.AAGUID)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "Model\t%s\nAAGUID\t%s\n", e.Description, e.AAGUID)
	if e.Operator {
		fmt.Fprintf(w, "Source\tthe operator's trust file; no signed BLOB vouches for it\n")
	} else if e.Source != "" {
		fmt.Fprintf(w, "Source\t%s, no. %d\n", e.Source, m.Number())
	}
	fmt.Fprintf(w, "Key protection\t%s\n", strings.Join(e.KeyProtection, ", "))
	for _, r := range e.Status {
		when := "always"
		if !r.Effective.IsZero() {
			when = "from " + r.Effective.Format(time.DateOnly)
		}
		if !r.Sunset.IsZero() {
			when += " until " + r.Sunset.Format(time.DateOnly)
		}
		fmt.Fprintf(w, "Status\t%s, %s\n", r.Status, when)
	}
	for _, r := range e.Roots {
		fmt.Fprintf(w, "Trust anchor\t%s, until %s\n", r.Subject, r.NotAfter.Format(time.DateOnly))
	}
	return w.Flush()
}

type mdsDiff struct {
	Old           string   `arg:"" help:"BLOB file."`
	New           string   `arg:"" help:"BLOB file."`
	MetadataRoots []string `help:"PEM file with the roots of privately signed BLOBs." placeholder:"FILE"`
}

// Run prints one line a change.
func (c *mdsDiff) Run(out io.Writer) error {
	before, err := readBLOB(out, c.Old, c.MetadataRoots)
	if err != nil {
		return err
	}
	after, err := readBLOB(out, c.New, c.MetadataRoots)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "no. %d to no. %d\n", before.Number(), after.Number())
	changes := 0
	say := func(e attest.Entry, what string) {
		fmt.Fprintf(out, "%s  %s: %s\n", e.AAGUID, e.Description, what)
		changes++
	}
	for _, e := range before.Entries() {
		if _, ok := after.Lookup(e.AAGUID); !ok {
			say(e, "removed")
		}
	}
	for _, e := range after.Entries() {
		old, ok := before.Lookup(e.AAGUID)
		if !ok {
			say(e, "added")
			continue
		}
		for _, what := range differences(old, e) {
			say(e, what)
		}
	}
	if changes == 0 {
		fmt.Fprintln(out, "nothing changed")
	}
	return nil
}

// differences tells what changed about one model.
func differences(old, new attest.Entry) []string {
	var out []string
	if old.Description != new.Description {
		out = append(out, fmt.Sprintf("renamed from %q", old.Description))
	}
	for _, r := range new.Status {
		if !slices.Contains(old.Status, r) {
			out = append(out, "now "+r.Status+" from "+r.Effective.Format(time.DateOnly))
		}
	}
	for _, r := range old.Status {
		if !slices.Contains(new.Status, r) {
			out = append(out, "no longer "+r.Status)
		}
	}
	if !slices.Equal(old.KeyProtection, new.KeyProtection) {
		out = append(out, fmt.Sprintf("key protection %v, was %v", new.KeyProtection, old.KeyProtection))
	}
	same := func(a, b *x509.Certificate) bool { return a.Equal(b) }
	if !slices.EqualFunc(old.Roots, new.Roots, same) {
		out = append(out, fmt.Sprintf("trust anchors changed: %d, were %d", len(new.Roots), len(old.Roots)))
	}
	return out
}

type mdsPlan struct {
	BLOB   string `arg:"" help:"BLOB file."`
	Source string `help:"Source in whose place the BLOB would come; the first one given by default." placeholder:"SOURCE"`
	planFlags
	basisFlags
}

// Run prints the plan.
func (c *mdsPlan) Run(ctx context.Context, out io.Writer) error {
	set, err := readBLOB(os.Stderr, c.BLOB, c.MetadataRoots)
	if err != nil {
		return err
	}
	o, err := c.openBasis(ctx)
	if err != nil {
		return err
	}
	defer o.pool.Close()
	source := c.Source
	if source == "" && len(c.Metadata) > 0 {
		source = c.Metadata[0]
	}
	after := fleet.NewBasis(o.keep.Instead(source, set), o.trust.Current())
	impact, err := fleet.Plan(ctx, o.pool, o.basis(), after, time.Now())
	if err != nil {
		return err
	}
	return c.print(out, impact)
}
