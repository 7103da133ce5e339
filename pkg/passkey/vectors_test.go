package passkey

import (
	"compress/gzip"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/attest/mds"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// vector is a registration that others made.
type vector struct {
	Name, Format, AAGUID, Origin, RPID, Challenge, MDS122, Expect string
	Flags                                                         struct{ UV bool }
	VerifyAt                                                      time.Time
	Credential                                                    json.RawMessage
	// Of the W3C's vectors.
	ClientData                   struct{ Origin string }
	Registration, Authentication struct {
		Challenge  string
		Credential json.RawMessage
	}
}

// readVectors reads a file of test data.
func readVectors(t testing.TB, name string) (vectors []vector, w3cRoot []byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Root    string `json:"attestationRootCertificateDER"`
		Vectors []vector
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if w3cRoot, err = base64.RawURLEncoding.DecodeString(file.Root); err != nil {
		t.Fatal(err)
	}
	return file.Vectors, w3cRoot
}

// realMetadata is the FIDO Alliance's BLOB number 122, and an instant at which it was in force.
func realMetadata(t testing.TB) (*mds.Set, time.Time) {
	t.Helper()
	file, err := os.Open("../attest/mds/testdata/mds3-no122.jwt.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	blob, err := io.ReadAll(unzipped)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2024, 12, 21, 0, 0, 0, 0, time.UTC)
	set, err := mds.Parse(blob, nil, at)
	if err != nil {
		t.Fatal(err)
	}
	return set, at
}

// at runs fn when the bubble's clock, which begins in 2000, has come to an instant: the
// WebAuthn library asks the clock whether certificates are valid.
func at(t *testing.T, instant time.Time, fn func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(instant))
		fn(t)
	})
}

var someone = account.User{ID: "vector", Handle: []byte("vector"), Name: "vector", Status: "active"}

// verifyVector runs a registration as if its challenge had been ours.
func verifyVector(t *testing.T, origin, rpID, challenge string, credential []byte) (accepted, error) {
	t.Helper()
	if origin == "" {
		origin = "https://example.org"
	}
	if rpID == "" {
		u, err := url.Parse(origin)
		if err != nil {
			t.Fatal(err)
		}
		rpID = u.Hostname()
	}
	rp, err := New(Options{ID: rpID, Name: "Vectors", Origin: origin, Metadata: attest.NoMetadata})
	if err != nil {
		t.Fatal(err)
	}
	return rp.verifyRegistration(someone, webauthn.SessionData{Challenge: challenge, UserID: someone.Handle, RelyingPartyID: rpID,
		UserVerification: protocol.VerificationRequired, CredParams: algorithms}, credential)
}

// verifyStatement checks nothing but the attestation statement, for the answers
// that are refused before for want of user verification.
func verifyStatement(t *testing.T, credential []byte) error {
	t.Helper()
	parsed, err := protocol.ParseCredentialCreationResponseBytes(credential)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(parsed.Raw.AttestationResponse.ClientDataJSON)
	return parsed.Response.AttestationObject.VerifyAttestation(hash[:], nil, protocol.AttestationPolicy{}, protocol.SignaturePolicy{})
}

// chainIn reads the certificates of an answer whether or not it is acceptable.
func chainIn(t *testing.T, credential []byte) [][]byte {
	t.Helper()
	parsed, err := protocol.ParseCredentialCreationResponseBytes(credential)
	if err != nil {
		t.Fatal(err)
	}
	return certificates(parsed.Response.AttestationObject)
}

func TestRegistrationsOfRealDevices(t *testing.T) {
	metadata, today := realMetadata(t)
	vectors, _ := readVectors(t, "registrations.json")
	if len(vectors) != 9 {
		t.Fatalf("%d vectors", len(vectors))
	}
	attested := 0
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			at(t, v.VerifyAt, func(t *testing.T) {
				got, err := verifyVector(t, v.Origin, v.RPID, v.Challenge, v.Credential)
				if err := verifyStatement(t, v.Credential); err != nil {
					t.Errorf("the statement does not verify: %v", err)
				}
				if !v.Flags.UV {
					if !denial.Is(err, denial.UserVerificationMissing) {
						t.Errorf("without user verification: %v", err)
					}
				} else if err != nil {
					t.Errorf("refused: %v", err)
				} else if got.AttestationFormat != v.Format || uuid.UUID(got.Authenticator.AAGUID).String() != v.AAGUID {
					t.Errorf("format %s, AAGUID %x", got.AttestationFormat, got.Authenticator.AAGUID)
				}
				verdict := attest.Judge(attest.Evidence{Format: v.Format, AAGUID: v.AAGUID, Chain: chainIn(t, v.Credential), RegisteredAt: v.VerifyAt}, metadata, plainTerms, today)
				// A U2F key is in the metadata by the key of its certificate. It names no
				// model and verifies nobody, so that it never comes this far; no fact either.
				want := v.MDS122 == "ok" && v.Format != "fido-u2f"
				if verdict.Facts.Has(claim.FactAttested) != want {
					t.Errorf("attested %v, want %v: %v", !want, want, verdict.Because)
				}
				if want {
					attested++
					if !verdict.Facts.Has(claim.FactHardware) || !verdict.Facts.Has(claim.FactMetadataCurrent) || verdict.Model == "" {
						t.Errorf("facts %v, model %q", verdict.Facts, verdict.Model)
					}
				}
			})
		})
	}
	if attested != 3 {
		t.Errorf("%d attested, want 3: two YubiKeys and a Windows Hello", attested)
	}
}

func TestAnswersThatACarefulServerRefuses(t *testing.T) {
	metadata, today := realMetadata(t)
	vectors, _ := readVectors(t, "negative.json")
	reasons := map[string]denial.Reason{ // empty: accepted as unattested
		"none-with-certified-aaguid": "",
		"packed-bad-signature":       denial.AttestationInvalid,
		"packed-x5c-removed":         denial.AttestationInvalid,
		"flags-raised":               denial.AttestationInvalid,
		"aaguid-swapped":             denial.AttestationInvalid,
		"trailing-byte":              denial.ResponseMalformed,
		"none-with-statement":        denial.AttestationInvalid,
		"android-safetynet 31d62e53": denial.AttestationInvalid,
		"android-safetynet dfec997e": denial.AttestationInvalid,
		"android-key 079323c8":       denial.UserVerificationMissing, // and its statement does not verify either
		"android-key dc79b336":       denial.ResponseMalformed,
		"fido-u2f b3db194b":          denial.ResponseMalformed,
		"packed facff1c3":            denial.ResponseMalformed,
	}
	rpIDs := map[string]string{"android-safetynet 31d62e53": "pwl.ngrok.io"} // elsewhere the origin's host
	if len(vectors) != len(reasons) {
		t.Fatalf("%d vectors", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			at(t, today, func(t *testing.T) {
				got, err := verifyVector(t, v.Origin, rpIDs[v.Name], v.Challenge, v.Credential)
				reason, _ := denial.ReasonOf(err)
				want, known := reasons[v.Name]
				if !known || reason != want {
					t.Errorf("got %v, want %q (%s)", err, want, v.Expect)
				}
				if want == denial.UserVerificationMissing && verifyStatement(t, v.Credential) == nil {
					t.Error("the statement verifies")
				}
				if want == "" && strings.HasPrefix(v.Expect, "reject") {
					t.Errorf("accepted although: %s", v.Expect)
				}
				if err != nil {
					return
				}
				verdict := attest.Judge(attest.Evidence{Format: got.AttestationFormat, AAGUID: uuid.UUID(got.Authenticator.AAGUID).String(), Chain: got.chain, RegisteredAt: today}, metadata, plainTerms, today)
				if len(verdict.Facts) != 0 || verdict.AAGUID != "" {
					t.Errorf("facts %v, AAGUID %q", verdict.Facts, verdict.AAGUID)
				}
			})
		})
	}
}

// listed is metadata with one model.
type listed struct{ attest.Entry }

func (l listed) Lookup(aaguid string) (attest.Entry, bool) { return l.Entry, l.AAGUID == aaguid }
func (listed) Number() int                                 { return 1 }
func (listed) NextUpdate() time.Time                       { return time.Now().AddDate(0, 1, 0) }

// plainTerms are the terms of a trust file that says nothing.
var plainTerms = attest.TermsOf(trust.Empty())

func TestVectorsOfTheSpecification(t *testing.T) {
	vectors, root := readVectors(t, "w3c-webauthn-l3.json")
	anchor, err := x509.ParseCertificate(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name         string
		registration denial.Reason // empty: accepted
		attested     bool
		login        denial.Reason // of those that registered; empty: accepted
	}{
		{"ES256 Credential with No Attestation", denial.UserVerificationMissing, false, ""},
		{"ES256 Credential with Self Attestation", "", false, denial.UserVerificationMissing},
		{"ES256 Credential with crossOrigin: true in clientDataJSON", denial.OriginMismatch, false, ""},
		{"ES256 Credential with topOrigin in clientDataJSON", denial.OriginMismatch, false, ""},
		{"ES256 Credential with very long credential ID", denial.UserVerificationMissing, false, ""},
		{"Packed Attestation with ES256 Credential", "", true, ""},
		{"Packed Attestation with ES384 Credential", denial.UserVerificationMissing, true, ""},
		{"Packed Attestation with ES512 Credential", denial.AlgorithmNotOffered, true, ""},
		{"Packed Attestation with RS256 Credential", "", true, denial.UserVerificationMissing},
		{"Packed Attestation with Ed25519 Credential", denial.UserVerificationMissing, true, ""},
		{"Packed Attestation with Ed448 Credential", denial.UserVerificationMissing, true, ""},
		// The library accepts TPMs of registered manufacturers only, and Android and
		// Apple statements under the vendors' own roots only; the specification's are invented.
		{"TPM Attestation with ES256 Credential", denial.AttestationInvalid, true, ""},
		{"Android Key Attestation with ES256 Credential", denial.AttestationInvalid, true, ""},
		{"Apple Anonymous Attestation with ES256 Credential", denial.UserVerificationMissing, true, ""},
		{"FIDO U2F Attestation with ES256 Credential", denial.UserVerificationMissing, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i := slices.IndexFunc(vectors, func(v vector) bool { return v.Name == tt.name })
			if i < 0 {
				t.Fatal("no such vector")
			}
			v := vectors[i]
			at(t, time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC), func(t *testing.T) {
				got, err := verifyVector(t, v.ClientData.Origin, "", v.Registration.Challenge, v.Registration.Credential)
				if reason, _ := denial.ReasonOf(err); reason != tt.registration {
					t.Errorf("registration: %v, want %q", err, tt.registration)
				}
				evidence := attest.Evidence{Format: v.Format, AAGUID: v.AAGUID, Chain: chainIn(t, v.Registration.Credential), RegisteredAt: time.Now()}
				verdict := attest.Judge(evidence, listed{attest.Entry{AAGUID: v.AAGUID, Roots: []*x509.Certificate{anchor}}}, plainTerms, time.Now())
				if verdict.Facts.Has(claim.FactAttested) != tt.attested {
					t.Errorf("attested %v, want %v: %v", !tt.attested, tt.attested, verdict.Because)
				}
				if err != nil {
					return
				}
				err = signInWithVector(t, v, got)
				if reason, _ := denial.ReasonOf(err); reason != tt.login {
					t.Errorf("login: %v, want %q", err, tt.login)
				}
			})
		})
	}
	if len(vectors) != 15 {
		t.Errorf("%d vectors", len(vectors))
	}
}

// signInWithVector verifies the vector's assertion with the credential it registered. The
// vectors leave the user handle out, which is not signed.
func signInWithVector(t *testing.T, v vector, registered accepted) error {
	t.Helper()
	rp, err := New(Options{ID: "example.org", Name: "Vectors", Origin: v.ClientData.Origin, Metadata: attest.NoMetadata})
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(v.Authentication.Credential, &answer); err != nil {
		t.Fatal(err)
	}
	answer["response"].(map[string]any)["userHandle"] = base64.RawURLEncoding.EncodeToString(someone.Handle)
	response, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	session := webauthn.SessionData{Challenge: v.Authentication.Challenge, RelyingPartyID: "example.org", UserVerification: protocol.VerificationRequired}
	parsed, err := rp.readLogin(session, response)
	if err != nil {
		return err
	}
	s := stored{user: someone, key: registered.PublicKey, credentialID: registered.ID, flags: int16(registered.flags), signCount: int64(registered.Authenticator.SignCount)}
	s.AAGUID, s.BackupEligible = v.AAGUID, registered.Flags.BackupEligible
	_, err = rp.verifyLogin(session, parsed, s)
	return err
}
