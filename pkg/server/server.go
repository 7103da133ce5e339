// Package server puts the parts together, top to bottom.
//
// It decides which parts a running Touchstone has and in which order they start
// and stop. It refuses to know what any part does; it is importable, so that
// tests start the real thing in process.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/admin"
	"github.com/touchstone-id/touchstone/pkg/attest/mds"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/fleet"
	"github.com/touchstone-id/touchstone/pkg/frontend"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/keyring"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/provider"
	"github.com/touchstone-id/touchstone/pkg/signin"
)

// Options say what to serve.
type Options struct {
	// Issuer is the issuer identifier: https, or http on localhost for development;
	// a path is served below it. Whatever else is served on that host is trusted as
	// much: browsers keep no secrets between the paths of an origin.
	Issuer string
	// DatabaseURL is a Postgres connection string; the schema must be migrated.
	DatabaseURL string
	// SealingKey has 32 bytes and seals signing keys and secrets, unless Sealer does.
	SealingKey []byte
	// Sealer, when not nil, takes the place of SealingKey.
	Sealer keyring.Sealer
	// PreviousSealers open signing keys that were sealed before.
	PreviousSealers []keyring.Sealer
	// Development lets signing keys rotate within seconds.
	Development bool
	// Trust is a trust file's text, and TrustName what errors call it. It is
	// applied when none ever was, or when ApplyTrust says so; otherwise the one
	// that was applied last stays in force. Empty leaves it to that one.
	Trust      []byte
	TrustName  string
	ApplyTrust bool
	// Metadata are the sources of FIDO metadata; without any, no model is known.
	Metadata []mds.Source
	// Playground, when not nil, offers the playground: in development only.
	Playground *frontend.Playground
	Log        zerolog.Logger
	// Anchors returns where the record's checkpoints are put out of the operator's
	// reach; nil is nowhere.
	Anchors func(*pgxpool.Pool) []audit.Anchor
	// Sinks are where the record is streamed to.
	Sinks []audit.Sink
	// Retain is the age at which entries of the record lose their personal part;
	// zero is never.
	Retain time.Duration
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Server is a running Touchstone without its listener.
type Server struct {
	Pool    *pgxpool.Pool
	Log     *audit.Log
	Ring    *keyring.Ring
	Clients *grant.Clients
	// Trust is the trust file in force.
	Trust *fleet.TrustFile
	// Metadata is the FIDO metadata in force.
	Metadata *mds.Keeper
	// Judge judges the stored credentials again when either changes.
	Judge    *fleet.Judge
	protocol *provider.Provider
	// Secrets that outlive sealing keys.
	cookieKey, pairwiseKey, auditSeed []byte
	sequencer                         *audit.Sequencer
	anchors                           *audit.Anchors
	basis                             atomic.Pointer[fleet.Basis]
	options                           Options
	handler                           http.Handler
	routes                            []string
}

// New opens the database and builds every part. The caller closes the server.
func New(ctx context.Context, o Options) (_ *Server, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Anchors == nil {
		o.Anchors = func(*pgxpool.Pool) []audit.Anchor { return nil }
	}
	issuer, err := url.Parse(o.Issuer)
	if err != nil || issuer.Host == "" {
		return nil, fmt.Errorf("issuer %q is not a URL", o.Issuer)
	}
	secure := issuer.Scheme == "https"
	if !secure && issuer.Hostname() != "localhost" {
		return nil, fmt.Errorf("issuer %q must be https; http is for localhost", o.Issuer)
	}
	if o.Playground != nil && !o.Development {
		return nil, errors.New("the playground, whose bench makes tokens and shows claims, is for development only")
	}
	// The libraries log through log/slog; the operator reads one stream.
	slog.SetDefault(slog.New(zerolog.NewSlogHandler(o.Log.Level(zerolog.WarnLevel))))

	s := &Server{options: o}
	if s.Pool, err = postgres.Open(ctx, o.DatabaseURL); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Pool.Close()
		}
	}()
	s.Log = audit.New(s.Pool)
	if err = s.openBasis(ctx); err != nil {
		return nil, err
	}
	if err = s.openRing(ctx); err != nil {
		return nil, err
	}
	signer, err := audit.OpenSigner(ctx, s.Pool, s.auditSeed, issuer.Host+issuer.Path+"/audit")
	if err != nil {
		return nil, err
	}
	s.sequencer = audit.NewSequencer(s.Pool, signer, o.Log, o.Now)
	s.anchors = audit.NewAnchors(s.Pool, o.Log, o.Anchors(s.Pool)...)
	if s.Clients, err = grant.OpenClients(ctx, s.Pool); err != nil {
		return nil, err
	}
	if err = s.Clients.DeclareClients(ctx, s.Log, o.Now(), s.Trust.Current()); err != nil {
		return nil, err
	}
	passkeys, err := passkey.New(passkey.Options{ID: issuer.Hostname(), Name: "Touchstone", Origin: issuer.Scheme + "://" + issuer.Host, Metadata: s.metadata, Trust: s.Trust.Current})
	if err != nil {
		return nil, err
	}
	flow := signin.New(signin.Options{Pool: s.Pool, Log: s.Log, Passkeys: passkeys, Trust: s.Trust.Current, Secure: secure, Path: issuer.Path, CookieKey: s.cookieKey, Now: o.Now})
	pages, err := frontend.New(frontend.Options{Issuer: o.Issuer, Pool: s.Pool, Log: s.Log, Passkeys: passkeys, SignIn: flow, Clients: s.Clients,
		Trust: s.Trust.Current, Logger: o.Log, Now: o.Now, Playground: o.Playground})
	if err != nil {
		return nil, err
	}
	protocol, err := provider.New(provider.Options{Issuer: o.Issuer, Pool: s.Pool, Log: s.Log, Ring: s.Ring, Clients: s.Clients, SignIn: flow,
		Trust: s.Trust.Current, ShowError: pages.Fail, PostForm: pages.PostForm, PairwiseKey: s.pairwiseKey, Logger: o.Log, Now: o.Now})
	if err != nil {
		return nil, err
	}
	search, err := audit.NewSearch(s.auditSeed)
	if err != nil {
		return nil, err
	}
	console, err := admin.New(admin.Options{Issuer: o.Issuer, Base: issuer.Path, Pool: s.Pool, Log: s.Log, Search: search, Ring: s.Ring, Clients: s.Clients, Metadata: s.Metadata,
		Passkeys: passkeys, SignIn: flow, Trust: s.Trust.Current, Preview: protocol.Preview, Asset: pages.Asset, Page: pages.Page, Now: o.Now})
	if err != nil {
		return nil, err
	}
	s.protocol = protocol
	s.handler = s.around(below(issuer.Path, route(protocol, pages, console, s.record())))
	s.routes = append(slices.Concat(protocol.Routes(), pages.Routes(), console.Routes()), "GET /healthz", "GET /audit/checkpoint", "GET /audit/tile/{path...}")
	return s, nil
}

// route sends the protocol's paths to the provider, the console's to the console,
// the record's to the record and all others to the pages.
func route(protocol *provider.Provider, pages *frontend.Frontend, console *admin.Console, record http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	mux.Handle("/console", console)
	mux.Handle("/console/", console)
	mux.Handle("GET /audit/checkpoint", record)
	mux.Handle("GET /audit/tile/{path...}", record)
	seen := map[string]bool{}
	for _, pattern := range protocol.Routes() {
		_, path, ok := strings.Cut(pattern, " ")
		if !ok {
			path = pattern
		}
		if !seen[path] {
			mux.Handle(path, protocol)
			seen[path] = true
		}
	}
	return mux
}

// ServeHTTP serves every route.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Routes lists every route's pattern.
func (s *Server) Routes() []string { return s.routes }

// Close gives the database up.
func (s *Server) Close() { s.Pool.Close() }

// sweepEvery is the pause between sweeps of what has expired.
const sweepEvery = time.Minute

// shutdownBound is how long requests under way may take when the server stops.
const shutdownBound = 10 * time.Second

// Run serves on the listener, follows changes that other replicas announce and
// sweeps, until the context ends; then it finishes what is under way.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.Ring.Watch(ctx, s.options.Log)
	go s.Clients.Watch(ctx, s.options.Log)
	go s.Trust.Watch(ctx, s.options.Log, func() { s.trustChanged(ctx) })
	go s.Metadata.Run(ctx, s.basisChanged)
	go s.Judge.Run(ctx)
	go s.protocol.DeliverLogouts(ctx)
	go s.sequencer.Run(ctx)
	go s.anchors.Run(ctx)
	go audit.NewStream(s.Pool, s.options.Log, s.options.Sinks...).Run(ctx)
	if s.options.Retain > 0 {
		go audit.NewRetention(s.Log, s.options.Retain, s.options.Log, s.options.Now).Run(ctx)
	}
	go s.sweep(ctx)
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownBound)
		defer cancel()
		stopped <- server.Shutdown(bound)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return <-stopped
}

// sweep removes what has expired, in small batches.
func (s *Server) sweep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepEvery):
		}
		_, err1 := passkey.Sweep(ctx, s.Pool, s.options.Now())
		_, err2 := grant.Sweep(ctx, s.Pool, s.options.Now())
		if err := errors.Join(err1, err2); err != nil && ctx.Err() == nil {
			s.options.Log.Warn().Err(err).Msg("sweep failed; it is tried again")
		}
	}
}
