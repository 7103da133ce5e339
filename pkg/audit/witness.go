package audit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/touchstone-id/touchstone/pkg/audit/record"
)

// maxCheckpointRequest bounds what a witness reads, in bytes.
const maxCheckpointRequest = 64 << 10

// Witness cosigns the checkpoints of one log when they continue what it saw
// before, and refuses forks (C2SP tlog-witness). It remembers the newest in a
// file, so that a restart forgets nothing.
type Witness struct {
	log    note.Verifier
	signer note.Signer
	path   string
	mu     sync.Mutex
}

// NewWitness returns a witness of the log with this key, which keeps its state
// in a directory.
func NewWitness(log note.Verifier, signer note.Signer, dir string) *Witness {
	return &Witness{log: log, signer: signer, path: filepath.Join(dir, "checkpoint")}
}

// known returns the newest checkpoint that was cosigned; an empty log before the first.
func (w *Witness) known() (record.Checkpoint, error) {
	text, err := os.ReadFile(w.path)
	if errors.Is(err, os.ErrNotExist) {
		return record.Checkpoint{}, nil
	}
	if err != nil {
		return record.Checkpoint{}, fmt.Errorf("witness: %w", err)
	}
	return record.ParseCheckpoint(string(text))
}

// ServeHTTP serves POST /add-checkpoint (C2SP tlog-witness): 200 with a
// cosignature; 403 when the log's signature does not verify; 404 for another
// log; 409 with the known size when the old size is another; 422 when the
// proof does not hold, which is what a fork looks like.
func (w *Witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/add-checkpoint" {
		http.NotFound(rw, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxCheckpointRequest))
	if err != nil {
		http.Error(rw, "the request is too large", http.StatusRequestEntityTooLarge)
		return
	}
	status, answer := w.add(string(body))
	if status == http.StatusConflict && answer != otherRoot {
		rw.Header().Set("Content-Type", "text/x.tlog.size")
	}
	rw.WriteHeader(status)
	io.WriteString(rw, answer)
}

// otherRoot answers a log that shows two trees of one size. It is no size, so
// that nobody tries again from there.
const otherRoot = "this witness cosigned another log of the same size\n"

// add judges one checkpoint; of two at once the second sees the first.
func (w *Witness) add(body string) (int, string) {
	head, signed, ok := strings.Cut(body, "\n\n")
	if !ok {
		return http.StatusBadRequest, "no checkpoint\n"
	}
	old, proof, err := parseHead(head)
	if err != nil {
		return http.StatusBadRequest, err.Error() + "\n"
	}
	if origin, _, _ := strings.Cut(signed, "\n"); origin != w.log.Name() {
		return http.StatusNotFound, "not the log that this witness knows\n"
	}
	c, err := record.OpenCheckpoint([]byte(signed), w.log)
	if err != nil {
		return http.StatusForbidden, err.Error() + "\n"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	known, err := w.known()
	if err != nil {
		return http.StatusInternalServerError, "the witness cannot read its state\n"
	}
	switch {
	case old > c.Size:
		return http.StatusBadRequest, "the old size is beyond the checkpoint\n"
	case old != known.Size:
		return http.StatusConflict, strconv.FormatInt(known.Size, 10) + "\n"
	case old == c.Size && known.Root != c.Root && old > 0:
		return http.StatusConflict, otherRoot
	}
	if err := record.CheckConsistency(known, c, proof); err != nil {
		return http.StatusUnprocessableEntity, err.Error() + "\n"
	}
	cosigned, err := note.Sign(&note.Note{Text: c.Text()}, w.signer)
	if err != nil {
		return http.StatusInternalServerError, "the witness cannot sign\n"
	}
	if err := w.remember(c); err != nil {
		return http.StatusInternalServerError, "the witness cannot keep its state\n"
	}
	_, lines, _ := strings.Cut(string(cosigned), "\n\n")
	return http.StatusOK, lines
}

// remember keeps a checkpoint before its cosignature leaves the house.
func (w *Witness) remember(c record.Checkpoint) error {
	f, err := os.CreateTemp(filepath.Dir(w.path), "checkpoint-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(c.Text())
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), w.path)
	}
	return err
}

// maxProof is how many lines a proof may have (C2SP tlog-witness).
const maxProof = 63

// parseHead reads the first part of a request: the old size and the proof, each
// of whose lines ends in a newline, with no other way to write either.
func parseHead(head string) (int64, [][]byte, error) {
	lines := strings.Split(head, "\n")
	text, ok := strings.CutPrefix(lines[0], "old ")
	old, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || old < 0 || strconv.FormatInt(old, 10) != text {
		return 0, nil, fmt.Errorf("old size %.20q", lines[0])
	}
	if len(lines)-1 > maxProof {
		return 0, nil, errors.New("the proof has too many lines")
	}
	var proof [][]byte
	for _, line := range lines[1:] {
		h, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(h) != tlog.HashSize || len(line) != base64.StdEncoding.EncodedLen(tlog.HashSize) {
			return 0, nil, errors.New("the proof cannot be read")
		}
		proof = append(proof, h)
	}
	return old, proof, nil
}
