// Package evidence proves one sign-in years later, without our servers.
//
// It decides what belongs into an archive about a sign-in or a token, and whether
// an archive proves what it says: the ceremonies verify again from their bytes,
// the metadata BLOB carries its signature, the trust file its version, and the
// facts come out as they were stated. It refuses to be believed: verification
// uses nothing but the archive and the log's key.
package evidence

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// The files of an archive.
const (
	fileManifest = "manifest.json"
	fileTrust    = "trust.yaml"
	dirMetadata  = "metadata/"
	dirEntries   = "entries/"
)

// maxFile bounds a file of an archive, in bytes.
const maxFile = 64 << 20

// Manifest says what the archive is about.
type Manifest struct {
	Version int       `json:"v"`
	MadeAt  time.Time `json:"made_at"`
	// Issuer is the issuer whose origin the ceremonies were for.
	Issuer string `json:"issuer"`
	// Session and Grant are what was asked about; Grant is empty for a sign-in.
	Session string `json:"session"`
	Grant   string `json:"grant,omitempty"`
	// Authentication is what was stated about the sign-in, and what every token of
	// the grant repeats.
	Authentication grant.Authentication `json:"authentication"`
	Registration   Registration         `json:"registration"`
	Assertion      json.RawMessage      `json:"assertion"`
	Challenge      string               `json:"challenge"`
	// MetadataRoots are the roots, in PEM, of sources other than the FIDO Alliance's.
	Sources []Source `json:"sources"`
	// LogKey verifies the entries; compare it with a copy of your own.
	LogKey string `json:"log_key"`
}

// Registration is the evidence of the passkey's registration.
type Registration struct {
	Handle            []byte    `json:"user_handle"`
	CredentialID      []byte    `json:"credential_id"`
	AttestationObject []byte    `json:"attestation_object"`
	ClientData        []byte    `json:"client_data"`
	RegisteredAt      time.Time `json:"registered_at"`
}

// Source is a metadata BLOB in the archive.
type Source struct {
	Name       string    `json:"name"`
	Number     int       `json:"number"`
	File       string    `json:"file"`
	VerifiedAt time.Time `json:"verified_at"`
	Roots      string    `json:"roots,omitempty"`
}

// ErrUnknown is returned for what is neither a token's jti, a grant nor a session here.
var ErrUnknown = errors.New("no token, grant or sign-in of this id is kept")

// Collect writes the archive about a sign-in or about the one behind a token, by
// its jti. Roots gives, by source, the PEM of roots other than the pinned ones.
// It changes nothing.
func Collect(ctx context.Context, q postgres.Querier, w io.Writer, issuer, id string, roots map[string]string, now time.Time) error {
	m := Manifest{Version: 1, MadeAt: now.UTC(), Issuer: issuer}
	grantID, _, _ := strings.Cut(id, ".")
	var frozen []byte
	var credential string
	err := q.QueryRow(ctx, `
		select s.id, coalesce(g.id::text, ''), coalesce(g.authentication, s.authentication), s.credential::text, s.assertion, coalesce(s.challenge, '')
		from session s left join access_grant g on g.session = s.id and g.id::text = $2
		where s.id = $1 or g.id is not null limit 1`, id, grantID).Scan(&m.Session, &m.Grant, &frozen, &credential, &m.Assertion, &m.Challenge)
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrUnknown
	}
	if err != nil {
		return fmt.Errorf("collect evidence: %w", err)
	}
	if m.Assertion == nil {
		return errors.New("the sign-in is from before assertions were kept")
	}
	if err := json.Unmarshal(frozen, &m.Authentication); err != nil {
		return fmt.Errorf("collect evidence: %w", err)
	}
	r := &m.Registration
	err = q.QueryRow(ctx, `select a.handle, c.credential_id, c.attestation_object, c.client_data, c.created_at from credential c join account a on a.id = c.user_id where c.id = $1`, credential).
		Scan(&r.Handle, &r.CredentialID, &r.AttestationObject, &r.ClientData, &r.RegisteredAt)
	if err != nil {
		return fmt.Errorf("collect evidence: %w", err)
	}
	if m.LogKey, err = audit.Key(ctx, q); err != nil {
		return err
	}
	files := map[string][]byte{}
	if err := m.addContext(ctx, q, files, roots); err != nil {
		return err
	}
	if err := m.addEntries(ctx, q, files); err != nil {
		return err
	}
	if files[fileManifest], err = json.MarshalIndent(m, "", "  "); err != nil {
		return fmt.Errorf("collect evidence: %w", err)
	}
	return pack(w, files)
}

// addContext adds the trust file and the BLOBs that the facts were judged under.
func (m *Manifest) addContext(ctx context.Context, q postgres.Querier, files map[string][]byte, roots map[string]string) error {
	var text string
	err := q.QueryRow(ctx, `select content from trust_file where version = $1 order by id limit 1`, m.Authentication.TrustVersion).Scan(&text)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("collect evidence: %w", err)
	}
	files[fileTrust] = []byte(text)
	rows, err := q.Query(ctx, `select source, number, blob, verified_at from metadata_blob order by source`)
	if err != nil {
		return fmt.Errorf("collect evidence: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var s Source
		var blob []byte
		if err := rows.Scan(&s.Name, &s.Number, &blob, &s.VerifiedAt); err != nil {
			return fmt.Errorf("collect evidence: %w", err)
		}
		s.File, s.Roots = fmt.Sprintf("%s%d.jwt", dirMetadata, len(m.Sources)), roots[s.Name]
		files[s.File] = blob
		m.Sources = append(m.Sources, s)
	}
	return rows.Err()
}

// addEntries adds the proof of every entry about the session, the grant and the
// passkey's registration.
func (m *Manifest) addEntries(ctx context.Context, q postgres.Querier, files map[string][]byte) error {
	rows, err := q.Query(ctx, `
		select e.id::text from audit_entry e join audit_leaf l on l.entry_id = e.id
		where e.session = $1 and ($2 = '' or e.grant_id in ('', $2)) or e.credential = $3 and e.action like 'credential.%' order by l.index limit 500`,
		m.Session, m.Grant, m.Authentication.AuthenticatorID)
	if err != nil {
		return fmt.Errorf("collect evidence: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("collect evidence: %w", err)
	}
	for i, id := range ids {
		proof, err := audit.Prove(ctx, q, id)
		if err != nil {
			return err
		}
		files[fmt.Sprintf("%s%03d.json", dirEntries, i)] = proof.Encode()
	}
	return nil
}

func pack(w io.Writer, files map[string][]byte) error {
	archive := zip.NewWriter(w)
	for name, body := range files {
		f, err := archive.Create(name)
		if err == nil {
			_, err = f.Write(body)
		}
		if err != nil {
			return fmt.Errorf("pack evidence: %w", err)
		}
	}
	return archive.Close()
}

// replay is what the ceremonies are verified with again.
func (m Manifest) replay() passkey.Replay {
	r := m.Registration
	return passkey.Replay{Handle: r.Handle, CredentialID: r.CredentialID, AttestationObject: r.AttestationObject, ClientData: r.ClientData, RegisteredAt: r.RegisteredAt,
		Assertion: m.Assertion, Challenge: m.Challenge, SignedInAt: m.Authentication.AuthTime}
}
