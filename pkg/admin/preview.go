package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/signin"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// operation is what the trust file says of a token at one operation of an API.
type operation struct {
	Title string
	State badge
	// Lacks says what the token does not show.
	Lacks []string
}

// preview shows the claims that a client would get for a person from their newest
// sign-in, and what the trust file's requirements make of them. No token comes of it.
func (c *Console) preview(v *visit) error {
	k, _, err := c.registeredClient(v)
	if err != nil {
		return err
	}
	in := v.r.URL.Query()
	data := struct {
		grant.Client
		Person, API string
		APIs        []choice
		Workload    bool
		Problem     string
		Claims      string
		Operations  []operation
		SignedIn    *moment
	}{Client: k, Person: strings.TrimSpace(in.Get("person")), API: in.Get("api"), Workload: k.Kind == grant.Workload}
	for _, a := range c.options.Trust().APIs {
		if k.AllowsAudience(a.Audience) {
			data.APIs = append(data.APIs, choice{a.Audience, a.Title})
		}
	}
	if !slices.ContainsFunc(data.APIs, func(a choice) bool { return a.Value == data.API }) {
		data.API = ""
	}
	if data.API == "" && len(data.APIs) > 0 {
		data.API = data.APIs[0].Value
	}
	g := grant.Grant{ClientID: k.ID, Scopes: k.Scopes, Audience: data.API, Audiences: []string{data.API}}
	switch {
	case data.API == "":
		data.Problem = "This client may call no API: its access tokens are good for userinfo alone."
	case data.Workload:
	case data.Person == "":
	default:
		g.Authentication, data.Problem, err = c.newest(v.r.Context(), data.Person, v.now)
		if err != nil {
			return err
		}
		if g.Authentication != nil {
			g.UserID, data.SignedIn = g.Authentication.UserID, v.when(g.Authentication.AuthTime)
		}
	}
	if data.Problem == "" && (data.Workload || g.Authentication != nil) {
		token := c.options.Preview(g)
		if data.Claims, err = previewed(token); err != nil {
			return err
		}
		data.Operations = judged(c.options.Trust(), data.API, token, v.now)
	}
	return v.draw(c, http.StatusOK, "preview", frame{Title: "Preview of a token", Section: "clients", Data: data})
}

// newest is the person's newest sign-in, or why there is none to go by.
func (c *Console) newest(ctx context.Context, name string, now time.Time) (*grant.Authentication, string, error) {
	u, err := account.ByName(ctx, c.options.Pool, name)
	switch {
	case denial.Is(err, denial.UserUnknown):
		return nil, "Nobody is called “" + name + "”.", nil
	case err != nil:
		return nil, "", err
	case !u.Active():
		return nil, "They are suspended: nothing is issued for them.", nil
	}
	var frozen []byte
	var facts claim.Facts
	var levels []string
	err = c.options.Pool.QueryRow(ctx, `
		select s.authentication, c.facts, c.levels from session s join credential c on c.id = s.credential
		where s.user_id = $1 and s.revoked_at is null and s.expires_at > $2 and s.seen_at > $3 and c.removed_at is null and c.quarantined_at is null
		order by s.created_at desc limit 1`, u.ID, now, now.Add(-signin.IdleLife)).Scan(&frozen, &facts, &levels)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, "They are signed in nowhere, so it is not known with which passkey they will be.", nil
	case err != nil:
		return nil, "", fmt.Errorf("read the newest sign-in: %w", err)
	}
	var a grant.Authentication
	if err := json.Unmarshal(frozen, &a); err != nil {
		return nil, "", fmt.Errorf("read the newest sign-in: %w", err)
	}
	if !a.Founded(facts, levels) {
		return nil, "Their passkey has lost what their sign-in rests on: they will be asked to sign in again.", nil
	}
	return &a, "", nil
}

// previewed writes claims as JSON.
func previewed(token claim.AccessToken) (string, error) {
	token.TokenID = "(only an issued token has one)"
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(token); err != nil {
		return "", fmt.Errorf("encode preview: %w", err)
	}
	return body.String(), nil
}

// judged compares a token with what an API's operations require.
func judged(t *trust.Trust, audience string, token claim.AccessToken, now time.Time) []operation {
	api, _ := t.API(audience)
	operations := api.Operations
	if len(operations) == 0 {
		operations = []trust.Operation{{Name: api.Name, Title: "Any operation"}}
	}
	var list []operation
	for _, o := range operations {
		op := operation{Title: o.Title}
		if op.Title == "" {
			op.Title = o.Name
		}
		for _, r := range []trust.Requirement{api.Require, o.Require} {
			op.Lacks = append(op.Lacks, lacks(t, api, r, token, now)...)
		}
		if op.State = (badge{"good", "Passes"}); len(op.Lacks) > 0 {
			op.State = badge{"bad", "Refused"}
		}
		list = append(list, op)
	}
	return list
}

// lacks says in words what a token does not show of a requirement.
func lacks(t *trust.Trust, api trust.API, r trust.Requirement, token claim.AccessToken, now time.Time) []string {
	var words []string
	for _, s := range r.Scopes {
		if !slices.Contains(strings.Fields(token.Scope), s) {
			words = append(words, "the scope "+s)
		}
	}
	for _, role := range r.Roles {
		if !slices.Contains(token.Roles, role) {
			words = append(words, "the role "+role)
		}
	}
	if token.IdentityType == claim.IdentityApp {
		if !slices.Contains(api.Automation, token.ClientID) {
			words = append(words, "a place among the API's workloads (automation)")
		}
		return words
	}
	for _, f := range token.Attestation.Missing(t.Wanted(r)...) {
		words = append(words, "that "+f.Meaning()+" ("+string(f)+")")
	}
	if t.ListsModels(r.Level) && !slices.Contains(t.Accepting(r.Level), token.ACR) {
		words = append(words, "a model that the level "+r.Level+" lists")
	}
	if age := now.Sub(time.Unix(token.AuthTime, 0)); r.MaxAge > 0 && age > r.MaxAge {
		words = append(words, "a sign-in of the last "+span(r.MaxAge))
	}
	if r.CertificateBound {
		words = append(words, "a binding to the client's certificate")
	}
	if r.Approval {
		words = append(words, "an approval of exactly one request")
	}
	return words
}
