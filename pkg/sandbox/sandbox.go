package sandbox

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/touchstone-id/touchstone/pkg/gateway"
	"github.com/touchstone-id/touchstone/pkg/secret"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

const (
	// PathPrefix stands before the paths of the APIs that believe the sandbox.
	PathPrefix = "/sandbox"
	// NamePrefix stands before their names.
	NamePrefix = "sandbox-"
	keyID      = "sandbox"
	// tokenLife is how long a sound token serves.
	tokenLife = 10 * time.Minute
)

// Options are what a sandbox is made of.
type Options struct {
	// Issuer is the sandbox's own, never the provider's.
	Issuer string
	// Gateway is the local gateway's origin, for the curl; Policies answers in its place.
	Gateway  string
	Policies *gateway.Gateway
	// Trust are the APIs: Policies serves each twice, as itself and under
	// PathPrefix with policies that name the sandbox's issuer.
	Trust *trust.Trust
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Sandbox makes tokens and judges them. It is safe for concurrent use.
type Sandbox struct {
	issuer, gateway string
	policies        *gateway.Gateway
	trust           *trust.Trust
	now             func() time.Time
	// key is published, stray is not.
	key, stray *ecdsa.PrivateKey
}

// New makes the sandbox's keys, which end with it.
func New(o Options) (*Sandbox, error) {
	s := &Sandbox{issuer: o.Issuer, gateway: o.Gateway, policies: o.Policies, trust: o.Trust, now: o.Now}
	if s.now == nil {
		s.now = time.Now
	}
	for _, into := range []**ecdsa.PrivateKey{&s.key, &s.stray} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("sandbox key: %w", err)
		}
		*into = key
	}
	return s, nil
}

// Token is a token of the sandbox and the call that it is for.
type Token struct {
	Value secret.Value
	// Method and URL are the operation's under PathPrefix.
	Method, URL string
}

// Make makes a token for an operation that is sound but for the flaws.
func (s *Sandbox) Make(api, operation string, names []string) (Token, error) {
	a, o, ok := s.find(api, operation)
	if !ok {
		return Token{}, fmt.Errorf("there is no operation %q of an API %q", operation, api)
	}
	d := s.sound(a, o, s.now())
	for _, f := range flaws { // in their own order, whatever the caller's
		if slices.Contains(names, f.Name) {
			f.apply(d)
		}
	}
	for _, name := range names {
		if _, known := flawed(name); !known {
			return Token{}, fmt.Errorf("there is no flaw %q", name)
		}
	}
	token, err := s.sign(d)
	return Token{secret.Of(token), o.Method, s.gateway + PathPrefix + a.Path + Example(o.URLTemplate)}, err
}

// sign writes the draft as a compact token, or as an unsecured one.
func (s *Sandbox) sign(d *draft) (string, error) {
	payload, err := json.Marshal(d.claims)
	if err != nil {
		return "", fmt.Errorf("sandbox token: %w", err)
	}
	if d.unsigned {
		encode := base64.RawURLEncoding.EncodeToString
		return encode([]byte(`{"alg":"none","typ":"`+d.kind+`"}`)) + "." + encode(payload) + ".", nil
	}
	key := s.key
	if d.foreign {
		key = s.stray
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: d.kid}}, (&jose.SignerOptions{}).WithType(jose.ContentType(d.kind)))
	if err != nil {
		return "", fmt.Errorf("sandbox token: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sandbox token: %w", err)
	}
	return signed.CompactSerialize()
}

// Judgement is what the policies of one operation make of a token.
type Judgement struct {
	API       string `json:"api"`
	Operation string `json:"operation"`
	Title     string `json:"title"`
	Method    string `json:"method"`
	URL       string `json:"url"`
	gateway.Answer
}

// Judge asks the policies of every operation about a token, without calling
// anything. A token that names the sandbox's issuer, or nearly, is judged by the
// policies that believe it, all others by the real ones.
func (s *Sandbox) Judge(ctx context.Context, token secret.Value) ([]Judgement, error) {
	prefix := ""
	if strings.TrimSuffix(issuerOf(token.Reveal()), "/") == s.issuer {
		prefix = PathPrefix
	}
	judgements := []Judgement{}
	for _, a := range s.trust.APIs {
		for _, o := range a.Operations {
			address := s.gateway + prefix + a.Path + Example(o.URLTemplate)
			u, err := url.Parse(address)
			if err != nil {
				return nil, fmt.Errorf("sandbox: %w", err)
			}
			answer, err := s.policies.Explain(ctx, gateway.Call{Token: token, Method: o.Method, URL: u})
			if err != nil {
				return nil, err
			}
			judgements = append(judgements, Judgement{a.Name, o.Name, o.Title, o.Method, address, answer})
		}
	}
	return judgements, nil
}

func (s *Sandbox) find(api, operation string) (trust.API, trust.Operation, bool) {
	for _, a := range s.trust.APIs {
		for _, o := range a.Operations {
			if a.Name == api && o.Name == operation {
				return a, o, true
			}
		}
	}
	return trust.API{}, trust.Operation{}, false
}

// issuerOf reads the issuer that a token names, without believing it.
func issuerOf(token string) string {
	parts := strings.Split(token, ".")
	var claims struct {
		Issuer string `json:"iss"`
	}
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Issuer
}

var parameter = regexp.MustCompile(`\{[^}]*\}`)

// Example fills a URL template with an example's values.
func Example(template string) string { return parameter.ReplaceAllString(template, "1001") }

func identifier() string {
	id := make([]byte, 12)
	rand.Read(id) // never fails: see crypto/rand.Read
	return base64.RawURLEncoding.EncodeToString(id)
}
