package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

type clientCommand struct {
	List         listClients  `cmd:"" help:"List clients."`
	Create       createClient `cmd:"" help:"Register a client; a secret is printed once."`
	RotateSecret rotateSecret `cmd:"" help:"Add a secret, printed once; the older of two is dropped."`
	Show         showClient   `cmd:"" help:"Print a client's registration as JSON. Secrets are never shown."`
	Check        checkClient  `cmd:"" help:"Compare a client's registration with OAuth 2.1 and FAPI 2.0, with the fix for each point."`
	Delete       deleteClient `cmd:"" help:"Delete an operator's client and end its access."`
	Logouts      listLogouts  `cmd:"" help:"List back-channel logouts and what became of them."`
}

type listClients struct{ databaseFlags }

// Run prints a table.
func (c *listClients) Run(ctx context.Context, out io.Writer) error {
	pool, _, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	clients, err := grant.OpenClients(ctx, pool)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tKIND\tNAME\tSCOPES\tREDIRECT URIS")
	for _, c := range clients.All() {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", c.ID, c.Kind, c.Name, strings.Join(c.Scopes, " "), strings.Join(c.RedirectURIs, " "))
	}
	return w.Flush()
}

type createClient struct {
	ID                    string   `arg:"" help:"client_id."`
	Name                  string   `help:"What people read; the id by default."`
	Kind                  string   `default:"public" enum:"public,confidential,workload" help:"public, confidential or workload."`
	RedirectURI           []string `help:"Redirect URI; may be given more than once."`
	Scope                 []string `default:"openid" help:"Scope; may be given more than once."`
	Audience              []string `help:"Audience of an API the client may call; may be given more than once."`
	GrantType             []string `help:"Grant type; may be given more than once. By default authorization_code and refresh_token, or client_credentials for a workload."`
	FirstParty            bool     `help:"The client is the operator's own: people are not asked to agree."`
	AuthMethod            string   `help:"client_secret_basic, client_secret_post or private_key_jwt; a secret in header or body by default." enum:",client_secret_basic,client_secret_post,private_key_jwt" default:""`
	JWKSURI               string   `name:"jwks-uri" help:"Where the client publishes its keys, for private_key_jwt." placeholder:"URL"`
	PKCEExempt            bool     `name:"pkce-exempt" help:"Let a confidential client leave PKCE out and send a nonce."`
	IDTokenAlg            string   `name:"id-token-alg" help:"RS256, PS256, ES256 or EdDSA." enum:",RS256,PS256,ES256,EdDSA" default:""`
	LogoutURI             string   `name:"backchannel-logout-uri" help:"Where the client is told that a session ended." placeholder:"URL"`
	PostLogoutRedirectURI []string `help:"Post-logout redirect URI; may be given more than once."`
	Sector                string   `help:"Gives the client pairwise subjects, shared by the clients of a sector."`
	databaseFlags
}

// Run registers the client and prints its secret when it has one.
func (c *createClient) Run(ctx context.Context, out io.Writer) error {
	client := grant.Client{ID: grant.ClientID(c.ID), Name: c.Name, Kind: grant.Kind(c.Kind), RedirectURIs: c.RedirectURI, Scopes: c.Scope, Audiences: c.Audience,
		PostLogoutRedirectURIs: c.PostLogoutRedirectURI, GrantTypes: []string{"authorization_code", "refresh_token"},
		Settings: grant.Settings{FirstParty: c.FirstParty, AuthMethod: c.AuthMethod, JWKSURI: c.JWKSURI, PKCEExempt: c.PKCEExempt,
			IDTokenAlgorithm: c.IDTokenAlg, BackchannelLogoutURI: c.LogoutURI, Sector: c.Sector}}
	if client.Name == "" {
		client.Name = c.ID
	}
	if client.Kind == grant.Workload {
		client.GrantTypes = []string{"client_credentials"}
	}
	if c.GrantType != nil {
		client.GrantTypes = c.GrantType
	}
	return c.secret(ctx, out, audit.ClientCreated, c.ID, func(tx pgx.Tx) (secret.Value, error) { return grant.CreateClient(ctx, tx, client) })
}

type rotateSecret struct {
	ID string `arg:"" help:"client_id."`
	databaseFlags
}

// Run prints the new secret.
func (c *rotateSecret) Run(ctx context.Context, out io.Writer) error {
	return c.secret(ctx, out, audit.ClientChanged, c.ID, func(tx pgx.Tx) (secret.Value, error) { return grant.RotateSecret(ctx, tx, grant.ClientID(c.ID)) })
}

// secret runs an act on a client and prints the secret that it returns.
func (f databaseFlags) secret(ctx context.Context, out io.Writer, action audit.Action, id string, do func(pgx.Tx) (secret.Value, error)) error {
	pool, log, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	var s secret.Value
	err = log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		var err error
		s, err = do(tx)
		return audit.Event{Action: action, ClientID: id}, err
	})
	if err == nil && !s.Empty() {
		_, err = fmt.Fprintln(out, s.Reveal())
	}
	return err
}

type showClient struct {
	ID string `arg:"" help:"client_id."`
	databaseFlags
}

// client returns the registered client.
func (f databaseFlags) client(ctx context.Context, id string) (grant.Client, error) {
	pool, _, err := f.open(ctx)
	if err != nil {
		return grant.Client{}, err
	}
	defer pool.Close()
	clients, err := grant.OpenClients(ctx, pool)
	if err != nil {
		return grant.Client{}, err
	}
	c, ok := clients.Get(grant.ClientID(id))
	if !ok {
		return grant.Client{}, grant.ErrNoClient
	}
	return c, nil
}

// Run prints the registration.
func (c *showClient) Run(ctx context.Context, out io.Writer) error {
	client, err := c.client(ctx, c.ID)
	if err != nil {
		return err
	}
	secrets := len(client.SecretDigests)
	client.SecretDigests = nil
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		grant.Client
		LiveSecrets int
	}{client, secrets})
}

type checkClient struct {
	ID string `arg:"" help:"client_id."`
	databaseFlags
}

// Run prints one line a rule, and the score of each profile.
func (c *checkClient) Run(ctx context.Context, out io.Writer) error {
	client, err := c.client(ctx, c.ID)
	if err != nil {
		return err
	}
	met, all := map[string]int{}, map[string]int{}
	for _, p := range client.CheckUp() {
		all[p.Profile]++
		if p.Met {
			met[p.Profile]++
			fmt.Fprintf(out, "ok    %s: %s\n", p.Profile, p.Rule)
			continue
		}
		fmt.Fprintf(out, "fix   %s: %s\n      %s\n", p.Profile, p.Rule, p.Fix)
	}
	for _, profile := range []string{grant.ProfileOAuth21, grant.ProfileFAPI2} {
		fmt.Fprintf(out, "%s: %d of %d\n", profile, met[profile], all[profile])
	}
	return nil
}

type deleteClient struct {
	ID string `arg:"" help:"client_id."`
	databaseFlags
}

// Run deletes the client in one act with the end of its access.
func (c *deleteClient) Run(ctx context.Context) error {
	pool, log, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	return log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		return audit.Event{Action: audit.ClientDeleted, ClientID: c.ID}, grant.DeleteClient(ctx, tx, time.Now(), grant.ClientID(c.ID))
	})
}

type listLogouts struct {
	Number int `short:"n" default:"50" help:"How many."`
	databaseFlags
}

// Run prints a table, what is not delivered first.
func (c *listLogouts) Run(ctx context.Context, out io.Writer) error {
	pool, _, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	list, err := grant.Deliveries(ctx, pool, "", c.Number)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CLIENT\tSESSION\tSINCE\tATTEMPTS\tSTATE\tLAST ERROR")
	for _, d := range list {
		state := "waiting"
		switch {
		case d.DoneAt != nil:
			state = "delivered"
		case d.FailedAt != nil:
			state = "given up"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", d.ClientID, d.Session, d.CreatedAt.UTC().Format(time.RFC3339), d.Attempts, state, d.LastError)
	}
	return w.Flush()
}
