package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/secret"
	"github.com/touchstone-id/touchstone/pkg/signin"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// freshFor is how old a sign-in may be for an act with consequences: whoever
// finds an open browser can look around and do nothing.
const freshFor = 5 * time.Minute

// visit is one request of an administrator who was let in.
type visit struct {
	w       http.ResponseWriter
	r       *http.Request
	session signin.Session
	rules   trust.Console
	now     time.Time
	// made is what the act made that is shown once.
	made secret.Value
	// user is the person, client the client that it is for.
	user   account.User
	client grant.Client
	// checked is what the check of the record found.
	checked checked
}

// errSignIn sends the administrator to the sign-in page, and from there back.
var errSignIn = errors.New("a sign-in is needed for this")

// enter lets administrators in, and nobody else.
func (c *Console) enter(handler func(*visit) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		rules := c.options.Trust().Console
		if rules == nil {
			return denial.New(denial.PageNotFound, "the trust file has no console")
		}
		v := &visit{w: w, r: r, rules: *rules, now: c.options.Now()}
		err := c.admit(v)
		if err == nil {
			err = handler(v)
		}
		if errors.Is(err, errSignIn) {
			http.Redirect(w, r, "/signin?"+url.Values{"return": {v.address()}}.Encode(), http.StatusSeeOther)
			return nil
		}
		return err
	}
}

// admit decides whether the request is an administrator's, and has acts recorded
// as theirs.
func (c *Console) admit(v *visit) error {
	session, err := c.options.SignIn.Current(v.r)
	if _, denied := denial.ReasonOf(err); denied {
		return errSignIn
	}
	if err != nil {
		return err
	}
	if !slices.Contains(session.User.Groups, v.rules.Group) {
		return denial.New(denial.PageNotFound, "%s is no administrator", session.User.ID)
	}
	if session.Lacks(v.rules.Level, v.rules.MaxAge, v.now) != "" {
		return errSignIn
	}
	if !legible(v.r) {
		return denial.New(denial.PageNotFound, "the address is no text")
	}
	v.session = session
	origin := audit.OriginOf(v.r.Context())
	origin.Actor, origin.Session = string(session.User.ID), session.ID
	v.r = v.r.WithContext(audit.WithOrigin(v.r.Context(), origin))
	return nil
}

// fresh asks for a sign-in of the last minutes.
func (v *visit) fresh() error {
	if v.session.Lacks(v.rules.Level, freshFor, v.now) != "" {
		return errSignIn
	}
	return nil
}

// legible reports whether the address is text: nothing that exists is found by
// anything else, and the database does not take it.
func legible(r *http.Request) bool {
	text, err := url.QueryUnescape(r.URL.RawQuery)
	return err == nil && utf8.ValidString(r.URL.Path+text) && !strings.ContainsRune(r.URL.Path+text, 0)
}

// address is where a sign-in leads back to. A form that was posted is asked
// again: its page has the same path.
func (v *visit) address() string {
	if v.r.Method == http.MethodGet {
		return v.r.URL.RequestURI()
	}
	return v.r.URL.EscapedPath()
}

// consoleLock has administrators act one at a time.
const consoleLock = 0x7473_6361_646d

// still holds other administrators' acts up until this one is done, and asks
// again whether the administrator is one: they may have been removed since the
// request came in.
func (v *visit) still(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, consoleLock); err != nil {
		return fmt.Errorf("wait for other administrators: %w", err)
	}
	var in bool
	err := tx.QueryRow(ctx, `
		select exists (select from session s join account a on a.id = s.user_id join account_group g on g.user_id = a.id join credential c on c.id = s.credential
			where s.id = $1 and s.revoked_at is null and a.status = 'active' and g.group_name = $2 and c.removed_at is null and c.quarantined_at is null)`,
		v.session.ID, v.rules.Group).Scan(&in)
	if err != nil {
		return fmt.Errorf("ask for an administrator again: %w", err)
	}
	if !in {
		return denial.New(denial.PageNotFound, "%s is no administrator any more", v.session.User.ID)
	}
	return nil
}

// another is the denial LastAdministrator unless somebody else than this person
// can use the console: an active member of the group, with a passkey of its level.
func (v *visit) another(ctx context.Context, tx pgx.Tx, than account.ID) error {
	var n int
	err := tx.QueryRow(ctx, `
		select count(distinct a.id) from account a join account_group g on g.user_id = a.id join credential c on c.user_id = a.id
		where g.group_name = $1 and a.status = 'active' and a.id <> $2 and c.removed_at is null and c.quarantined_at is null
			and (c.levels is null or $3 = any(c.levels))`, v.rules.Group, than, v.rules.Level).Scan(&n)
	if err != nil {
		return fmt.Errorf("look for another administrator: %w", err)
	}
	if n == 0 {
		return denial.New(denial.LastAdministrator, "%s", than)
	}
	return nil
}
