package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/touchstone-id/touchstone/pkg/audit/record"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

const (
	// sequenceLock is the advisory lock of the replica that sequences.
	sequenceLock = 0x7473_6c6f_67
	// sequenceEvery is the pause between batches when there is nothing to do.
	sequenceEvery = time.Second
	// sequenceBatch bounds how many entries get their place in one transaction.
	sequenceBatch = 4_000
)

// stored is an entry with what its leaf and its personal part need.
type stored struct {
	Entry
	salt   []byte
	erased bool
}

// leaf splits an entry in two: what the log says, and what it commits to.
func (s stored) leaf() (record.Leaf, record.Personal) {
	p := record.Personal{UserID: s.UserID, Actor: s.Actor, Credential: s.Credential, Session: s.Session, Address: s.Address}
	return record.Leaf{Version: record.Version, ID: s.ID, At: s.At, Action: string(s.Action), Outcome: s.Outcome, Reason: string(s.Reason),
		ClientID: s.ClientID, GrantID: s.GrantID, Correlation: s.Correlation, Details: s.Details, Personal: record.Commit(s.salt, p)}, p
}

// targets are where the columns of an entry go, in the order in which the queries name them.
func (s *stored) targets() []any {
	return []any{&s.ID, &s.At, &s.Action, &s.Outcome, &s.Reason, &s.UserID, &s.Actor, &s.ClientID, &s.Credential, &s.Session, &s.GrantID, &s.Address, &s.Correlation, &s.Details, &s.salt, &s.erased}
}

// Sequencer gives entries their places in the log and signs checkpoints. One
// replica at a time does; the acts themselves wait for nobody.
type Sequencer struct {
	pool   *pgxpool.Pool
	signer *Signer
	logger zerolog.Logger
	now    func() time.Time
}

// NewSequencer returns a sequencer that signs with the log's key.
func NewSequencer(pool *pgxpool.Pool, signer *Signer, logger zerolog.Logger, now func() time.Time) *Sequencer {
	return &Sequencer{pool, signer, logger, now}
}

// Run sequences until the context ends, about every second while there is
// something new.
func (s *Sequencer) Run(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := s.Step(ctx)
		if err != nil && ctx.Err() == nil {
			s.logger.Error().Err(err).Msg("the record could not be sequenced; it is tried again")
		}
		if n == sequenceBatch {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(sequenceEvery):
		}
	}
}

// Step gives one batch of entries their places and signs a checkpoint over them,
// in one transaction: whatever kills it leaves neither gap nor duplicate. It
// returns how many there were; none while another replica is at it.
func (s *Sequencer) Step(ctx context.Context) (int, error) {
	n := 0
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var mine bool
		if err := tx.QueryRow(ctx, `select pg_try_advisory_xact_lock($1)`, sequenceLock).Scan(&mine); err != nil || !mine {
			return err
		}
		var err error
		n, err = s.batch(ctx, tx)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sequence the record: %w", err)
	}
	return n, nil
}

// batch takes up to sequenceBatch of the entries that wait.
func (s *Sequencer) batch(ctx context.Context, tx pgx.Tx) (int, error) {
	entries, err := take(ctx, tx)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	before, err := head(ctx, tx)
	if err != nil {
		return 0, err
	}
	tree := newTree(ctx, tx, before)
	for _, e := range entries {
		if err := tree.add(e.hash); err != nil {
			return 0, err
		}
	}
	places := pgx.CopyFromSlice(len(entries), func(i int) ([]any, error) {
		e := &entries[i]
		return []any{before.Size + int64(i), e.id, e.hash[:], e.personal}, nil
	})
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"audit_leaf"}, []string{"index", "entry_id", "hash", "personal"}, places); err != nil {
		return 0, err
	}
	if err := tree.store(ctx, tx, before.Size); err != nil {
		return 0, err
	}
	root, err := tlog.TreeHash(tree.size, tree)
	if err != nil {
		return 0, err
	}
	signed, err := s.signer.Sign(record.Checkpoint{Origin: s.signer.Name(), Size: tree.size, Root: root})
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(ctx, `insert into audit_checkpoint (size, root, note, signed_at) values ($1, $2, $3, $4)`, tree.size, root[:], string(signed), s.now())
	return len(entries), err
}

// waiting is an entry that has no place yet, reduced to what its place says.
type waiting struct {
	id       uuid.UUID
	hash     tlog.Hash
	personal []byte
}

// take takes entries off the list of those that wait, in the order of their
// times. It is one statement whose cost does not grow with what waits beyond, and
// entries are hashed as they arrive, so that they are not all in memory.
func take(ctx context.Context, tx pgx.Tx) ([]waiting, error) {
	rows, err := tx.Query(ctx, `
		with taken as (
			delete from audit_pending where ctid = any(array(select ctid from audit_pending limit $1)) returning entry_id
		)
		select e.id::text, e.at, e.action, e.outcome, e.reason, e.user_id, e.actor, e.client_id, e.credential, e.session, e.grant_id, e.address, e.correlation, e.details, e.salt, e.erased_at is not null
		from taken join audit_entry e on e.id = taken.entry_id order by e.at, e.id`, sequenceBatch)
	if err != nil {
		return nil, err
	}
	var entries []waiting
	var e stored
	_, err = pgx.ForEachRow(rows, e.targets(), func() error {
		id, err := uuid.Parse(e.ID)
		if err != nil {
			return err
		}
		leaf, _ := e.leaf()
		entries = append(entries, waiting{id, leaf.Hash(), leaf.Personal})
		e.Details = nil // or the next row's would be added to them
		return nil
	})
	return entries, err
}

// head returns the newest checkpoint; before the first, that of an empty log.
func head(ctx context.Context, q postgres.Querier) (record.Checkpoint, error) {
	var c record.Checkpoint
	var root []byte
	err := q.QueryRow(ctx, `select size, root from audit_checkpoint order by size desc limit 1`).Scan(&c.Size, &root)
	if errors.Is(err, pgx.ErrNoRows) {
		return c, nil
	}
	if err == nil {
		c.Root = tlog.Hash(root)
	}
	return c, err
}
