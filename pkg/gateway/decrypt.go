package gateway

import (
	"crypto/rsa"
	"encoding/base64"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/touchstone-id/touchstone/pkg/apim"
)

// The algorithms with which encrypted tokens may come (RFC 7518 sections 4.1
// and 5.1): those of the validating library. Password-based ones are not among
// them, nor RSA1_5, whose padding leaks.
var (
	keyEncryptions     = []jose.KeyAlgorithm{jose.RSA_OAEP, jose.RSA_OAEP_256, jose.DIRECT, jose.A128KW, jose.A256KW}
	contentEncryptions = []jose.ContentEncryption{jose.A128CBC_HS256, jose.A192CBC_HS384, jose.A256CBC_HS512, jose.A128GCM, jose.A256GCM}
)

// decryptionKeys compiles decryption-keys: base64 keys and certificates with
// their private key.
func (c *compiler) decryptionKeys(e apim.Element) []any {
	list, _ := e.Child("decryption-keys")
	var keys []any
	for _, k := range list.Children {
		if id := k.Value("certificate-id"); id != "" {
			private, ok := c.certificates[id].private.(*rsa.PrivateKey)
			if !ok {
				c.fault(k, "there is no certificate %q with an RSA private key in the configuration", id)
				continue
			}
			keys = append(keys, private)
			continue
		}
		text := strings.TrimSpace(k.Text)
		secret, err := base64.StdEncoding.DecodeString(text)
		if apim.IsExpression(text) || err != nil || len(secret) < 16 {
			c.fault(k, "the key is no base64 text of at least 128 bits")
			continue
		}
		keys = append(keys, secret)
	}
	return keys
}

// decrypt opens an encrypted token and returns the signed one inside.
func (v *validateJWT) decrypt(token string) (string, *verdict) {
	if len(v.decryption) == 0 {
		return "", fail(apim.TokenEncrypted, "five segments", "a signed token of three segments, or decryption-keys")
	}
	jwe, err := jose.ParseEncryptedCompact(token, keyEncryptions, contentEncryptions)
	if err != nil {
		return "", fail(apim.TokenMalformed, "an unreadable encrypted token", "a token that is encrypted in a known way")
	}
	for _, k := range v.decryption {
		if inner, err := jwe.Decrypt(k); err == nil {
			return string(inner), nil
		}
	}
	f := apim.TokenEncrypted
	f.IDX, f.Hint = "IDX10603", "None of the policy's decryption-keys opens the token."
	return "", fail(f, "a token for another key", "a token for one of the decryption-keys")
}
