package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
)

// peoplePage is how many people stand on a page.
const peoplePage = 50

// views are parts of the people that one may look at.
var views = []choice{{"", "Everybody"}, {"administrators", "Administrators"}, {"one", "With a single passkey"}, {"none", "Without a usable passkey"},
	{"paused", "With a paused passkey"}, {"suspended", "Suspended"}}

type personRow struct {
	ID                account.ID
	Name, DisplayName string
	Status            string
	Groups            []string
	Usable, Paused    int
	UsedAt            *time.Time
}

type personLine struct {
	personRow
	Badges []badge
	Used   *moment
}

// people lists who may sign in.
func (c *Console) people(v *visit) error {
	in := v.r.URL.Query()
	data := struct {
		Search, Show string
		// Model is the AAGUID of a model that they have proved; its name is ModelName.
		Model, ModelName string
		// Lacks is a level of which they have no usable passkey, Group one that they are in.
		Lacks, Group string
		Views        []choice
		People       []personLine
		Next         string
		// Anybody says that there is somebody beside what was searched for.
		Anybody bool
	}{Search: strings.TrimSpace(in.Get("q")), Show: in.Get("show"), Model: in.Get("model"), Lacks: in.Get("lacks"), Group: in.Get("group"), Views: views}
	if e, ok := c.options.Metadata.Current().With(c.options.Trust().PrivateModels).Lookup(data.Model); ok {
		data.ModelName = e.Description
	}
	rows, err := c.findPeople(v.r.Context(), found{data.Search, data.Show, data.Model, data.Lacks, data.Group, v.rules.Group, in.Get("after"), in.Get("id")})
	if err != nil {
		return err
	}
	if len(rows) > peoplePage {
		rows = rows[:peoplePage]
		last := rows[peoplePage-1]
		data.Next = "?" + url.Values{"q": {data.Search}, "show": {data.Show}, "model": {data.Model}, "lacks": {data.Lacks}, "group": {data.Group}, "after": {last.Name}, "id": {string(last.ID)}}.Encode()
	}
	for _, p := range rows {
		data.People = append(data.People, personLine{p, badgesOf(p, v.rules.Group), v.at(p.UsedAt)})
	}
	data.Anybody = data.Search != "" || data.Show != "" || data.Model != "" || data.Lacks != "" || data.Group != ""
	return v.draw(c, http.StatusOK, "people", frame{Title: "People", Section: "people", Data: data})
}

// found is what people are found by; empty fields find everybody.
type found struct {
	search, show, model, lacks, group string
	// administrators is the name of their group.
	administrators     string
	afterName, afterID string
}

// findPeople returns one more than stands on a page when there are more.
func (c *Console) findPeople(ctx context.Context, f found) ([]personRow, error) {
	rows, err := c.options.Pool.Query(ctx, `
		select a.id, a.name, a.display_name, a.status, array(select group_name from account_group g where g.user_id = a.id order by 1) as groups, k.usable, k.paused, k.used_at
		from account a cross join lateral (
			select count(*) filter (where c.quarantined_at is null)::int as usable, count(*) filter (where c.quarantined_at is not null)::int as paused, max(c.last_used_at) as used_at
			from credential c where c.user_id = a.id and c.removed_at is null) k
		where a.status <> 'deleted'
			and ($1 = '' or position(lower($1) in lower(a.name)) > 0 or position(lower($1) in lower(a.display_name)) > 0 or a.id = $1
				or exists (select from account_group g where g.user_id = a.id and g.group_name = $1))
			and case $2 when 'one' then a.status = 'active' and k.usable = 1 when 'none' then a.status = 'active' and k.usable = 0 when 'paused' then k.paused > 0
				when 'suspended' then a.status = 'suspended' when 'administrators' then exists (select from account_group g where g.user_id = a.id and g.group_name = $3) else true end
			and ($4 = '' or exists (select from credential c where c.user_id = a.id and c.removed_at is null and c.aaguid::text = $4 and 'attested' = any(c.facts)))
			and ($8 = '' or a.status = 'active' and not exists (select from credential c where c.user_id = a.id and c.removed_at is null and c.quarantined_at is null and $8 = any(c.levels)))
			and ($9 = '' or exists (select from account_group g where g.user_id = a.id and g.group_name = $9))
			and ($6 = '' or (lower(a.name), a.id) > (lower($5), $6))
		order by lower(a.name), a.id limit $7`, f.search, f.show, f.administrators, f.model, f.afterName, f.afterID, peoplePage+1, f.lacks, f.group)
	if err == nil {
		var list []personRow
		if list, err = pgx.CollectRows(rows, pgx.RowToStructByName[personRow]); err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("find people: %w", err)
}

// badgesOf says in words what to know about a person.
func badgesOf(p personRow, group string) []badge {
	var list []badge
	for _, g := range p.Groups {
		if g == group {
			list = append(list, badge{"", "Administrator"})
		}
	}
	switch {
	case p.Status == account.StatusSuspended:
		list = append(list, badge{"bad", "Suspended"})
	case p.Usable == 0:
		list = append(list, badge{"bad", "No usable passkey"})
	case p.Usable == 1:
		list = append(list, badge{"", "A single passkey"})
	default:
		list = append(list, badge{"good", count(p.Usable, "passkey")})
	}
	if p.Paused > 0 {
		list = append(list, badge{"bad", count(p.Paused, "passkey") + " paused"})
	}
	return list
}
