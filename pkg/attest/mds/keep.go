package mds

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

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
	// Kept says that the copy in the database is in use, not the file.
	Kept bool
	// Err says why the file is not in use; nil when it is.
	Err error
}

// Refresh reads every source, verified at an instant, keeps those that are
// newer than the copy in the database, and merges what is in use. A file that
// is missing, damaged or older than the copy leaves the copy in use; its report
// says so. A source without file and copy contributes nothing, so that nothing
// is attested by it. The error is a fault of the database, or that two sources
// share a name or one has none, which would mix up their copies.
func Refresh(ctx context.Context, q postgres.Querier, sources []Source, now time.Time) (*Set, []Report, error) {
	var sets []*Set
	reports := make([]Report, len(sources))
	for i, s := range sources {
		if s.Name == "" || slices.ContainsFunc(sources[:i], func(other Source) bool { return other.Name == s.Name }) {
			return nil, nil, fmt.Errorf("metadata %s: the source has no name of its own", s.Path)
		}
		set, r, err := s.refresh(ctx, q, now)
		if err != nil {
			return nil, nil, fmt.Errorf("metadata %s: %w", s.Name, err)
		}
		r.Source = s.Name
		if set != nil {
			r.Number, r.NextUpdate, r.Entries, r.Unreadable = set.number, set.next, set.Len(), set.Unreadable
			sets = append(sets, set)
		}
		reports[i] = r
	}
	return Merge(sets...), reports, nil
}

// refresh returns the source's newest entries, or nil when it has none.
func (s Source) refresh(ctx context.Context, q postgres.Querier, now time.Time) (*Set, Report, error) {
	blob, err := s.read()
	if err == nil {
		var set *Set
		if set, err = s.parse(blob, now); err == nil {
			newest, fault := s.keep(ctx, q, blob, set, now)
			if fault != nil || newest {
				return set, Report{}, fault
			}
			err = fmt.Errorf("BLOB no. %d is not newer than the one in use", set.number)
		}
	}
	set, unusable, fault := s.kept(ctx, q)
	if fault != nil {
		return nil, Report{}, fault
	}
	return set, Report{Kept: set != nil, Err: errors.Join(err, unusable)}, nil
}

// keep stores a verified BLOB unless the copy is as new. It reports whether the
// copy now is this very BLOB: an older one, or another one under the same
// number, changes nothing (FIDO MDS 3.1.1 section 3.2 step 8).
func (s Source) keep(ctx context.Context, q postgres.Querier, blob []byte, set *Set, now time.Time) (bool, error) {
	digest := sha256.Sum256(blob)
	_, err := q.Exec(ctx, `
		insert into metadata_blob (source, number, digest, blob, verified_at) values ($1, $2, $3, $4, $5)
		on conflict (source) do update set number = excluded.number, digest = excluded.digest, blob = excluded.blob, verified_at = excluded.verified_at
		where metadata_blob.number < excluded.number`, s.Name, set.number, digest[:], blob, now)
	if err != nil {
		return false, fmt.Errorf("keep: %w", err)
	}
	var newest bool
	if err := q.QueryRow(ctx, `select exists (select from metadata_blob where source = $1 and digest = $2)`, s.Name, digest[:]).Scan(&newest); err != nil {
		return false, fmt.Errorf("keep: %w", err)
	}
	return newest, nil
}

// kept returns the copy's entries, nil when there is no copy. The copy is
// verified again as of the instant at which it was first believed, for its
// signer may have expired since; unusable says why it is not believed now.
func (s Source) kept(ctx context.Context, q postgres.Querier) (set *Set, unusable, fault error) {
	rows, err := q.Query(ctx, `select blob, verified_at from metadata_blob where source = $1`, s.Name)
	if err != nil {
		return nil, nil, fmt.Errorf("read copy: %w", err)
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, nil, rows.Err()
	}
	var blob []byte
	var verifiedAt time.Time
	if err := rows.Scan(&blob, &verifiedAt); err != nil {
		return nil, nil, fmt.Errorf("read copy: %w", err)
	}
	if set, err = s.parse(blob, verifiedAt); err != nil {
		return nil, fmt.Errorf("the copy: %w", err), nil
	}
	return set, nil, nil
}
