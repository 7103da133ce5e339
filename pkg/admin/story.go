package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/grant"
)

// phrase tells an action: its name in a list, and what happened, with P for the
// person and C for the client.
type phrase struct{ name, story string }

// phrases has one for every action; a test holds that none is missing.
var phrases = map[audit.Action]phrase{
	audit.UserInvited:           {"Enrolment link made", "An enrolment link was made for P"},
	audit.InvitationWithdrawn:   {"Enrolment link withdrawn", "The enrolment link of P was withdrawn"},
	audit.UserSuspended:         {"Person suspended", "P was suspended"},
	audit.UserResumed:           {"Person let in again", "P was let in again"},
	audit.UserGrouped:           {"Groups changed", "The groups of P were changed"},
	audit.UserDescribed:         {"Person described", "What is said of P was changed"},
	audit.CredentialRegistered:  {"Passkey added", "P added a passkey"},
	audit.CredentialRenamed:     {"Passkey renamed", "P renamed a passkey"},
	audit.CredentialRemoved:     {"Passkey removed", "A passkey of P was removed"},
	audit.CredentialQuarantined: {"Passkey paused", "A passkey of P was paused"},
	audit.SignIn:                {"Sign-in", "P signed in"},
	audit.SignOut:               {"Sign-out", "P signed out"},
	audit.SessionRevoked:        {"Session ended", "A session of P was ended from elsewhere"},
	audit.CodeIssued:            {"Code issued", "A code for P went to C"},
	audit.CodeRedeemed:          {"Code redeemed", "C redeemed a code of P"},
	audit.TokenRefreshed:        {"Token refreshed", "C refreshed its tokens for P"},
	audit.TokenIssued:           {"Automation token issued", "C got an automation token"},
	audit.TokenExchanged:        {"Token exchanged", "C exchanged a token of P"},
	audit.ConsentGiven:          {"Consent given", "P agreed to what C asks for"},
	audit.ConsentWithdrawn:      {"Consent taken back", "P took back what they gave to C"},
	audit.DeviceDecided:         {"Device decided", "P decided on a device of C"},
	audit.GrantRevoked:          {"Grant revoked", "C gave back its access for P"},
	audit.KeyCreated:            {"Signing key created", "A signing key was created"},
	audit.KeyActivated:          {"Signing key activated", "A signing key began to sign"},
	audit.KeyRetired:            {"Signing key retired", "A signing key left the key set"},
	audit.KeyDemanded:           {"Rotation asked for", "A rotation of signing keys was asked for"},
	audit.KeyWithdrawn:          {"Signing key withdrawn", "A signing key was withdrawn in an emergency"},
	audit.KeysResealed:          {"Keys resealed", "The private keys were sealed anew"},
	audit.ClientCreated:         {"Client created", "C was registered"},
	audit.ClientChanged:         {"Client changed", "C got another secret"},
	audit.ClientDeleted:         {"Client deleted", "C was deleted"},
	audit.ClientsDeclared:       {"Clients declared", "The trust file changed the registry of clients"},
	audit.MetadataLoaded:        {"Metadata loaded", "Newer metadata came into use"},
	audit.TrustApplied:          {"Trust file applied", "Another trust file came into force"},
	audit.CredentialRejudged:    {"Passkey rejudged", "A passkey of P is worth something else now"},
	audit.CredentialReleased:    {"Passkey released", "A passkey of P was released"},
	audit.FleetRejudged:         {"Fleet rejudged", "Every passkey was judged again"},
	audit.PersonErased:          {"Person erased", "The personal part of entries was erased"},
}

// line is an entry in words.
type line struct {
	ID      string
	At      *moment
	Text    string
	Refused bool
	Why     string
	Details []choice
}

// lines tells entries in words, with today's names.
func (c *Console) lines(ctx context.Context, v *visit, entries []audit.Entry) ([]line, error) {
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.UserID, e.Actor)
	}
	names, err := c.names(ctx, ids)
	if err != nil {
		return nil, err
	}
	var list []line
	for _, e := range entries {
		l := line{ID: e.ID, At: v.when(e.At), Text: c.story(e, names)}
		if e.Reason != "" {
			l.Refused, l.Why = true, e.Reason.Text().Title
			if !e.Reason.Known() {
				l.Why = string(e.Reason)
			}
		}
		for name, value := range e.Details {
			l.Details = append(l.Details, choice{strings.ReplaceAll(name, "_", " "), value})
		}
		slices.SortFunc(l.Details, func(a, b choice) int { return strings.Compare(a.Value, b.Value) })
		list = append(list, l)
	}
	return list, nil
}

// story tells an entry in a sentence.
func (c *Console) story(e audit.Entry, names map[string]string) string {
	p, ok := phrases[e.Action]
	if !ok {
		return string(e.Action)
	}
	story := p.story
	if e.Reason != "" {
		story = p.name + " refused"
		if e.UserID != "" {
			story += ": P"
		}
	}
	words := strings.Fields(story)
	for i, w := range words {
		switch w {
		case "P":
			words[i] = named(e.UserID, names, "somebody who was erased")
		case "C":
			words[i] = "a client"
			if k, ok := c.options.Clients.Get(grant.ClientID(e.ClientID)); ok {
				words[i] = k.Name
			} else if e.ClientID != "" {
				words[i] = e.ClientID
			}
		}
	}
	text := strings.Join(words, " ")
	if e.Actor != "" {
		text += ", by " + named(e.Actor, names, "an administrator")
	}
	first := []rune(text)
	return strings.ToUpper(string(first[:1])) + string(first[1:])
}

func named(id string, names map[string]string, nobody string) string {
	switch {
	case names[id] != "":
		return names[id]
	case id != "":
		return id
	}
	return nobody
}

// names returns the names that people have now.
func (c *Console) names(ctx context.Context, ids []string) (map[string]string, error) {
	rows, err := c.options.Pool.Query(ctx, `select id, display_name from account where id = any($1)`, ids)
	if err != nil {
		return nil, fmt.Errorf("read names: %w", err)
	}
	names := map[string]string{}
	var id, name string
	if _, err := pgx.ForEachRow(rows, []any{&id, &name}, func() error { names[id] = name; return nil }); err != nil {
		return nil, fmt.Errorf("read names: %w", err)
	}
	return names, nil
}
