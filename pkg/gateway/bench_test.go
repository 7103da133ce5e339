package gateway

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// BenchmarkVerifyRS256 is the floor: one bare verification of the signature.
func BenchmarkVerifyRS256(b *testing.B) {
	w := emptyWorld(b)
	token := w.sign(w.good(nil))
	at := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[at+1:])
	if err != nil {
		b.Fatal(err)
	}
	public := &w.key.PublicKey
	for b.Loop() {
		sum := sha256.Sum256([]byte(token[:at]))
		if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], signature); err != nil {
			b.Fatal(err)
		}
	}
}

// hardest is the gateway of the rendered policy of the hardest operation, three
// validate-jwt and all identity headers, before a backend that answers at once
// in the same process.
func hardest(b *testing.B) *world {
	w := emptyWorld(b)
	declared, err := trust.Parse("trust.yaml", []byte(trustText))
	if err != nil {
		b.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range apim.Render(declared, apim.Target{Issuer: w.issuer.URL}) {
		files[f.Operation] = w.file(f.Name, string(f.Body))
	}
	g, err := New(Config{APIs: []API{{Name: "orders", Path: "/orders", Backend: w.backend.URL, Policy: files[""],
		Operations: []Operation{{Name: "refund", Method: "POST", URLTemplate: "/{id}/refund", Policy: files["refund"]}}}}}, Options{Log: zerolog.Nop(), Now: w.now})
	if err != nil {
		b.Fatal(err)
	}
	g.forwarder = &silent{}
	w.gateway = g
	return w
}

func (w *world) pass(b *testing.B, token string) {
	r := httptest.NewRequest("POST", "/orders/7/refund", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	rec := httptest.NewRecorder()
	if w.gateway.ServeHTTP(rec, r); rec.Code != http.StatusOK {
		b.Fatal(rec.Code, rec.Body)
	}
}

// BenchmarkWarmRequest is a request with a token that was used before.
func BenchmarkWarmRequest(b *testing.B) {
	w := hardest(b)
	token := w.sign(w.good(nil))
	b.ReportAllocs()
	for b.Loop() {
		w.pass(b, token)
	}
}

// BenchmarkNewToken is a request with a token that the gateway has not seen, or
// no longer remembers.
func BenchmarkNewToken(b *testing.B) {
	w := hardest(b)
	tokens := make([]string, maxProofs+1)
	for i := range tokens {
		tokens[i] = w.sign(w.good(claims{"jti": i}))
	}
	i := 0
	for b.Loop() {
		w.pass(b, tokens[i%len(tokens)])
		i++
	}
}
