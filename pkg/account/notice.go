package account

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// Kind says what a notice is about.
type Kind string

// Kinds of notices.
const (
	NoticeAdded          Kind = "passkey_added"
	NoticeLostStanding   Kind = "passkey_lost_standing"
	NoticeGainedStanding Kind = "passkey_gained_standing"
	NoticeSuspended      Kind = "passkey_suspended"
	NoticeReleased       Kind = "passkey_released"
	NoticeCloneSuspected Kind = "clone_suspected"
)

// Notice is something that happened to a person's account while they looked away.
type Notice struct {
	ID   int64
	Kind Kind
	// Subject is the nickname of the passkey it is about.
	Subject string
	// Explanation says why, for people who want to know; it may be empty.
	Explanation string
	CreatedAt   time.Time
}

// Notify leaves a notice for the person.
func Notify(ctx context.Context, tx pgx.Tx, now time.Time, id ID, kind Kind, subject, explanation string) error {
	_, err := tx.Exec(ctx, `insert into notice (user_id, kind, subject, explanation, created_at) values ($1, $2, $3, $4, $5)`, id, kind, subject, explanation, now)
	if err != nil {
		return fmt.Errorf("notify person: %w", err)
	}
	return nil
}

// maxNotices bounds how many notices a page shows.
const maxNotices = 20

// Notices returns what the person has not dismissed, newest first, at most 20.
func Notices(ctx context.Context, q postgres.Querier, id ID) ([]Notice, error) {
	rows, err := q.Query(ctx, `select id, kind, subject, explanation, created_at from notice where user_id = $1 and dismissed_at is null order by id desc limit $2`, id, maxNotices)
	if err != nil {
		return nil, fmt.Errorf("read notices: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Notice])
	if err != nil {
		return nil, fmt.Errorf("read notices: %w", err)
	}
	return list, nil
}

// DismissNotice takes a notice off the person's page. One that is not theirs is
// the denial PageNotFound; dismissing again changes nothing.
func DismissNotice(ctx context.Context, q postgres.Querier, now time.Time, id ID, notice string) error {
	number, err := strconv.ParseInt(notice, 10, 64)
	if err != nil {
		return denial.New(denial.PageNotFound, "notice")
	}
	tag, err := q.Exec(ctx, `update notice set dismissed_at = coalesce(dismissed_at, $3) where id = $1 and user_id = $2`, number, id, now)
	if err != nil {
		return fmt.Errorf("dismiss notice: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return denial.New(denial.PageNotFound, "notice")
	}
	return nil
}
