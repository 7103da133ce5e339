// Command touchstone is the identity provider and its administration.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// version is set when a release is built.
var version = "development"

// cli is every subcommand. Each flag can also be given as TOUCHSTONE_NAME in
// the environment or as name in touchstone.yaml; the command line wins, then
// the environment.
type cli struct {
	Dev            devCommand            `cmd:"" help:"Start everything for development: Postgres, server, gateway, sample API, playground."`
	Serve          serveCommand          `cmd:"" help:"Serve against a given database."`
	Migrate        migrateCommand        `cmd:"" help:"Bring a database to this version's schema."`
	User           userCommand           `cmd:"" help:"Invite and manage people."`
	Client         clientCommand         `cmd:"" help:"Register and list OAuth clients."`
	Key            keyCommand            `cmd:"" help:"List, rotate, withdraw and draw signing keys."`
	Trust          trustCommand          `cmd:"" help:"Check, plan and apply the trust file."`
	Mds            mdsCommand            `cmd:"" help:"Read, refresh and compare FIDO metadata."`
	Authenticators authenticatorsCommand `cmd:"" help:"List the enrolled authenticators, and release one from quarantine."`
	Policy         policyCommand         `cmd:"" help:"Render gateway policies from the trust file."`
	Audit          auditCommand          `cmd:"" help:"Read the record."`
	Evidence       evidenceCommand       `cmd:"" help:"Prove one sign-in, or the one behind a token, without our servers."`
	SampleAPI      sampleAPICommand      `cmd:"" name:"sample-api" help:"Serve the sample API that the examples guard."`
	Version        versionCommand        `cmd:"" help:"Print the version."`

	Config kong.ConfigFlag `help:"Configuration file (YAML)." placeholder:"FILE"`
}

type versionCommand struct{}

func (versionCommand) Run(out io.Writer) error {
	_, err := fmt.Fprintln(out, version)
	return err
}

func main() { os.Exit(run()) }

// run parses the command line and runs the subcommand until it ends or a signal comes.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	parser, err := kong.New(&c, kong.Name("touchstone"), kong.Description("A passkey-only OpenID Connect provider whose tokens say what kind of authenticator proved the person."),
		kong.UsageOnError(), kong.DefaultEnvars("TOUCHSTONE"), kong.Configuration(readYAML, "touchstone.yaml"),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(os.Stdout, (*io.Writer)(nil)))
	if err != nil {
		fmt.Fprintln(os.Stderr, "touchstone:", err)
		return 1
	}
	command, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	if err := command.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "touchstone:", err)
		return 1
	}
	return 0
}

// readYAML resolves flags from a configuration file: keys are the flags' names,
// with hyphens or underscores.
func readYAML(r io.Reader) (kong.Resolver, error) {
	values := map[string]any{}
	if err := yaml.NewDecoder(r).Decode(&values); err != nil && err != io.EOF {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	for key, value := range values {
		values[strings.ReplaceAll(key, "_", "-")] = value
	}
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		for _, name := range flag.Envs {
			if _, set := os.LookupEnv(name); set {
				return nil, nil // the environment wins over the file
			}
		}
		return values[flag.Name], nil
	}), nil
}
