package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/audit/record"
)

// anchorFlags say where the record's checkpoints are put out of the operator's
// reach, and where its entries are streamed to.
type anchorFlags struct {
	AuditFile    []string `help:"File that checkpoints of the record are appended to, on another machine or medium." placeholder:"FILE"`
	AuditURL     []string `name:"audit-url" help:"Address that checkpoints are posted to; one that ends in a slash is an object store, and each is put under a name of its own." placeholder:"URL"`
	AuditWebhook []string `help:"Address that entries are posted to as JSON Lines, at least once each; an Authorization header may follow after a space." placeholder:"URL"`
	AuditSyslog  []string `help:"Receiver of entries as CEF over syslog on TCP." placeholder:"HOST:PORT"`
	AuditWitness []string `help:"Witness that cosigns checkpoints: its address and its key, with a space between." placeholder:"URL KEY"`
}

// anchorBound is how long one call to an anchor may take.
const anchorBound = 10 * time.Second

// sinks reads where entries are streamed to.
func (f anchorFlags) sinks() []audit.Sink {
	var sinks []audit.Sink
	for _, text := range f.AuditWebhook {
		url, authorization, _ := strings.Cut(strings.TrimSpace(text), " ")
		sinks = append(sinks, audit.Webhook{URL: url, Authorization: strings.TrimSpace(authorization), Client: &http.Client{Timeout: anchorBound}})
	}
	for _, address := range f.AuditSyslog {
		sinks = append(sinks, audit.Syslog{Address: address})
	}
	return sinks
}

// anchors reads the flags.
func (f anchorFlags) anchors() (func(*pgxpool.Pool) []audit.Anchor, error) {
	client := &http.Client{Timeout: anchorBound}
	var fixed []audit.Anchor
	for _, path := range f.AuditFile {
		fixed = append(fixed, audit.FileAnchor{Path: path})
	}
	for _, url := range f.AuditURL {
		fixed = append(fixed, audit.HTTPAnchor{URL: url, Client: client})
	}
	var witnesses []audit.WitnessAnchor
	for _, text := range f.AuditWitness {
		url, key, ok := strings.Cut(strings.TrimSpace(text), " ")
		verifier, err := record.NewVerifier(strings.TrimSpace(key))
		if !ok || err != nil {
			return nil, fmt.Errorf("--audit-witness: want an address and a key with a space between: %w", err)
		}
		witnesses = append(witnesses, audit.WitnessAnchor{URL: url, Key: verifier, Client: client})
	}
	return func(pool *pgxpool.Pool) []audit.Anchor {
		all := append([]audit.Anchor{}, fixed...)
		for _, w := range witnesses {
			w.Pool = pool
			all = append(all, w)
		}
		return all
	}, nil
}
