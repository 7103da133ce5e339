// Package mds reads FIDO metadata: signed BLOBs of the Metadata Service 3.
//
// It decides whether a BLOB may be believed: its signature, the chain of its
// signer to a pinned root, the signer's name, and that it is not older than the
// one we already hold. It refuses to know what follows from an entry (package
// attest judges) and it does not ask the network about revocation.
//
// Entries that cannot be read are skipped and counted: one vendor's mistake
// must not take every other model down.
package mds

import (
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/touchstone-id/touchstone/pkg/attest"
)

const (
	// maxBLOBSize bounds what is read; the service's BLOB has about 4 MB.
	maxBLOBSize = 64 << 20
	// Grace is how long a BLOB is called current after its next update was due.
	Grace = 7 * 24 * time.Hour
	// serviceName is the DNS name in the service's signing certificate.
	serviceName = "mds.fidoalliance.org"
)

//go:embed roots/GlobalSign_Root_CA_R3.pem
var rootR3 []byte

//go:embed roots/GlobalSign_Root_R46.pem
var rootR46 []byte

// Source is a file to read.
type Source struct {
	Path string
	// Roots replace the pinned GlobalSign roots for a private service; nil keeps them.
	Roots []*x509.Certificate
}

// Set is the entries of one or more BLOBs. It is immutable.
type Set struct {
	entries map[string]attest.Entry
	number  int
	next    time.Time
	// Skipped counts the entries that could not be read.
	Skipped int
}

// Lookup returns the entry of a model.
func (s *Set) Lookup(aaguid string) (attest.Entry, bool) {
	e, ok := s.entries[aaguid]
	return e, ok
}

// Number is the serial number of the first source's BLOB.
func (s *Set) Number() int { return s.number }

// NextUpdate is the earliest day on which a source promised a newer BLOB.
func (s *Set) NextUpdate() time.Time { return s.next }

// Current reports whether no source is past its next update plus Grace.
func (s *Set) Current(now time.Time) bool { return now.Before(s.next.Add(Grace)) }

// Len is the number of models.
func (s *Set) Len() int { return len(s.entries) }

// Merge returns the entries of all sets; where two know a model, the earlier wins.
func Merge(sets ...*Set) *Set {
	merged := &Set{entries: map[string]attest.Entry{}}
	for _, s := range sets {
		for id, e := range s.entries {
			if _, ok := merged.entries[id]; !ok {
				merged.entries[id] = e
			}
		}
		if merged.number == 0 {
			merged.number = s.number
		}
		if merged.next.IsZero() || s.next.Before(merged.next) {
			merged.next = s.next
		}
		merged.Skipped += s.Skipped
	}
	return merged
}

// Load reads every source, verified at an instant, and merges them. An error
// names the file.
func Load(sources []Source, now time.Time) (*Set, error) {
	var sets []*Set
	for _, s := range sources {
		info, err := os.Stat(s.Path)
		if err != nil {
			return nil, fmt.Errorf("metadata: %w", err)
		}
		if info.Size() > maxBLOBSize {
			return nil, fmt.Errorf("metadata %s: larger than %d bytes", s.Path, maxBLOBSize)
		}
		body, err := os.ReadFile(s.Path)
		if err != nil {
			return nil, fmt.Errorf("metadata: %w", err)
		}
		set, err := Parse(body, s.Roots, now)
		if err != nil {
			return nil, fmt.Errorf("metadata %s: %w", s.Path, err)
		}
		sets = append(sets, set)
	}
	return Merge(sets...), nil
}

// Parse verifies a BLOB at an instant and reads it (FIDO MDS 3.0 section 3.2).
// With nil roots the signer must chain to GlobalSign R3 or R46 and be named
// mds.fidoalliance.org; with an operator's roots, the chain alone decides.
func Parse(blob []byte, roots []*x509.Certificate, now time.Time) (*Set, error) {
	jws, err := jose.ParseSignedCompact(strings.TrimSpace(string(blob)), []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.ES384, jose.RS512})
	if err != nil {
		return nil, errors.New("not a signed metadata BLOB")
	}
	signer, err := verifySigner(string(blob), roots, now)
	if err != nil {
		return nil, err
	}
	body, err := jws.Verify(signer.PublicKey)
	if err != nil {
		return nil, errors.New("the signature does not verify")
	}
	return read(body)
}

// verifySigner returns the signing certificate once its chain and name hold.
func verifySigner(blob string, roots []*x509.Certificate, now time.Time) (*x509.Certificate, error) {
	head, _, _ := strings.Cut(strings.TrimSpace(blob), ".")
	decoded, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return nil, errors.New("the header cannot be read")
	}
	var header struct {
		X5C [][]byte `json:"x5c"`
	}
	if err := json.Unmarshal(decoded, &header); err != nil || len(header.X5C) == 0 {
		return nil, errors.New("the header names no certificate")
	}
	options := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	if roots == nil {
		options.DNSName = serviceName
		roots = PinnedRoots()
	}
	for _, r := range roots {
		options.Roots.AddCert(r)
	}
	var signer *x509.Certificate
	for i, der := range header.X5C {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, errors.New("a certificate in the header cannot be read")
		}
		if i == 0 {
			signer = c
		} else {
			options.Intermediates.AddCert(c)
		}
	}
	if _, err := signer.Verify(options); err != nil {
		return nil, fmt.Errorf("the signer is not trusted: %w", err)
	}
	return signer, nil
}

// PinnedRoots returns the roots of the FIDO Alliance's service.
func PinnedRoots() []*x509.Certificate {
	var roots []*x509.Certificate
	for _, text := range [][]byte{rootR3, rootR46} {
		parsed, err := ParseRoots(text)
		if err != nil {
			panic(err) // the files are embedded
		}
		roots = append(roots, parsed...)
	}
	return roots
}

// ParseRoots reads certificates in PEM; there must be at least one.
func ParseRoots(text []byte) ([]*x509.Certificate, error) {
	var roots []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read root certificate: %w", err)
		}
		roots = append(roots, c)
	}
	if len(roots) == 0 {
		return nil, errors.New("no certificate in PEM form")
	}
	return roots, nil
}

// read parses a verified payload.
func read(body []byte) (*Set, error) {
	var payload struct {
		Number     int               `json:"no"`
		NextUpdate string            `json:"nextUpdate"`
		Entries    []json.RawMessage `json:"entries"`
	}
	if err := json.Unmarshal(body, &payload); err != nil {
		return nil, errors.New("the payload cannot be read")
	}
	next, err := time.Parse(time.DateOnly, payload.NextUpdate)
	if err != nil || payload.Number <= 0 {
		return nil, errors.New("the payload names no serial number or next update")
	}
	s := &Set{entries: make(map[string]attest.Entry, len(payload.Entries)), number: payload.Number, next: next}
	for _, raw := range payload.Entries {
		e, err := readEntry(raw)
		if err != nil {
			s.Skipped++
			continue
		}
		if e.AAGUID != "" { // U2F and UAF models have none
			s.entries[e.AAGUID] = e
		}
	}
	return s, nil
}

// readEntry parses one entry.
func readEntry(raw json.RawMessage) (attest.Entry, error) {
	var in struct {
		AAGUID    string `json:"aaguid"`
		Statement struct {
			Description   string   `json:"description"`
			KeyProtection []string `json:"keyProtection"`
			Roots         []string `json:"attestationRootCertificates"`
		} `json:"metadataStatement"`
		Status []struct {
			Status    string `json:"status"`
			Effective string `json:"effectiveDate"`
		} `json:"statusReports"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return attest.Entry{}, fmt.Errorf("read entry: %w", err)
	}
	e := attest.Entry{AAGUID: strings.ToLower(in.AAGUID), Description: in.Statement.Description, KeyProtection: in.Statement.KeyProtection}
	for _, text := range in.Statement.Roots {
		der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return e, fmt.Errorf("read root: %w", err)
		}
		root, err := x509.ParseCertificate(der)
		if err != nil {
			return e, fmt.Errorf("read root: %w", err)
		}
		e.Roots = append(e.Roots, root)
	}
	for _, r := range in.Status {
		report := attest.StatusReport{Status: r.Status}
		if r.Effective != "" {
			day, err := time.Parse(time.DateOnly, r.Effective)
			if err != nil {
				return e, fmt.Errorf("read effective date: %w", err)
			}
			report.Effective = day
		}
		e.Status = append(e.Status, report)
	}
	return e, nil
}
