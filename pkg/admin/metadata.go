package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/attest/mds"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

type source struct {
	mds.Copy
	Digest      string
	State       badge
	Next, Since *moment
	Tried       *moment
}

type modelLine struct {
	Description, AAGUID string
	Vendors             string
	Enrolled            int
	Statuses            []badge
	// Levels are those that a passkey of the model can have that stays on it.
	Levels []badge
	// Rule names the entry of a level's list that keeps the model out.
	Rules []string
}

// modelsPage bounds how many models a search shows.
const modelsPage = 50

// metadata shows the BLOBs in use, and the catalogue of models that they know.
func (c *Console) metadata(v *visit) error {
	in := v.r.URL.Query()
	data := struct {
		Sources             []source
		Search, Level, Only string
		Levels              []string
		Models              []modelLine
		Found, Known        int
		Trust               string
	}{Search: strings.TrimSpace(in.Get("q")), Level: in.Get("level"), Only: in.Get("only"), Trust: c.options.Trust().Version}
	copies, err := mds.Copies(v.r.Context(), c.options.Pool)
	if err != nil {
		return err
	}
	for _, m := range copies {
		s := source{Copy: m, Digest: fmt.Sprintf("%x", m.SHA256), State: badge{"good", "Current"}, Next: v.when(m.NextUpdate), Since: v.when(m.VerifiedAt), Tried: v.when(m.TriedAt)}
		if v.now.After(m.NextUpdate) {
			s.State = badge{"bad", "Past its next update"}
		}
		if m.Failures > 0 {
			s.State = badge{"bad", "Not read " + count(m.Failures, "time")}
		}
		data.Sources = append(data.Sources, s)
	}
	for _, l := range c.options.Trust().Levels {
		data.Levels = append(data.Levels, l.Name)
	}
	enrolled, err := c.enrolledModels(v.r.Context())
	if err != nil {
		return err
	}
	set := c.options.Metadata.Current().With(c.options.Trust().PrivateModels)
	data.Known = set.Len()
	for _, e := range set.Entries() {
		if !matches(e, data.Search) || data.Only == "enrolled" && enrolled[e.AAGUID] == 0 {
			continue
		}
		line, levels := c.modelOf(v, set, e)
		line.Enrolled = enrolled[e.AAGUID]
		if data.Level != "" && !slices.Contains(levels, data.Level) {
			continue
		}
		if data.Found++; len(data.Models) < modelsPage {
			data.Models = append(data.Models, line)
		}
	}
	return v.draw(c, http.StatusOK, "metadata", frame{Title: "Metadata", Section: "metadata", Data: data})
}

// matches reports whether every word of a search stands in a model's name, its
// vendors' names or its AAGUID.
func matches(e attest.Entry, search string) bool {
	text := strings.ToLower(e.Description + " " + strings.Join(e.Vendors(), " ") + " " + e.AAGUID)
	for _, word := range strings.Fields(strings.ToLower(search)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// modelOf says what a passkey on this model would be worth today.
func (c *Console) modelOf(v *visit, set *mds.Set, e attest.Entry) (modelLine, []string) {
	line := modelLine{Description: e.Description, AAGUID: e.AAGUID, Vendors: strings.Join(e.Vendors(), ", ")}
	verdict := attest.Expect(e, set, attest.TermsOf(c.options.Trust()), v.now)
	for _, s := range e.Status {
		if !s.InForce(v.now) {
			continue
		}
		kind := ""
		if slices.Contains(verdict.Undesired, s.Status) {
			kind = "bad"
		}
		if b := (badge{kind, s.Status}); !slices.Contains(line.Statuses, b) {
			line.Statuses = append(line.Statuses, b)
		}
	}
	met, missed := c.options.Trust().LevelsOf(verdict.Authenticator())
	for _, l := range met {
		line.Levels = append(line.Levels, badge{"good", l})
	}
	for _, m := range missed {
		if m.Rule != "" {
			line.Rules = append(line.Rules, trust.Shortfall{Level: m.Level, Rule: m.Rule}.String())
		}
	}
	return line, met
}

// enrolledModels counts the passkeys of each proved model.
func (c *Console) enrolledModels(ctx context.Context) (map[string]int, error) {
	rows, err := c.options.Pool.Query(ctx, `select aaguid::text, count(*)::int from credential where removed_at is null and 'attested' = any(facts) group by 1`)
	if err != nil {
		return nil, fmt.Errorf("count enrolled models: %w", err)
	}
	counts := map[string]int{}
	var aaguid string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&aaguid, &n}, func() error { counts[aaguid] = n; return nil }); err != nil {
		return nil, fmt.Errorf("count enrolled models: %w", err)
	}
	return counts, nil
}
