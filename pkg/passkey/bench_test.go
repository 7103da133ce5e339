package passkey

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/passkey/passkeytest"
)

// BenchmarkVerifyLogin measures the part that reads and writes nothing, from the
// answer's bytes to the verdict on its signature.
func BenchmarkVerifyLogin(b *testing.B) {
	rp := anyone(b)
	creation, registration, err := rp.webauthn.BeginRegistration(person{User: someone}, webauthn.WithCredentialParameters(algorithms))
	if err != nil {
		b.Fatal(err)
	}
	request, session, err := rp.webauthn.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		b.Fatal(err)
	}
	a := &passkeytest.Authenticator{}
	registered, err := rp.verifyRegistration(someone, *registration, answerTo(b, creation.Response, a.Create))
	if err != nil {
		b.Fatal(err)
	}
	response := answerTo(b, request.Response, a.Get)
	s := stored{user: someone, key: registered.PublicKey, credentialID: registered.ID, flags: int16(registered.flags)}
	s.AAGUID = "00000000-0000-0000-0000-000000000000"
	b.ReportAllocs()
	for b.Loop() {
		parsed, err := rp.readLogin(*session, response)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := rp.verifyLogin(*session, parsed, s); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyRegistration measures the part of a registration that reads and
// writes nothing, with a full chain and the verdict under metadata.
func BenchmarkVerifyRegistration(b *testing.B) {
	w := newWorld(b)
	w.trustModel("UPDATE_AVAILABLE", w.vendor.Certificate)
	creation, session, err := w.rp.webauthn.BeginRegistration(person{User: someone}, webauthn.WithCredentialParameters(algorithms))
	if err != nil {
		b.Fatal(err)
	}
	a := &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.vendor}
	options, err := json.Marshal(creation.Response)
	if err != nil {
		b.Fatal(err)
	}
	response, err := a.Create(options, origin)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		got, err := w.rp.verifyRegistration(someone, *session, response)
		if err != nil {
			b.Fatal(err)
		}
		v := w.rp.judge(attest.Evidence{Format: got.AttestationFormat, AAGUID: uuid.UUID(model).String(), Chain: got.chain, DeviceBound: true, RegisteredAt: w.now}, w.now)
		if !v.Facts.Has(claim.FactAttested) {
			b.Fatal(v.Because)
		}
	}
}

// answerTo runs options through an authenticator.
func answerTo(b *testing.B, options any, run func([]byte, string) ([]byte, error)) []byte {
	b.Helper()
	text, err := json.Marshal(options)
	if err != nil {
		b.Fatal(err)
	}
	response, err := run(text, "http://localhost:8080")
	if err != nil {
		b.Fatal(err)
	}
	return response
}

// BenchmarkVerifyES256 is the floor: one signature.
func BenchmarkVerifyES256(b *testing.B) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256([]byte("message"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !ecdsa.VerifyASN1(&key.PublicKey, sum[:], signature) {
			b.Fatal("not verified")
		}
	}
}

// BenchmarkLogin measures a whole sign-in of an attested key on the database:
// offer, ceremony consumed, verification, judgement, update.
func BenchmarkLogin(b *testing.B) {
	w := newWorld(b)
	w.trustModel("UPDATE_AVAILABLE", w.vendor.Certificate)
	a := &passkeytest.Authenticator{AAGUID: model, Attestation: passkeytest.AttestPacked, CA: w.vendor}
	if _, err := w.register(a); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		l := w.answerLogin(a)
		err := pgx.BeginFunc(context.Background(), w.pool, func(tx pgx.Tx) error {
			_, err := w.rp.VerifyLogin(context.Background(), tx, w.now, l)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
