package account

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// issuedAt is when the invitations of these tests were made.
var issuedAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// do runs a step in a transaction of its own, which commits.
func do[T any](t *testing.T, pool *pgxpool.Pool, step func(pgx.Tx) (T, error)) (T, error) {
	t.Helper()
	var out T
	var denied error
	if err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		out, denied = step(tx)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out, denied
}

// invited creates a person with a link that lives for a day.
func invited(t *testing.T, pool *pgxpool.Pool, name string) (User, secret.Value) {
	t.Helper()
	u, err := do(t, pool, func(tx pgx.Tx) (User, error) { return Create(t.Context(), tx, name, "") })
	if err != nil {
		t.Fatal(err)
	}
	return u, again(t, pool, u)
}

func again(t *testing.T, pool *pgxpool.Pool, u User) secret.Value {
	t.Helper()
	link, err := do(t, pool, func(tx pgx.Tx) (secret.Value, error) {
		return Invite(t.Context(), tx, issuedAt, u.ID, InvitationLife)
	})
	if err != nil {
		t.Fatal(err)
	}
	return link
}

func spend(t *testing.T, pool *pgxpool.Pool, at time.Time, link secret.Value) (User, error) {
	return do(t, pool, func(tx pgx.Tx) (User, error) { return SpendInvitation(t.Context(), tx, at, link) })
}

func TestAnInvitationIsSpentOnceAndInTime(t *testing.T) {
	pool := pgtest.New(t)
	for _, tt := range []struct {
		name string
		at   time.Time
		// before happens to the link first.
		before func(t *testing.T, u User, link secret.Value) secret.Value
		want   denial.Reason
	}{
		{"in time", issuedAt.Add(InvitationLife - 1), nil, ""},
		{"at its end", issuedAt.Add(InvitationLife), nil, denial.InvitationExpired},
		{"long after", issuedAt.AddDate(1, 0, 0), nil, denial.InvitationExpired},
		{"forged", issuedAt, func(*testing.T, User, secret.Value) secret.Value { return secret.New() }, denial.InvitationUnknown},
		{"empty", issuedAt, func(*testing.T, User, secret.Value) secret.Value { return secret.Value{} }, denial.InvitationUnknown},
		{"spent before", issuedAt, func(t *testing.T, _ User, link secret.Value) secret.Value {
			if _, err := spend(t, pool, issuedAt, link); err != nil {
				t.Fatal(err)
			}
			return link
		}, denial.InvitationSpent},
		{"replaced by a newer one", issuedAt, func(t *testing.T, u User, link secret.Value) secret.Value {
			again(t, pool, u)
			return link
		}, denial.InvitationExpired},
		{"of somebody suspended meanwhile", issuedAt, func(t *testing.T, u User, link secret.Value) secret.Value {
			if _, err := do(t, pool, func(tx pgx.Tx) (any, error) { return nil, Suspend(t.Context(), tx, u.ID) }); err != nil {
				t.Fatal(err)
			}
			return link
		}, denial.UserSuspended},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, link := invited(t, pool, tt.name)
			if tt.before != nil {
				link = tt.before(t, u, link)
			}
			_, looked := LookUpInvitation(t.Context(), pool, tt.at, link)
			got, err := spend(t, pool, tt.at, link)
			if tt.want == "" {
				if looked != nil || err != nil || got.ID != u.ID {
					t.Fatalf("spent for %q: %v, %v; want %q", got.ID, looked, err, u.ID)
				}
				return
			}
			if !denial.Is(looked, tt.want) || !denial.Is(err, tt.want) {
				t.Errorf("looked up: %v, spent: %v; want %s", looked, err, tt.want)
			}
		})
	}
}

func TestOfFiftyWhoSpendALinkOneDoes(t *testing.T) {
	pool := pgtest.New(t)
	_, link := invited(t, pool, "Ada")
	var wins, spent atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			switch _, err := spend(t, pool, issuedAt, link); {
			case err == nil:
				wins.Add(1)
			case denial.Is(err, denial.InvitationSpent):
				spent.Add(1)
			}
		})
	}
	all.Wait()
	if wins.Load() != 1 || spent.Load() != 49 {
		t.Errorf("%d spent the link and %d were told so, want 1 and 49", wins.Load(), spent.Load())
	}
}
