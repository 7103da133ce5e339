package gateway

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// refreshEvery is how old a cached key set may become before it is fetched again.
	refreshEvery = time.Hour
	// retryEvery bounds how often an unknown key or a failed fetch asks again.
	retryEvery = 5 * time.Minute
	// maxMetadata bounds a discovery document or key set, in bytes.
	maxMetadata = 1 << 20
)

// metadata caches discovery documents and key sets as API Management does:
// an hour, and at most one extra fetch in five minutes.
type metadata struct {
	options Options
	really  map[string]string
	mu      sync.Mutex
	cached  map[string]*configuration
}

// configuration is what one openid-config URL gave.
type configuration struct {
	issuer    string
	keys      []jose.JSONWebKey
	fetchedAt time.Time
	triedAt   time.Time
	err       error
}

func newMetadata(o Options, really map[string]string) *metadata {
	return &metadata{options: o, really: really, cached: map[string]*configuration{}}
}

// get returns the keys and issuers of the URLs. When a fetch fails the last good
// answer serves on.
func (m *metadata) get(r *run, urls []string) ([]jose.JSONWebKey, []string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []jose.JSONWebKey
	var issuers []string
	var faults []error
	for _, url := range urls {
		c := m.cached[url]
		if c == nil {
			c = &configuration{}
			m.cached[url] = c
		}
		stale := r.now.Sub(c.fetchedAt) >= refreshEvery
		if stale && (c.err == nil || r.now.Sub(c.triedAt) >= retryEvery) {
			m.fetch(r, url, c)
		}
		if c.fetchedAt.IsZero() {
			faults = append(faults, c.err)
			continue
		}
		keys, issuers = append(keys, c.keys...), append(issuers, c.issuer)
	}
	if len(issuers) == 0 {
		return nil, nil, errors.Join(faults...)
	}
	return keys, issuers, nil
}

// refetch asks again because of an unknown key, if five minutes have passed.
func (m *metadata) refetch(r *run, urls []string) ([]jose.JSONWebKey, error) {
	m.mu.Lock()
	for _, url := range urls {
		if c := m.cached[url]; c != nil && r.now.Sub(c.triedAt) >= retryEvery {
			m.fetch(r, url, c)
		}
	}
	m.mu.Unlock()
	keys, _, err := m.get(r, urls)
	return keys, err
}

// fetch reads discovery and key set; on failure the old ones stay.
func (m *metadata) fetch(r *run, url string, c *configuration) {
	c.triedAt = r.now
	var discovery struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if c.err = m.read(r, url, &discovery); c.err != nil {
		return
	}
	if c.err = m.read(r, discovery.JWKSURI, &set); c.err != nil {
		return
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		// Keys of kinds that cannot verify here are passed over, as the library does.
		if json.Unmarshal(raw, &k) == nil && k.IsPublic() && (k.Use == "" || k.Use == "sig") {
			keys = append(keys, k)
		}
	}
	c.issuer, c.keys, c.fetchedAt = discovery.Issuer, keys, r.now
}

// read fetches JSON from where the configuration says the URL really is.
func (m *metadata) read(r *run, url string, into any) error {
	if mapped, ok := m.really[url]; ok {
		url = mapped
	}
	request, err := http.NewRequestWithContext(r.request.Context(), http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", url, err)
	}
	answer, err := m.options.Client.Do(request)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", url, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("fetch %s: status %d", url, answer.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxMetadata)).Decode(into); err != nil {
		return fmt.Errorf("fetch %s: not JSON", url)
	}
	return nil
}

// header reads the header of a token without believing it.
func header(token string) (jwtHeader, error) {
	var h jwtHeader
	head, _, _ := strings.Cut(token, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(head)
	if err == nil {
		err = json.Unmarshal(decoded, &h)
	}
	return h, err
}
