package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/attest/mds"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/keyring"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/server"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// databaseFile is where dev leaves the address of its database, below the state directory.
const databaseFile = "database-url"

// databaseFlags find the database.
type databaseFlags struct {
	DatabaseURL string `env:"DATABASE_URL,TOUCHSTONE_DATABASE_URL" help:"Postgres connection string; by default that of a running touchstone dev." placeholder:"URL"`
	StateDir    string `default:".touchstone" help:"State directory of touchstone dev."`
}

// url returns the connection string.
func (f databaseFlags) url() (string, error) {
	if f.DatabaseURL != "" {
		return f.DatabaseURL, nil
	}
	text, err := os.ReadFile(filepath.Join(f.StateDir, databaseFile))
	if err != nil {
		return "", fmt.Errorf("no database: set DATABASE_URL, or start touchstone dev in this directory first")
	}
	return strings.TrimSpace(string(text)), nil
}

// open returns a pool and the record in it.
func (f databaseFlags) open(ctx context.Context) (*pgxpool.Pool, *audit.Log, error) {
	url, err := f.url()
	if err != nil {
		return nil, nil, err
	}
	pool, err := postgres.Open(ctx, url)
	if err != nil {
		return nil, nil, err
	}
	return pool, audit.New(pool), nil
}

// metadataFlags name FIDO metadata files.
type metadataFlags struct {
	Metadata      []string `help:"FIDO metadata BLOB to judge authenticators by; may be given more than once." placeholder:"FILE"`
	MetadataRoots []string `help:"PEM file with the roots of privately signed BLOBs, in place of the FIDO Alliance's." placeholder:"FILE"`
}

// load reads and verifies the BLOBs.
func (f metadataFlags) load(now time.Time) (attest.Metadata, error) {
	if len(f.Metadata) == 0 {
		return attest.NoMetadata(), nil
	}
	var roots []*x509.Certificate
	for _, path := range f.MetadataRoots {
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
	var sources []mds.Source
	for _, path := range f.Metadata {
		sources = append(sources, mds.Source{Path: path, Roots: roots})
	}
	return mds.Load(sources, now)
}

// readTrust reads a trust file.
func readTrust(path string) (*trust.Trust, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("trust file: %w", err)
	}
	return trust.Parse(filepath.Base(path), text)
}

type serveCommand struct {
	Issuer     string `required:"" help:"Issuer identifier, such as https://login.example.com." placeholder:"URL"`
	Listen     string `default:"127.0.0.1:8080" help:"Address to listen on; TLS is terminated in front."`
	Trust      string `required:"" help:"Trust file." placeholder:"FILE"`
	SealingKey string `required:"" help:"File with the 32-byte key, in base64, that seals signing keys." placeholder:"FILE"`
	Migrate    bool   `help:"Migrate the database before serving."`
	databaseFlags
	metadataFlags
	logFlags
}

// Run serves until a signal comes.
func (c *serveCommand) Run(ctx context.Context, out io.Writer) error {
	url, err := c.url()
	if err != nil {
		return err
	}
	if c.Migrate {
		if err := postgres.Migrate(ctx, url); err != nil {
			return err
		}
	}
	key, err := keyring.ReadSealingKey(c.SealingKey)
	if err != nil {
		return err
	}
	t, err := readTrust(c.Trust)
	if err != nil {
		return err
	}
	metadata, err := c.metadataFlags.load(time.Now())
	if err != nil {
		return err
	}
	s, err := server.New(ctx, server.Options{Issuer: c.Issuer, DatabaseURL: url, SealingKey: key, Trust: t, Metadata: metadata, Log: c.logger()})
	if err != nil {
		return err
	}
	defer s.Close()
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "touchstone %s serves %s on %s\n", version, c.Issuer, listener.Addr())
	return s.Run(ctx, listener)
}

type migrateCommand struct{ databaseFlags }

// Run applies the migrations.
func (c *migrateCommand) Run(ctx context.Context) error {
	url, err := c.url()
	if err != nil {
		return err
	}
	return postgres.Migrate(ctx, url)
}

type sampleAPICommand struct {
	Listen string `default:"127.0.0.1:8082" help:"Address to listen on."`
}

// Run serves the sample API.
func (c *sampleAPICommand) Run(ctx context.Context) error {
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	return runSample(ctx, listener)
}
