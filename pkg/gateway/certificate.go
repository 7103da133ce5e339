package gateway

import (
	"crypto"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/apim"
)

// uploaded is a certificate that policies name by its id.
type uploaded struct {
	certificate *x509.Certificate
	private     crypto.PrivateKey // nil when the file holds none
}

// readCertificate reads a PEM file with a certificate and, perhaps, its private key.
func readCertificate(file string) (uploaded, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return uploaded{}, fmt.Errorf("certificate: %w", err)
	}
	if pair, err := tls.X509KeyPair(data, data); err == nil {
		return uploaded{pair.Leaf, pair.PrivateKey}, nil
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return uploaded{}, fmt.Errorf("certificate %s: %w", file, err)
			}
			return uploaded{certificate: c}, nil
		}
	}
	return uploaded{}, fmt.Errorf("certificate %s: the file holds no PEM certificate", file)
}

// thumbprint is the SHA-1 of a certificate, as API Management shows it.
func thumbprint(c *x509.Certificate) string {
	sum := sha1.Sum(c.Raw)
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// compileClientCertificate compiles validate-client-certificate. Revocation
// cannot be asked for here, so a policy must say that it is not wanted.
func compileClientCertificate(c *compiler, e apim.Element, p *policy) {
	yes := func(name string, fallback bool) bool {
		if a, ok := e.Attribute(name); ok {
			v, _ := apim.Bool(a.Value)
			return v
		}
		return fallback
	}
	if yes("validate-revocation", true) {
		c.fault(e, `revocation is not implemented by this gateway: write validate-revocation="false"`)
	}
	trusted, after, before, ignore := yes("validate-trust", true), yes("validate-not-before", true), yes("validate-not-after", true), yes("ignore-error", false)
	identities, _ := e.Child("identities")
	if len(identities.Children) > 10 {
		c.fault(e, "at most 10 identities")
	}
	for _, i := range identities.Children {
		if len(i.Attributes) == 0 {
			c.fault(i, "an identity without attributes would match every certificate")
		}
		if id := i.Value("issuer-certificate-id"); id != "" && c.certificates[id].certificate == nil {
			c.fault(i, "there is no certificate %q in the configuration", id)
		}
	}
	certificates, note := c.certificates, *p
	p.act = func(r *run) error {
		reason := ""
		leaf := r.requestSeen().Certificate
		switch {
		case leaf == nil:
			reason = "the client sent no certificate"
		case after && r.now.Before(leaf.NotBefore):
			reason = "the certificate is not yet valid"
		case before && r.now.After(leaf.NotAfter):
			reason = "the certificate has expired"
		case trusted && !r.trusts(leaf):
			reason = "the certificate's issuer is not trusted"
		case len(identities.Children) > 0 && !slices.ContainsFunc(identities.Children, func(i apim.Element) bool { return identifies(i, leaf, certificates) }):
			reason = "the certificate matches no identity"
		}
		if reason == "" {
			note.note(r, resultPassed, "the client's certificate is valid")
			return nil
		}
		note.note(r, resultFailed, reason)
		if ignore {
			return nil
		}
		return refused(http.StatusForbidden, "ClientCertificateInvalid", reason, "Invalid client certificate.")
	}
}

// trusts builds the chain of a client's certificate at the request's time.
func (r *run) trusts(leaf *x509.Certificate) bool {
	intermediates := x509.NewCertPool()
	for _, c := range r.client.TLS.PeerCertificates[1:] {
		intermediates.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{CurrentTime: r.now, Roots: r.gateway.roots, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err == nil
}

// identifies reports whether a certificate has every attribute of an identity.
func identifies(i apim.Element, leaf *x509.Certificate, certificates map[string]uploaded) bool {
	for _, a := range i.Attributes {
		ok := false
		switch a.Name {
		case "thumbprint":
			ok = strings.EqualFold(strings.ReplaceAll(a.Value, " ", ""), thumbprint(leaf))
		case "serial-number":
			ok = strings.EqualFold(strings.TrimLeft(a.Value, "0"), strings.TrimLeft(hex.EncodeToString(leaf.SerialNumber.Bytes()), "0"))
		case "common-name":
			ok = leaf.Subject.CommonName == a.Value
		case "subject":
			ok = leaf.Subject.String() == a.Value
		case "dns-name":
			ok = slices.ContainsFunc(leaf.DNSNames, func(n string) bool { return strings.EqualFold(n, a.Value) })
		case "issuer-subject":
			ok = leaf.Issuer.String() == a.Value
		case "issuer-certificate-id":
			issuer := certificates[a.Value].certificate
			ok = issuer != nil && leaf.CheckSignatureFrom(issuer) == nil
		}
		if !ok {
			return false
		}
	}
	return true
}
