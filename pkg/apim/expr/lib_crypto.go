package expr

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/hex"
	"hash"
	"slices"
	"strings"
)

// digest is a HashAlgorithm; key is what an HMAC is keyed with.
type digest struct {
	of   string
	make func() hash.Hash
	key  []byte
	mac  bool
}

func (d *digest) kind() string { return d.of }

func hashKind(k string) bool {
	return slices.Contains([]string{"MD5", "SHA1", "SHA256", "SHA384", "SHA512", "HMACMD5", "HMACSHA1", "HMACSHA256", "HMACSHA384", "HMACSHA512"}, k)
}

func (d *digest) sum(data []byte) []byte {
	h := hash.Hash(nil)
	if d.mac {
		h = hmac.New(d.make, d.key)
	} else {
		h = d.make()
	}
	h.Write(data) // never fails: see hash.Hash
	return h.Sum(nil)
}

func addCrypto() {
	for name, make := range map[string]func() hash.Hash{"MD5": md5.New, "SHA1": sha1.New, "SHA256": sha256.New, "SHA384": sha512.New384, "SHA512": sha512.New} {
		plain, mac := define(name), define("HMAC"+name)
		create := method(0, 0, name, func(call) Value { return &digest{of: name, make: make} })
		plain.create = &create
		plain.static["Create"] = create
		keyed := method(0, 1, "HMAC"+name, func(c call) Value {
			d := &digest{of: "HMAC" + name, make: make, mac: true}
			if c.has(0) {
				d.key = c.bytes(0)
			}
			return d
		})
		mac.create = &keyed
		mac.instance["set_Key"] = method(1, 1, "", func(c call) Value { c.on.(*digest).key = c.bytes(0); return nil })
		for _, k := range []*class{plain, mac, define("HashAlgorithm")} {
			k.instance["ComputeHash"] = method(1, 1, "byte[]", func(c call) Value {
				c.m.step(len(c.bytes(0)) / 64)
				return c.on.(*digest).sum(c.bytes(0))
			})
			k.instance["Dispose"] = method(0, 0, "", func(call) Value { return nil })
		}
	}
	addCertificate()
}

func addCertificate() {
	k := define("X509Certificate2")
	on := func(c call) *x509.Certificate { return c.on.(*x509.Certificate) }
	text := func(f func(*x509.Certificate) string) member {
		return prop("string", func(c call) Value { return f(on(c)) })
	}
	thumbprint := func(c *x509.Certificate) string {
		sum := sha1.Sum(c.Raw)
		return strings.ToUpper(hex.EncodeToString(sum[:]))
	}
	k.instance["Thumbprint"] = text(thumbprint)
	k.instance["Subject"] = text(func(c *x509.Certificate) string { return c.Subject.String() })
	k.instance["Issuer"] = text(func(c *x509.Certificate) string { return c.Issuer.String() })
	k.instance["SerialNumber"] = text(func(c *x509.Certificate) string { return strings.ToUpper(hex.EncodeToString(c.SerialNumber.Bytes())) })
	k.instance["FriendlyName"] = text(func(*x509.Certificate) string { return "" })
	k.instance["NotBefore"] = prop("DateTime", func(c call) Value { return DateTime{on(c).NotBefore.UTC()} })
	k.instance["NotAfter"] = prop("DateTime", func(c call) Value { return DateTime{on(c).NotAfter.UTC()} })
	k.instance["RawData"] = prop("byte[]", func(c call) Value { return slices.Clone(on(c).Raw) })
	k.instance["Version"] = prop("int", func(c call) Value { return int32(on(c).Version) })
	k.instance["GetRawCertData"] = method(0, 0, "byte[]", func(c call) Value { return slices.Clone(on(c).Raw) })
	k.instance["GetCertHashString"] = method(0, 0, "string", func(c call) Value { return thumbprint(on(c)) })
	k.instance["GetCertHash"] = method(0, 0, "byte[]", func(c call) Value { sum := sha1.Sum(on(c).Raw); return sum[:] })
	k.instance["GetSerialNumberString"] = method(0, 0, "string", func(c call) Value { return strings.ToUpper(hex.EncodeToString(on(c).SerialNumber.Bytes())) })
	k.instance["GetExpirationDateString"] = method(0, 0, "string", func(c call) Value { return DateTime{on(c).NotAfter}.String() })
	verify := method(0, 0, "bool", func(c call) Value {
		c.m.step(1000)
		_, err := on(c).Verify(x509.VerifyOptions{CurrentTime: c.m.env.now(), Roots: c.m.env.Roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		return err == nil
	})
	k.instance["Verify"], k.instance["VerifyNoRevocation"] = verify, verify
}
