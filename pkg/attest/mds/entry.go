package mds

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/touchstone-id/touchstone/pkg/attest"
)

// readPayload parses a verified payload (FIDO MDS 3.1.1 section 3.1.6). Unknown
// members are ignored: the service adds some from year to year.
func readPayload(body []byte) (*Set, error) {
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
		return nil, errors.New("the payload lacks a serial number or a next update")
	}
	s := &Set{entries: make(map[string]attest.Entry, len(payload.Entries)), number: payload.Number, next: next}
	for _, raw := range payload.Entries {
		e, err := readEntry(raw)
		switch {
		case err != nil:
			s.Unreadable++
		case e.AAGUID != "":
			s.add(e)
		}
	}
	return s, nil
}

// readEntry parses one entry; that of a U2F or UAF model has no AAGUID.
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
			Sunset    string `json:"sunsetDate"`
		} `json:"statusReports"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return attest.Entry{}, fmt.Errorf("read entry: %w", err)
	}
	if in.AAGUID == "" {
		return attest.Entry{}, nil
	}
	aaguid, err := uuid.Parse(in.AAGUID)
	if err != nil || aaguid == uuid.Nil {
		return attest.Entry{}, fmt.Errorf("read entry: %q is not the AAGUID of a model", in.AAGUID)
	}
	e := attest.Entry{AAGUID: aaguid.String(), Description: in.Statement.Description, KeyProtection: in.Statement.KeyProtection}
	for _, text := range in.Statement.Roots {
		root, err := readRoot(text)
		if err != nil {
			return e, err
		}
		e.Roots = append(e.Roots, root)
	}
	for _, r := range in.Status {
		effective, err1 := readDay(r.Effective)
		sunset, err2 := readDay(r.Sunset)
		if err := errors.Join(err1, err2); err != nil {
			return e, fmt.Errorf("read status report: %w", err)
		}
		e.Status = append(e.Status, attest.StatusReport{Status: r.Status, Effective: effective, Sunset: sunset})
	}
	return e, nil
}

// readRoot parses a certificate in base64, in which some vendors leave line breaks.
func readRoot(text string) (*x509.Certificate, error) {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, fmt.Errorf("read root: %w", err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read root: %w", err)
	}
	return root, nil
}

// readDay parses a date; none is the zero time.
func readDay(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.DateOnly, text)
}
