// Command touchstone-gateway runs API Management policy files in front of an
// API, with no Azure.
package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/gateway"
)

// cli is the command line; each flag can also be given as
// TOUCHSTONE_GATEWAY_NAME in the environment.
type cli struct {
	Config string `required:"" type:"existingfile" help:"Configuration file (YAML)." placeholder:"FILE"`
	Listen string `help:"Address to listen on, in place of the file's." placeholder:"HOST:PORT"`
	Check  bool   `help:"Load the policies, report every fault, and stop."`
}

// Run serves until a signal comes.
func (c *cli) Run(ctx context.Context) error {
	address := ""
	log := zerolog.New(os.Stderr).With().Timestamp().Logger()
	g, err := gateway.Follow(c.Config, gateway.Options{Log: log}, func(configured *gateway.Config) {
		if c.Listen != "" {
			configured.Listen = c.Listen
		}
		address = cmp.Or(address, configured.Listen)
	})
	if err != nil || c.Check {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	log.Info().Stringer("address", listener.Addr()).Time("at", time.Now()).Msg("gateway listens")
	return g.Run(ctx, listener)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var c cli
	command := kong.Parse(&c, kong.Name("touchstone-gateway"), kong.Description("Runs API Management policy files in front of an API."),
		kong.DefaultEnvars("TOUCHSTONE_GATEWAY"), kong.BindTo(ctx, (*context.Context)(nil)))
	err := command.Run()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "touchstone-gateway:", err)
		os.Exit(1)
	}
}
