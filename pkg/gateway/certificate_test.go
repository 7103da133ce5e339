package gateway

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/rs/zerolog"
)

// issued is a certificate with its key.
type issued struct {
	*x509.Certificate
	key crypto.Signer
	pem string
}

// certificate makes a certificate, signed by an authority or by itself.
func certificate(t *testing.T, by *issued, key crypto.Signer, change func(*x509.Certificate)) *issued {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "client"}, NotBefore: time.Unix(1_799_000_000, 0), NotAfter: time.Unix(1_801_000_000, 0),
		DNSNames: []string{"localhost", "client.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true}
	change(c)
	parent, signer := c, key
	if by != nil {
		parent, signer = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	return &issued{parsed, key, text}
}

func curveKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestClientCertificates(t *testing.T) {
	root := certificate(t, nil, curveKey(t), func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.KeyUsage, c.ExtKeyUsage = "root", true, x509.KeyUsageCertSign, nil
	})
	good := certificate(t, root, curveKey(t), func(*x509.Certificate) {})
	late := certificate(t, root, curveKey(t), func(c *x509.Certificate) { c.NotAfter = time.Unix(1_799_999_999, 0) })
	early := certificate(t, root, curveKey(t), func(c *x509.Certificate) { c.NotBefore = time.Unix(1_800_000_001, 0) })
	own := certificate(t, nil, curveKey(t), func(*x509.Certificate) {})
	named := func(attributes string) string {
		return `<validate-client-certificate validate-revocation="false"><identities><identity ` + attributes + `/></identities></validate-client-certificate>`
	}
	plain := `<validate-client-certificate validate-revocation="false"/>`
	for _, tt := range []struct {
		name, policy string
		client       *issued
		status       int
	}{
		{"trusted", plain, good, 200},
		{"none", plain, nil, 403},
		{"expired", plain, late, 403},
		{"not yet valid", plain, early, 403},
		{"signed by itself", plain, own, 403},
		{"signed by itself, trust not asked", `<validate-client-certificate validate-revocation="false" validate-trust="false"/>`, own, 200},
		{"expired, not asked", `<validate-client-certificate validate-revocation="false" validate-trust="false" validate-not-after="false"/>`, late, 200},
		{"none, ignored", `<validate-client-certificate validate-revocation="false" ignore-error="true"/>`, nil, 200},
		{"thumbprint", named(`thumbprint="` + thumbprint(good.Certificate) + `"`), good, 200},
		{"thumbprint of another", named(`thumbprint="` + thumbprint(own.Certificate) + `"`), good, 403},
		{"name", named(`common-name="client" dns-name="client.test" issuer-certificate-id="root"`), good, 200},
		{"one attribute wrong", named(`common-name="client" dns-name="other.test"`), good, 403},
		{"issuer of another name", named(`issuer-certificate-id="root"`), own, 403},
		{"in an expression", `<choose><when condition='@(context.Request.Certificate == null || context.Request.Certificate.Thumbprint != "` + thumbprint(good.Certificate) + `")'><return-response><set-status code="403"/></return-response></when></choose>`, good, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := emptyWorld(t)
			c := w.config(`<inbound>` + tt.policy + `</inbound>`)
			c.Certificates = map[string]string{"root": w.file("root.pem", root.pem)}
			server := certificate(t, root, curveKey(t), func(c *x509.Certificate) {
				c.NotBefore, c.NotAfter = time.Unix(0, 0), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
			})
			file := w.file("server.pem", server.pem)
			c.TLS = TLS{Certificate: file, Key: file, RequestClientCertificate: true, ClientAuthorities: w.file("roots.pem", root.pem)}
			w.start(c)
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- w.gateway.Run(ctx, listener) }()
			roots := x509.NewCertPool()
			roots.AddCert(root.Certificate)
			config := &tls.Config{RootCAs: roots, Time: w.now}
			if tt.client != nil {
				config.Certificates = []tls.Certificate{{Certificate: [][]byte{tt.client.Raw}, PrivateKey: tt.client.key}}
			}
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
			answer, err := client.Get("https://" + listener.Addr().String() + "/a/1")
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != tt.status {
				t.Errorf("got %d, want %d", answer.StatusCode, tt.status)
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEncryptedTokensAndCertificateKeys(t *testing.T) {
	private := testKey()
	holder := certificate(t, nil, private, func(*x509.Certificate) {})
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve := curveKey(t)
	onCurve := certificate(t, nil, curve, func(*x509.Certificate) {})
	shared := []byte(strings.Repeat("k", 32))
	seal := func(t *testing.T, alg jose.KeyAlgorithm, enc jose.ContentEncryption, key any, text string, zip jose.CompressionAlgorithm) string {
		t.Helper()
		e, err := jose.NewEncrypter(enc, jose.Recipient{Algorithm: alg, Key: key}, (&jose.EncrypterOptions{Compression: zip}).WithContentType("JWT"))
		if err != nil {
			t.Fatal(err)
		}
		jwe, err := e.Encrypt([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		compact, err := jwe.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return compact
	}
	byCertificate := `<decryption-keys><key certificate-id="holder"/></decryption-keys>`
	bySecret := `<decryption-keys><key>` + base64.StdEncoding.EncodeToString(shared) + `</key></decryption-keys>`
	for _, tt := range []struct {
		name, keys string
		token      func(*testing.T, *world) string
		status     int
		idx        string
	}{
		{"RSA", byCertificate, func(t *testing.T, w *world) string {
			return seal(t, jose.RSA_OAEP, jose.A256CBC_HS512, &private.PublicKey, w.sign(w.good(nil)), "")
		}, 200, ""},
		{"compressed", byCertificate, func(t *testing.T, w *world) string {
			return seal(t, jose.RSA_OAEP_256, jose.A128GCM, &private.PublicKey, w.sign(w.good(nil)), jose.DEFLATE)
		}, 200, ""},
		{"shared key", bySecret, func(t *testing.T, w *world) string {
			return seal(t, jose.A256KW, jose.A128CBC_HS256, shared, w.sign(w.good(nil)), "")
		}, 200, ""},
		{"shared key, direct", bySecret, func(t *testing.T, w *world) string {
			return seal(t, jose.DIRECT, jose.A128CBC_HS256, shared, w.sign(w.good(nil)), "")
		}, 200, ""},
		{"for somebody else", byCertificate, func(t *testing.T, w *world) string {
			return seal(t, jose.RSA_OAEP, jose.A256GCM, &other.PublicKey, w.sign(w.good(nil)), "")
		}, 401, "IDX10603"},
		{"no key in the policy", "", func(t *testing.T, w *world) string {
			return seal(t, jose.RSA_OAEP, jose.A256GCM, &private.PublicKey, w.sign(w.good(nil)), "")
		}, 401, "IDX10609"},
		{"rubbish inside", byCertificate, func(t *testing.T, w *world) string {
			return seal(t, jose.RSA_OAEP, jose.A256GCM, &private.PublicKey, "rubbish", "")
		}, 401, "IDX12741"},
		{"a stranger's token inside", byCertificate, func(t *testing.T, w *world) string {
			return seal(t, jose.RSA_OAEP, jose.A256GCM, &private.PublicKey, w.signWith(jose.RS256, other, map[string]any{"kid": "k1"}, w.good(nil)), "")
		}, 401, "IDX10511"},
		{"an unsigned token inside", byCertificate, func(t *testing.T, w *world) string {
			return seal(t, jose.RSA_OAEP, jose.A256GCM, &private.PublicKey, raw(map[string]any{"alg": "none"}, w.good(nil), ""), "")
		}, 401, "IDX10504"},
		{"a token that is not encrypted", byCertificate, func(t *testing.T, w *world) string { return w.sign(w.good(nil)) }, 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := emptyWorld(t)
			c := w.config(validate("", strings.Replace(discovery, "AUD", tt.keys+"AUD", 1)))
			c.Certificates = map[string]string{"holder": w.file("holder.pem", holder.pem)}
			w.start(c)
			rec := w.call("GET", "/a/1", bearer(tt.token(t, w))...)
			if no := w.trace(rec).failed(); rec.Code != tt.status || no.IDX != tt.idx {
				t.Errorf("got %d %+v", rec.Code, no)
			}
		})
	}
	for _, tt := range []struct {
		name   string
		holder *issued
		alg    jose.SignatureAlgorithm
		key    any
		status int
	}{
		{"RSA certificate", holder, jose.RS256, private, 200}, {"RSA certificate, PS256", holder, jose.PS256, private, 200}, {"another's signature", holder, jose.RS256, other, 401},
		{"P-256 certificate", onCurve, jose.ES256, curve, 200}, {"HMAC with the certificate", holder, jose.HS256, holder.Raw[:64], 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := emptyWorld(t)
			c := w.config(validate("", `<issuer-signing-keys><key certificate-id="holder"/></issuer-signing-keys><audiences><audience>`+audience+`</audience></audiences>`))
			c.Certificates = map[string]string{"holder": w.file("holder.pem", tt.holder.pem)}
			w.start(c)
			if rec := w.call("GET", "/a/1", bearer(w.signWith(tt.alg, tt.key, nil, w.good(nil)))...); rec.Code != tt.status {
				t.Errorf("got %d %s", rec.Code, rec.Body)
			}
		})
	}
}

func TestLiveGatewayKeepsTheOldPoliciesWhenTheNewAreWrong(t *testing.T) {
	w := emptyWorld(t)
	w.file("a.policy.xml", `<policies><inbound><rate-limit-by-key calls="3" renewal-period="300" counter-key="k"/><set-header name="X"><value>one</value></set-header></inbound></policies>`)
	path := w.file("gateway.yaml", fmt.Sprintf("listen: 127.0.0.1:0\nclock: {at: 2027-01-15T08:00:00Z}\napis:\n  - {name: a, path: /a, backend: %q, policy: a.policy.xml, operations: [{name: get, method: GET, url_template: /}]}\n", w.backend.URL))
	live, err := Follow(path, Options{Log: zerolog.Nop()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	see := func(want string, status int) {
		t.Helper()
		w.gateway = live.current.Load()
		rec := w.call("GET", "/a")
		if rec.Code != status || w.seen != nil && w.seen.Header.Get("X") != want {
			t.Errorf("%d, header %v, want %d %q", rec.Code, w.seen, status, want)
		}
	}
	see("one", 200)
	if changed, err := live.Refresh(); changed || err != nil {
		t.Errorf("nothing changed: %t %v", changed, err)
	}
	w.file("a.policy.xml", `<policies><inbound><rate-limit-by-key calls="3" renewal-period="300" counter-key="k"/><set-header name="X"><value>two</value></set-header></inbound></policies>`)
	if changed, err := live.Refresh(); !changed || err != nil {
		t.Errorf("a change: %t %v", changed, err)
	}
	see("two", 200)
	w.file("a.policy.xml", `<policies><inbound><nonsense/></inbound></policies>`)
	if changed, err := live.Refresh(); changed || err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("a wrong set: %t %v", changed, err)
	}
	if changed, err := live.Refresh(); changed || err != nil {
		t.Errorf("a wrong set is reported twice: %t %v", changed, err)
	}
	see("two", 200)
	see("", 429) // what was counted is not forgotten
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := live.Refresh(); err == nil {
		t.Error("a missing configuration is no error")
	}
	if !live.current.Load().options.Now().Equal(time.Date(2027, 1, 15, 8, 0, 0, 0, time.UTC)) {
		t.Error("the clock does not stand where the configuration says")
	}
}
