package account

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// ID identifies a person for ever and is the sub of their tokens: 26 lower-case
// letters and digits from 128 random bits, so it tells nothing and is never reused.
type ID string

// Statuses of a person.
const (
	StatusActive    = "active"
	StatusSuspended = "suspended"
	StatusDeleted   = "deleted"
)

// handleSize is the length of a WebAuthn user handle in bytes: the most that
// WebAuthn allows (L3 section 5.4.3), random, so that it names nobody.
const handleSize = 64

// maxNameLength bounds names, in characters; authenticators truncate far earlier.
const maxNameLength = 100

// User is a person.
type User struct {
	ID ID
	// Handle is the WebAuthn user handle: random bytes, never shown.
	Handle []byte
	// Name is unique among people, ignoring case; it is preferred_username.
	Name        string
	DisplayName string
	Status      string
	Groups      []string
	CreatedAt   time.Time
}

// Active reports whether the person may sign in and receive tokens.
func (u User) Active() bool { return u.Status == StatusActive }

// ErrNameTaken is returned by Create when another person has the name.
var ErrNameTaken = errors.New("another person already has this name")

// ErrName is returned for a name that is empty, too long or not printable, and
// ErrGroup for such a group, or too many of them.
var (
	ErrName  = fmt.Errorf("a name must be 1 to %d printable characters", maxNameLength)
	ErrGroup = fmt.Errorf("a group's name must be 1 to %d printable characters, and a person is in at most %d groups", maxNameLength, maxGroups)
)

// Create adds an active person. The display name may be empty; then it is the
// name. It returns ErrNameTaken or ErrName.
func Create(ctx context.Context, tx pgx.Tx, name, displayName string) (User, error) {
	name = strings.TrimSpace(name)
	if displayName = strings.TrimSpace(displayName); displayName == "" {
		displayName = name
	}
	for _, n := range []string{name, displayName} {
		if !printable(n) {
			return User{}, ErrName
		}
	}
	u := User{ID: newID(), Handle: make([]byte, handleSize), Name: name, DisplayName: displayName, Status: StatusActive}
	rand.Read(u.Handle)
	err := tx.QueryRow(ctx, `insert into account (id, handle, name, display_name) values ($1, $2, $3, $4)
		on conflict (lower(name)) where status <> 'deleted' do nothing returning created_at`,
		u.ID, u.Handle, u.Name, u.DisplayName).Scan(&u.CreatedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return User{}, ErrNameTaken
	}
	if err != nil {
		return User{}, fmt.Errorf("create person: %w", err)
	}
	return u, nil
}

// newID returns a fresh identifier.
func newID() ID {
	b := make([]byte, 16)
	rand.Read(b)
	return ID(strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b)))
}

// ByID returns the person, in any status but deleted, or the denial UserUnknown.
func ByID(ctx context.Context, q postgres.Querier, id ID) (User, error) {
	rows, err := q.Query(ctx, `select id, handle, name, display_name, status, created_at,
		array(select group_name from account_group g where g.user_id = a.id order by 1) as groups
		from account a where id = $1 and status <> 'deleted'`, id)
	return one(rows, err)
}

// ByHandle returns the person with this WebAuthn user handle, or the denial UserUnknown.
func ByHandle(ctx context.Context, q postgres.Querier, handle []byte) (User, error) {
	rows, err := q.Query(ctx, `select id, handle, name, display_name, status, created_at,
		array(select group_name from account_group g where g.user_id = a.id order by 1) as groups
		from account a where handle = $1 and status <> 'deleted'`, handle)
	return one(rows, err)
}

// ByName returns the person with this name, ignoring case, or the denial UserUnknown.
func ByName(ctx context.Context, q postgres.Querier, name string) (User, error) {
	rows, err := q.Query(ctx, `select id, handle, name, display_name, status, created_at,
		array(select group_name from account_group g where g.user_id = a.id order by 1) as groups
		from account a where lower(name) = lower($1) and status <> 'deleted'`, strings.TrimSpace(name))
	return one(rows, err)
}

// one collects a single person.
func one(rows pgx.Rows, err error) (User, error) {
	if err != nil {
		return User{}, fmt.Errorf("read person: %w", err)
	}
	u, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[User])
	if errors.Is(err, pgx.ErrNoRows) {
		return User{}, denial.New(denial.UserUnknown, "")
	}
	if err != nil {
		return User{}, fmt.Errorf("read person: %w", err)
	}
	return u, nil
}

// All returns every person who is not deleted, by name.
func All(ctx context.Context, q postgres.Querier) ([]User, error) {
	rows, err := q.Query(ctx, `select id, handle, name, display_name, status, created_at,
		array(select group_name from account_group g where g.user_id = a.id order by 1) as groups
		from account a where status <> 'deleted' order by lower(name)`)
	if err != nil {
		return nil, fmt.Errorf("list people: %w", err)
	}
	users, err := pgx.CollectRows(rows, pgx.RowToStructByName[User])
	if err != nil {
		return nil, fmt.Errorf("list people: %w", err)
	}
	return users, nil
}

// maxGroups bounds how many groups a person is in.
const maxGroups = 100

// SetGroups puts the person into exactly these groups. The denial UserUnknown
// means that nobody has the id; the error is ErrGroup for names that cannot be.
func SetGroups(ctx context.Context, tx pgx.Tx, id ID, groups []string) error {
	if len(groups) > maxGroups {
		return ErrGroup
	}
	for _, g := range groups {
		if strings.TrimSpace(g) != g || !printable(g) {
			return ErrGroup
		}
	}
	if _, err := ByID(ctx, tx, id); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		with gone as (delete from account_group where user_id = $1 and not group_name = any($2))
		insert into account_group (user_id, group_name) select $1, unnest($2::text[]) on conflict do nothing`, id, groups)
	if err != nil {
		return fmt.Errorf("set groups: %w", err)
	}
	return nil
}

// printable reports whether a name may be stored.
func printable(name string) bool {
	return name != "" && utf8.ValidString(name) && utf8.RuneCountInString(name) <= maxNameLength &&
		!strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// Suspend keeps the person from signing in and from receiving tokens, from the
// next request on. The denial UserUnknown means that nobody active has the id.
func Suspend(ctx context.Context, tx pgx.Tx, id ID) error {
	tag, err := tx.Exec(ctx, `update account set status = 'suspended' where id = $1 and status = 'active'`, id)
	return changed(tag.RowsAffected(), err, "suspend person")
}

// Resume undoes Suspend. The denial UserUnknown means that nobody suspended has the id.
func Resume(ctx context.Context, tx pgx.Tx, id ID) error {
	tag, err := tx.Exec(ctx, `update account set status = 'active' where id = $1 and status = 'suspended'`, id)
	return changed(tag.RowsAffected(), err, "resume person")
}

// changed turns an update of no row into the denial UserUnknown.
func changed(rows int64, err error, doing string) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if rows == 0 {
		return denial.New(denial.UserUnknown, "%s", doing)
	}
	return nil
}
