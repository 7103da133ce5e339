package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/keyring"
	"github.com/touchstone-id/touchstone/pkg/keyring/hsm"
)

// keyFlags open the ring with its sealing key.
type keyFlags struct {
	SealingKey string   `help:"Sealing key: a FILE, env:NAME, or a PKCS #11 URI (RFC 7512); by default sealing.key in the state directory." placeholder:"KEY"`
	Previous   []string `name:"previous-sealing-key" help:"Sealing key that signing keys may still be sealed under." placeholder:"KEY"`
	databaseFlags
}

func (f keyFlags) ring(ctx context.Context) (*keyring.Ring, func(), error) {
	sealer, previous, closeSealers, err := openSealers(f.sealing(f.SealingKey), f.Previous)
	if err != nil {
		return nil, nil, err
	}
	pool, log, err := f.open(ctx)
	if err != nil {
		closeSealers()
		return nil, nil, err
	}
	done := func() {
		pool.Close()
		closeSealers()
	}
	rules, err := rulesInForce(ctx, pool)
	if err != nil {
		done()
		return nil, nil, err
	}
	ring, err := keyring.Open(ctx, keyring.Options{Pool: pool, Log: log, Sealer: sealer, Previous: previous, Rules: func() keyring.Rules { return rules }})
	if err != nil {
		done()
		return nil, nil, err
	}
	return ring, done, nil
}

// readSealingKey reads 32 bytes in base64 from a file or from the environment.
func readSealingKey(place string) ([]byte, error) {
	name, ok := strings.CutPrefix(place, "env:")
	if !ok {
		return keyring.ReadSealingKey(place)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(os.Getenv(name)))
	if err != nil || len(key) == 0 {
		return nil, fmt.Errorf("sealing key: the environment variable %s holds none in base64", name)
	}
	return key, nil
}

// openSealer opens one sealing key, and returns what closes it.
func openSealer(place string) (keyring.Sealer, func(), error) {
	if strings.HasPrefix(place, hsm.Scheme) {
		s, err := hsm.Open(place)
		if err != nil {
			return nil, nil, err
		}
		return s, func() { s.Close() }, nil
	}
	key, err := readSealingKey(place)
	if err != nil {
		return nil, nil, err
	}
	s, err := keyring.NewLocalSealer(key)
	return s, func() {}, err
}

// openSealers opens the sealing key and those before it.
func openSealers(place string, before []string) (sealer keyring.Sealer, previous []keyring.Sealer, done func(), err error) {
	var closers []func()
	done = func() {
		for _, c := range closers {
			c()
		}
	}
	for i, p := range append([]string{place}, before...) {
		s, c, err := openSealer(p)
		if err != nil {
			done()
			return nil, nil, nil, err
		}
		closers = append(closers, c)
		if i == 0 {
			sealer = s
		} else {
			previous = append(previous, s)
		}
	}
	return sealer, previous, done, nil
}

type resealKeys struct{ keyFlags }

// Run seals what is sealed under a previous key under the sealing key.
func (c *resealKeys) Run(ctx context.Context, out io.Writer) error {
	ring, done, err := c.ring(ctx)
	if err != nil {
		return err
	}
	defer done()
	n, err := ring.Reseal(ctx)
	if err == nil {
		_, err = fmt.Fprintf(out, "%d keys and secrets were sealed anew.\n", n)
	}
	return err
}

type createSealingKey struct {
	Place string `arg:"" help:"File that must not exist, or a PKCS #11 URI (RFC 7512)."`
}

// Run makes the key.
func (c *createSealingKey) Run() error {
	if strings.HasPrefix(c.Place, hsm.Scheme) {
		return hsm.Create(c.Place)
	}
	return keyring.CreateSealingKey(c.Place)
}
