package keyring

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// basis is what credentials are judged by, as far as keys follow it.
type basis struct {
	// metadata names every BLOB in force with its number, as in fido:122:0a1b2c3d.
	metadata string
	trust    string
	// updated is when the metadata last changed, next when the next is promised.
	updated, next time.Time
	// open says that not every credential is judged yet by what is in force.
	open bool
}

// look is what the database says at one instant.
type look struct {
	now time.Time
	// keys are those whose private part still exists, oldest first.
	keys    []Key
	demands []demand
	basis   basis
	// empty says that there never was a key.
	empty bool
}

// clock reads the database clock.
func clock(ctx context.Context, q postgres.Querier) (time.Time, error) {
	var now time.Time
	if err := q.QueryRow(ctx, `select clock_timestamp()`).Scan(&now); err != nil {
		return now, fmt.Errorf("read database clock: %w", err)
	}
	return now, nil
}

// lookAt reads everything but secrets.
func lookAt(ctx context.Context, q postgres.Querier, now time.Time) (l look, err error) {
	l.now = now
	// Outside of the lock keys may come between two statements, so emptiness is
	// asked first: a ring that was not empty then has its keys now.
	if l.basis, l.empty, err = readBasis(ctx, q); err != nil {
		return l, err
	}
	if l.keys, err = readKeys(ctx, q, false); err != nil {
		return l, err
	}
	rows, err := q.Query(ctx, `select algorithm, kind, cause from key_demand where done_at is null order by id`)
	if err == nil {
		l.demands, err = pgx.CollectRows(rows, func(c pgx.CollectableRow) (d demand, err error) { return d, c.Scan(&d.algorithm, &d.kind, &d.cause) })
	}
	if err != nil {
		return l, fmt.Errorf("read key ring: %w", err)
	}
	return l, nil
}

// readKeys lists keys oldest first, with or without those that are destroyed.
func readKeys(ctx context.Context, q postgres.Querier, all bool) ([]Key, error) {
	rows, err := q.Query(ctx, `
		select kid, algorithm, created_at, ready_at, activates_at, honoured_at, retires_at, withdrawn_at, cause, sealed_under
		from signing_key where $1 or destroyed_at is null order by created_at, kid`, all)
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	keys, err := pgx.CollectRows(rows, func(c pgx.CollectableRow) (k Key, err error) {
		return k, c.Scan(&k.ID, &k.Algorithm, &k.CreatedAt, &k.ReadyAt, &k.ActivatesAt, &k.HonouredAt, &k.RetiresAt, &k.WithdrawnAt, &k.Cause, &k.SealedUnder)
	})
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	return keys, nil
}

// readBasis reads which metadata and trust file are in force, and whether the
// judgement of every credential under them has ended, and whether there never
// was a key. It reads tables of
// attest/mds and fleet: the answer must belong to the transaction that rotates.
//
// A BLOB or trust file is judged once a finished judgement names it in its basis
// or, for a source that is no longer configured, began after it came.
func readBasis(ctx context.Context, q postgres.Querier) (b basis, empty bool, err error) {
	var updated, next *time.Time
	err = q.QueryRow(ctx, `
		with blob as (
			select m.source, m.source || ':' || m.number || ':' || encode(substring(m.digest for 4), 'hex') as version, m.verified_at, m.next_update,
				j.basis is not null and position(m.source || ':' in j.basis) = 0 and m.verified_at <= j.started_at as abandoned
			from metadata_blob m left join judgement j on true
		), rules as (
			select version, applied_at from trust_file order by id desc limit 1
		)
		select
			coalesce((select string_agg(version, ' ' order by source) from blob where not abandoned), ''),
			coalesce((select version from rules), ''),
			(select max(verified_at) from blob where not abandoned),
			(select min(next_update) from blob where not abandoned and next_update > 'epoch'),
			exists (select from judgement where finished_at is null)
			or exists (select from blob left join judgement j on true where not abandoned and coalesce(position(version in j.basis) = 0, true))
			or exists (select from rules join judgement j on position(version in j.basis) = 0 and applied_at > j.started_at),
			not exists (select from signing_key)`).
		Scan(&b.metadata, &b.trust, &updated, &next, &b.open, &empty)
	if err != nil {
		return b, false, fmt.Errorf("read what keys follow: %w", err)
	}
	if updated != nil {
		b.updated = *updated
	}
	if next != nil {
		b.next = *next
	}
	return b, empty, nil
}

// AllKeys lists every key that ever was, oldest first. It needs no sealing key.
func AllKeys(ctx context.Context, q postgres.Querier) ([]Key, error) { return readKeys(ctx, q, true) }
