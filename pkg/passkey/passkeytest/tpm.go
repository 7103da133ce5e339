package passkeytest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
)

// certifyKey adds what a TPM says about the credential's key to the statement and
// returns the part to be signed: TPMS_ATTEST with the Name of the key's public
// area and the hash of what was asked (WebAuthn L3 section 8.3, TPM 2.0 Library
// Part 2 sections 10.12.12 and 12.2.4). Only ES256 keys can be certified.
func (a *Authenticator) certifyKey(stmt map[string]any, c *credential, data, client []byte) []byte {
	const (
		ecc, sha256ID, null, p256 = 0x0023, 0x000b, 0x0010, 0x0003
		generated, attestCertify  = 0xff544347, 0x8017
	)
	var x, y []byte
	if key, ok := c.key.Public().(*ecdsa.PublicKey); ok {
		if point, err := key.Bytes(); err == nil && len(point) == 65 {
			x, y = point[1:33], point[33:]
		}
	}
	public := fields(uint16(ecc), uint16(sha256ID), uint32(0x60472), sized(nil), uint16(null), uint16(null), uint16(p256), uint16(null), sized(x), sized(y))
	digest := sha256.Sum256(public)
	name := fields(uint16(sha256ID), digest[:])
	asked := sha256.Sum256(a.toBeSigned(data, client))
	info := fields(uint32(generated), uint16(attestCertify), sized(nil), sized(asked[:]),
		uint64(1), uint32(0), uint32(0), uint8(1), uint64(1), sized(name), sized(name))
	stmt["ver"], stmt["pubArea"], stmt["certInfo"] = "2.0", public, info
	return info
}

// fields writes values one after another, big-endian.
func fields(values ...any) []byte {
	var b bytes.Buffer
	for _, v := range values {
		binary.Write(&b, binary.BigEndian, v) // a buffer takes every fixed-size value
	}
	return b.Bytes()
}

// sized is a TPM2B: a length and as many bytes.
func sized(b []byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }

// aik issues a TPM's attestation identity key certificate (WebAuthn L3 section
// 8.3.1): no subject, and a critical alternative name that says which TPM it is.
func (ca *CA) aik([16]byte) (*leaf, error) {
	attribute := func(last int, value string) []pkix.AttributeTypeAndValue {
		return []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 23, 133, 2, last}, Value: value}}
	}
	device, err := asn1.Marshal(pkix.RDNSequence{attribute(1, "id:FFFFF1D0"), attribute(2, "Test TPM"), attribute(3, "id:00010002")})
	if err != nil {
		return nil, err
	}
	names, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: device}})
	if err != nil {
		return nil, err
	}
	return ca.issue(&x509.Certificate{UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 133, 8, 3}},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: names}}})
}
