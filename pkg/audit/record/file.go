package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/mod/sumdb/note"
)

// VerifyOptions say what an auditor has.
type VerifyOptions struct {
	// File is an export or a proof.
	File string
	// Key is the log's, in text form.
	Key string
	// Checkpoints are files with one signed checkpoint each, kept elsewhere.
	Checkpoints []string
	// AllCheckpoints is a file with the log's own, a JSON string on each line.
	AllCheckpoints string
	// Witnesses are keys of witnesses who must have cosigned the newest checkpoint.
	Witnesses []string
}

// VerifyFile checks an export or a proof and says in words what holds. It reads
// files and nothing else.
func VerifyFile(out io.Writer, o VerifyOptions) error {
	verifier, err := NewVerifier(o.Key)
	if err != nil {
		return fmt.Errorf("the log's key: %w", err)
	}
	text, err := os.ReadFile(o.File)
	if err != nil {
		return err
	}
	var proof Proof
	if json.Unmarshal(text, &proof) == nil && proof.Checkpoint != "" {
		return verifyProof(out, proof, verifier, o.Witnesses)
	}
	var notes []string
	for _, path := range o.Checkpoints {
		kept, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		notes = append(notes, string(kept))
	}
	if o.AllCheckpoints != "" {
		all, err := os.ReadFile(o.AllCheckpoints)
		if err != nil {
			return err
		}
		decoder := json.NewDecoder(bytes.NewReader(all))
		for decoder.More() {
			var one string
			if err := decoder.Decode(&one); err != nil {
				return fmt.Errorf("%s: %w", o.AllCheckpoints, err)
			}
			notes = append(notes, one)
		}
	}
	if len(notes) == 0 {
		return errors.New("give a checkpoint: an export proves nothing without one")
	}
	var checkpoints []Checkpoint
	newest := 0
	for i, text := range notes {
		c, err := OpenCheckpoint([]byte(text), verifier)
		if err != nil {
			return err
		}
		checkpoints = append(checkpoints, c)
		if c.Size > checkpoints[newest].Size {
			newest = i
		}
	}
	if err := requireCosigned(out, notes[newest], o.Witnesses); err != nil {
		return err
	}
	slices.SortStableFunc(checkpoints, func(a, b Checkpoint) int { return int(a.Size - b.Size) })
	n, err := VerifyExport(bytes.NewReader(text), checkpoints)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d entries of %s are as they were logged; %d checkpoints agree, the newest over %d entries.\n", n, verifier.Name(), len(checkpoints), checkpoints[len(checkpoints)-1].Size)
	return err
}

func verifyProof(out io.Writer, p Proof, verifier note.Verifier, witnesses []string) error {
	leaf, c, err := p.Verify(verifier)
	if err != nil {
		return err
	}
	if err := requireCosigned(out, p.Checkpoint, witnesses); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "Entry %d of %s (%s, %s at %s) is in the log of %d entries.\n", p.Line.Index, c.Origin, leaf.Action, leaf.Outcome, leaf.At.Format("2006-01-02 15:04:05.000000 MST"), c.Size)
	return err
}

// requireCosigned requires the cosignature of each witness on a checkpoint.
func requireCosigned(out io.Writer, signed string, witnesses []string) error {
	for _, key := range witnesses {
		w, err := NewVerifier(key)
		if err != nil {
			return fmt.Errorf("witness key: %w", err)
		}
		if _, err := note.Open([]byte(signed), note.VerifierList(w)); err != nil {
			return fmt.Errorf("witness %s did not cosign the newest checkpoint", w.Name())
		}
		fmt.Fprintf(out, "Witness %s cosigned it.\n", w.Name())
	}
	return nil
}
