package mds

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// Report says what became of a source.
type Report struct {
	// Source is the source's name.
	Source string
	// Number, NextUpdate, Entries and Unreadable describe the BLOB in use; Number is 0 when there is none.
	Number              int
	NextUpdate          time.Time
	Entries, Unreadable int
	// VerifiedAt is the instant at which the BLOB in use was first believed.
	VerifiedAt time.Time
	// Kept says that the copy in the database is in use, not what was read.
	Kept bool
	// Newer says that this reading replaced the copy.
	Newer bool
	// Err says why what was read is not in use; nil when it is.
	Err error
}

// copied is a source's row.
type copied struct {
	set        *Set
	etag       string
	verifiedAt time.Time
	triedAt    time.Time
	failures   int
	// unusable says why the copy is not believed.
	unusable error
}

// check refuses sources that share a name or have none, which would mix up their copies.
func check(sources []Source) error {
	for i, s := range sources {
		if s.Name == "" || slices.ContainsFunc(sources[:i], func(other Source) bool { return other.Name == s.Name }) {
			return fmt.Errorf("metadata %s: the source has no name of its own", s.place())
		}
	}
	return nil
}

// refresh reads a source and stores what is newer than the copy, with an entry
// in the record. What is missing, damaged or older leaves the copy in use, and
// the report says so. The error is a fault of the database.
func (k *Keeper) refresh(ctx context.Context, s Source) (*Set, Report, error) {
	now := k.options.Now()
	c, fault := k.copy(ctx, s)
	if fault != nil {
		return nil, Report{}, fault
	}
	etag := c.etag
	if c.set == nil {
		etag = "" // there is nothing that "unchanged" could refer to
	}
	r, err := s.read(ctx, k.client, etag, now)
	report := Report{Source: s.Name}
	if err == nil && !r.unchanged {
		var newest bool
		newest, report.Newer, fault = k.keep(ctx, s, r, now)
		if fault == nil && !newest {
			err = fmt.Errorf("BLOB no. %d is not newer than the one in use", r.set.number)
		}
	}
	if fault == nil {
		fault = k.note(ctx, s, now, err)
	}
	if fault != nil {
		return nil, Report{}, fault
	}
	// The copy is now the newest, whoever stored it.
	if c, fault = k.copy(ctx, s); fault != nil {
		return nil, Report{}, fault
	}
	report.Kept, report.Err = c.set != nil && err != nil, errors.Join(err, c.unusable)
	report.describe(c)
	return c.set, report, nil
}

func (r *Report) describe(c copied) {
	if c.set != nil {
		r.Number, r.NextUpdate, r.Entries, r.Unreadable, r.VerifiedAt = c.set.number, c.set.next, c.set.Len(), c.set.Unreadable, c.verifiedAt
	}
}

// keep stores a verified BLOB unless the copy is as new. It reports whether the
// copy now is this very BLOB, and whether it was not before: an older one, or
// another one under the same number, changes nothing (FIDO MDS 3.1.1 section
// 3.2 step 8).
func (k *Keeper) keep(ctx context.Context, s Source, r reading, now time.Time) (newest, newer bool, err error) {
	digest := sha256.Sum256(r.blob)
	var kept []byte
	err = k.options.Pool.QueryRow(ctx, `select digest from metadata_blob where source = $1`, s.Name).Scan(&kept)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return false, false, fmt.Errorf("keep: %w", err)
	}
	if slices.Equal(kept, digest[:]) {
		return true, false, nil
	}
	err = k.options.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		tag, err := tx.Exec(ctx, `
			insert into metadata_blob (source, number, next_update, etag, digest, blob, verified_at, tried_at) values ($1, $2, $3, $4, $5, $6, $7, $7)
			on conflict (source) do update set number = excluded.number, next_update = excluded.next_update, etag = excluded.etag, digest = excluded.digest,
				blob = excluded.blob, verified_at = excluded.verified_at
			where metadata_blob.number < excluded.number`, s.Name, r.set.number, r.set.next, r.etag, digest[:], r.blob, now)
		if err != nil {
			return audit.Event{}, fmt.Errorf("keep: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return audit.Event{}, errOlder
		}
		newest, newer = true, true
		if _, err := tx.Exec(ctx, `select pg_notify($1, '')`, channel); err != nil {
			return audit.Event{}, fmt.Errorf("announce metadata: %w", err)
		}
		return audit.Event{Action: audit.MetadataLoaded, Details: map[string]string{"source": s.Name, "number": strconv.Itoa(r.set.number),
			"next_update": r.set.next.Format(time.DateOnly), "sha256": fmt.Sprintf("%x", digest)}}, nil
	})
	if errors.Is(err, errOlder) {
		return false, false, nil
	}
	return newest, newer, err
}

// errOlder ends an act that stores nothing.
var errOlder = errors.New("not newer than the copy")

// note keeps when the source was last tried, and how often in a row in vain;
// for a source without a copy, in this process alone.
func (k *Keeper) note(ctx context.Context, s Source, now time.Time, err error) error {
	attempt := copied{triedAt: now}
	if err != nil {
		attempt.failures = k.tried[s.Name].failures + 1
	}
	k.tried[s.Name] = attempt
	_, fault := k.options.Pool.Exec(ctx, `
		update metadata_blob set tried_at = greatest(tried_at, $2), failures = case when $3 then failures + 1 else 0 end where source = $1`, s.Name, now, err != nil)
	if fault != nil {
		return fmt.Errorf("note: %w", fault)
	}
	return nil
}

// copy returns the source's row. The BLOB is parsed once, and verified as of the
// instant at which it was first believed, for its signer may have expired
// since. The caller holds mu.
func (k *Keeper) copy(ctx context.Context, s Source) (copied, error) {
	var c copied
	var digest []byte
	err := k.options.Pool.QueryRow(ctx, `select digest, etag, verified_at, tried_at, failures from metadata_blob where source = $1`, s.Name).
		Scan(&digest, &c.etag, &c.verifiedAt, &c.triedAt, &c.failures)
	if errors.Is(err, pgx.ErrNoRows) {
		return k.tried[s.Name], nil
	}
	if err != nil {
		return copied{}, fmt.Errorf("read copy: %w", err)
	}
	if known, ok := k.parsed[s.Name]; ok && slices.Equal(known.digest, digest) {
		c.set = known.set
		return c, nil
	}
	var blob []byte
	if err := k.options.Pool.QueryRow(ctx, `select blob, digest from metadata_blob where source = $1`, s.Name).Scan(&blob, &digest); err != nil {
		return copied{}, fmt.Errorf("read copy: %w", err)
	}
	set, err := s.parse(blob, c.verifiedAt)
	if err != nil {
		c.unusable = fmt.Errorf("the copy: %w", err)
		return c, nil
	}
	c.set = set.named(s.Name, digest)
	k.parsed[s.Name] = parsed{digest, c.set}
	return c, nil
}

// parsed is a BLOB in memory.
type parsed struct {
	digest []byte
	set    *Set
}

// Copy is the state of a source, as every replica sees it.
type Copy struct {
	Source     string
	Number     int
	NextUpdate time.Time
	// VerifiedAt is when the BLOB was first believed, TriedAt when the source was last asked.
	VerifiedAt, TriedAt time.Time
	// Failures counts the attempts in vain since the last success.
	Failures int
	SHA256   []byte
}

// Copies returns the state of every source that was ever read, by name.
func Copies(ctx context.Context, q postgres.Querier) ([]Copy, error) {
	rows, err := q.Query(ctx, `select source, number, next_update, verified_at, tried_at, failures, digest as sha256 from metadata_blob order by source`)
	if err != nil {
		return nil, fmt.Errorf("read copies: %w", err)
	}
	copies, err := pgx.CollectRows(rows, pgx.RowToStructByName[Copy])
	if err != nil {
		return nil, fmt.Errorf("read copies: %w", err)
	}
	return copies, nil
}
