// Command chromium-metadata makes a private FIDO metadata BLOB for Chromium's
// virtual authenticator, for the browser scenarios.
//
// It reads an attestation object (base64url) from standard input and writes
// blob.jwt and roots.pem into the directory given, and next.jwt, the BLOB after
// it, in which the model is compromised. With "foreign" as a second
// argument the model is anchored at a stranger's root, so that nothing of it
// can be attested; with "late" it is so in blob.jwt alone, and next.jwt sets it right.
package main

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/touchstone-id/touchstone/pkg/passkey/passkeytest"
)

// aaguid is that of Chromium's virtual authenticator.
var aaguid = [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "chromium-metadata:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) < 2 {
		return errors.New("usage: chromium-metadata DIR [foreign|late]")
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	object, err := base64.RawURLEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	var parsed struct {
		Statement struct {
			X5C [][]byte `cbor:"x5c"`
		} `cbor:"attStmt"`
	}
	if err := cbor.Unmarshal(object, &parsed); err != nil || len(parsed.Statement.X5C) == 0 {
		return fmt.Errorf("no certificate in the attestation object: %v", err)
	}
	batch, err := x509.ParseCertificate(parsed.Statement.X5C[0])
	if err != nil {
		return err
	}
	now := time.Now()
	service, err := passkeytest.NewCA("Private metadata service", now)
	if err != nil {
		return err
	}
	root, err := passkeytest.Impersonate(batch)
	if err != nil {
		return err
	}
	if len(os.Args) > 2 && os.Args[2] == "foreign" {
		stranger, err := passkeytest.NewCA("Stranger", now)
		if err != nil {
			return err
		}
		root = stranger.Certificate
	}
	anchors := []*x509.Certificate{root, root}
	if len(os.Args) > 2 && os.Args[2] == "late" {
		stranger, err := passkeytest.NewCA("Stranger", now)
		if err != nil {
			return err
		}
		anchors[0] = stranger.Certificate
	}
	dir, status := os.Args[1], [][2]string{{"FIDO_CERTIFIED_L1", "2024-01-01"}}
	for i, name := range []string{"blob.jwt", "next.jwt"} {
		blob, err := service.BLOB(1+i, now.AddDate(0, 1, 0), passkeytest.Model{AAGUID: aaguid, Description: "Chromium Virtual Key",
			Roots: anchors[i : i+1], KeyProtection: []string{"hardware"}, Status: status})
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), blob, 0o644); err != nil {
			return err
		}
		if len(os.Args) < 3 || os.Args[2] != "late" {
			status = append(status, [2]string{"USER_KEY_REMOTE_COMPROMISE", "2024-06-01"})
		}
	}
	return os.WriteFile(filepath.Join(dir, "roots.pem"), service.PEM(), 0o644)
}
