package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/touchstone-id/touchstone/pkg/audit/record"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// tileHeight is that of C2SP tlog-tiles: 256 hashes wide.
const tileHeight = 8

// tree reads the log's hashes from its tiles, authenticated by a checkpoint, and
// adds to them in memory.
type tree struct {
	size  int64
	old   tlog.HashReader
	fresh map[int64]tlog.Hash
}

// newTree returns the tree under a checkpoint that is known to be the log's.
func newTree(ctx context.Context, q postgres.Querier, c record.Checkpoint) *tree {
	return &tree{c.Size, tlog.TileHashReader(tlog.Tree{N: c.Size, Hash: c.Root}, tiles{ctx, q}), map[int64]tlog.Hash{}}
}

// ReadHashes returns stored hashes by their indexes.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	var missing []int64
	var places []int
	for i, at := range indexes {
		if h, ok := t.fresh[at]; ok {
			out[i] = h
			continue
		}
		missing, places = append(missing, at), append(places, i)
	}
	if len(missing) == 0 {
		return out, nil
	}
	read, err := t.old.ReadHashes(missing)
	if err != nil {
		return nil, err
	}
	for i, place := range places {
		out[place] = read[i]
		t.fresh[missing[i]] = read[i]
	}
	return out, nil
}

// add appends a leaf.
func (t *tree) add(leaf tlog.Hash) error {
	hashes, err := tlog.StoredHashesForRecordHash(t.size, leaf, t)
	if err != nil {
		return err
	}
	first := tlog.StoredHashIndex(0, t.size)
	for i, h := range hashes {
		t.fresh[first+int64(i)] = h
	}
	t.size++
	return nil
}

// store writes the tiles that grew since the tree had this size.
func (t *tree) store(ctx context.Context, tx pgx.Tx, since int64) error {
	var b pgx.Batch
	for _, tile := range tlog.NewTiles(tileHeight, since, t.size) {
		data, err := tlog.ReadTileData(tile, t)
		if err != nil {
			return err
		}
		b.Queue(`
			insert into audit_tile (level, n, data) values ($1, $2, $3)
			on conflict (level, n) do update set data = excluded.data where octet_length(audit_tile.data) < octet_length(excluded.data)`, tile.L, tile.N, data)
	}
	return tx.SendBatch(ctx, &b).Close()
}

// tiles reads tiles from the database.
type tiles struct {
	ctx context.Context
	q   postgres.Querier
}

func (t tiles) Height() int                     { return tileHeight }
func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles returns the data of tiles, each cut to the width asked for.
func (t tiles) ReadTiles(list []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(list))
	for i, tile := range list {
		data, err := readTile(t.ctx, t.q, tile)
		if err != nil {
			return nil, err
		}
		out[i] = data
	}
	return out, nil
}

// ErrNoTile is returned for a tile that the log does not have.
var ErrNoTile = errors.New("the log has no such tile")

// readTile returns the first hashes of a tile. What is longer by now begins the same.
func readTile(ctx context.Context, q postgres.Querier, tile tlog.Tile) ([]byte, error) {
	var data []byte
	err := q.QueryRow(ctx, `select data from audit_tile where level = $1 and n = $2`, tile.L, tile.N).Scan(&data)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && len(data) < tile.W*tlog.HashSize {
		return nil, ErrNoTile
	}
	if err != nil {
		return nil, fmt.Errorf("read tile: %w", err)
	}
	return data[:tile.W*tlog.HashSize], nil
}

// Tile returns a tile of the log by its path (C2SP tlog-tiles), or ErrNoTile.
func Tile(ctx context.Context, q postgres.Querier, level int, n int64, width int) ([]byte, error) {
	if level < 0 || level > 63 || n < 0 || width < 1 || width > 1<<tileHeight {
		return nil, ErrNoTile
	}
	return readTile(ctx, q, tlog.Tile{H: tileHeight, L: level, N: n, W: width})
}
