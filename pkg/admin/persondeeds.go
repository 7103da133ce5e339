package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/signin"
)

// of begins a question about a person.
func of(u account.User) question {
	return question{Section: "people", Back: "/people/" + string(u.ID)}
}

func (c *Console) askSuspend(v *visit) (question, error) {
	u, err := c.subject(v)
	q := of(u)
	if err != nil || !u.Active() {
		return q, notNow(err, "%s is not active", u.ID)
	}
	held, err := c.held(v.r.Context(), v, u.ID)
	q.Title, q.Lead, q.Button, q.Grave = "Suspend "+u.DisplayName+"?", "They can sign in nowhere from the next request on. You can let them in again.", "Suspend "+u.DisplayName, true
	q.Impact = held
	if u.ID == v.session.User.ID {
		q.Impact = append(q.Impact, "That is you: this console closes at once.")
	}
	return q, err
}

// notNow is the error, or else the denial of a deed that the state does not allow.
func notNow(err error, why string, about ...any) error {
	if err != nil {
		return err
	}
	return denial.New(denial.PageNotFound, why, about...)
}

// held says what a person has that would end.
func (c *Console) held(ctx context.Context, v *visit, id account.ID) ([]string, error) {
	var sessions, grants int
	err := c.options.Pool.QueryRow(ctx, `
		select (select count(*)::int from session where user_id = $1 and revoked_at is null and expires_at > $2 and seen_at > $3),
			(select count(*)::int from access_grant where user_id = $1 and revoked_at is null and expires_at > $2)`, id, v.now, v.now.Add(-signin.IdleLife)).Scan(&sessions, &grants)
	if err != nil {
		return nil, fmt.Errorf("count what a person has: %w", err)
	}
	return []string{count(sessions, "session") + " will end.",
		"The access of " + count(grants, "application") + " will end; access tokens that gateways cannot ask about live on for minutes."}, nil
}

func (c *Console) suspend(v *visit, tx pgx.Tx) (audit.Event, error) {
	ctx, id := v.r.Context(), account.ID(v.r.PathValue("id"))
	if err := c.expendable(ctx, v, tx, id); err != nil {
		return audit.Event{}, err
	}
	return audit.Event{Action: audit.UserSuspended, UserID: string(id)}, signin.Suspend(ctx, tx, v.now, id)
}

// expendable is the denial LastAdministrator when the person is one and there is
// no other.
func (c *Console) expendable(ctx context.Context, v *visit, tx pgx.Tx, id account.ID) error {
	u, err := account.ByID(ctx, tx, id)
	if err != nil || !slices.Contains(u.Groups, v.rules.Group) {
		return err
	}
	return v.another(ctx, tx, id)
}

func (c *Console) askResume(v *visit) (question, error) {
	u, err := c.subject(v)
	q := of(u)
	if err != nil || u.Active() {
		return q, notNow(err, "%s is not suspended", u.ID)
	}
	q.Title, q.Lead, q.Button = "Let "+u.DisplayName+" in again?", "They can sign in with the passkeys that they had.", "Let "+u.DisplayName+" in"
	return q, nil
}

func (c *Console) resume(v *visit, tx pgx.Tx) (audit.Event, error) {
	id := v.r.PathValue("id")
	return audit.Event{Action: audit.UserResumed, UserID: id}, account.Resume(v.r.Context(), tx, account.ID(id))
}

func (c *Console) askSignOut(v *visit) (question, error) {
	u, err := c.subject(v)
	if err != nil {
		return question{}, err
	}
	q := of(u)
	q.Impact, err = c.held(v.r.Context(), v, u.ID)
	q.Title, q.Lead, q.Button, q.Grave = "Sign "+u.DisplayName+" out everywhere?", "They can sign in again at once. To keep them out, suspend them.", "Sign out everywhere", true
	if u.ID == v.session.User.ID {
		q.Impact = append(q.Impact, "That is you: this session ends too.")
	}
	return q, err
}

func (c *Console) signOut(v *visit, tx pgx.Tx) (audit.Event, error) {
	id := v.r.PathValue("id")
	sessions, grants, err := signin.EndAll(v.r.Context(), tx, v.now, account.ID(id), string(audit.SessionRevoked))
	return audit.Event{Action: audit.SessionRevoked, UserID: id,
		Details: map[string]string{"sessions": strconv.Itoa(sessions), "grants": strconv.Itoa(grants)}}, err
}

func (c *Console) askEnd(v *visit) (question, error) {
	u, err := c.subject(v)
	if err != nil {
		return question{}, err
	}
	list, err := signin.Live(v.r.Context(), c.options.Pool, v.now, u.ID)
	i := slices.IndexFunc(list, func(s signin.Session) bool { return s.ID == v.r.PathValue("session") })
	if err != nil || i < 0 {
		return question{}, notNow(err, "%s has no such session", u.ID)
	}
	q := of(u)
	q.Title, q.Button, q.Grave = "End this session of "+u.DisplayName+"?", "End the session", true
	q.Lead = list[i].Device() + ", signed in " + apart(list[i].CreatedAt, v.now) + "."
	q.Impact = []string{"The access that applications got in it ends too."}
	return q, nil
}

func (c *Console) end(v *visit, tx pgx.Tx) (audit.Event, error) {
	id, session := v.r.PathValue("id"), v.r.PathValue("session")
	n, err := signin.End(v.r.Context(), tx, v.now, account.ID(id), session, string(audit.SessionRevoked))
	return audit.Event{Action: audit.SessionRevoked, UserID: id, Session: session, Details: map[string]string{"grants": strconv.Itoa(n)}}, err
}

// key is the person's passkey that the address names.
func (c *Console) key(v *visit) (account.User, passkey.Credential, error) {
	u, err := c.subject(v)
	if err != nil {
		return u, passkey.Credential{}, err
	}
	list, err := passkey.Credentials(v.r.Context(), c.options.Pool, u.ID)
	i := slices.IndexFunc(list, func(k passkey.Credential) bool { return k.ID == v.r.PathValue("passkey") })
	if err != nil || i < 0 {
		return u, passkey.Credential{}, notNow(err, "%s has no such passkey", u.ID)
	}
	return u, list[i], nil
}

func (c *Console) askRelease(v *visit) (question, error) {
	u, k, err := c.key(v)
	if err != nil || !k.Quarantined {
		return question{}, notNow(err, "it is not paused")
	}
	q := of(u)
	q.Title, q.Button, q.Grave = "Let “"+k.Nickname+"” of "+u.DisplayName+" be used again?", "Release the passkey", true
	q.Lead = "It is paused because its counter went backwards, so a copy of it may exist. Release it only when its owner has it in hand and its maker explains the counter."
	if k.QuarantinedWhy == passkey.QuarantineMetadata {
		q.Lead = "It is paused because a problem with its model was reported."
		q.Impact = []string{"The same report does not pause it again; another one does.", "It does not get back the facts that it lost."}
	}
	return q, nil
}

func (c *Console) release(v *visit, tx pgx.Tx) (audit.Event, error) {
	_, k, err := c.key(v)
	if err != nil {
		return audit.Event{}, err
	}
	released, err := passkey.Release(v.r.Context(), tx, v.now, k.AuthenticatorID)
	return audit.Event{Action: audit.CredentialReleased, UserID: string(released.UserID), Credential: k.AuthenticatorID,
		Details: map[string]string{"quarantined_for": released.QuarantinedWhy}}, err
}

func (c *Console) askRemove(v *visit) (question, error) {
	u, k, err := c.key(v)
	if err != nil {
		return question{}, err
	}
	q := of(u)
	q.Title, q.Button, q.Grave = "Remove “"+k.Nickname+"” from "+u.DisplayName+"?", "Remove the passkey", true
	q.Lead = "For a passkey that is lost. It can never be used here again; on the device it stays until its owner deletes it."
	q.Impact = []string{"The access that it gave to applications ends.", "What it once proved stays in the record."}
	return q, nil
}

func (c *Console) remove(v *visit, tx pgx.Tx) (audit.Event, error) {
	u, k, err := c.key(v)
	if err != nil {
		return audit.Event{}, err
	}
	if err := passkey.Remove(v.r.Context(), tx, v.now, u.ID, k.ID); err != nil {
		return audit.Event{}, err
	}
	n, err := grant.RevokeCredential(v.r.Context(), tx, v.now, k.ID, string(audit.CredentialRemoved))
	return audit.Event{Action: audit.CredentialRemoved, UserID: string(u.ID), Credential: k.AuthenticatorID, Details: map[string]string{"grants": strconv.Itoa(n)}}, err
}

func (c *Console) askGroups(v *visit) (question, error) {
	u, err := c.subject(v)
	if err != nil {
		return question{}, err
	}
	q := of(u)
	q.Title, q.Button = "Groups of "+u.DisplayName, "Save the groups"
	q.Lead = "Groups decide which rules of the trust file are for somebody, and “" + v.rules.Group + "” who may use this console."
	q.Fields = []field{{Name: "groups", Label: "Groups, with commas between them", Hint: "None takes them out of all.", Value: strings.Join(u.Groups, ", ")}}
	return q, nil
}

func (c *Console) group(v *visit, tx pgx.Tx) (audit.Event, error) {
	ctx, id := v.r.Context(), account.ID(v.r.PathValue("id"))
	groups := []string{}
	for g := range strings.SplitSeq(v.r.PostForm.Get("groups"), ",") {
		if g = strings.TrimSpace(g); g != "" && !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	if !slices.Contains(groups, v.rules.Group) {
		if err := c.expendable(ctx, v, tx, id); err != nil {
			return audit.Event{}, err
		}
	}
	err := account.SetGroups(ctx, tx, id, groups)
	if errors.Is(err, account.ErrGroup) {
		return audit.Event{}, problem("A group's name has up to 100 printable characters, and a person is in up to 100 groups.")
	}
	return audit.Event{Action: audit.UserGrouped, UserID: string(id), Details: map[string]string{"groups": strings.Join(groups, ", ")}}, err
}

// lives are how long an enrolment link may work.
var lives = []choice{{"1h", "one hour"}, {"24h", "one day"}, {"72h", "three days"}, {"168h", "a week"}}

func linkFields() []field {
	return []field{{Name: "life", Label: "The link works for", Value: "24h", Choices: lives}}
}

func (c *Console) askInvite(v *visit) (question, error) {
	u, err := c.subject(v)
	if err != nil || !u.Active() {
		return question{}, notNow(err, "%s is not active", u.ID)
	}
	q := of(u)
	q.Title, q.Button, q.Fields = "An enrolment link for "+u.DisplayName, "Make the link", linkFields()
	q.Lead = "Whoever opens it first adds a passkey to this account and can sign in as " + u.DisplayName + ". Hand it over where only they read it."
	q.Impact = []string{"It works once. A link that was made before stops working."}
	return q, nil
}

// invite makes a link. One for an administrator is refused: with it, whoever made
// it could act in that administrator's name.
func (c *Console) invite(v *visit, tx pgx.Tx) (audit.Event, error) {
	u, err := account.ByID(v.r.Context(), tx, account.ID(v.r.PathValue("id")))
	if err != nil {
		return audit.Event{}, err
	}
	if slices.Contains(u.Groups, v.rules.Group) {
		return audit.Event{}, denial.New(denial.AdministratorProtected, "%s", u.ID)
	}
	return c.link(v, tx, u)
}

func (c *Console) link(v *visit, tx pgx.Tx, u account.User) (audit.Event, error) {
	life, err := time.ParseDuration(v.r.PostForm.Get("life"))
	if err != nil || !slices.ContainsFunc(lives, func(l choice) bool { return l.Value == v.r.PostForm.Get("life") }) {
		return audit.Event{}, problem("Choose how long the link works.")
	}
	v.user = u
	v.made, err = account.Invite(v.r.Context(), tx, v.now, u.ID, life)
	return audit.Event{Action: audit.UserInvited, UserID: string(u.ID)}, err
}

func (c *Console) askWithdraw(v *visit) (question, error) {
	u, err := c.subject(v)
	if err != nil {
		return question{}, err
	}
	open, err := c.openLink(v.r.Context(), v, u.ID)
	if err != nil || open == nil {
		return question{}, notNow(err, "%s has no open link", u.ID)
	}
	q := of(u)
	q.Title, q.Lead, q.Button, q.Grave = "Withdraw the enrolment link of "+u.DisplayName+"?", "It stops working now, and would have "+open.Ago+".", "Withdraw the link", true
	return q, nil
}

func (c *Console) withdraw(v *visit, tx pgx.Tx) (audit.Event, error) {
	id := v.r.PathValue("id")
	return audit.Event{Action: audit.InvitationWithdrawn, UserID: id}, account.Uninvite(v.r.Context(), tx, v.now, account.ID(id))
}

func (c *Console) showLink(v *visit) *shown {
	link := c.options.Issuer + "/enrol#" + v.made.Reveal()
	return &shown{Section: "people", Title: "The link for " + v.user.DisplayName, Lead: "It is shown this once and kept nowhere. It works once.",
		Label: "Enrolment link", Text: link, Picture: pictured(link), Back: "/people/" + string(v.user.ID),
		Notes: []string{"Whoever opens it first adds a passkey to this account.", "If it gets into wrong hands, make another: this one stops working."}}
}

func (c *Console) askInvitePerson(*visit) (question, error) {
	return question{Section: "people", Back: "/people", Title: "Invite somebody", Lead: "They get an account, and you get a link with which they enrol their first passkey.", Button: "Create the account and the link",
		Fields: append([]field{{Name: "name", Label: "Name to sign in with", Hint: "Unique, for example ada or ada@example.com."}, {Name: "display_name", Label: "Name that people read", Hint: "For example Ada Lovelace."}}, linkFields()...)}, nil
}

func (c *Console) invitePerson(v *visit, tx pgx.Tx) (audit.Event, error) {
	u, err := account.Create(v.r.Context(), tx, v.r.PostForm.Get("name"), v.r.PostForm.Get("display_name"))
	switch {
	case errors.Is(err, account.ErrNameTaken):
		return audit.Event{}, problem("Somebody has this name already.")
	case errors.Is(err, account.ErrName):
		return audit.Event{}, problem("A name has 1 to 100 printable characters.")
	case err != nil:
		return audit.Event{}, err
	}
	return c.link(v, tx, u)
}
