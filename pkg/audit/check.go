package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/touchstone-id/touchstone/pkg/audit/record"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// Check compares the record in the database with itself and with its
// checkpoints: every entry with its leaf, every leaf with the tree, every tile
// with the leaves below, every checkpoint with its signature, and that no entry
// is without a place for longer than the sequencer takes. It returns how many
// entries there are; an error of type *record.Fault names the first that is
// wrong. When a checkpoint was signed, where it was put and what witnesses added
// is noted beside the record and not covered.
func Check(ctx context.Context, q postgres.Querier) (int64, error) {
	key, err := Key(ctx, q)
	if err != nil || key == "" {
		return 0, err
	}
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return 0, fmt.Errorf("the record's key: %w", err)
	}
	checkpoints, err := checkCheckpoints(ctx, q, verifier)
	if err != nil {
		return 0, err
	}
	var lost, half int
	err = q.QueryRow(ctx, `
		select count(*) filter (where not exists (select from audit_leaf where entry_id = e.id) and not exists (select from audit_pending where entry_id = e.id)),
			count(*) filter (where (erased_at is null) <> (salt is not null) or erased_at is not null and user_id || actor || credential || session || address <> '')
		from audit_entry e`).Scan(&lost, &half)
	switch {
	case err != nil:
		return 0, fmt.Errorf("check the record: %w", err)
	case lost > 0:
		return 0, fmt.Errorf("%d entries were put in beside the log", lost)
	case half > 0:
		return 0, fmt.Errorf("the personal parts of %d entries are neither there nor erased", half)
	}
	reader, writer := io.Pipe()
	exported := make(chan struct{})
	go func() {
		writer.CloseWithError(Export(ctx, q, writer, true))
		close(exported)
	}()
	n, err := record.VerifyExport(reader, checkpoints)
	reader.Close()
	<-exported
	if err != nil {
		return n, err
	}
	return n, checkTiles(ctx, q, n)
}

// checkCheckpoints opens every checkpoint and compares it with its row.
func checkCheckpoints(ctx context.Context, q postgres.Querier, verifier note.Verifier) ([]record.Checkpoint, error) {
	rows, err := q.Query(ctx, `select size, root, note from audit_checkpoint order by size`)
	if err != nil {
		return nil, fmt.Errorf("check the record: %w", err)
	}
	var checkpoints []record.Checkpoint
	var size int64
	var root []byte
	var text string
	_, err = pgx.ForEachRow(rows, []any{&size, &root, &text}, func() error {
		c, err := record.OpenCheckpoint([]byte(text), verifier)
		if err == nil && (c.Size != size || !bytes.Equal(c.Root[:], root)) {
			err = fmt.Errorf("the checkpoint of %d entries stands in the place of another", c.Size)
		}
		checkpoints = append(checkpoints, c)
		return err
	})
	return checkpoints, err
}

// tileWidth is how many hashes a full tile has.
const tileWidth = 1 << tileHeight

// tileCheck builds the tiles anew, level by level as leaves come in.
type tileCheck struct {
	ctx  context.Context
	q    postgres.Querier
	open [][]tlog.Hash
	next []int64
}

// checkTiles compares every tile with the leaves, which were checked before.
func checkTiles(ctx context.Context, q postgres.Querier, size int64) error {
	c := tileCheck{ctx: ctx, q: q}
	for from := int64(0); from < size; from += lineBatch {
		rows, err := q.Query(ctx, `select hash from audit_leaf where index >= $1 and index < least($1 + $2, $3) order by index`, from, lineBatch, size)
		if err != nil {
			return fmt.Errorf("check the tiles: %w", err)
		}
		hashes, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if err != nil {
			return fmt.Errorf("check the tiles: %w", err)
		}
		for _, h := range hashes {
			if err := c.add(0, tlog.Hash(h)); err != nil {
				return err
			}
		}
	}
	tiles := int64(0)
	for level, rest := range c.open {
		if len(rest) > 0 {
			if err := c.compare(level); err != nil {
				return err
			}
			tiles++
		}
		tiles += c.next[level]
	}
	var stored int64
	if err := q.QueryRow(ctx, `select count(*) from audit_tile`).Scan(&stored); err != nil || stored != tiles {
		return errors.Join(fmt.Errorf("the log has %d tiles, %d are stored", tiles, stored), err)
	}
	return nil
}

// add puts a hash into the tile that is open at a level.
func (c *tileCheck) add(level int, h tlog.Hash) error {
	if level == len(c.open) {
		c.open, c.next = append(c.open, nil), append(c.next, 0)
	}
	c.open[level] = append(c.open[level], h)
	if len(c.open[level]) < tileWidth {
		return nil
	}
	if err := c.compare(level); err != nil {
		return err
	}
	full := c.open[level]
	for len(full) > 1 {
		for i := range len(full) / 2 {
			full[i] = tlog.NodeHash(full[2*i], full[2*i+1])
		}
		full = full[:len(full)/2]
	}
	c.open[level], c.next[level] = nil, c.next[level]+1
	return c.add(level+1, full[0])
}

// compare holds the open tile of a level against the stored one.
func (c *tileCheck) compare(level int) error {
	var want, data []byte
	for _, h := range c.open[level] {
		want = append(want, h[:]...)
	}
	err := c.q.QueryRow(c.ctx, `select data from audit_tile where level = $1 and n = $2`, level, c.next[level]).Scan(&data)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("check the tiles: %w", err)
	}
	if !bytes.Equal(data, want) {
		leaves := int64(1) << (level * tileHeight)
		from := c.next[level] * tileWidth * leaves
		return &record.Fault{From: from, To: from + int64(len(c.open[level]))*leaves - 1, Err: fmt.Errorf("tile %d of level %d is not made of them", c.next[level], level)}
	}
	return nil
}
