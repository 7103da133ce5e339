package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	sequenceBatch = 2000
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

func (s *Sequencer) batch(ctx context.Context, tx pgx.Tx) (int, error) {
	rows, err := tx.Query(ctx, `
		select e.id::text, e.at, e.action, e.outcome, e.reason, e.user_id, e.actor, e.client_id, e.credential, e.session, e.grant_id, e.address, e.correlation, e.details, e.salt, e.erased_at is not null
		from audit_pending p join audit_entry e on e.id = p.entry_id order by e.at, e.id limit $1`, sequenceBatch)
	if err != nil {
		return 0, err
	}
	entries, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (stored, error) {
		var e stored
		return e, r.Scan(e.targets()...)
	})
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	before, err := head(ctx, tx)
	if err != nil {
		return 0, err
	}
	tree := newTree(ctx, tx, before)
	indexes, ids, hashes, commitments := make([]int64, len(entries)), make([]string, len(entries)), make([][]byte, len(entries)), make([][]byte, len(entries))
	for i, e := range entries {
		leaf, _ := e.leaf()
		h := leaf.Hash()
		indexes[i], ids[i], hashes[i], commitments[i] = tree.size, e.ID, h[:], leaf.Personal
		if err := tree.add(h); err != nil {
			return 0, err
		}
	}
	if _, err := tx.Exec(ctx, `insert into audit_leaf (index, entry_id, hash, personal) select * from unnest($1::bigint[], $2::uuid[], $3::bytea[], $4::bytea[])`, indexes, ids, hashes, commitments); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, `delete from audit_pending where entry_id = any($1::uuid[])`, ids); err != nil {
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
