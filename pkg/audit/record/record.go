// Package record is the audit log as anybody can check it: leaves, checkpoints,
// proofs and exports.
//
// It decides whether what it is shown is what was logged, from the bytes alone:
// it knows no database and no network, so that an auditor can build and run it
// without us. It refuses to know how entries come to be.
//
// A leaf is the canonical JSON of an entry's public part with a commitment to
// its personal part: SHA-256 over a random salt and the personal part's
// canonical JSON. Whoever has salt and part can show that they belong to the
// leaf; once both are erased the leaf tells nothing about the person, and every
// proof still holds.
package record

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Version is that of the leaf format; a change of meaning gets another.
const Version = 1

// Leaf is the public part of an entry. Its canonical form is this struct's JSON:
// the members in this order, maps by key, no insignificant space, no escaping of
// HTML characters.
type Leaf struct {
	Version     int               `json:"v"`
	ID          string            `json:"id"`
	At          time.Time         `json:"at"` // UTC, microseconds
	Action      string            `json:"action"`
	Outcome     string            `json:"outcome"`
	Reason      string            `json:"reason,omitempty"`
	ClientID    string            `json:"client_id,omitempty"`
	GrantID     string            `json:"grant_id,omitempty"`
	Correlation string            `json:"correlation,omitempty"`
	Details     map[string]string `json:"details,omitempty"`
	// Personal commits to the personal part.
	Personal []byte `json:"personal"`
}

// Personal is the part of an entry that is about a person, or their device.
type Personal struct {
	UserID string `json:"user_id,omitempty"`
	// Actor is the administrator who did it to the person.
	Actor      string `json:"actor,omitempty"`
	Credential string `json:"credential,omitempty"`
	Session    string `json:"session,omitempty"`
	Address    string `json:"address,omitempty"`
}

// canonical is the one encoding of a value.
func canonical(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err) // strings, numbers, times and bytes always encode
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Commit returns the commitment to a personal part under a salt.
func Commit(salt []byte, p Personal) []byte {
	h := sha256.New()
	h.Write(salt)
	h.Write(canonical(p))
	return h.Sum(nil)
}

// Bytes is the leaf's canonical form.
func (l Leaf) Bytes() []byte {
	l.At = l.At.UTC().Truncate(time.Microsecond)
	return canonical(l)
}

// Hash is the leaf hash (RFC 6962 section 2.1).
func (l Leaf) Hash() tlog.Hash { return tlog.RecordHash(l.Bytes()) }

// ParseLeaf reads a leaf in its canonical form; any other form is an error.
func ParseLeaf(text []byte) (Leaf, error) {
	var l Leaf
	if err := json.Unmarshal(text, &l); err != nil {
		return Leaf{}, fmt.Errorf("read leaf: %w", err)
	}
	if l.Version != Version {
		return Leaf{}, fmt.Errorf("read leaf: version %d, want %d", l.Version, Version)
	}
	if !bytes.Equal(l.Bytes(), text) {
		return Leaf{}, errors.New("read leaf: not in canonical form")
	}
	return l, nil
}

// Line is one entry of an export.
type Line struct {
	Index int64 `json:"index"`
	// Hash is the leaf hash in the log's tree.
	Hash []byte          `json:"hash"`
	Leaf json.RawMessage `json:"leaf"`
	// Salt and Personal are absent when they were erased, or left out of the export.
	Salt     []byte    `json:"salt,omitempty"`
	Personal *Personal `json:"personal,omitempty"`
}

// Check compares a line with itself: its leaf with its hash, and its personal
// part, when there is one, with the leaf's commitment.
func (l Line) Check() (Leaf, error) {
	leaf, err := ParseLeaf(l.Leaf)
	if err != nil {
		return Leaf{}, err
	}
	if h := leaf.Hash(); !bytes.Equal(h[:], l.Hash) {
		return leaf, errors.New("the entry is not the one that was logged: its hash differs")
	}
	if l.Personal != nil && !bytes.Equal(Commit(l.Salt, *l.Personal), leaf.Personal) {
		return leaf, errors.New("the personal part is not the one that was logged")
	}
	return leaf, nil
}
