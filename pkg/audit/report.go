package audit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// Report is the evidence that an auditor asks for about a period (SOC 2 CC6 and
// CC7; ISO/IEC 27001:2022 Annex A 5.15 to 5.18, 8.2, 8.5, 8.15, 8.24).
type Report struct {
	From, To, MadeAt time.Time
	// People names the people in the entries, by id, who are still known.
	People map[string]string
	// Access lists who has access now, and by which authenticators.
	Access []Access
	// Chapters hold the period's entries by what they are about.
	Chapters []Chapter
	// Refusals counts what was refused, by action and reason.
	Refusals []Count
	// Integrity says what vouches for the record.
	Integrity Integrity
}

// Access is one person's.
type Access struct {
	Person, Status string
	Groups         []string
	Authenticators []string
}

// Chapter is a list of entries of some actions.
type Chapter struct {
	Title   string
	Entries []Entry
}

// Count is how often something happened.
type Count struct {
	Action, Reason string
	Times          int
}

// Integrity is what vouches for the record.
type Integrity struct {
	Entries    int64
	Checkpoint string
	Key        string
	// Anchors names where the newest checkpoints were put, and how many of them.
	Anchors []Count
	// Fault is what the check of the whole record found, or empty.
	Fault string
}

// chapters says which actions each chapter is made of.
var chapters = []struct {
	title   string
	actions []Action
}{
	{"Joiners and leavers", []Action{UserInvited, UserSuspended, UserResumed, UserGrouped, PersonErased}},
	{"Life cycle of passkeys", []Action{CredentialRegistered, CredentialRenamed, CredentialRemoved, CredentialQuarantined, CredentialRejudged, CredentialReleased, FleetRejudged}},
	{"Policy changes, with who applied them", []Action{TrustApplied, MetadataLoaded, ClientsDeclared, ClientCreated, ClientChanged, ClientDeleted}},
	{"Signing keys", []Action{KeyCreated, KeyActivated, KeyRetired, KeyDemanded, KeyWithdrawn, KeysResealed}},
}

// NewReport gathers the evidence about a period. It checks the whole record.
func NewReport(ctx context.Context, q postgres.Querier, from, to, now time.Time) (Report, error) {
	r := Report{From: from, To: to, MadeAt: now, People: map[string]string{}}
	var id, name string
	rows, err := q.Query(ctx, `select id::text, name from account`)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&id, &name}, func() error { r.People[id] = name; return nil })
	}
	if err != nil {
		return r, fmt.Errorf("report: %w", err)
	}
	rows, err = q.Query(ctx, `
		select a.name as person, a.status, array(select group_name from account_group g where g.user_id = a.id order by 1) as groups,
			array(select c.nickname || case when c.model <> '' then ' (' || c.model || ')' else '' end || case when c.quarantined_at is not null then ', quarantined' else '' end
				from credential c where c.user_id = a.id and c.removed_at is null order by c.created_at) as authenticators
		from account a where a.status <> 'deleted' order by lower(a.name)`)
	if err == nil {
		r.Access, err = pgx.CollectRows(rows, pgx.RowToStructByName[Access])
	}
	if err != nil {
		return r, fmt.Errorf("report: %w", err)
	}
	for _, c := range chapters {
		rows, err := q.Query(ctx, `
			select id::text, at, action, outcome, reason, user_id, actor, client_id, credential, session, grant_id, address, correlation, details
			from audit_entry where at >= $1 and at < $2 and action = any($3) order by at, id`, from, to, c.actions)
		if err != nil {
			return r, fmt.Errorf("report: %w", err)
		}
		entries, err := pgx.CollectRows(rows, pgx.RowToStructByName[Entry])
		if err != nil {
			return r, fmt.Errorf("report: %w", err)
		}
		r.Chapters = append(r.Chapters, Chapter{c.title, entries})
	}
	if rows, err = q.Query(ctx, `select action, reason, count(*)::int as times from audit_entry where at >= $1 and at < $2 and outcome = 'refused' group by 1, 2 order by 3 desc, 1, 2`, from, to); err == nil {
		r.Refusals, err = pgx.CollectRows(rows, pgx.RowToStructByName[Count])
	}
	if err != nil {
		return r, fmt.Errorf("report: %w", err)
	}
	return r, r.Integrity.gather(ctx, q)
}

func (i *Integrity) gather(ctx context.Context, q postgres.Querier) error {
	var err error
	if i.Key, err = Key(ctx, q); err != nil {
		return err
	}
	if i.Checkpoint, err = Latest(ctx, q); err != nil {
		return err
	}
	rows, err := q.Query(ctx, `select key as action, '' as reason, count(*)::int as times from audit_checkpoint, jsonb_each(anchored) group by 1 order by 1`)
	if err == nil {
		i.Anchors, err = pgx.CollectRows(rows, pgx.RowToStructByName[Count])
	}
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if i.Entries, err = Check(ctx, q); err != nil {
		i.Fault = err.Error()
	}
	return nil
}

// sorted returns the texts in order.
func sorted(texts []string) []string {
	slices.Sort(texts)
	return texts
}
