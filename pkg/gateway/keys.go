package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/apim/expr"
)

// minRSABits is the smallest RSA key that the validating library verifies with.
const minRSABits = 1024

// The algorithms that API Management documents: for public keys, and for
// inline symmetric ones.
var (
	asymmetric = []jose.SignatureAlgorithm{jose.RS256, jose.RS512, jose.PS256, jose.ES256}
	symmetric  = []jose.SignatureAlgorithm{jose.HS256, jose.HS512}
)

// key is one verification key: *rsa.PublicKey, *ecdsa.PublicKey or []byte.
type key struct {
	id       string
	material any
}

// serves reports whether an algorithm can be used with the key.
func (k key) serves(alg jose.SignatureAlgorithm) bool {
	switch k.material.(type) {
	case *rsa.PublicKey:
		return slices.Contains([]jose.SignatureAlgorithm{jose.RS256, jose.RS512, jose.PS256}, alg)
	case *ecdsa.PublicKey:
		return alg == jose.ES256
	case []byte:
		return slices.Contains(symmetric, alg)
	}
	return false
}

// keySource is where a validate-jwt gets its keys. Policies with the same
// discovery documents and no inline keys share one.
type keySource struct {
	configurations []*configuration
	inline         []key
	proofs         proofs
}

// maxProofs bounds how many verified tokens a source remembers.
const maxProofs = 1024

// proofs remembers which tokens the present keys have verified, so that a token
// that is used again costs no second verification. Other keys forget them all.
type proofs struct {
	mu     sync.Mutex // guards what follows
	by     []*snapshot
	tokens map[[sha256.Size]byte]*expr.Jwt
	order  [][sha256.Size]byte
}

// known returns what the token says, when these keys have verified it.
func (p *proofs) known(by []*snapshot, token [sha256.Size]byte) (*expr.Jwt, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	jwt, ok := p.tokens[token]
	return jwt, ok && slices.Equal(p.by, by)
}

// keep remembers a verified token, by its digest and what it says and not by its
// text, and forgets the oldest.
func (p *proofs) keep(by []*snapshot, token [sha256.Size]byte, jwt *expr.Jwt) {
	jwt = jwt.Again("")
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.by, by) || p.tokens == nil {
		p.by, p.tokens, p.order = slices.Clone(by), map[[sha256.Size]byte]*expr.Jwt{}, nil
	}
	if p.tokens[token] != nil {
		return
	}
	if len(p.order) >= maxProofs {
		delete(p.tokens, p.order[0])
		p.order = p.order[1:]
	}
	p.tokens[token], p.order = jwt, append(p.order, token)
}

// keySource compiles openid-config and issuer-signing-keys.
func (c *compiler) keySource(e apim.Element) *keySource {
	s := &keySource{}
	var urls []string
	for _, child := range e.Children {
		switch child.Name {
		case "openid-config":
			u := child.Value("url")
			if apim.IsExpression(u) {
				c.fault(child, "a url that is an expression is not implemented by this gateway; choose between static ones")
			}
			urls = append(urls, u)
		case "issuer-signing-keys":
			for _, k := range child.Children {
				if inline, ok := c.inlineKey(k); ok {
					s.inline = append(s.inline, inline)
				}
			}
		case "issuer-signing-tokens":
			c.fault(child, "is not implemented by this gateway")
		}
	}
	shared := strings.Join(urls, " ")
	if known, ok := c.sources[shared]; ok && len(s.inline) == 0 {
		return known
	}
	for _, u := range urls {
		s.configurations = append(s.configurations, c.configuration(u))
	}
	if len(s.inline) == 0 {
		c.sources[shared] = s
	}
	return s
}

// configuration returns the one cache of a URL.
func (c *compiler) configuration(u string) *configuration {
	for _, s := range c.sources {
		for _, known := range s.configurations {
			if known.url == u {
				return known
			}
		}
	}
	fresh := &configuration{metadata: c.metadata, url: u}
	c.sources[u] = &keySource{configurations: []*configuration{fresh}}
	return fresh
}

// inlineKey compiles one <key>: a certificate's, n and e, or a base64 symmetric
// key. apim.Check has looked at their form.
func (c *compiler) inlineKey(e apim.Element) (key, bool) {
	if e.Name != "key" {
		c.fault(e, "is not implemented by this gateway")
		return key{}, false
	}
	if id := e.Value("certificate-id"); id != "" {
		return c.certificateKey(e, id)
	}
	text := strings.TrimSpace(e.Text)
	if apim.IsExpression(text) {
		c.fault(e, "a key that is an expression is not implemented by this gateway")
		return key{}, false
	}
	if e.Value("n") == "" {
		secret, err := base64.StdEncoding.DecodeString(text)
		return key{e.Value("id"), secret}, err == nil
	}
	n, errN := base64.RawURLEncoding.DecodeString(e.Value("n"))
	exponent, errE := base64.RawURLEncoding.DecodeString(e.Value("e"))
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(exponent).Int64())}
	if errN != nil || errE != nil || public.N.BitLen() < minRSABits || len(exponent) > 4 || public.E < 3 || public.E%2 == 0 {
		c.fault(e, "n and e are not an RSA key of at least %d bits", minRSABits)
		return key{}, false
	}
	return key{e.Value("id"), public}, true
}

// certificateKey takes the public key of an uploaded certificate.
func (c *compiler) certificateKey(e apim.Element, id string) (key, bool) {
	found := c.certificates[id].certificate
	if found == nil {
		c.fault(e, "there is no certificate %q in the configuration", id)
		return key{}, false
	}
	switch public := found.PublicKey.(type) {
	case *rsa.PublicKey:
		return key{e.Value("id"), public}, true
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			return key{e.Value("id"), public}, true
		}
	}
	c.fault(e, "the certificate %q holds neither an RSA nor a P-256 key", id)
	return key{}, false
}

// keyring is what a source knows at an instant.
type keyring struct {
	keys    []key
	issuers []string
	// from are the answers that the keys came with.
	from []*snapshot
}

// age says how old the keys are, for who wonders about a new one.
func (k keyring) age() string {
	text := ""
	for _, s := range k.from {
		text += " The keys held for " + s.issuer + " are from " + s.fetchedAt.UTC().Format("15:04:05") + " UTC and are fetched again at " + s.fetchedAt.Add(refreshEvery).UTC().Format("15:04:05") + "."
	}
	return text
}

// keys returns every key and issuer that is known now. It fails only when no
// discovery document could be had and there are no inline keys.
func (s *keySource) keys(now time.Time) (ring keyring, err error) {
	ring.keys = slices.Clip(s.inline)
	for _, c := range s.configurations {
		known, fault := c.get(now)
		if fault != nil {
			err = fault
			continue
		}
		ring.keys, ring.issuers, ring.from = append(ring.keys, known.keys...), append(ring.issuers, known.issuer), append(ring.from, known)
	}
	if len(ring.keys) > 0 || len(ring.issuers) > 0 {
		err = nil
	}
	return ring, err
}

// refetch asks every discovery document again, each at most once in five
// minutes, and reports whether any was new.
func (s *keySource) refetch(now time.Time) bool {
	renewed := false
	for _, c := range s.configurations {
		renewed = c.refetch(now) || renewed
	}
	return renewed
}

// algorithms are those that the source's keys can be used with.
func (s *keySource) algorithms() []jose.SignatureAlgorithm {
	algorithms := asymmetric
	if slices.ContainsFunc(s.inline, func(k key) bool { _, secret := k.material.([]byte); return secret }) {
		algorithms = slices.Concat(asymmetric, symmetric)
	}
	return algorithms
}

// named returns the keys of that id.
func named(keys []key, id string) []key {
	return slices.DeleteFunc(slices.Clone(keys), func(k key) bool { return k.id != id })
}
