package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/audit/record"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// anchorFlags say where the record's checkpoints are put out of the operator's
// reach, and where its entries are streamed to.
type anchorFlags struct {
	AuditFile    []string `help:"File that checkpoints of the record are appended to, on another machine or medium." placeholder:"FILE"`
	AuditURL     []string `name:"audit-url" help:"Address that checkpoints are posted to; one that ends in a slash is an object store, and each is put under a name of its own." placeholder:"URL"`
	AuditS3      []string `name:"audit-s3" help:"Bucket with object lock that checkpoints are locked in, in path style, with a prefix when there is one. The credentials are those of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN." placeholder:"URL"`
	AuditRegion  string   `name:"audit-s3-region" default:"us-east-1" help:"Region of the buckets."`
	AuditKeep    int      `name:"audit-s3-days" default:"3650" help:"For how many days a checkpoint is locked. Nobody can shorten it."`
	AuditWebhook []string `help:"Address that entries are posted to as JSON Lines, at least once each; an Authorization header may follow after a space." placeholder:"URL"`
	AuditSyslog  []string `help:"Receiver of entries as CEF over syslog: tls://HOST:PORT (RFC 5425), or HOST:PORT for plain TCP on the same machine." placeholder:"ADDRESS"`
	AuditRetain  int      `name:"audit-retain-days" help:"After how many days entries of the record lose their personal part; by default never. Proofs stay valid." placeholder:"DAYS"`
	AuditWitness []string `help:"Witness that cosigns checkpoints: its address and its key, with a space between." placeholder:"URL KEY"`
}

// anchorBound is how long one call to an anchor may take.
const anchorBound = 10 * time.Second

// retain is the age at which entries lose their personal part.
func (f anchorFlags) retain() time.Duration { return time.Duration(f.AuditRetain) * 24 * time.Hour }

// sinks reads where entries are streamed to.
func (f anchorFlags) sinks() []audit.Sink {
	var sinks []audit.Sink
	for _, text := range f.AuditWebhook {
		url, authorization, _ := strings.Cut(strings.TrimSpace(text), " ")
		sinks = append(sinks, audit.Webhook{URL: url, Authorization: strings.TrimSpace(authorization), Client: &http.Client{Timeout: anchorBound}})
	}
	for _, address := range f.AuditSyslog {
		sink := audit.Syslog{Address: address}
		if host, ok := strings.CutPrefix(address, "tls://"); ok {
			sink = audit.Syslog{Address: host, TLS: &tls.Config{MinVersion: tls.VersionTLS12}}
		}
		sinks = append(sinks, sink)
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
	for _, url := range f.AuditS3 {
		a := audit.ObjectLockAnchor{URL: url, Region: f.AuditRegion, KeyID: os.Getenv("AWS_ACCESS_KEY_ID"), Secret: secret.Of(os.Getenv("AWS_SECRET_ACCESS_KEY")), Session: secret.Of(os.Getenv("AWS_SESSION_TOKEN")),
			Keep: time.Duration(f.AuditKeep) * 24 * time.Hour, Client: client, Now: time.Now}
		if a.KeyID == "" || a.Secret.Empty() || f.AuditKeep < 1 {
			return nil, errors.New("--audit-s3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and lock for a day at least")
		}
		fixed = append(fixed, a)
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
