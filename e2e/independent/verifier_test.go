package independent

import (
	"bytes"
	"slices"
	"testing"

	"github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/touchstone-id/touchstone/pkg/audit"
)

// hasher is another implementation of RFC 6962 section 2.1.
var hasher = rfc6962.DefaultHasher

// read opens a checkpoint as others do.
func (w *world) read(signed string) *log.Checkpoint {
	w.Helper()
	verifier, err := fnote.NewVerifier(w.key())
	w.must(err)
	c, rest, _, err := log.ParseCheckpoint([]byte(signed), origin, verifier)
	w.must(err)
	if len(rest) > 0 {
		w.Errorf("the checkpoint has extensions: %q", rest)
	}
	return c
}

func TestOthersAcceptCheckpointsAndProofs(t *testing.T) {
	w := newWorld(t)
	var heads []*log.Checkpoint
	for _, n := range []int{1, 6, 248, 1, 1, 300} { // below, at and beyond the width of a tile
		heads = append(heads, w.read(w.grow(n)))
	}
	newest := heads[len(heads)-1]
	if newest.Size != 557 {
		t.Fatalf("a log of %d entries", newest.Size)
	}
	for _, older := range heads {
		ours, err := audit.ProveConsistency(t.Context(), w.pool, int64(older.Size), int64(newest.Size))
		w.must(err)
		if err := proof.VerifyConsistency(hasher, older.Size, newest.Size, ours, older.Hash, newest.Hash); err != nil {
			t.Errorf("from %d: %v", older.Size, err)
		}
		other := slices.Clone(older.Hash)
		other[0] ^= 1
		if err := proof.VerifyConsistency(hasher, older.Size, newest.Size, ours, other, newest.Hash); err == nil {
			t.Errorf("from another log of %d: consistent", older.Size)
		}
	}
	rows, err := w.pool.Query(t.Context(), `select entry_id::text from audit_leaf order by index`)
	w.must(err)
	index := uint64(0)
	var id string
	var ids []string
	for rows.Next() {
		w.must(rows.Scan(&id))
		ids = append(ids, id)
	}
	w.must(rows.Err())
	for _, id := range ids {
		p, err := audit.Prove(t.Context(), w.pool, id)
		w.must(err)
		if err := proof.VerifyInclusion(hasher, index, newest.Size, hasher.HashLeaf(p.Line.Leaf), p.Proof, newest.Hash); err != nil {
			t.Errorf("entry %d: %v", index, err)
		}
		index++
	}
	if index != newest.Size {
		t.Errorf("%d entries were proved", index)
	}
}

func TestOthersBuildTheTreeFromTiles(t *testing.T) {
	w := newWorld(t)
	w.grow(3)
	head := w.read(w.grow(600))
	ranges := &compact.RangeFactory{Hash: hasher.HashChildren}
	whole, full := ranges.NewEmptyRange(0), []byte{}
	for first := uint64(0); first < head.Size; first += 256 {
		width := int(min(256, head.Size-first))
		tile, err := audit.Tile(t.Context(), w.pool, 0, int64(first/256), width)
		w.must(err)
		part := ranges.NewEmptyRange(0)
		for h := range slices.Chunk(tile, 32) {
			w.must(whole.Append(h, nil))
			w.must(part.Append(h, nil))
		}
		if width == 256 {
			root, err := part.GetRootHash(nil)
			w.must(err)
			full = append(full, root...)
		}
	}
	root, err := whole.GetRootHash(nil)
	w.must(err)
	if !bytes.Equal(root, head.Hash) {
		t.Error("the tiles are of another tree than the checkpoint")
	}
	if above, err := audit.Tile(t.Context(), w.pool, 1, 0, len(full)/32); err != nil || !bytes.Equal(above, full) {
		t.Errorf("the tile above is not made of those below: %v", err)
	}
}
