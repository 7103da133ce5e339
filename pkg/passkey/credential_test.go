package passkey

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/touchstone-id/touchstone/pkg/denial"
)

func TestRename(t *testing.T) {
	w := newWorld(t)
	_, c := w.enrolled()
	stranger := w.person("eve").ID
	for _, tt := range []struct {
		name, id, nickname string
		stranger           bool
		want               denial.Reason // empty when renamed
	}{
		{"plain", c.ID, " Blue key ", false, ""},
		{"sixty letters", c.ID, strings.Repeat("ü", 60), false, ""},
		{"too long", c.ID, strings.Repeat("ü", 61), false, denial.RequestMalformed},
		{"empty", c.ID, " \t ", false, denial.RequestMalformed},
		{"not text", c.ID, "\xff", false, denial.RequestMalformed},
		{"zero byte", c.ID, "Blue\x00key", false, denial.RequestMalformed},
		{"line break", c.ID, "Blue\nkey", false, denial.RequestMalformed},
		{"another person's", c.ID, "Eve's key", true, denial.CredentialUnknown},
		{"no such passkey", uuid.NewString(), "Blue key", false, denial.CredentialUnknown},
		{"no id", "1' or '1'='1", "Blue key", false, denial.CredentialUnknown},
		{"zero byte in the id", c.ID + "\x00", "Blue key", false, denial.CredentialUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.on(t)
			user := w.user.ID
			if tt.stranger {
				user = stranger
			}
			before := w.passkeys()[0].Nickname
			err := w.tx(func(tx pgx.Tx) error { return Rename(context.Background(), tx, user, tt.id, tt.nickname) })
			w.wantReason(err, tt.want)
			want := strings.TrimSpace(tt.nickname)
			if tt.want != "" {
				want = before
			}
			if got := w.passkeys()[0].Nickname; got != want {
				t.Errorf("nickname %q, want %q", got, want)
			}
		})
	}
}

func TestLastUsableCredentialStays(t *testing.T) {
	w := newWorld(t)
	remove := func(id string) error {
		return w.tx(func(tx pgx.Tx) error { return Remove(context.Background(), tx, w.now, w.user.ID, id) })
	}
	_, first := w.enrolled()
	for _, form := range []string{first.ID, "{" + first.ID + "}", "urn:uuid:" + first.ID, strings.ToUpper(first.ID), strings.ReplaceAll(first.ID, "-", "")} {
		w.wantReason(remove(form), denial.LastCredential)
	}
	a, second := w.enrolled()
	if err := remove(first.ID); err != nil {
		t.Error(err)
	}
	w.wantReason(remove(first.ID), denial.CredentialUnknown)
	w.wantReason(remove("rubbish"), denial.CredentialUnknown)
	w.wantReason(remove(second.ID), denial.LastCredential)
	// A paused passkey is no way in, so it does not count, and may go.
	_, third := w.enrolled()
	zero := uint32(0)
	if _, err := w.login(a); err != nil {
		t.Fatal(err)
	}
	a.Lie.Counter = &zero
	_, err := w.login(a)
	w.wantReason(err, denial.CloneSuspected)
	w.wantReason(remove(third.ID), denial.LastCredential)
	if err := remove(second.ID); err != nil {
		t.Error(err)
	}
	w.user = w.person("eve")
	w.wantReason(remove(third.ID), denial.CredentialUnknown)
}

func TestOneRemovalWaitsForAnother(t *testing.T) {
	ctx, w := context.Background(), newWorld(t)
	_, first := w.enrolled()
	_, second := w.enrolled()
	err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if err := Remove(ctx, tx, w.now, w.user.ID, first.ID); err != nil {
			return err
		}
		// Not committed: the other must not find two usable passkeys still.
		_, fault := attempt(w.pool, func(other pgx.Tx) error {
			if _, err := other.Exec(ctx, `set local lock_timeout = '100ms'`); err != nil {
				return err
			}
			return Remove(ctx, other, w.now, w.user.ID, second.ID)
		})
		var pg *pgconn.PgError
		if !errors.As(fault, &pg) || pg.Code != "55P03" { // lock_not_available
			t.Errorf("the other removal did not wait: %v", fault)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFiftyRemovalsLeaveOne(t *testing.T) {
	w := newWorld(t)
	_, first := w.enrolled()
	_, second := w.enrolled()
	ids := make(chan string, 50)
	for i := range 50 {
		ids <- []string{first.ID, second.ID}[i%2]
	}
	wins, _ := fifty(w, denial.LastCredential, func(tx pgx.Tx) error {
		return Remove(context.Background(), tx, w.now, w.user.ID, <-ids)
	})
	if n := len(w.passkeys()); wins != 1 || n != 1 {
		t.Errorf("%d removals, %d passkeys left, want 1 and 1", wins, n)
	}
}

func TestAnyRegistered(t *testing.T) {
	w := newWorld(t)
	for _, want := range []bool{false, true} {
		if got, err := AnyRegistered(context.Background(), w.pool); err != nil || got != want {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
		w.enrolled()
	}
}
