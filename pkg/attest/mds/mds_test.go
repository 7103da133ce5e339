package mds

import (
	"compress/gzip"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/claim"
)

// issued is an instant inside the validity of the real BLOB's signer.
var issued = time.Date(2024, 12, 21, 0, 0, 0, 0, time.UTC)

// terms are those of an operator who changed nothing.
var terms = attest.Terms{Grace: 7 * 24 * time.Hour}

// real returns the FIDO Alliance's BLOB number 122.
func real(t testing.TB) []byte {
	file, err := os.Open("testdata/mds3-no122.jwt.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(unzipped)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestTheRealBLOB(t *testing.T) {
	s, err := Parse(real(t), nil, issued)
	if err != nil {
		t.Fatal(err)
	}
	if s.Number() != 122 || s.Len() != 187 || s.Unreadable != 2 {
		t.Errorf("number %d, %d models, %d skipped", s.Number(), s.Len(), s.Unreadable)
	}
	if !terms.Current(s, issued) || terms.Current(s, issued.AddDate(1, 0, 0)) {
		t.Error("currency does not follow the next update")
	}
	const yubikey5 = "2fc0579f-8113-47ea-b116-bb5a8db9202a" // YubiKey 5 NFC, firmware 5.2
	e, ok := s.Lookup(yubikey5)
	if !ok || !strings.Contains(e.Description, "YubiKey") || len(e.Roots) == 0 {
		t.Fatalf("entry %+v", e)
	}
	// The chain of a stranger does not make the model attested, however the AAGUID reads.
	v := attest.Judge(attest.Evidence{Format: "packed", AAGUID: yubikey5, Chain: [][]byte{PinnedRoots()[0].Raw}, DeviceBound: true, RegisteredAt: issued}, s, terms, issued)
	if v.Facts.Has(claim.FactAttested) || v.Model != "" {
		t.Errorf("a public CA attests a model: %+v", v)
	}
	v = attest.Judge(attest.Evidence{Format: "packed", AAGUID: yubikey5, Chain: [][]byte{e.Roots[0].Raw}, DeviceBound: true, RegisteredAt: issued}, s, terms, issued)
	for _, f := range []claim.Fact{claim.FactAttested, claim.FactHardware, claim.FactFIDOCertified, claim.FactFIDOL1, claim.FactMetadataCurrent} {
		if !v.Facts.Has(f) {
			t.Errorf("the model's own root lacks %s: %v %s", f, v.Facts, v.Because)
		}
	}
}

func TestTheRealBLOBTellsOfARevokedModel(t *testing.T) {
	s, err := Parse(real(t), nil, issued)
	if err != nil {
		t.Fatal(err)
	}
	// TruU Windows Authenticator: REVOKED is its latest report and stands first.
	e, ok := s.Lookup("ba86dc56-635f-4141-aef6-00227b1b9af6")
	if !ok || len(e.Status) != 2 || e.Status[0].Status != "REVOKED" || e.Status[1].Effective.After(e.Status[0].Effective) {
		t.Errorf("entry %+v", e)
	}
}

func TestBLOBsThatAreNotBelieved(t *testing.T) {
	blob := string(real(t))
	parts := strings.Split(strings.TrimSpace(blob), ".")
	for _, tt := range []struct {
		name, blob string
		roots      []*x509.Certificate
		at         time.Time
	}{
		{"signer expired", blob, nil, issued.AddDate(5, 0, 0)},
		{"other roots", blob, PinnedRoots()[1:], issued},
		{"cut payload", parts[0] + "." + parts[1][:len(parts[1])-4] + "." + parts[2], nil, issued},
		{"swapped signature", parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), nil, issued},
		{"no signature", parts[0] + "." + parts[1] + ".", nil, issued},
		{"rubbish", "rubbish", nil, issued},
		{"empty", "", nil, issued},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if s, err := Parse([]byte(tt.blob), tt.roots, tt.at); err == nil {
				t.Errorf("believed: number %d", s.Number())
			}
		})
	}
}

func TestSignersThatAreNotBelieved(t *testing.T) {
	s := newService(t)
	certificate, key := certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "signer"}}, s.root, s.key)
	chain := []string{base64.StdEncoding.EncodeToString(certificate.Raw)}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.MarshalPKIXPublicKey(certificate.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		blob []byte
		want string // what the error says; empty when believed
	}{
		{"honest", s.signWith(jose.SigningKey{Algorithm: jose.ES256, Key: key}, chain, numbered(1)), ""},
		{"another key than the certificate's", s.signWith(jose.SigningKey{Algorithm: jose.RS256, Key: rsaKey}, chain, numbered(1)), "does not verify"},
		{"the certificate's public key as a shared secret", s.signWith(jose.SigningKey{Algorithm: jose.HS256, Key: root}, chain, numbered(1)), "not a signed"},
		{"an algorithm nobody uses here", s.signWith(jose.SigningKey{Algorithm: jose.RS512, Key: rsaKey}, chain, numbered(1)), "not a signed"},
		{"no certificate", s.signWith(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil, numbered(1)), "no certificate"},
		{"unreadable certificate", s.signWith(jose.SigningKey{Algorithm: jose.ES256, Key: key}, []string{"AAAA"}, numbered(1)), "not a signed"},
		{"a stranger's certificate", newService(t).sign("signer", numbered(1)), "not trusted"},
		{"no number", s.sign("signer", map[string]any{"nextUpdate": "2025-01-01"}), "lacks a serial number"},
		{"negative number", s.sign("signer", numbered(-1)), "lacks a serial number"},
		{"no next update", s.sign("signer", map[string]any{"no": 1}), "lacks a serial number"},
		{"payload is no object", s.sign("signer", "[]"), "cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.blob, s.roots(), issued)
			if got := fmt.Sprint(err); (err == nil) != (tt.want == "") || !strings.Contains(got, tt.want) && err != nil {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("a stranger with the right name", func(t *testing.T) {
		// Neither name nor chain is enough alone; TestRefreshKeepsTheLastGoodBLOB has the neighbour with another name.
		s := Source{Roots: s.roots(), SignerName: serviceName}
		if _, err := s.parse(newService(t).sign(serviceName, numbered(1)), issued); err == nil {
			t.Error("believed a stranger with the right name")
		}
	})
}

func TestOnlyTheServiceSpeaksUnderThePinnedRoots(t *testing.T) {
	head, rest, _ := strings.Cut(string(real(t)), ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	var header map[string]any
	if err := json.Unmarshal(text, &header); err != nil {
		t.Fatal(err)
	}
	// What follows the service's own certificate is one of the same root with another name.
	header["x5c"] = header["x5c"].([]any)[1:]
	if text, err = json.Marshal(header); err != nil {
		t.Fatal(err)
	}
	_, err = Parse([]byte(base64.RawURLEncoding.EncodeToString(text)+"."+rest), nil, issued)
	if err == nil || !strings.Contains(err.Error(), "the signer is not trusted") {
		t.Errorf("got %v, want the signer refused before its signature is looked at", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("a.b.c"))
	f.Fuzz(func(t *testing.T, blob []byte) { Parse(blob, nil, issued) })
}

func BenchmarkParse(b *testing.B) {
	blob := real(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(blob, nil, issued); err != nil {
			b.Fatal(err)
		}
	}
}
