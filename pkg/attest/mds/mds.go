// Package mds reads FIDO metadata: signed BLOBs of the Metadata Service 3.
//
// It decides whether a BLOB may be believed: its signature, the chain of its
// signer to a pinned root, the signer's name, and that it is not older than the
// one we already hold. It refuses to know what follows from an entry (package
// attest judges), it fetches nothing, and it does not ask the network whether
// the signer's certificate was revoked: an operator puts files in place.
//
// Entries that cannot be read are skipped and counted: one vendor's mistake
// must not take every other model down. The last good BLOB of each source is
// kept in the database, so that a lost or damaged file takes no facts away.
package mds

import (
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/touchstone-id/touchstone/pkg/attest"
)

const (
	// maxBLOBSize bounds what is read, in bytes; the service's BLOB has about 4 MB.
	maxBLOBSize = 64 << 20
	// Grace is how long a BLOB is called current after its next update was due:
	// a week covers a holiday at either end.
	Grace = 7 * 24 * time.Hour
)

// Source is a file to read.
type Source struct {
	// Name tells sources apart in reports and in the database. A source that
	// moves to other roots needs another name, for its numbers begin anew.
	Name string
	// Path is the file with the BLOB, a JWT in compact form.
	Path string
	// Roots replace the pinned GlobalSign roots for a private service; nil keeps them.
	Roots []*x509.Certificate
	// SignerName is the DNS name that the signer's certificate must carry. It
	// is ignored without Roots, where it is that of the FIDO Alliance's service;
	// with Roots, empty means that the chain alone decides.
	SignerName string
}

// Set is the entries of one or more BLOBs. It is immutable and implements
// attest.Metadata.
type Set struct {
	entries map[string]attest.Entry
	number  int
	next    time.Time
	// Unreadable counts the entries that could not be read.
	Unreadable int
}

// Lookup returns the entry of a model by its AAGUID, a lower-case UUID. Models
// without one (U2F and UAF) are not held.
func (s *Set) Lookup(aaguid string) (attest.Entry, bool) {
	e, ok := s.entries[aaguid]
	return e, ok
}

// Number is the serial number of the first source's BLOB; 0 when there is none.
func (s *Set) Number() int { return s.number }

// NextUpdate is the earliest day on which a source promised a newer BLOB.
func (s *Set) NextUpdate() time.Time { return s.next }

// Current reports whether no source is past its next update plus Grace.
func (s *Set) Current(now time.Time) bool { return now.Before(s.next.Add(Grace)) }

// Len is the number of models.
func (s *Set) Len() int { return len(s.entries) }

// add puts an entry in. Where the model is known already, the first entry's
// description and anchors stay and the statuses of both count: a second entry
// can never hide that a model was revoked.
func (s *Set) add(e attest.Entry) {
	if known, ok := s.entries[e.AAGUID]; ok {
		known.Status = append(known.Status[:len(known.Status):len(known.Status)], e.Status...)
		e = known
	}
	s.entries[e.AAGUID] = e
}

// Merge returns the entries of all sets. Where two know a model, the earlier's
// anchors stay and the statuses of both count.
func Merge(sets ...*Set) *Set {
	merged := &Set{entries: map[string]attest.Entry{}}
	for _, s := range sets {
		for _, e := range s.entries {
			merged.add(e)
		}
		if merged.number == 0 {
			merged.number = s.number
		}
		if merged.next.IsZero() || s.next.Before(merged.next) {
			merged.next = s.next
		}
		merged.Unreadable += s.Unreadable
	}
	return merged
}

// Load reads every source, verified at an instant, and merges them. An error
// names the file; Refresh instead falls back on the copies in the database.
func Load(sources []Source, now time.Time) (*Set, error) {
	var sets []*Set
	for _, s := range sources {
		blob, err := s.read()
		if err != nil {
			return nil, err
		}
		set, err := s.parse(blob, now)
		if err != nil {
			return nil, fmt.Errorf("metadata %s: %w", s.Path, err)
		}
		sets = append(sets, set)
	}
	return Merge(sets...), nil
}

// LoadFile reads one BLOB, verified at an instant. Nil roots mean the FIDO
// Alliance's service.
func LoadFile(path string, roots []*x509.Certificate, now time.Time) (*Set, error) {
	return Load([]Source{{Path: path, Roots: roots}}, now)
}

// read returns the file's content.
func (s Source) read() ([]byte, error) {
	f, err := os.Open(s.Path)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	defer f.Close()
	blob, err := io.ReadAll(io.LimitReader(f, maxBLOBSize+1))
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	if len(blob) > maxBLOBSize {
		return nil, fmt.Errorf("metadata %s: larger than %d bytes", s.Path, maxBLOBSize)
	}
	return blob, nil
}
