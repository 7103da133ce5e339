package passkey

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/passkey/passkeytest"
)

// seeds are honest answers of every kind, and what tests found in the wild.
func seeds(f *testing.F, answer func(v vector) json.RawMessage) {
	for _, name := range []string{"registrations.json", "negative.json", "w3c-webauthn-l3.json"} {
		vectors, _ := readVectors(f, name)
		for _, v := range vectors {
			if response := answer(v); response != nil {
				f.Add([]byte(response))
			}
		}
	}
	f.Add([]byte(`{"id":"","rawId":"","type":"public-key","response":{}}`))
}

// anyone is a relying party without a database.
func anyone(t testing.TB) *RelyingParty {
	t.Helper()
	rp, err := New(Options{ID: "localhost", Name: "Fuzz", Origin: "http://localhost:8080", Metadata: attest.NoMetadata})
	if err != nil {
		t.Fatal(err)
	}
	return rp
}

func FuzzRegistrationAnswers(f *testing.F) {
	rp := anyone(f)
	seeds(f, func(v vector) json.RawMessage {
		if v.Credential == nil {
			return v.Registration.Credential
		}
		return v.Credential
	})
	f.Fuzz(func(t *testing.T, response []byte) {
		_, err := rp.verifyRegistration(someone, webauthn.SessionData{Challenge: "unguessable", UserID: someone.Handle, CredParams: algorithms}, response)
		if _, ok := denial.ReasonOf(err); !ok {
			t.Errorf("got %v, want a denial", err)
		}
	})
}

func FuzzLoginAnswers(f *testing.F) {
	rp := anyone(f)
	seeds(f, func(v vector) json.RawMessage { return v.Authentication.Credential })
	f.Fuzz(func(t *testing.T, response []byte) {
		_, err := rp.readLogin(webauthn.SessionData{Challenge: "unguessable"}, response)
		if _, ok := denial.ReasonOf(err); !ok {
			t.Errorf("got %v, want a denial", err)
		}
	})
}

// FuzzAttestationStatements changes the attestation object of an answer to the
// right challenge, so that statements are reached.
func FuzzAttestationStatements(f *testing.F) {
	rp := anyone(f)
	ca, err := passkeytest.NewCA("Vendor", time.Now())
	if err != nil {
		f.Fatal(err)
	}
	creation, session, err := rp.webauthn.BeginRegistration(person{User: someone}, webauthn.WithCredentialParameters(algorithms))
	if err != nil {
		f.Fatal(err)
	}
	options, err := json.Marshal(creation.Response)
	if err != nil {
		f.Fatal(err)
	}
	var frame map[string]any
	for _, kind := range []passkeytest.Attestation{passkeytest.AttestNone, passkeytest.AttestSelf, passkeytest.AttestPacked, passkeytest.AttestU2F, passkeytest.AttestTPM, passkeytest.AttestCompound} {
		a := &passkeytest.Authenticator{AAGUID: model, Attestation: kind, CA: ca}
		response, err := a.Create(options, "http://localhost:8080")
		if err != nil {
			f.Fatal(err)
		}
		if err := json.Unmarshal(response, &frame); err != nil {
			f.Fatal(err)
		}
		object, err := base64.RawURLEncoding.DecodeString(frame["response"].(map[string]any)["attestationObject"].(string))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(object)
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		response := maps.Clone(frame["response"].(map[string]any))
		response["attestationObject"] = base64.RawURLEncoding.EncodeToString(object)
		answer := maps.Clone(frame)
		answer["response"] = response
		text, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		a, err := rp.verifyRegistration(someone, *session, text)
		if _, denied := denial.ReasonOf(err); err != nil && !denied {
			t.Errorf("got %v, want a denial", err)
		}
		if err == nil {
			attest.Judge(attest.Evidence{Format: a.AttestationFormat, Chain: a.chain, AAGUID: "01020300-0000-0000-0000-000000000000"}, listed{attest.Entry{AAGUID: "01020300-0000-0000-0000-000000000000"}}, plainTerms, time.Now())
		}
	})
}
