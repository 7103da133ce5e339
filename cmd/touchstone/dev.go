package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/frontend"
	"github.com/touchstone-id/touchstone/pkg/gateway"
	"github.com/touchstone-id/touchstone/pkg/keyring"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/postgres/private"
	"github.com/touchstone-id/touchstone/pkg/sandbox"
	"github.com/touchstone-id/touchstone/pkg/server"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// devTrust is the trust file of development; {{issuer}}, {{origin}} and {{gateway}} are filled in.
//
//go:embed dev.trust.yaml
var devTrust string

type devCommand struct {
	Port        int    `default:"8080" help:"Port of the identity provider; the issuer is http://localhost:PORT."`
	IssuerPath  string `help:"Path of the issuer, such as /tenant: the issuer is http://localhost:PORT/PATH then." placeholder:"PATH"`
	GatewayPort int    `default:"8081" help:"Port of the local gateway."`
	StateDir    string `default:".touchstone" help:"Where the private Postgres and the development keys live."`
	Trust       string `help:"Trust file to use in place of the built-in one." placeholder:"FILE"`
	Name        string `default:"Ada" help:"Name of the first person, who gets the enrolment link."`
	metadataFlags
	anchorFlags
	logFlags
}

// Run starts the parts from the ground up and stops them in reverse.
func (c *devCommand) Run(ctx context.Context, out io.Writer) (err error) {
	log := c.logger()
	issuer, gatewayURL := fmt.Sprintf("http://localhost:%d%s", c.Port, c.IssuerPath), fmt.Sprintf("http://localhost:%d", c.GatewayPort)
	state, err := filepath.Abs(c.StateDir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(state, 0o755); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	cluster, err := private.Start(ctx, private.Options{Dir: filepath.Join(state, "postgres"), Durable: true, Log: func(s string) { fmt.Fprintln(out, s) }})
	if errors.Is(err, private.ErrInUse) {
		return fmt.Errorf("another touchstone dev is running with %s: stop it, or give --state-dir", state)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	database, err := prepareDatabase(ctx, cluster, state)
	if err != nil {
		return err
	}
	key, err := developmentKey(filepath.Join(state, "sealing.key"))
	if err != nil {
		return err
	}
	text, err := c.trust(issuer, gatewayURL)
	if err != nil {
		return err
	}
	t, err := trust.Parse(c.trustName(), text)
	if err != nil {
		return err
	}
	metadata, err := c.sources()
	if err != nil {
		return err
	}
	anchors, err := c.anchors()
	if err != nil {
		return err
	}
	sample, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer sample.Close()
	bench := issuer + frontend.BenchPath
	configured, err := renderGateway(t, issuer, bench, filepath.Join(state, "policies"), "http://"+sample.Addr().String())
	if err != nil {
		return err
	}
	g, err := gateway.New(configured, gateway.Options{Log: log})
	if err != nil {
		return err
	}
	tokens, err := sandbox.New(sandbox.Options{Issuer: bench, Gateway: gatewayURL, Policies: g, Trust: t})
	if err != nil {
		return err
	}
	s, err := server.New(ctx, server.Options{Issuer: issuer, DatabaseURL: database, SealingKey: key, TrustName: c.trustName(), Trust: text, ApplyTrust: true, Development: true,
		Metadata: metadata, Anchors: anchors, Sinks: c.sinks(), Retain: c.retain(), Log: log, Playground: playground(t, gatewayURL, tokens.Handler(frontend.BenchPath))})
	if err != nil {
		return err
	}
	defer s.Close()
	idp, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port)))
	if err != nil {
		return fmt.Errorf("%w: choose another with --port", err)
	}
	defer idp.Close()
	front, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.GatewayPort)))
	if err != nil {
		return fmt.Errorf("%w: choose another with --gateway-port", err)
	}
	defer front.Close()
	if err := c.greet(ctx, out, s, issuer, gatewayURL); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var parts sync.WaitGroup
	faults := make(chan error, 3)
	for _, part := range []func() error{
		func() error { return s.Run(ctx, idp) },
		func() error { return g.Run(ctx, front) },
		func() error { return runSample(ctx, sample) },
	} {
		parts.Go(func() {
			defer cancel() // when one ends, all end
			faults <- part()
		})
	}
	parts.Wait()
	fmt.Fprintln(out, "\nStopped.")
	return errors.Join(<-faults, <-faults, <-faults)
}

// prepareDatabase creates and migrates the database and leaves its address for
// the other commands.
func prepareDatabase(ctx context.Context, cluster *private.Cluster, state string) (string, error) {
	if err := cluster.CreateDatabase(ctx, "touchstone"); err != nil {
		return "", err
	}
	url := cluster.URL("touchstone")
	if err := postgres.Migrate(ctx, url); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(state, databaseFile), []byte(url+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("note the database: %w", err)
	}
	return url, nil
}

// developmentKey reads the sealing key, making one at the first start.
func developmentKey(path string) ([]byte, error) {
	key, err := keyring.ReadSealingKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := keyring.CreateSealingKey(path); err != nil {
			return nil, err
		}
		return keyring.ReadSealingKey(path)
	}
	return key, err
}

// trust reads the trust file, or fills in the built-in one.
func (c *devCommand) trust(issuer, gatewayURL string) ([]byte, error) {
	if c.Trust == "" {
		return []byte(strings.NewReplacer("{{issuer}}", issuer, "{{origin}}", strings.TrimSuffix(issuer, c.IssuerPath), "{{gateway}}", gatewayURL).Replace(devTrust)), nil
	}
	text, err := os.ReadFile(c.Trust)
	if err != nil {
		return nil, fmt.Errorf("trust file: %w", err)
	}
	return text, nil
}

func (c *devCommand) trustName() string {
	if c.Trust == "" {
		return "dev.trust.yaml"
	}
	return filepath.Base(c.Trust)
}

// playground offers the first API of the trust file to the first public client,
// and every API to the bench.
func playground(t *trust.Trust, gatewayURL string, bench http.Handler) *frontend.Playground {
	if len(t.APIs) == 0 || len(t.Clients) == 0 {
		return nil
	}
	api, client := t.APIs[0], t.Clients[0]
	p := &frontend.Playground{ClientID: client.ID, Gateway: gatewayURL, Resource: api.Audience, Scopes: client.Scopes, Bench: bench}
	for _, f := range sandbox.Flaws() {
		p.Flaws = append(p.Flaws, frontend.PlaygroundFlaw{Name: f.Name, Title: f.Title, Meaning: f.Meaning})
	}
	for _, a := range t.APIs {
		for _, o := range a.Operations {
			p.Targets = append(p.Targets, frontend.PlaygroundTarget{API: a.Name, Operation: o.Name, Title: strings.TrimPrefix(a.Title+": ", ": ") + o.Title})
		}
	}
	for _, o := range api.Operations {
		needs := []string{}
		for _, f := range t.Wanted(trust.Requirement{Facts: append(t.Wanted(api.Require), t.Wanted(o.Require)...)}) {
			needs = append(needs, string(f))
		}
		p.Operations = append(p.Operations, frontend.PlaygroundOperation{Title: o.Title, Method: o.Method,
			Path: api.Path + sandbox.Example(o.URLTemplate), Needs: strings.Join(needs, ", ")})
	}
	return p
}

// renderGateway writes the policies that the trust file means and the
// configuration of a gateway that runs them. Each API is there twice: believing
// the issuer, and under a path of its own believing the bench, whose tokens then
// fail for nothing but their flaws.
func renderGateway(t *trust.Trust, issuer, bench, dir, backend string) (gateway.Config, error) {
	c := gateway.Config{Trace: true}
	for _, of := range []struct{ issuer, dir, name, path string }{{issuer, dir, "", ""}, {bench, filepath.Join(dir, "sandbox"), sandbox.NamePrefix, sandbox.PathPrefix}} {
		files := map[string]string{}
		if err := writePolicies(t, of.issuer, of.dir, files); err != nil {
			return gateway.Config{}, err
		}
		for _, a := range t.APIs {
			api := gateway.API{Name: of.name + a.Name, Path: of.path + a.Path, Backend: backend, Policy: files[a.Name+"/"]}
			for _, o := range a.Operations {
				api.Operations = append(api.Operations, gateway.Operation{Name: o.Name, Method: o.Method, URLTemplate: o.URLTemplate, Policy: files[a.Name+"/"+o.Name]})
			}
			c.APIs = append(c.APIs, api)
		}
	}
	return c, nil
}

// writePolicies renders every policy into a directory and notes each file's
// path under API/OPERATION.
func writePolicies(t *trust.Trust, issuer, dir string, files map[string]string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("policies: %w", err)
	}
	for _, f := range apim.Render(t, apim.Target{Issuer: issuer}) {
		path := filepath.Join(dir, f.Name)
		if err := os.WriteFile(path, f.Body, 0o644); err != nil {
			return fmt.Errorf("policies: %w", err)
		}
		files[f.API+"/"+f.Operation] = path
	}
	return nil
}

// greet prints where everything is, and an enrolment link while nobody has a passkey.
func (c *devCommand) greet(ctx context.Context, out io.Writer, s *server.Server, issuer, gatewayURL string) error {
	fmt.Fprintf(out, "\n  Touchstone is running. Ctrl-C stops it.\n\n")
	fmt.Fprintf(out, "  Identity provider   %s\n  Gateway             %s/orders\n  Playground          %s/playground\n", issuer, gatewayURL, issuer)
	if s.Trust.Current().Console != nil {
		fmt.Fprintf(out, "  Console             %s/console\n", issuer)
	}
	enrolled, err := passkey.AnyRegistered(ctx, s.Pool)
	if err != nil {
		return err
	}
	if enrolled {
		fmt.Fprintf(out, "\n  Invite somebody:    bin/touchstone user invite NAME\n\n")
		return nil
	}
	link, err := invite(ctx, s.Log, issuer, c.Name)
	if err != nil {
		return err
	}
	if console := s.Trust.Current().Console; console != nil {
		if err := join(ctx, s, c.Name, console.Group); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "\n  Enrol the first passkey with this link; it works once, for a day:\n  %s\n\n", link)
	return nil
}

// invite makes an enrolment link for a person, creating them when they are new.
func invite(ctx context.Context, log *audit.Log, issuer, name string) (string, error) {
	var link string
	err := log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		u, err := account.ByName(ctx, tx, name)
		if denial.Is(err, denial.UserUnknown) {
			u, err = account.Create(ctx, tx, name, "")
		}
		if err != nil {
			return audit.Event{}, err
		}
		secret, err := account.Invite(ctx, tx, time.Now(), u.ID, account.InvitationLife)
		link = issuer + "/enrol#" + secret.Reveal()
		return audit.Event{Action: audit.UserInvited, UserID: string(u.ID)}, err
	})
	return link, err
}

// join puts a person into one group more, unless they are in it.
func join(ctx context.Context, s *server.Server, name, group string) error {
	u, err := account.ByName(ctx, s.Pool, name)
	if err != nil || slices.Contains(u.Groups, group) {
		return err
	}
	groups := append(u.Groups, group)
	return s.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		return audit.Event{Action: audit.UserGrouped, UserID: string(u.ID), Details: map[string]string{"groups": strings.Join(groups, ", ")}}, account.SetGroups(ctx, tx, u.ID, groups)
	})
}

// runSample serves the sample API until the context ends.
func runSample(ctx context.Context, listener net.Listener) error {
	return serveUntil(ctx, listener, server.SampleAPI())
}

// logFlags choose the operators' log.
type logFlags struct {
	LogLevel  string `default:"warn" enum:"debug,info,warn,error" help:"Least level to log: debug, info, warn or error."`
	LogFormat string `default:"text" enum:"text,json" help:"text or json."`
}

func (f logFlags) logger() zerolog.Logger {
	level, err := zerolog.ParseLevel(f.LogLevel)
	if err != nil {
		level = zerolog.WarnLevel
	}
	var w io.Writer = os.Stderr
	if f.LogFormat == "text" {
		w = zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}
