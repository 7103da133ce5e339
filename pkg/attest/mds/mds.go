// Package mds fetches, verifies and keeps FIDO metadata: signed BLOBs of the
// Metadata Service 3.
//
// It decides whether a BLOB may be believed: its signature, the chain of its
// signer to a pinned root, the signer's name, and that it is not older than the
// one we already hold. It decides when to look for the next one. It refuses to
// know what follows from an entry (package attest judges), and it does not ask
// the network whether the signer's certificate was revoked.
//
// Entries that cannot be read are skipped and counted: one vendor's mistake
// must not take every other model down. The last good BLOB of each source is
// kept in the database, shared by all replicas, so that an outage of the
// service and a lost or damaged file take no facts away.
package mds

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// Set is the entries of one or more BLOBs. It is immutable and implements
// attest.Metadata.
type Set struct {
	entries map[string]attest.Entry
	number  int
	next    time.Time
	// version tells sets apart, see Version.
	version string
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

// Version changes when any BLOB in the set does: it names each source's number
// and the beginning of its BLOB's SHA-256.
func (s *Set) Version() string { return s.version }

// Len is the number of models.
func (s *Set) Len() int { return len(s.entries) }

// Entries returns every model, by AAGUID.
func (s *Set) Entries() []attest.Entry {
	all := make([]attest.Entry, 0, len(s.entries))
	for _, e := range s.entries {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b attest.Entry) int { return strings.Compare(a.AAGUID, b.AAGUID) })
	return all
}

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

// named marks every entry, and the set, as coming from a source.
func (s *Set) named(source string, digest []byte) *Set {
	for id, e := range s.entries {
		e.Source = source
		s.entries[id] = e
	}
	s.version = fmt.Sprintf("%s:%d:%s", source, s.number, hex.EncodeToString(digest[:4]))
	return s
}

// Merge returns the entries of all sets. Where two know a model, the earlier's
// anchors stay and the statuses of both count.
func Merge(sets ...*Set) *Set {
	merged := &Set{entries: map[string]attest.Entry{}}
	var versions []string
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
		versions = append(versions, s.version)
	}
	merged.version = strings.Join(versions, " ")
	return merged
}

// With returns the set with the trust file's private models: one that no BLOB
// lists gets an entry marked as the operator's, one that is listed gets the
// operator's anchors beside its own and keeps everything else.
func (s *Set) With(private []trust.PrivateModel) *Set {
	if len(private) == 0 {
		return s
	}
	merged := *s
	merged.entries = make(map[string]attest.Entry, len(s.entries)+len(private))
	for id, e := range s.entries {
		merged.entries[id] = e
	}
	for _, m := range private {
		var roots []*x509.Certificate
		for _, text := range m.Roots {
			parsed, err := ParseRoots([]byte(text))
			if err != nil {
				panic(err) // the trust file was checked
			}
			roots = append(roots, parsed...)
		}
		e, listed := merged.entries[m.AAGUID]
		if !listed {
			e = attest.Entry{AAGUID: m.AAGUID, Description: m.Description, KeyProtection: m.KeyProtection, Source: "trust file", Operator: true}
		}
		e.Roots = append(e.Roots[:len(e.Roots):len(e.Roots)], roots...)
		merged.entries[m.AAGUID] = e
	}
	return &merged
}
