package record

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Proof shows that one entry is in the log: its line, the inclusion proof and
// the checkpoint it leads to.
type Proof struct {
	Line  Line     `json:"line"`
	Size  int64    `json:"size"`
	Proof [][]byte `json:"proof"`
	// Checkpoint is the signed note.
	Checkpoint string `json:"checkpoint"`
}

// Encode returns the proof as a file, as audit prove writes it. Leaves are
// compared byte for byte, so nothing in them is escaped.
func (p Proof) Encode() []byte { return append(canonical(p), '\n') }

// Verify checks the proof with the log's key, and returns the entry and the
// checkpoint that vouches for it.
func (p Proof) Verify(verifier note.Verifier) (Leaf, Checkpoint, error) {
	c, err := OpenCheckpoint([]byte(p.Checkpoint), verifier)
	if err != nil {
		return Leaf{}, c, err
	}
	leaf, err := p.Line.Check()
	if err != nil {
		return leaf, c, err
	}
	if p.Size != c.Size {
		return leaf, c, fmt.Errorf("the proof is for a log of %d entries, the checkpoint for one of %d", p.Size, c.Size)
	}
	hashes, err := hashesOf(p.Proof)
	if err != nil {
		return leaf, c, err
	}
	if err := tlog.CheckRecord(tlog.RecordProof(hashes), c.Size, c.Root, p.Line.Index, leaf.Hash()); err != nil {
		return leaf, c, errors.New("the entry is not in the log that the checkpoint signs")
	}
	return leaf, c, nil
}

func hashesOf(list [][]byte) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(list))
	for i, b := range list {
		if len(b) != tlog.HashSize {
			return nil, errors.New("a hash of the proof has the wrong length")
		}
		hashes[i] = tlog.Hash(b)
	}
	return hashes, nil
}

// emptyRoot is the root of a log without entries (RFC 6962 section 2.1).
var emptyRoot = tlog.Hash(sha256.Sum256(nil))

// CheckConsistency checks that an older checkpoint is a prefix of a newer one.
func CheckConsistency(older, newer Checkpoint, proof [][]byte) error {
	hashes, err := hashesOf(proof)
	if err != nil {
		return err
	}
	if older.Size > newer.Size {
		return fmt.Errorf("a log of %d entries cannot continue one of %d", newer.Size, older.Size)
	}
	if (older.Size == 0 || older.Size == newer.Size) && len(hashes) > 0 {
		return errors.New("there is nothing to prove, and a proof")
	}
	if newer.Size == 0 && newer.Root != emptyRoot {
		return errors.New("a log without entries has another root")
	}
	if older.Size == 0 {
		return nil
	}
	if older.Size == newer.Size {
		if older.Root != newer.Root {
			return fmt.Errorf("two logs of %d entries: the record was forked", older.Size)
		}
		return nil
	}
	if err := tlog.CheckTree(tlog.TreeProof(hashes), newer.Size, newer.Root, older.Size, older.Root); err != nil {
		return fmt.Errorf("the log of %d entries does not continue the one of %d: the record was rewritten", newer.Size, older.Size)
	}
	return nil
}

// maxLine bounds a line of an export, in bytes.
const maxLine = 1 << 20

// Fault is where a record first departs from what was logged.
type Fault struct {
	// From and To are the indexes of the first leaves that can be at fault: the
	// same when it is known which one.
	From, To int64
	Err      error
}

// Error tells the fault and its place.
func (f *Fault) Error() string {
	if f.From == f.To {
		return fmt.Sprintf("leaf %d: %v", f.From, f.Err)
	}
	return fmt.Sprintf("leaves %d to %d: %v", f.From, f.To, f.Err)
}

// Unwrap returns what is wrong.
func (f *Fault) Unwrap() error { return f.Err }

// VerifyExport reads an export, JSON Lines in the order of the log from its
// beginning, and compares it with checkpoints of the same log. Each line is
// compared with itself; the tree over all lines with every checkpoint, in the
// order of their sizes, so that a fault is placed between the last that agrees
// and the first that does not. It returns how many entries there were. An error
// of type *Fault names the place. A checkpoint beyond the export's end means
// that the newest entries are missing.
func VerifyExport(export io.Reader, checkpoints []Checkpoint) (int64, error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			if at >= int64(len(stored)) {
				return nil, errors.New("beyond the tree")
			}
			out[i] = stored[at]
		}
		return out, nil
	})
	var n, agreed int64
	next := 0
	compare := func() error {
		for next < len(checkpoints) && checkpoints[next].Size == n {
			root, err := tlog.TreeHash(n, reader)
			if err != nil {
				return err
			}
			if n > 0 && root != checkpoints[next].Root {
				return &Fault{agreed, n - 1, errors.New("the entries are not those that the checkpoint signs")}
			}
			agreed = n
			next++
		}
		return nil
	}
	if err := compare(); err != nil {
		return n, err
	}
	scanner := bufio.NewScanner(export)
	scanner.Buffer(nil, maxLine)
	for scanner.Scan() {
		var line Line
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			return n, &Fault{n, n, fmt.Errorf("the line cannot be read: %w", err)}
		}
		if line.Index != n {
			return n, &Fault{n, n, fmt.Errorf("the next line is that of leaf %d", line.Index)}
		}
		leaf, err := line.Check()
		if err != nil {
			return n, &Fault{n, n, err}
		}
		hashes, err := tlog.StoredHashesForRecordHash(n, leaf.Hash(), reader)
		if err != nil {
			return n, err
		}
		stored = append(stored, hashes...)
		n++
		if err := compare(); err != nil {
			return n, err
		}
	}
	if err := scanner.Err(); err != nil {
		return n, &Fault{n, n, err}
	}
	if next < len(checkpoints) {
		return n, &Fault{n, checkpoints[len(checkpoints)-1].Size - 1, fmt.Errorf("missing: the record ends at %d entries, a checkpoint signs %d", n, checkpoints[len(checkpoints)-1].Size)}
	}
	return n, nil
}
