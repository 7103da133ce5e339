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
		Views        []choice
		People       []personLine
		Next         string
		// Anybody says that there is somebody beside what was searched for.
		Anybody bool
	}{Search: strings.TrimSpace(in.Get("q")), Show: in.Get("show"), Views: views}
	rows, err := c.findPeople(v.r.Context(), data.Search, data.Show, v.rules.Group, in.Get("after"), in.Get("id"))
	if err != nil {
		return err
	}
	if len(rows) > peoplePage {
		rows = rows[:peoplePage]
		last := rows[peoplePage-1]
		data.Next = "?" + url.Values{"q": {data.Search}, "show": {data.Show}, "after": {last.Name}, "id": {string(last.ID)}}.Encode()
	}
	for _, p := range rows {
		data.People = append(data.People, personLine{p, badgesOf(p, v.rules.Group), v.at(p.UsedAt)})
	}
	data.Anybody = data.Search != "" || data.Show != ""
	return v.draw(c, http.StatusOK, "people", frame{Title: "People", Section: "people", Data: data})
}

// findPeople returns one more than stands on a page when there are more.
func (c *Console) findPeople(ctx context.Context, search, show, group, afterName, afterID string) ([]personRow, error) {
	rows, err := c.options.Pool.Query(ctx, `
		select id, name, display_name, status, groups, usable, paused, used_at from (
			select a.id, a.name, a.display_name, a.status, array(select group_name from account_group g where g.user_id = a.id order by 1) as groups,
				count(c.id) filter (where c.quarantined_at is null)::int as usable, count(c.id) filter (where c.quarantined_at is not null)::int as paused, max(c.last_used_at) as used_at
			from account a left join credential c on c.user_id = a.id and c.removed_at is null where a.status <> 'deleted' group by a.id) p
		where ($1 = '' or position(lower($1) in lower(name)) > 0 or position(lower($1) in lower(display_name)) > 0 or $1 = any(groups) or id = $1)
			and case $2 when 'one' then status = 'active' and usable = 1 when 'none' then status = 'active' and usable = 0 when 'paused' then paused > 0
				when 'suspended' then status = 'suspended' when 'administrators' then $3 = any(groups) else true end
			and ($5 = '' or (lower(name), id) > (lower($4), $5))
		order by lower(name), id limit $6`, search, show, group, afterName, afterID, peoplePage+1)
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
