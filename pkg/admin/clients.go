package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
)

// kindWords say what each kind of client is.
var kindWords = map[grant.Kind]string{
	grant.Public:       "Runs in browsers or on devices; keeps no secret",
	grant.Confidential: "Runs on a server and acts for people",
	grant.Workload:     "Acts for itself",
}

// registered is what the registry says beside what it holds in memory.
type registered struct {
	ID                                grant.ClientID
	Origin                            string
	CreatedAt                         time.Time
	Grants, Consents, Failing, Failed int
}

type clientLine struct {
	grant.Client
	registered
	What   string
	Badges []badge
}

// clients lists the applications and services.
func (c *Console) clients(v *visit) error {
	data := struct {
		Search  string
		Clients []clientLine
		Any     bool
	}{Search: strings.TrimSpace(v.r.URL.Query().Get("q"))}
	known, err := c.registry(v.r.Context(), v.now)
	if err != nil {
		return err
	}
	for _, k := range c.options.Clients.All() {
		data.Any = true
		if text := strings.ToLower(string(k.ID) + " " + k.Name); data.Search == "" || strings.Contains(text, strings.ToLower(data.Search)) {
			data.Clients = append(data.Clients, clientLine{k, known[k.ID], kindWords[k.Kind], flags(k, known[k.ID])})
		}
	}
	return v.draw(c, http.StatusOK, "clients", frame{Title: "Clients", Section: "clients", Data: data})
}

func (c *Console) registry(ctx context.Context, now time.Time) (map[grant.ClientID]registered, error) {
	rows, err := c.options.Pool.Query(ctx, `
		select c.id, c.origin, c.created_at,
			(select count(*)::int from access_grant g where g.client_id = c.id and g.revoked_at is null and g.expires_at > $1) as grants,
			(select count(*)::int from consent n where n.client_id = c.id) as consents,
			(select count(*)::int from logout_delivery d where d.client_id = c.id and d.done_at is null and d.failed_at is null and d.attempts > 0) as failing,
			(select count(*)::int from logout_delivery d where d.client_id = c.id and d.failed_at is not null) as failed
		from client c where c.deleted_at is null`, now)
	if err != nil {
		return nil, fmt.Errorf("read the registry: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[registered])
	if err != nil {
		return nil, fmt.Errorf("read the registry: %w", err)
	}
	byID := map[grant.ClientID]registered{}
	for _, r := range list {
		byID[r.ID] = r
	}
	return byID, nil
}

// flags say in words what deserves a look about a client.
func flags(k grant.Client, r registered) []badge {
	var list []badge
	if k.Settings.PKCEExempt {
		list = append(list, badge{"bad", "Exempt from PKCE"})
	}
	if len(k.SecretDigests) > 1 {
		list = append(list, badge{"bad", "Two secrets live"})
	}
	if k.Settings.FirstParty {
		list = append(list, badge{"", "Our own: people are not asked to agree"})
	}
	unmet := 0
	for _, p := range k.CheckUp() {
		if p.Profile == grant.ProfileOAuth21 && !p.Met {
			unmet++
		}
	}
	if unmet > 0 {
		list = append(list, badge{"bad", count(unmet, "rule") + " of OAuth 2.1 not met"})
	} else {
		list = append(list, badge{"good", "Meets OAuth 2.1"})
	}
	if r.Failed > 0 {
		list = append(list, badge{"bad", count(r.Failed, "logout") + " given up"})
	}
	if r.Failing > 0 {
		list = append(list, badge{"bad", count(r.Failing, "logout") + " being retried"})
	}
	return list
}

// profile is a client's check-up against one profile.
type profile struct {
	Name     string
	Met, All int
	Points   []grant.Point
}

type delivery struct {
	grant.Delivery
	State badge
	Since *moment
}

// registeredClient is the client that the address names.
func (c *Console) registeredClient(v *visit) (grant.Client, registered, error) {
	k, ok := c.options.Clients.Get(grant.ClientID(v.r.PathValue("id")))
	if !ok {
		return k, registered{}, denial.New(denial.PageNotFound, "no client %q", v.r.PathValue("id"))
	}
	known, err := c.registry(v.r.Context(), v.now)
	return k, known[k.ID], err
}

// deliveries is how many back-channel logouts stand on a client's page.
const deliveries = 20

// client shows one client's registration, its check-up and what became of its logouts.
func (c *Console) client(v *visit) error {
	k, r, err := c.registeredClient(v)
	if err != nil {
		return err
	}
	data := struct {
		clientLine
		Secrets           int
		KeepsSecret       bool
		Declared          bool
		Since             *moment
		Issuer, Discovery string
		Profiles          []profile
		Deliveries        []delivery
		APIs              []string
		Entries           []line
	}{clientLine: clientLine{k, r, kindWords[k.Kind], flags(k, r)}, Secrets: len(k.SecretDigests), KeepsSecret: keepsSecret(k), Declared: r.Origin == grant.OriginTrustFile, Since: v.when(r.CreatedAt),
		Issuer: c.options.Issuer, Discovery: c.options.Issuer + "/.well-known/openid-configuration", Profiles: profiles(k), APIs: k.Audiences}
	list, err := grant.Deliveries(v.r.Context(), c.options.Pool, k.ID, deliveries)
	if err != nil {
		return err
	}
	for _, d := range list {
		data.Deliveries = append(data.Deliveries, delivery{d, stateOf(d), v.when(d.CreatedAt)})
	}
	page, err := c.options.Search.Page(v.r.Context(), c.options.Pool, audit.Query{ClientID: string(k.ID), Limit: recent})
	if err != nil {
		return err
	}
	if data.Entries, err = c.lines(v.r.Context(), v, page.Entries); err != nil {
		return err
	}
	return v.draw(c, http.StatusOK, "client", frame{Title: k.Name, Section: "clients", Copies: true, Data: data})
}

func profiles(k grant.Client) []profile {
	list := []profile{{Name: grant.ProfileOAuth21}, {Name: grant.ProfileFAPI2}}
	for _, p := range k.CheckUp() {
		i := slices.IndexFunc(list, func(q profile) bool { return q.Name == p.Profile })
		list[i].All++
		if p.Met {
			list[i].Met++
		}
		list[i].Points = append(list[i].Points, p)
	}
	return list
}

func stateOf(d grant.Delivery) badge {
	switch {
	case d.DoneAt != nil:
		return badge{"good", "Delivered"}
	case d.FailedAt != nil:
		return badge{"bad", "Given up after " + count(d.Attempts, "attempt")}
	case d.Attempts > 0:
		return badge{"bad", "Being retried after " + count(d.Attempts, "attempt")}
	}
	return badge{"", "Waiting"}
}

func (c *Console) askSecret(v *visit) (question, error) {
	k, _, err := c.registeredClient(v)
	if err != nil || !keepsSecret(k) {
		return question{}, notNow(err, "%s keeps no secret", k.ID)
	}
	q := question{Section: "clients", Back: clientAt(k.ID), Title: "A new secret for " + k.Name, Button: "Make a new secret",
		Lead:   "It is shown once. The one in use stays valid beside it, so that nothing stops while you roll the new one out.",
		Impact: []string{"When every instance has the new one, rotate again: that drops the old one."}}
	switch len(k.SecretDigests) {
	case 0:
		q.Lead, q.Impact = "It is shown once. The client has none yet.", nil
	case 2:
		q.Grave = true
		q.Impact = []string{"Two secrets live now. The older stops working at once: whoever still uses it is cut off."}
	}
	return q, nil
}

// clientAt is where a client's page is, below the console's front. An id may be a URL.
func clientAt(id grant.ClientID) string { return "/clients/" + url.PathEscape(string(id)) }

// keepsSecret reports whether a client proves itself with a secret.
func keepsSecret(k grant.Client) bool {
	return k.Kind != grant.Public && k.Settings.AuthMethod != grant.AuthPrivateKeyJWT
}

func (c *Console) rotateSecret(v *visit, tx pgx.Tx) (audit.Event, error) {
	id := grant.ClientID(v.r.PathValue("id"))
	var err error
	v.made, err = grant.RotateSecret(v.r.Context(), tx, id)
	return audit.Event{Action: audit.ClientChanged, ClientID: string(id)}, err
}

func (c *Console) showSecret(v *visit) *shown {
	return &shown{Section: "clients", Title: "The new secret of " + v.r.PathValue("id"), Lead: "It is shown this once and kept only as a hash.", Label: "Client secret",
		Text: v.made.Reveal(), Back: clientAt(grant.ClientID(v.r.PathValue("id"))), Notes: []string{"Put it where the client reads it, and nowhere else.", "When every instance has it, rotate again to drop the old one."}}
}

// reload brings the registry of this replica up to date at once; the others
// follow. When it cannot be read, this one follows as they do.
func (c *Console) reload(v *visit) {
	_ = c.options.Clients.Reload(v.r.Context())
}

func (c *Console) askDelete(v *visit) (question, error) {
	k, r, err := c.registeredClient(v)
	if err != nil || r.Origin == grant.OriginTrustFile {
		return question{}, notNow(err, "%s belongs to the trust file", k.ID)
	}
	return question{Section: "clients", Back: "/clients", Title: "Delete the client " + k.Name + "?", Button: "Delete " + k.Name, Grave: true,
		Lead:   "It can ask for nothing any more, from the next request on. Its id cannot be used again.",
		Impact: []string{"The access that " + count(r.Grants, "grant") + " gave it ends.", count(r.Consents, "person") + " agreed to give it something."}}, nil
}

func (c *Console) deleteClient(v *visit, tx pgx.Tx) (audit.Event, error) {
	id := v.r.PathValue("id")
	return audit.Event{Action: audit.ClientDeleted, ClientID: id}, grant.DeleteClient(v.r.Context(), tx, v.now, grant.ClientID(id))
}
