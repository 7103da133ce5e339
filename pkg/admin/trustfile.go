package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// setting is a part of the trust file as a sentence, with whom it concerns now.
type setting struct {
	Name, Text string
	// Effect counts, and To leads to those who fall short.
	Effect badge
	To     string
	Lists  []string
}

type api struct {
	Title, Audience string
	Operations      []setting
}

// version is a trust file that was in force.
type version struct {
	ID        int64
	Version   string
	AppliedBy string
	At        time.Time
	Since     *moment
	Now       bool
}

// trustfile tells the trust file in force in sentences, each with its effect.
func (c *Console) trustfile(v *visit) error {
	ctx, t := v.r.Context(), c.options.Trust()
	m := &measure{c: c, ctx: ctx, t: t, known: map[string][2]int{}}
	data := struct {
		Version               string
		Levels, Rules, Others []setting
		APIs                  []api
		Versions              []version
	}{Version: t.Version}
	for _, l := range t.Levels {
		data.Levels = append(data.Levels, m.level(l))
	}
	for _, r := range t.Rules {
		data.Rules = append(data.Rules, m.rule(r, v.now))
	}
	for _, a := range t.APIs {
		shown := api{Title: a.Title, Audience: a.Audience}
		if len(a.Operations) == 0 {
			shown.Operations = append(shown.Operations, m.requirement("Every operation", a.Require, trust.Requirement{}))
		}
		for _, o := range a.Operations {
			title := o.Title
			if title == "" {
				title = o.Name
			}
			shown.Operations = append(shown.Operations, m.requirement(title, a.Require, o.Require))
		}
		data.APIs = append(data.APIs, shown)
	}
	data.Others = m.others(v.rules)
	if m.err != nil {
		return m.err
	}
	var err error
	if data.Versions, err = c.versions(v); err != nil {
		return err
	}
	return v.draw(c, http.StatusOK, "trust", frame{Title: "Trust file", Section: "trust", Data: data})
}

// measure counts whom settings concern; the same question is asked once.
type measure struct {
	c     *Console
	ctx   context.Context
	t     *trust.Trust
	known map[string][2]int
	err   error
}

// people returns how many active people, of the groups or of all, have a usable
// passkey with the facts and one of the levels, and how many there are.
func (m *measure) people(groups []string, facts claim.Facts, levels []string) (able, all int) {
	wanted := []string{}
	for _, f := range facts {
		if f != claim.FactUV { // of a sign-in, not of a passkey
			wanted = append(wanted, string(f))
		}
	}
	key := strings.Join(groups, "\n") + "\n\n" + strings.Join(wanted, "\n") + "\n\n" + strings.Join(levels, "\n")
	if n, ok := m.known[key]; ok || m.err != nil {
		return n[0], n[1]
	}
	var n [2]int
	m.err = m.c.options.Pool.QueryRow(m.ctx, `
		select count(*) filter (where exists (select from credential c where c.user_id = a.id and c.removed_at is null and c.quarantined_at is null and c.facts @> $2::text[] and ($3::text[] = '{}' or c.levels && $3)))::int, count(*)::int
		from account a where a.status = 'active' and ($1::text[] = '{}' or exists (select from account_group g where g.user_id = a.id and g.group_name = any($1)))`,
		none(groups), wanted, none(levels)).Scan(&n[0], &n[1])
	if m.err != nil {
		m.err = fmt.Errorf("count whom the trust file concerns: %w", m.err)
	}
	m.known[key] = n
	return n[0], n[1]
}

// none turns nil into an empty array.
func none(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}

func (m *measure) level(l trust.Level) setting {
	able, all := m.people(nil, nil, []string{l.Name})
	s := setting{Name: l.Name, Text: "Shows that " + strings.Join(kinds(claim.NewFacts(l.Facts...)), ", and that ") + ".", Effect: badge{"", fmt.Sprintf("Reached by %d of %s", able, count(all, "person"))}}
	if able < all {
		s.To = lacking(l.Name, "")
	}
	for _, p := range l.Models.Deny {
		s.Lists = append(s.Lists, "Never: "+p.String()+" (deny wins over allow)")
	}
	for _, p := range l.Models.Allow {
		s.Lists = append(s.Lists, "Allowed: "+p.String())
	}
	return s
}

// lacking leads to the people of a group, or all, who have no passkey of a level.
func lacking(level, group string) string {
	q := url.Values{"lacks": {level}}
	if group != "" {
		q.Set("group", group)
	}
	return "/people?" + q.Encode()
}

func (m *measure) rule(r trust.Rule, now time.Time) setting {
	who := "Everybody"
	if len(r.Groups) > 0 {
		who = "Members of " + strings.Join(r.Groups, ", ")
	}
	s := setting{Name: r.Name, To: lacking(r.Level, "")}
	if len(r.Groups) == 1 {
		s.To = lacking(r.Level, r.Groups[0])
	}
	must := who + " must have a passkey of level " + r.Level + " at " + strings.Join(r.At, " and ")
	switch {
	case r.Mode == trust.ModeMonitor:
		s.Text = must + ". Who has not is noted, and refused nothing."
	case r.Mode == trust.ModeWarn && now.Before(r.From):
		s.Text = must + ". Who has not is told, and refused from " + r.From.Format("2 January 2006") + " on."
	default:
		s.Text = must + ". Who has not is refused."
	}
	able, all := m.people(r.Groups, nil, []string{r.Level})
	switch {
	case all == 0:
		s.Effect, s.To = badge{"", "Concerns nobody now"}, ""
	case able == all:
		s.Effect, s.To = badge{"good", "Met by all of " + count(all, "person")}, ""
	default:
		s.Effect = badge{"bad", fmt.Sprintf("Not met by %d of %s", all-able, count(all, "person"))}
	}
	return s
}

// requirement tells what an operation asks for, its API's part included.
func (m *measure) requirement(title string, parts ...trust.Requirement) setting {
	s := setting{Name: title}
	var facts []claim.Fact
	var levels, words []string
	for _, r := range parts {
		facts = append(facts, m.t.Wanted(r)...)
		if r.Level != "" {
			words = append(words, "level "+r.Level)
			if m.t.ListsModels(r.Level) {
				levels = m.t.Accepting(r.Level)
			}
		}
		for _, f := range r.Facts {
			words = append(words, "that "+f.Meaning())
		}
		for _, scope := range r.Scopes {
			words = append(words, "the scope "+scope)
		}
		for _, role := range r.Roles {
			words = append(words, "the role "+role)
		}
		if r.MaxAge > 0 {
			words = append(words, "a sign-in of the last "+span(r.MaxAge))
		}
		if r.CertificateBound {
			words = append(words, "a token bound to the client's certificate")
		}
		if r.SingleUse {
			words = append(words, "a token for each call")
		}
		if r.Approval {
			words = append(words, "an approval of exactly that request")
		}
		if r.RateLimit.Calls > 0 {
			words = append(words, fmt.Sprintf("at most %s in %s", count(r.RateLimit.Calls, "call"), span(r.RateLimit.Period)))
		}
	}
	slices.Sort(words)
	if words = slices.Compact(words); len(words) == 0 {
		words = []string{"nothing beside a token for it"}
	}
	s.Text = "Asks for " + strings.Join(words, ", ") + "."
	able, all := m.people(nil, claim.NewFacts(facts...), levels)
	s.Effect = badge{"", fmt.Sprintf("In reach of %d of %s", able, count(all, "person"))}
	if able == 0 && all > 0 {
		s.Effect.Kind = "bad"
	}
	return s
}

// others tells the settings that are not lists.
func (m *measure) others(console trust.Console) []setting {
	able, all := m.people([]string{console.Group}, nil, []string{console.Level})
	entry := setting{Name: "Console", Text: fmt.Sprintf("Open to members of %s with a passkey of level %s, for %s after a sign-in.", console.Group, console.Level, span(console.MaxAge)),
		Effect: badge{"", fmt.Sprintf("In reach of %d of %s", able, count(all, "member"))}, To: "/people?show=administrators"}
	if able < 2 {
		entry.Effect = badge{"bad", entry.Effect.Text + ": one lost key closes it"}
	}
	keys := setting{Name: "Signing keys", Text: fmt.Sprintf("Published for %s before they sign, and rotated every %s.", span(m.t.Keys.PublishAhead), span(m.t.Keys.RotateEvery)), To: "/keys"}
	switch m.t.Keys.OnCompromise {
	case trust.KeysEmergency:
		keys.Text += " When a model in use is found compromised, every key that has signed is withdrawn."
	case trust.KeysRotate:
		keys.Text += " When a model in use is found compromised, another key signs from then on."
	default:
		keys.Text += " When a model in use is found compromised, they stay."
	}
	grace := setting{Name: "Metadata", Text: fmt.Sprintf("Counts as current for %s after its update was due.", span(m.t.MetadataGrace)), To: "/metadata"}
	for _, status := range slices.Sorted(maps.Keys(m.t.Consequences)) {
		if m.t.Consequences[status] == trust.ConsequenceSuspend {
			grace.Lists = append(grace.Lists, status+" pauses passkeys of the model")
		}
	}
	return []setting{entry, keys, grace}
}

// versions are the trust files that were in force, newest first.
func (c *Console) versions(v *visit) ([]version, error) {
	rows, err := c.options.Pool.Query(v.r.Context(), `select id, version, applied_by, applied_at as at from trust_file order by id desc limit 20`)
	if err != nil {
		return nil, fmt.Errorf("list trust files: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByNameLax[version])
	if err != nil {
		return nil, fmt.Errorf("list trust files: %w", err)
	}
	for i := range list {
		list[i].Since, list[i].Now = v.when(list[i].At), i == 0
	}
	return list, nil
}

// trusttext serves a trust file that was in force, as it was written.
func (c *Console) trusttext(v *visit) error {
	id, err := strconv.ParseInt(v.r.PathValue("id"), 10, 64)
	if err != nil {
		return denial.New(denial.PageNotFound, "no trust file %q", v.r.PathValue("id"))
	}
	var text, name string
	err = c.options.Pool.QueryRow(v.r.Context(), `select content, version from trust_file where id = $1`, id).Scan(&text, &name)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return denial.New(denial.PageNotFound, "no trust file %d", id)
	case err != nil:
		return fmt.Errorf("read trust file: %w", err)
	}
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	v.w.Header().Set("Content-Disposition", `inline; filename="trust-`+name+`.yaml"`)
	v.w.Write([]byte(text))
	return nil
}
