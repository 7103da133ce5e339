package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/signin"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

type passkeyCard struct {
	passkey.Credential
	Badges      []badge
	Added, Used *moment
	Proved      []string
	// Missed says what keeps it from each level that it has not.
	Missed, Warnings []string
}

type sessionCard struct {
	ID, Device, Address string
	Since, Seen         *moment
	This                bool
}

type consentCard struct {
	ID, Name string
	Scopes   string
	Since    *moment
}

// recent is how many entries of the record stand on the page of what they are about.
const recent = 8

// person shows everything about one person that an administrator acts on.
func (c *Console) person(v *visit) error {
	ctx := v.r.Context()
	u, err := c.subject(v)
	if err != nil {
		return err
	}
	data := struct {
		account.User
		Since         *moment
		Administrator bool
		Self          bool
		Badges        []badge
		Link          *moment
		Passkeys      []passkeyCard
		Sessions      []sessionCard
		Consents      []consentCard
		Entries       []line
	}{User: u, Since: v.when(u.CreatedAt), Administrator: slices.Contains(u.Groups, v.rules.Group), Self: u.ID == v.session.User.ID}
	credentials, err := passkey.Credentials(ctx, c.options.Pool, u.ID)
	if err != nil {
		return err
	}
	row := personRow{Status: u.Status, Groups: u.Groups}
	for _, k := range credentials {
		data.Passkeys = append(data.Passkeys, c.cardOf(v, u, k))
		if k.Quarantined {
			row.Paused++
		} else {
			row.Usable++
		}
	}
	data.Badges = badgesOf(row, v.rules.Group)
	sessions, err := signin.Live(ctx, c.options.Pool, v.now, u.ID)
	if err != nil {
		return err
	}
	for _, s := range sessions {
		data.Sessions = append(data.Sessions, sessionCard{s.ID, s.Device(), s.Address, v.when(s.CreatedAt), v.when(s.SeenAt), s.ID == v.session.ID})
	}
	consents, err := grant.Consents(ctx, c.options.Pool, u.ID)
	if err != nil {
		return err
	}
	for _, k := range consents {
		if client, ok := c.options.Clients.Get(k.ClientID); ok {
			data.Consents = append(data.Consents, consentCard{string(k.ClientID), client.Name, strings.Join(k.Scopes, " "), v.when(k.GrantedAt)})
		}
	}
	if data.Link, err = c.openLink(ctx, v, u.ID); err != nil {
		return err
	}
	page, err := c.options.Search.Page(ctx, c.options.Pool, audit.Query{UserID: string(u.ID), Limit: recent})
	if err != nil {
		return err
	}
	if data.Entries, err = c.lines(ctx, v, page.Entries); err != nil {
		return err
	}
	return v.draw(c, http.StatusOK, "person", frame{Title: u.DisplayName, Section: "people", Data: data})
}

// subject is the person whom the address names. One that is nobody's is a page
// that is not there.
func (c *Console) subject(v *visit) (account.User, error) {
	u, err := account.ByID(v.r.Context(), c.options.Pool, account.ID(v.r.PathValue("id")))
	if denial.Is(err, denial.UserUnknown) {
		return u, denial.New(denial.PageNotFound, "no person %q", v.r.PathValue("id"))
	}
	return u, err
}

// cardOf says what a passkey is worth now, and why not more.
func (c *Console) cardOf(v *visit, u account.User, k passkey.Credential) passkeyCard {
	card := passkeyCard{Credential: k, Added: v.when(k.CreatedAt), Used: v.at(k.LastUsedAt), Proved: kinds(k.Facts)}
	switch k.QuarantinedWhy {
	case passkey.QuarantineClone:
		card.Badges = append(card.Badges, badge{"bad", "Paused: a copy may exist"})
	case passkey.QuarantineMetadata:
		card.Badges = append(card.Badges, badge{"bad", "Paused: a problem with this model was reported"})
	}
	if k.Facts.Has(claim.FactAttested) {
		card.Badges = append(card.Badges, badge{"good", "Verified: " + k.Model})
	} else {
		card.Badges = append(card.Badges, badge{"", "Make and model not proved"})
	}
	if k.BackupEligible {
		card.Badges = append(card.Badges, badge{"", "Synced between devices"})
	} else {
		card.Badges = append(card.Badges, badge{"", "Stays on one device"})
	}
	for _, level := range k.Levels {
		card.Badges = append(card.Badges, badge{"", level})
	}
	_, missed := c.options.Trust().LevelsOf(trust.Authenticator{Facts: claim.NewFacts(append([]claim.Fact{claim.FactUV}, k.Facts...)...), Synced: k.BackupEligible})
	for _, m := range missed {
		if len(m.Missing) > 0 && !slices.Contains(k.Levels, m.Level) {
			card.Missed = append(card.Missed, trust.Shortfall{Level: m.Level, Missing: m.Missing}.String())
		}
	}
	for _, f := range c.options.Passkeys.Findings(u, k, v.now) {
		switch f.Effect {
		case trust.ModeWarn:
			card.Warnings = append(card.Warnings, "From "+f.Rule.From.Format("2 January 2006")+" the rule "+f.Rule.Name+" refuses this passkey.")
		case trust.ModeEnforce:
			card.Warnings = append(card.Warnings, "The rule "+f.Rule.Name+" refuses this passkey at sign-in.")
		}
	}
	return card
}

// openLink returns until when the person's enrolment link works, or nil.
func (c *Console) openLink(ctx context.Context, v *visit, id account.ID) (*moment, error) {
	var until time.Time
	err := c.options.Pool.QueryRow(ctx, `
		select expires_at from invitation where user_id = $1 and spent_at is null and revoked_at is null and expires_at > $2 order by expires_at desc limit 1`, id, v.now).Scan(&until)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look for an enrolment link: %w", err)
	}
	return v.when(until), nil
}
