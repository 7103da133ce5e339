package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/touchstone-id/touchstone/pkg/grant"
)

const (
	// keysFresh is how long fetched keys are used, keysRetry the least pause
	// between two fetches for one client.
	keysFresh, keysRetry = 10 * time.Minute, 30 * time.Second
	// maxKeys bounds a fetched key set, in bytes.
	maxKeys = 64 << 10
	// outboundBound is how long a call to a client's address may take.
	outboundBound = 5 * time.Second
)

// clientKeys holds the public keys of clients that prove themselves by assertions.
type clientKeys struct {
	client *http.Client
	mu     sync.Mutex
	known  map[string]fetchedKeys
}

type fetchedKeys struct {
	keys []jose.JSONWebKey
	at   time.Time
	err  error
}

func newClientKeys() *clientKeys {
	return &clientKeys{client: newOutboundClient(), known: map[string]fetchedKeys{}}
}

// of returns the client's keys. With again, fetched ones are fetched anew, but
// not more often than keysRetry.
func (k *clientKeys) of(ctx context.Context, c grant.Client, again bool, now time.Time) ([]jose.JSONWebKey, error) {
	if c.Settings.JWKSURI == "" {
		return readKeys([]byte(c.Settings.JWKS))
	}
	k.mu.Lock()
	known, ok := k.known[c.Settings.JWKSURI]
	k.mu.Unlock()
	age := now.Sub(known.at)
	if ok && (age < keysRetry || !again && known.err == nil && age < keysFresh) {
		return known.keys, known.err
	}
	fresh := fetchedKeys{at: now}
	fresh.keys, fresh.err = k.fetch(ctx, c.Settings.JWKSURI)
	if fresh.err != nil && ok && known.err == nil {
		fresh.keys, fresh.err = known.keys, nil // an outage of the client's server does not lock it out at once
	}
	k.mu.Lock()
	k.known[c.Settings.JWKSURI] = fresh
	k.mu.Unlock()
	return fresh.keys, fresh.err
}

func (k *clientKeys) fetch(ctx context.Context, uri string) ([]jose.JSONWebKey, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), outboundBound)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	answer, err := k.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxKeys+1))
	if err != nil || answer.StatusCode != http.StatusOK || len(body) > maxKeys {
		return nil, fmt.Errorf("fetch keys: status %d, %d bytes: %w", answer.StatusCode, len(body), err)
	}
	return readKeys(body)
}

// readKeys reads the public signing keys of a JWK Set; others are passed over.
func readKeys(text []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("not a JWK Set")
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if json.Unmarshal(raw, &k) == nil && k.Valid() && k.IsPublic() && (k.Use == "" || k.Use == "sig") {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// errInternal refuses an address of our own network.
var errInternal = errors.New("the address is not a public one")

// newOutboundClient returns a client for addresses that clients registered. It
// follows no redirects, and it does not connect to addresses of our own
// network, whatever name leads there: the address is judged when the connection
// is made, after the name was resolved. A loopback address is allowed when the
// registered URL names it itself, which the registration allows for development.
func newOutboundClient() *http.Client {
	dialer := &net.Dialer{Timeout: outboundBound}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		d := *dialer
		host, _, _ := net.SplitHostPort(address)
		literal, err := netip.ParseAddr(host)
		named := host == "localhost" || err == nil && literal.IsLoopback()
		d.Control = func(_, resolved string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(resolved)
			if err != nil {
				return errInternal
			}
			ip := ap.Addr().Unmap()
			if named && ip.IsLoopback() || publicAddress(ip) {
				return nil
			}
			return errInternal
		}
		return d.DialContext(ctx, network, address)
	}
	return &http.Client{Timeout: outboundBound, Transport: &http.Transport{DialContext: dial, MaxIdleConns: 10, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: outboundBound},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// publicAddress reports whether an address is on the public internet.
func publicAddress(ip netip.Addr) bool {
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !sharedSpace.Contains(ip) && !ip.IsLinkLocalUnicast()
}

// sharedSpace is the carriers' shared address space (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// outboundURL reports whether we call a URL at all: https, or http on a loopback host.
func outboundURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}
