package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// refreshEvery is how old a cached key set may become before it is fetched again.
	refreshEvery = time.Hour
	// retryEvery bounds how often an unknown key or a failed fetch asks again.
	retryEvery = 5 * time.Minute
	// lastKnownGood is how long keys serve on when they cannot be refreshed.
	lastKnownGood = time.Hour
	// maxMetadata bounds a discovery document or key set, in bytes.
	maxMetadata = 1 << 20
)

// metadata fetches discovery documents and key sets and caches them as API
// Management does: an hour, and at most one extra fetch in five minutes.
type metadata struct {
	options Options
	// really maps the URLs of policies to those that are fetched.
	really map[string]string
}

func newMetadata(o Options, really map[string]string) *metadata {
	return &metadata{options: o, really: really}
}

// configuration is what one openid-config URL gives.
type configuration struct {
	metadata *metadata
	url      string
	// current is the last good answer, nil before the first.
	current atomic.Pointer[snapshot]
	// mu lets one request fetch while others wait; it guards what follows.
	mu      sync.Mutex
	triedAt time.Time
	err     error
}

// snapshot is one answer: parsed once, shared, never changed.
type snapshot struct {
	issuer    string
	keys      []key
	fetchedAt time.Time
}

// get returns the issuer and keys, fetching them when they are missing or an
// hour old. When a fetch fails the last good answer serves on for an hour.
func (c *configuration) get(now time.Time) (*snapshot, error) {
	if s := c.current.Load(); s != nil && now.Sub(s.fetchedAt) < refreshEvery {
		return s, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.current.Load()
	if s != nil && now.Sub(s.fetchedAt) < refreshEvery {
		return s, nil // another request fetched meanwhile
	}
	if c.err == nil || now.Sub(c.triedAt) >= retryEvery {
		c.fetch(now)
		s = c.current.Load()
	}
	if s == nil || now.Sub(s.fetchedAt) > refreshEvery+lastKnownGood {
		return nil, c.err
	}
	return s, nil
}

// refetch asks again because of an unknown key, if five minutes have passed
// since the last time. It reports whether the keys are new.
func (c *configuration) refetch(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.triedAt) < retryEvery {
		return false
	}
	c.fetch(now)
	return c.err == nil
}

// fetch reads discovery and key set; on failure the old ones stay. It does not
// end with the request that caused it, so that a client who hangs up cannot
// make the fetch fail for everybody.
func (c *configuration) fetch(now time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), metadataTimeout)
	defer cancel()
	c.triedAt = now
	s, err := c.metadata.fetch(ctx, c.url)
	if c.err = err; err != nil {
		c.metadata.options.Log.Warn().Err(err).Str("url", c.url).Msg("metadata cannot be fetched")
		return
	}
	s.fetchedAt = now
	c.current.Store(s)
}

// fetch reads one discovery document and the key set it names.
func (m *metadata) fetch(ctx context.Context, policyURL string) (*snapshot, error) {
	var discovery struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	address, mapped := m.really[policyURL]
	if !mapped {
		address = policyURL
	}
	if err := m.read(ctx, address, mapped, &discovery); err != nil {
		return nil, err
	}
	jwks, vouched, err := m.locate(policyURL, address, discovery.JWKSURI)
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := m.read(ctx, jwks, vouched, &set); err != nil {
		return nil, err
	}
	s := &snapshot{issuer: discovery.Issuer}
	for _, raw := range set.Keys {
		if k, ok := parseKey(raw); ok {
			s.keys = append(s.keys, k)
		}
	}
	return s, nil
}

// locate says where a jwks_uri is really fetched, and whether the operator
// vouches for the address: by name, or because it is on the host of a mapped URL.
func (m *metadata) locate(policyURL, address, jwks string) (string, bool, error) {
	if named, ok := m.really[jwks]; ok {
		return named, true, nil
	}
	keys, err := url.Parse(jwks)
	if err != nil || keys.Host == "" {
		return "", false, errors.New("IDX20803: discovery names no jwks_uri")
	}
	if policyURL == address {
		return jwks, false, nil
	}
	before, errBefore := url.Parse(policyURL)
	after, errAfter := url.Parse(address)
	if errBefore == nil && errAfter == nil && keys.Scheme == before.Scheme && keys.Host == before.Host {
		keys.Scheme, keys.Host = after.Scheme, after.Host
		return keys.String(), true, nil
	}
	return jwks, errAfter == nil && keys.Scheme == after.Scheme && keys.Host == after.Host, nil
}

// read fetches JSON. Without the operator's word, http is for loopback only.
func (m *metadata) read(ctx context.Context, address string, vouched bool, into any) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("IDX20803: %q is not a URL", address)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && !vouched && !(u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())) {
		return fmt.Errorf("IDX20108: %s must use https", address)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("IDX20803: fetch %s: %w", address, err)
	}
	answer, err := m.options.Client.Do(request)
	if err != nil {
		return fmt.Errorf("IDX20804: fetch %s: %w", address, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("IDX20807: fetch %s: status %d", address, answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxMetadata+1))
	if err != nil {
		return fmt.Errorf("IDX20804: fetch %s: %w", address, err)
	}
	if len(body) > maxMetadata {
		return fmt.Errorf("IDX20804: fetch %s: larger than %d bytes", address, maxMetadata)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("IDX20803: fetch %s: not the JSON expected", address)
	}
	return nil
}

// parseKey reads one JWK. It reports false for keys that are passed over, as
// the library does: other uses than sig, symmetric and unknown kinds, RSA of
// less than 1024 bits.
func parseKey(raw json.RawMessage) (key, bool) {
	var k jose.JSONWebKey
	if err := json.Unmarshal(raw, &k); err != nil || !k.IsPublic() || k.Use != "" && k.Use != "sig" {
		return key{}, false
	}
	switch public := k.Key.(type) {
	case *rsa.PublicKey:
		return key{k.KeyID, public}, public.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey:
		return key{k.KeyID, public}, public.Curve == elliptic.P256()
	}
	return key{}, false
}
