package grant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/secret"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// clientChannel tells replicas that a client changed.
const clientChannel = "client_changed"

// clientPollInterval bounds how long a replica may miss a change when
// notifications fail.
const clientPollInterval = time.Minute

// Origins of a client's registration.
const (
	OriginTrustFile = "trust_file"
	OriginOperator  = "operator"
)

// Clients is the registry, held in memory: looking a client up costs no I/O.
type Clients struct {
	pool    *pgxpool.Pool
	current atomic.Pointer[registry]
}

// registry is one reading of the clients, ready for look-ups.
type registry struct {
	byID map[ClientID]Client
	// origins are those of the redirect URIs of public clients.
	origins map[string]bool
	// algorithms are those that clients want their ID tokens signed with.
	algorithms map[string]bool
}

// OpenClients loads the registry.
func OpenClients(ctx context.Context, pool *pgxpool.Pool) (*Clients, error) {
	c := &Clients{pool: pool}
	return c, c.Reload(ctx)
}

// Get returns the client.
func (c *Clients) Get(id ClientID) (Client, bool) {
	client, ok := c.current.Load().byID[id]
	return client, ok
}

// HasOrigin reports whether a public client has a redirect URI of this origin:
// its scripts may then read what we answer.
func (c *Clients) HasOrigin(origin string) bool { return c.current.Load().origins[origin] }

// WantsIDTokens reports whether a client wants its ID tokens signed with the
// algorithm.
func (c *Clients) WantsIDTokens(alg string) bool { return c.current.Load().algorithms[alg] }

// All returns every client, by id.
func (c *Clients) All() []Client {
	all := make([]Client, 0)
	for _, client := range c.current.Load().byID {
		all = append(all, client)
	}
	slices.SortFunc(all, func(a, b Client) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	return all
}

// Reload reads the registry again. Until it succeeds the old one stays.
func (c *Clients) Reload(ctx context.Context) error {
	rows, err := c.pool.Query(ctx, `
		select id, name, kind, secret_digests, redirect_uris, post_logout_redirect_uris, grant_types, scopes, audiences, settings
		from client where deleted_at is null`)
	if err != nil {
		return fmt.Errorf("read clients: %w", err)
	}
	clients, err := pgx.CollectRows(rows, pgx.RowToStructByName[Client])
	if err != nil {
		return fmt.Errorf("read clients: %w", err)
	}
	read := registry{byID: make(map[ClientID]Client, len(clients)), origins: map[string]bool{}, algorithms: map[string]bool{}}
	for _, client := range clients {
		read.byID[client.ID] = client
		read.algorithms[client.Settings.IDTokenAlgorithm] = true
		for _, uri := range client.RedirectURIs {
			if u, err := url.Parse(uri); err == nil && client.Kind == Public && (u.Scheme == "https" || u.Scheme == "http") {
				read.origins[u.Scheme+"://"+u.Host] = true
			}
		}
	}
	c.current.Store(&read)
	return nil
}

// Watch keeps the registry up to date until the context ends.
func (c *Clients) Watch(ctx context.Context, log zerolog.Logger) {
	postgres.Listen(ctx, c.pool, clientChannel,
		func() time.Duration { return clientPollInterval },
		func() {
			if err := c.Reload(ctx); err != nil && ctx.Err() == nil {
				log.Error().Err(err).Msg("clients could not be reloaded; the last good ones stay in use")
			}
		},
		func(err error) { log.Warn().Err(err).Msg("clients: notifications interrupted") })
}

// ErrClientExists is returned when the id of a new client is taken.
var ErrClientExists = errors.New("a client with this id already exists")

// CreateClient registers an operator's client inside the act that records it. The
// error is a Misregistered when it may not be, ErrClientExists when its id is taken.
// For confidential and workload clients it makes a secret, returned once.
func CreateClient(ctx context.Context, tx pgx.Tx, c Client) (secret.Value, error) {
	var s secret.Value
	if err := c.check(); err != nil {
		return s, err
	}
	c.SecretDigests = [][]byte{}
	if c.Kind != Public && c.Settings.AuthMethod != AuthPrivateKeyJWT {
		s = secret.New()
		c.SecretDigests = [][]byte{s.Digest()}
	}
	tag, err := tx.Exec(ctx, `
		insert into client (id, name, kind, origin, secret_digests, redirect_uris, post_logout_redirect_uris, grant_types, scopes, audiences, settings)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) on conflict (id) do nothing`,
		c.ID, c.Name, c.Kind, OriginOperator, c.SecretDigests, list(c.RedirectURIs), list(c.PostLogoutRedirectURIs), list(c.GrantTypes), list(c.Scopes), list(c.Audiences), c.Settings)
	if err != nil {
		return secret.Value{}, fmt.Errorf("create client: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return secret.Value{}, ErrClientExists
	}
	return s, announceClients(ctx, tx)
}

// maxLiveSecrets lets an old and a new secret live side by side during rotation.
const maxLiveSecrets = 2

// RotateSecret adds a secret to a client, returned once; the older of two is dropped.
func RotateSecret(ctx context.Context, tx pgx.Tx, id ClientID) (secret.Value, error) {
	var digests [][]byte
	err := tx.QueryRow(ctx, `select secret_digests from client where id = $1 and kind <> 'public' and deleted_at is null for update`, id).Scan(&digests)
	if errors.Is(err, pgx.ErrNoRows) {
		return secret.Value{}, fmt.Errorf("no client %q that keeps a secret", id)
	}
	if err != nil {
		return secret.Value{}, fmt.Errorf("rotate client secret: %w", err)
	}
	s := secret.New()
	digests = append(digests, s.Digest())
	if len(digests) > maxLiveSecrets {
		digests = digests[len(digests)-maxLiveSecrets:]
	}
	if _, err := tx.Exec(ctx, `update client set secret_digests = $2 where id = $1`, id, digests); err != nil {
		return secret.Value{}, fmt.Errorf("rotate client secret: %w", err)
	}
	return s, announceClients(ctx, tx)
}

// Declare brings the registry in line with the clients of the trust file,
// inside one act: new ones are added, changed ones updated with their secrets
// kept, and those that the file no longer names are deleted and their grants
// revoked. It returns the ids that changed; none means that nothing was written.
func Declare(ctx context.Context, tx pgx.Tx, now time.Time, t *trust.Trust) ([]ClientID, error) {
	var changed []ClientID
	ids := make([]string, 0, len(t.Clients))
	for _, declared := range t.Clients {
		c := fromTrust(t, declared)
		ids = append(ids, declared.ID)
		var id ClientID
		err := tx.QueryRow(ctx, `
			insert into client as c (id, name, kind, origin, redirect_uris, post_logout_redirect_uris, grant_types, scopes, audiences, settings)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			on conflict (id) do update set name = excluded.name, kind = excluded.kind, origin = excluded.origin,
				redirect_uris = excluded.redirect_uris, post_logout_redirect_uris = excluded.post_logout_redirect_uris,
				grant_types = excluded.grant_types, scopes = excluded.scopes, audiences = excluded.audiences, settings = excluded.settings, deleted_at = null
			where (c.name, c.kind, c.origin, c.redirect_uris, c.post_logout_redirect_uris, c.grant_types, c.scopes, c.audiences, c.settings, c.deleted_at)
				is distinct from (excluded.name, excluded.kind, excluded.origin, excluded.redirect_uris, excluded.post_logout_redirect_uris,
				excluded.grant_types, excluded.scopes, excluded.audiences, excluded.settings, null)
			returning id`,
			c.ID, c.Name, c.Kind, OriginTrustFile, list(c.RedirectURIs), list(c.PostLogoutRedirectURIs), list(c.GrantTypes), list(c.Scopes), list(c.Audiences), c.Settings).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("declare client %s: %w", c.ID, err)
		}
		changed = append(changed, id)
	}
	rows, err := tx.Query(ctx, `
		update client set deleted_at = $1, secret_digests = '{}'
		where origin = $2 and deleted_at is null and not (id = any($3)) returning id`, now, OriginTrustFile, ids)
	if err != nil {
		return nil, fmt.Errorf("delete undeclared clients: %w", err)
	}
	gone, err := pgx.CollectRows(rows, pgx.RowTo[ClientID])
	if err != nil {
		return nil, fmt.Errorf("delete undeclared clients: %w", err)
	}
	for _, id := range gone {
		if err := revokeClient(ctx, tx, now, id); err != nil {
			return nil, err
		}
	}
	if changed = append(changed, gone...); len(changed) == 0 {
		return nil, nil
	}
	return changed, announceClients(ctx, tx)
}

// DeclareClients runs Declare as an act of its own and reloads the registry.
func (c *Clients) DeclareClients(ctx context.Context, log *audit.Log, now time.Time, t *trust.Trust) error {
	errNothing := errors.New("nothing to declare")
	err := log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		changed, err := Declare(ctx, tx, now, t)
		if err != nil {
			return audit.Event{}, err
		}
		if len(changed) == 0 {
			return audit.Event{}, errNothing
		}
		ids, err := json.Marshal(changed)
		return audit.Event{Action: audit.ClientsDeclared, Details: map[string]string{"trust_version": t.Version, "clients": string(ids)}}, err
	})
	if err != nil && !errors.Is(err, errNothing) {
		return err
	}
	return c.Reload(ctx)
}

// fromTrust translates a declaration.
func fromTrust(t *trust.Trust, d trust.Client) Client {
	c := Client{ID: ClientID(d.ID), Name: d.Name, Kind: Kind(d.Kind), RedirectURIs: d.RedirectURIs,
		PostLogoutRedirectURIs: d.PostLogoutRedirectURIs, GrantTypes: d.GrantTypes, Scopes: d.Scopes,
		Settings: Settings{FirstParty: d.FirstParty, AuthMethod: d.AuthMethod, JWKS: d.JWKS, JWKSURI: d.JWKSURI, PKCEExempt: d.PKCEExempt,
			IDTokenAlgorithm: d.IDTokenAlgorithm, BackchannelLogoutURI: d.BackchannelLogoutURI, Sector: d.Sector, TokenLifetime: d.TokenLifetime}}
	for _, a := range t.APIs {
		if slices.Contains(d.APIs, a.Name) {
			c.Audiences = append(c.Audiences, a.Audience)
		}
		if slices.Contains(d.Serves, a.Name) {
			c.Settings.Serves = append(c.Settings.Serves, a.Audience)
		}
	}
	return c
}

// announceClients tells every replica once the transaction commits.
func announceClients(ctx context.Context, q postgres.Querier) error {
	if _, err := q.Exec(ctx, `select pg_notify($1, '')`, clientChannel); err != nil {
		return fmt.Errorf("announce client change: %w", err)
	}
	return nil
}

// list turns nil into an empty array, which the columns ask for.
func list(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}

// ErrNoClient is returned when nobody has the id.
var ErrNoClient = errors.New("no client with this id")

// DeleteClient removes an operator's client and ends its grants, inside the act
// that records it. One that the trust file declares is deleted there.
func DeleteClient(ctx context.Context, tx pgx.Tx, now time.Time, id ClientID) error {
	var origin string
	err := tx.QueryRow(ctx, `select origin from client where id = $1 and deleted_at is null for update`, id).Scan(&origin)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return ErrNoClient
	case err != nil:
		return fmt.Errorf("delete client: %w", err)
	case origin == OriginTrustFile:
		return errors.New("the trust file declares this client: take it out there")
	}
	if _, err := tx.Exec(ctx, `update client set deleted_at = $2, secret_digests = '{}' where id = $1`, id, now); err != nil {
		return fmt.Errorf("delete client: %w", err)
	}
	if err := revokeClient(ctx, tx, now, id); err != nil {
		return err
	}
	return announceClients(ctx, tx)
}
