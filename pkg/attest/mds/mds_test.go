package mds

import (
	"compress/gzip"
	"crypto/x509"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/claim"
)

// issued is an instant inside the validity of the real BLOB's signer.
var issued = time.Date(2024, 12, 21, 0, 0, 0, 0, time.UTC)

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
	if s.Number() != 122 || s.Len() < 150 || s.Skipped > 10 {
		t.Errorf("number %d, %d models, %d skipped", s.Number(), s.Len(), s.Skipped)
	}
	if !s.Current(issued) || s.Current(issued.AddDate(1, 0, 0)) {
		t.Error("currency does not follow the next update")
	}
	const yubikey5 = "2fc0579f-8113-47ea-b116-bb5a8db9202a" // YubiKey 5 NFC, firmware 5.2
	e, ok := s.Lookup(yubikey5)
	if !ok || !strings.Contains(e.Description, "YubiKey") || len(e.Roots) == 0 {
		t.Fatalf("entry %+v", e)
	}
	// The chain of a stranger does not make the model attested, however the AAGUID reads.
	v := attest.Judge(attest.Evidence{AAGUID: yubikey5, Chain: [][]byte{PinnedRoots()[0].Raw}, DeviceBound: true, RegisteredAt: issued}, s, issued)
	if v.Facts.Has(claim.FactAttested) || v.Model != "" {
		t.Errorf("a public CA attests a model: %+v", v)
	}
	v = attest.Judge(attest.Evidence{AAGUID: yubikey5, Chain: [][]byte{e.Roots[0].Raw}, DeviceBound: true, RegisteredAt: issued}, s, issued)
	for _, f := range []claim.Fact{claim.FactAttested, claim.FactHardware, claim.FactFIDOCertified, claim.FactFIDOL1, claim.FactMetadataCurrent} {
		if !v.Facts.Has(f) {
			t.Errorf("the model's own root lacks %s: %v %s", f, v.Facts, v.Because)
		}
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
