package grant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// Consent is what a person agreed to give to a client.
type Consent struct {
	ClientID          ClientID
	Scopes, Audiences []string
	GrantedAt         time.Time
}

// Covers reports whether everything that a request asks for was agreed to before.
func (c Consent) Covers(r Request) bool {
	has := func(all, some []string) bool {
		return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
	}
	return has(c.Scopes, r.Scopes) && has(c.Audiences, r.Audiences)
}

// ConsentOf returns what the person agreed to give to the client; without any,
// one that covers nothing.
func ConsentOf(ctx context.Context, q postgres.Querier, user account.ID, client ClientID) (Consent, error) {
	c := Consent{ClientID: client}
	err := q.QueryRow(ctx, `select scopes, audiences, granted_at from consent where user_id = $1 and client_id = $2`, user, client).Scan(&c.Scopes, &c.Audiences, &c.GrantedAt)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Consent{}, fmt.Errorf("read consent: %w", err)
	}
	return c, nil
}

// Consents returns what the person agreed to give to clients that still exist, newest first.
func Consents(ctx context.Context, q postgres.Querier, user account.ID) ([]Consent, error) {
	rows, err := q.Query(ctx, `
		select client_id, scopes, audiences, granted_at from consent c
		where user_id = $1 and exists (select from client where id = c.client_id and deleted_at is null) order by granted_at desc, client_id`, user)
	if err != nil {
		return nil, fmt.Errorf("list consents: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Consent])
	if err != nil {
		return nil, fmt.Errorf("list consents: %w", err)
	}
	return list, nil
}

// Agree notes that the person signed in to a request agrees to it, for now and
// for later. Only the browser of the request can, and only the person whose
// sign-in is bound to it. Denials are those of Find, and RequestFinished when
// nobody else's, or an ended, sign-in is bound.
func Agree(ctx context.Context, tx pgx.Tx, now time.Time, id secret.Value, browser []byte, user account.ID) (Request, error) {
	r, err := Find(ctx, tx, now, id, browser)
	if err != nil {
		return Request{}, err
	}
	tag, err := tx.Exec(ctx, `
		update authorization_request set consented_at = $3
		where digest = $1 and browser = $2 and user_id = $4 and consented_at is null and declined_at is null and code_digest is null`, id.Digest(), browser, now, user)
	if err != nil {
		return Request{}, fmt.Errorf("agree: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return Request{}, denial.New(denial.RequestFinished, "client %s: not open for agreement", r.ClientID)
	}
	_, err = tx.Exec(ctx, `
		insert into consent as c (user_id, client_id, scopes, audiences, granted_at) values ($1, $2, $3, $4, $5)
		on conflict (user_id, client_id) do update set granted_at = excluded.granted_at,
			scopes = array(select distinct unnest(c.scopes || excluded.scopes) order by 1), audiences = array(select distinct unnest(c.audiences || excluded.audiences) order by 1)`,
		user, r.ClientID, list(r.Scopes), list(r.Audiences), now)
	if err != nil {
		return Request{}, fmt.Errorf("agree: %w", err)
	}
	return r, nil
}

// Withdraw takes back what the person agreed to give to a client, ends the
// client's access and returns how many grants ended.
func Withdraw(ctx context.Context, tx pgx.Tx, now time.Time, user account.ID, client ClientID, why string) (int, error) {
	if _, err := tx.Exec(ctx, `delete from consent where user_id = $1 and client_id = $2`, user, client); err != nil {
		return 0, fmt.Errorf("withdraw consent: %w", err)
	}
	tag, err := tx.Exec(ctx, `update access_grant set revoked_at = $3, revoked_why = $4 where user_id = $1 and client_id = $2 and revoked_at is null`, user, client, now, why)
	return int(tag.RowsAffected()), wrap(err, "revoke grants of a client")
}
