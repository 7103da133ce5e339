package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/server"
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

// sealing returns where the sealing key is, that of a running touchstone dev
// when nothing is named.
func (f databaseFlags) sealing(place string) string {
	if place == "" {
		return filepath.Join(f.StateDir, "sealing.key")
	}
	return place
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

// reading opens the database for a command that only reads.
func (f databaseFlags) reading(ctx context.Context, do func(*pgxpool.Pool) error) error {
	pool, _, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	return do(pool)
}

// serveUntil serves on the listener until the context ends, and finishes what is under way.
func serveUntil(ctx context.Context, listener net.Listener, handler http.Handler) error {
	s := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		stopped <- s.Shutdown(context.WithoutCancel(ctx))
	}()
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return <-stopped
}

type serveCommand struct {
	Issuer     string   `required:"" help:"Issuer identifier, such as https://login.example.com." placeholder:"URL"`
	Listen     string   `default:"127.0.0.1:8080" help:"Address to listen on; TLS is terminated in front."`
	Trust      string   `help:"Trust file, applied when none ever was; later ones by touchstone trust apply." placeholder:"FILE"`
	SealingKey string   `required:"" help:"Key that seals signing keys and secrets: a FILE with 32 bytes in base64, env:NAME for an environment variable, or a PKCS #11 URI (RFC 7512) for a hardware module." placeholder:"KEY"`
	Previous   []string `name:"previous-sealing-key" help:"Sealing key, a FILE, env:NAME or PKCS #11 URI, that signing keys may still be sealed under; see touchstone key reseal." placeholder:"KEY"`
	Metrics    string   `name:"metrics-listen" help:"Address on which to serve metrics; none by default." placeholder:"ADDRESS"`
	Migrate    bool     `help:"Migrate the database before serving."`
	databaseFlags
	metadataFlags
	anchorFlags
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
	sealer, previous, done, err := openSealers(c.SealingKey, c.Previous)
	if err != nil {
		return err
	}
	defer done()
	options := server.Options{Issuer: c.Issuer, DatabaseURL: url, Sealer: sealer, PreviousSealers: previous, TrustName: c.Trust, Log: c.logger()}
	if c.Trust != "" {
		if options.Trust, err = os.ReadFile(c.Trust); err != nil {
			return fmt.Errorf("trust file: %w", err)
		}
	}
	if options.Metadata, err = c.sources(); err != nil {
		return err
	}
	if options.Anchors, err = c.anchors(); err != nil {
		return err
	}
	options.Sinks, options.Retain = c.sinks(), c.retain()
	s, err := server.New(ctx, options)
	if err != nil {
		return err
	}
	defer s.Close()
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	if c.Metrics != "" {
		metrics, err := net.Listen("tcp", c.Metrics)
		if err != nil {
			return err
		}
		defer metrics.Close()
		go (&http.Server{Handler: s.Metrics(), ReadHeaderTimeout: 10 * time.Second}).Serve(metrics)
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
