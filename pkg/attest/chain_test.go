package attest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"
)

// authority is a certificate with its key.
type authority struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// newAuthority returns a root that is valid from 2020 to 2040.
func newAuthority(t testing.TB, name string) *authority {
	return issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, DNSNames: []string{"ca.invalid"}}, nil, nil)
}

// issue makes a certificate under a parent, or signed by itself; with a nil key it makes one.
func issue(t testing.TB, template *x509.Certificate, parent *authority, key *ecdsa.PrivateKey) *authority {
	t.Helper()
	var err error
	if key == nil {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	template.SerialNumber, template.BasicConstraintsValid = big.NewInt(time.Now().UnixNano()), true
	if template.NotBefore.IsZero() {
		template.NotBefore, template.NotAfter = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if parent == nil {
		parent = &authority{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.Certificate, &key.PublicKey, parent.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{c, key}
}

func (a *authority) anchors() []*x509.Certificate { return []*x509.Certificate{a.Certificate} }

// chain returns an attestation certificate under the authority.
func (a *authority) chain(t testing.TB) [][]byte {
	return [][]byte{issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Acme batch"}}, a, nil).Raw}
}

// numbered returns a certificate that names one authenticator, as enterprise attestation does.
func (a *authority) numbered(t testing.TB, serial []byte) [][]byte {
	value, err := asn1.Marshal(serial)
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{issue(t, &x509.Certificate{ExtraExtensions: []pkix.Extension{{Id: oidSerialNumber, Value: value}}}, a, nil).Raw}
}

func TestChainsLeadToTheModelsOwnAnchors(t *testing.T) {
	root := newAuthority(t, "Acme root")
	middle := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Acme middle"}, IsCA: true}, root, nil)
	leaf := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Acme batch"}}, middle, nil)
	notCA := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Acme batch"}}, leaf, nil)
	short := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Acme day key"}, NotBefore: now, NotAfter: now.Add(24 * time.Hour)}, root, nil)
	twin := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Acme root"}, IsCA: true}, nil, nil)
	unpurposed := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Acme batch"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}}, root, nil)
	// Chromium's virtual authenticator signs with a self-signed certificate that is
	// made anew each time, under a key that stays. A certificate authority with its
	// subject and key anchors it when it carries a name that the leaf lacks, which
	// is how crypto/x509 tells the two apart.
	batch := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Batch Certificate"}}, nil, nil)
	again := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Batch Certificate"}}, nil, batch.key)
	fabricated := issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Batch Certificate"}, IsCA: true, DNSNames: []string{"authenticator.invalid"}}, nil, batch.key)
	// A TPM's certificate names the TPM in a critical subject alternative name, of a kind that is no host name.
	name, err := asn1.Marshal(pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 23, 133, 2, 1}, Value: "id:4D534654"}}}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	names, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: name}})
	if err != nil {
		t.Fatal(err)
	}
	tpm := issue(t, &x509.Certificate{ExtraExtensions: []pkix.Extension{{Id: oidSubjectAltName, Critical: true, Value: names}}}, root, nil)
	odd := issue(t, &x509.Certificate{ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}}, root, nil)

	for _, tt := range []struct {
		name    string
		chain   []*authority
		anchors []*authority
		at      time.Time
		want    bool
	}{
		{"through an intermediate", []*authority{leaf, middle}, []*authority{root}, now, true},
		{"with the root in the chain", []*authority{leaf, middle, root}, []*authority{root}, now, true},
		{"in another order", []*authority{leaf, root, middle}, []*authority{root}, now, true},
		{"the intermediate is missing", []*authority{leaf}, []*authority{root}, now, false},
		{"the intermediate is the anchor", []*authority{leaf}, []*authority{middle}, now, true},
		{"the leaf is the anchor", []*authority{leaf}, []*authority{leaf}, now, true},
		{"the leaf is the anchor, and expired", []*authority{short}, []*authority{short}, now.Add(25 * time.Hour), false},
		{"the leaf is the anchor, and not yet valid", []*authority{short}, []*authority{short}, now.Add(-1), false},
		{"valid on the day", []*authority{short}, []*authority{root}, now.Add(time.Hour), true},
		{"expired when registered", []*authority{short}, []*authority{root}, now.Add(25 * time.Hour), false},
		{"the root came later", []*authority{leaf, middle}, []*authority{root}, time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{"no anchors", []*authority{leaf, middle, root}, nil, now, false},
		{"an anchor of the same name", []*authority{leaf, middle}, []*authority{twin}, now, false},
		{"a root of one's own in the chain", []*authority{issue(t, &x509.Certificate{}, twin, nil), twin}, []*authority{root}, now, false},
		{"signed with a leaf", []*authority{notCA, leaf, middle}, []*authority{root}, now, false},
		{"signed with a leaf that is the anchor", []*authority{notCA}, []*authority{leaf}, now, false},
		{"for some other purpose", []*authority{unpurposed}, []*authority{root}, now, true},
		{"self-signed under the anchor's key", []*authority{again}, []*authority{fabricated}, now, true},
		{"self-signed under another key", []*authority{issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Batch Certificate"}}, nil, nil)}, []*authority{fabricated}, now, false},
		{"a TPM's critical name", []*authority{tpm}, []*authority{root}, now, true},
		{"another critical extension", []*authority{odd}, []*authority{root}, now, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var chain, anchors []*x509.Certificate
			for _, a := range tt.chain {
				fresh, err := x509.ParseCertificate(a.Raw)
				if err != nil {
					t.Fatal(err)
				}
				chain = append(chain, fresh)
			}
			for _, a := range tt.anchors {
				anchors = append(anchors, a.Certificate)
			}
			if got := leads(chain, anchors, tt.at); got != tt.want {
				t.Errorf("leads to an anchor: %v, want %v", got, tt.want)
			}
		})
	}
}
