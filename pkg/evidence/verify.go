package evidence

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/attest/mds"
	"github.com/touchstone-id/touchstone/pkg/audit/record"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// Verify recomputes the verdict of an archive, offline, and tells it as a story.
// The key is the log's; an empty one takes the archive's own, which proves that
// the archive is whole and not whose it is, and the story says so. The first
// thing that does not hold is the error.
func Verify(archive []byte, key string, out io.Writer) error {
	files, err := unpack(archive)
	if err != nil {
		return err
	}
	var m Manifest
	if err := json.Unmarshal(files[fileManifest], &m); err != nil || m.Version != 1 {
		return errors.New("the archive has no manifest that can be read")
	}
	story := &story{out: out}
	if key == "" {
		key = m.LogKey
		story.tell("No key was given: the archive is checked with its own, which anybody can make up.")
	}
	verifier, err := record.NewVerifier(key)
	if err != nil {
		return fmt.Errorf("the log's key: %w", err)
	}
	t, err := m.trust(files[fileTrust])
	if err != nil {
		return err
	}
	set, err := m.metadata(files)
	if err != nil {
		return err
	}
	issuer, err := url.Parse(m.Issuer)
	if err != nil {
		return errors.New("the archive names no issuer")
	}
	rp, err := passkey.New(passkey.Options{ID: issuer.Hostname(), Name: "evidence", Origin: issuer.Scheme + "://" + issuer.Host, Metadata: func() attest.Metadata { return set.With(t.PrivateModels) }, Trust: func() *trust.Trust { return t }})
	if err != nil {
		return err
	}
	v, err := rp.Reverify(m.replay())
	if err != nil {
		return fmt.Errorf("the ceremonies do not verify: %w", err)
	}
	a := m.Authentication
	story.tell("On %s a passkey was registered at %s. Its statement verifies again.", day(m.Registration.RegisteredAt), m.Issuer)
	story.tell("On %s it answered a sign-in; the signature over the challenge verifies again, and the person was verified by the authenticator.", day(a.AuthTime))
	if err := m.compare(v, t); err != nil {
		return err
	}
	if v.Model != "" {
		story.tell("Its model, %s (%s), is proved by metadata no. %s, whose signature verifies.", v.Model, v.AAGUID, a.Metadata)
	}
	story.tell("Under trust file %s that gives the facts %s, and the level %s. That is what the tokens said.", a.TrustVersion, join(v.Authenticator().Facts), a.ACR)
	return m.entries(files, verifier, story)
}

// trust reads the trust file in the archive, whose version is what tokens name.
func (m Manifest) trust(text []byte) (*trust.Trust, error) {
	t, err := trust.Parse(fileTrust, text)
	if err != nil {
		return nil, fmt.Errorf("the trust file of the archive: %w", err)
	}
	if t.Version != m.Authentication.TrustVersion {
		return nil, fmt.Errorf("the trust file of the archive has version %s, the sign-in was judged under %s", t.Version, m.Authentication.TrustVersion)
	}
	return t, nil
}

// metadata verifies the BLOBs in the archive.
func (m Manifest) metadata(files map[string][]byte) (*mds.Set, error) {
	var sets []*mds.Set
	for _, s := range m.Sources {
		set, err := s.open(files[s.File])
		if err != nil {
			return nil, fmt.Errorf("metadata of %s: %w", s.Name, err)
		}
		sets = append(sets, set)
	}
	merged := mds.Merge(sets...)
	if want := m.Authentication.Metadata; want != "" && strconv.Itoa(merged.Number()) != want {
		return nil, fmt.Errorf("the archive holds metadata no. %d, the sign-in was judged under no. %s: a newer one has replaced it", merged.Number(), want)
	}
	return merged, nil
}

func (s Source) open(blob []byte) (*mds.Set, error) {
	if s.Roots == "" {
		return mds.Parse(blob, nil, s.VerifiedAt)
	}
	roots, err := mds.ParseRoots([]byte(s.Roots))
	if err != nil {
		return nil, err
	}
	return mds.Parse(blob, roots, s.VerifiedAt)
}

// compare holds the recomputed verdict against what was stated.
func (m Manifest) compare(v attest.Verdict, t *trust.Trust) error {
	a := m.Authentication
	facts := v.Authenticator().Facts
	if !slices.Equal(facts, claim.NewFacts(a.Attestation...)) {
		return fmt.Errorf("the facts come out as %s, the tokens said %s", join(facts), join(a.Attestation))
	}
	if level := t.LevelOf(v.Authenticator()); level != a.ACR || v.AAGUID != a.AAGUID || v.Model != a.Model {
		return fmt.Errorf("level %q, model %q come out, the tokens said %q, %q", level, v.Model, a.ACR, a.Model)
	}
	return nil
}

// entries verifies the record's part of the archive.
func (m Manifest) entries(files map[string][]byte, verifier note.Verifier, s *story) error {
	var names []string
	for name := range files {
		if strings.HasPrefix(name, dirEntries) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	registered, signedIn := false, false
	for _, name := range names {
		var p record.Proof
		if err := json.Unmarshal(files[name], &p); err != nil {
			return fmt.Errorf("%s cannot be read", name)
		}
		leaf, c, err := p.Verify(verifier)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if part := p.Line.Personal; part != nil && leaf.Outcome == "done" {
			registered = registered || leaf.Action == "credential.registered" && part.Credential == m.Authentication.AuthenticatorID && near(leaf.At, m.Registration.RegisteredAt)
			signedIn = signedIn || leaf.Action == "session.signed_in" && part.Session == m.Session && near(leaf.At, m.Authentication.AuthTime)
		}
		s.tell("%s: %s, %s; entry %d of %d in the log of %s.", day(leaf.At), leaf.Action, leaf.Outcome, p.Line.Index, c.Size, c.Origin)
	}
	switch {
	case !registered:
		return errors.New("no entry of the record proves the registration of this passkey at that time")
	case !signedIn:
		return errors.New("no entry of the record proves the sign-in itself at that time")
	}
	return nil
}

// entryWithin is how far an entry's time, the database's, may be from the
// replica's that it is about.
const entryWithin = time.Minute

func near(a, b time.Time) bool { return a.Sub(b).Abs() <= entryWithin }

// unpack reads the files of an archive, within bounds.
func unpack(archive []byte) (map[string][]byte, error) {
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, errors.New("not an evidence archive")
	}
	files := map[string][]byte{}
	for _, f := range r.File {
		body, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		text, err := io.ReadAll(io.LimitReader(body, maxFile+1))
		body.Close()
		if err != nil || len(text) > maxFile || files[f.Name] != nil {
			return nil, fmt.Errorf("%s cannot be read", f.Name)
		}
		files[f.Name] = text
	}
	return files, nil
}

// story prints what holds.
type story struct{ out io.Writer }

func (s *story) tell(format string, args ...any) { fmt.Fprintf(s.out, "- "+format+"\n", args...) }

func day(t time.Time) string { return t.UTC().Format("2 January 2006 at 15:04:05 MST") }

func join(facts claim.Facts) string {
	texts := make([]string, len(facts))
	for i, f := range facts {
		texts[i] = string(f)
	}
	return strings.Join(texts, ", ")
}
