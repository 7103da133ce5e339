package provider_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/touchstone-id/touchstone/pkg/secret"
)

func secretOf(text string) secret.Value { return secret.Of(text) }

// keyed is a client that proves itself by assertions.
type keyed struct {
	*browser
	key *ecdsa.PrivateKey
	n   int
}

// newKeyed declares the client batch with a fresh key, inline or at a URL.
func newKeyed(t testing.TB, serve string) *keyed {
	w := newWorld(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.must(err)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	w.must(err)
	where := "jwks: " + strconv.Quote(string(set))
	if serve != "" {
		where = "jwks_uri: " + strconv.Quote(serve)
	}
	w.declare(trustFile + "  - {id: batch, name: Batch, kind: workload, grant_types: [client_credentials], token_endpoint_auth_method: private_key_jwt, " + where + ", scopes: [orders.read], apis: [orders]}\n")
	return &keyed{w.browser(), key, 0}
}

// assertion signs claims, changed from honest ones.
func (k *keyed) assertion(change map[string]any) string {
	k.Helper()
	k.n++
	claims := map[string]any{"iss": "batch", "sub": "batch", "aud": issuer, "exp": k.clock().Add(time.Minute).Unix(), "iat": k.clock().Unix(), "jti": "jti-" + strconv.Itoa(k.n)}
	maps.Copy(claims, change)
	return signed(k, jose.SigningKey{Algorithm: jose.ES256, Key: k.key}, claims)
}

func signed(k *keyed, key jose.SigningKey, claims map[string]any) string {
	k.Helper()
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithHeader("kid", "k1"))
	k.must(err)
	body, err := json.Marshal(claims)
	k.must(err)
	jws, err := signer.Sign(body)
	k.must(err)
	text, err := jws.CompactSerialize()
	k.must(err)
	return text
}

func (k *keyed) ask(assertion string, pairs ...string) answer {
	k.Helper()
	v := url.Values{"grant_type": {"client_credentials"}, "client_assertion": {assertion}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return k.post("/token", v)
}

func TestClientAssertions(t *testing.T) {
	k := newKeyed(t, "")
	for _, audience := range []any{issuer, issuer + "/token", []string{issuer}} {
		if a := k.ask(k.assertion(map[string]any{"aud": audience})); a.StatusCode != http.StatusOK {
			t.Fatalf("audience %v: status %d %s", audience, a.StatusCode, a.Text)
		}
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.must(err)
	honest := map[string]any{"iss": "batch", "sub": "batch", "aud": issuer, "exp": k.clock().Add(time.Minute).Unix(), "jti": "x"}
	for _, tt := range []struct {
		name, assertion string
		pairs           []string
	}{
		{"another issuer's endpoint beside ours", k.assertion(map[string]any{"aud": []string{issuer, "https://evil.test/token"}}), nil},
		{"another audience", k.assertion(map[string]any{"aud": "https://evil.test"}), nil},
		{"a slash too many", k.assertion(map[string]any{"aud": issuer + "/"}), nil},
		{"no audience", k.assertion(map[string]any{"aud": []string{}}), nil},
		{"expired", k.assertion(map[string]any{"exp": k.clock().Add(-time.Minute).Unix()}), nil},
		{"good for a day", k.assertion(map[string]any{"exp": k.clock().Add(24 * time.Hour).Unix()}), nil},
		{"no expiry", k.assertion(map[string]any{"exp": 0}), nil},
		{"from the future", k.assertion(map[string]any{"iat": k.clock().Add(time.Hour).Unix()}), nil},
		{"not yet valid", k.assertion(map[string]any{"nbf": k.clock().Add(time.Hour).Unix()}), nil},
		{"no jti", k.assertion(map[string]any{"jti": ""}), nil},
		{"another issuer", k.assertion(map[string]any{"iss": "web"}), nil},
		{"another client", k.assertion(map[string]any{"iss": "web", "sub": "web"}), nil},
		{"another client_id beside", k.assertion(nil), []string{"client_id", "web"}},
		{"a stranger's key", signed(k, jose.SigningKey{Algorithm: jose.ES256, Key: stranger}, honest), nil},
		{"HMAC", signed(k, jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat("k", 32))}, honest), nil},
		{"alg none", "eyJhbGciOiJub25lIn0." + strings.Split(k.assertion(nil), ".")[1] + ".", nil},
		{"rubbish", "x.y.z", nil},
		{"another type", k.assertion(nil), []string{"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}},
	} {
		k.refused(tt.name, k.ask(tt.assertion, tt.pairs...), "invalid_client", 401)
	}
	k.refused("a secret beside", k.ask(k.assertion(nil), "client_secret", "x"), "invalid_request", 400)
	k.refused("no assertion at all", k.post("/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"batch"}}), "invalid_client", 401)
}

func TestAnAssertionIsGoodOnce(t *testing.T) {
	k := newKeyed(t, "")
	assertion := k.assertion(nil)
	var won atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if k.ask(assertion).StatusCode == http.StatusOK {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 50 uses of one assertion passed", won.Load())
	}
}

func TestKeysAreFetchedFromTheClientAndNowhereElse(t *testing.T) {
	var asked atomic.Int32
	var set atomic.Pointer[[]byte]
	empty := []byte(`{"keys":[]}`)
	set.Store(&empty)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Write(*set.Load())
	}))
	defer server.Close()
	k := newKeyed(t, server.URL)
	k.refused("no keys yet", k.ask(k.assertion(nil)), "invalid_client", 401)
	published, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k.key.Public(), KeyID: "k1"}}})
	k.must(err)
	set.Store(&published)
	k.refused("asked again too soon", k.ask(k.assertion(nil)), "invalid_client", 401)
	k.advance(time.Minute)
	if a := k.ask(k.assertion(nil)); a.StatusCode != http.StatusOK {
		t.Errorf("with the new key: status %d %s", a.StatusCode, a.Text)
	}
	before := asked.Load()
	for range 5 {
		k.ask(k.assertion(nil))
	}
	if asked.Load() != before {
		t.Errorf("fetched %d times for known keys", asked.Load()-before)
	}
}
