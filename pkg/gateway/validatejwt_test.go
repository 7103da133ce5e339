package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// raw encodes a token as it stands, without signing anything.
func raw(head, payload any, signature string) string {
	part := func(v any) string {
		text, ok := v.(string)
		if !ok {
			b, err := json.Marshal(v)
			if err != nil {
				panic(err)
			}
			text = string(b)
		}
		return base64.RawURLEncoding.EncodeToString([]byte(text))
	}
	return part(head) + "." + part(payload) + "." + signature
}

// flip changes one bit of the signature's first byte.
func flip(token string) string {
	head, signature, _ := strings.Cut(token[strings.IndexByte(token, '.')+1:], ".")
	b, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		panic(err)
	}
	b[0] ^= 1
	return token[:strings.IndexByte(token, '.')+1] + head + "." + base64.RawURLEncoding.EncodeToString(b)
}

func TestTokensAgainstTheRenderedPolicy(t *testing.T) {
	w := newWorld(t)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w.jwks = []jose.JSONWebKey{{Key: &curve.PublicKey, KeyID: "ec1", Use: "sig", Algorithm: "ES256"}, {Key: &stranger.PublicKey, KeyID: "enc1", Use: "enc"}}
	der, err := x509.MarshalPKIXPublicKey(&w.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	now := w.now().Unix()
	good := w.sign(w.good(nil))
	kid := map[string]any{"kid": "k1"}
	jku := map[string]any{"kid": "k9", "jku": w.issuer.URL + "/evil", "x5u": w.issuer.URL + "/evil"}
	own := jose.JSONWebKey{Key: &stranger.PublicKey, KeyID: "k1"}
	ownJSON, err := own.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	idToken := claims{"iss": w.issuer.URL, "sub": "ada", "aud": "web", "nonce": "n", "iat": now, "exp": now + 300, "acr": "phrh"}
	toThisAPI := claims{"iss": w.issuer.URL, "sub": "ada", "aud": audience, "nonce": "n", "iat": now, "exp": now + 300, "acr": "phrh", "scope": "orders.read"}
	app := claims{"idtyp": "app", "client_id": "batch", "authenticator_attestation": nil, "auth_time": nil, "acr": nil}
	part := strings.Split(good, ".")

	for _, tt := range []struct {
		name, token string
		status      int
		policy, idx string
	}{
		{"good", good, 200, "", ""},
		{"audience among several", w.sign(w.good(claims{"aud": []string{"x", audience}})), 200, "", ""},
		{"expires now", w.sign(w.good(claims{"exp": now})), 200, "", ""},
		{"expired within the skew", w.sign(w.good(claims{"exp": now - 30})), 200, "", ""},
		{"valid within the skew", w.sign(w.good(claims{"nbf": now + 30})), 200, "", ""},
		{"expiry with a fraction", w.sign(w.good(claims{"exp": float64(now) + 0.5})), 200, "", ""},
		{"expiry far away", w.sign(w.good(claims{"exp": 1e300})), 200, "", ""},
		{"issued in the future is not looked at", w.sign(w.good(claims{"iat": now + 9999})), 200, "", ""},
		{"more facts than needed", w.sign(w.good(claims{"authenticator_attestation": []string{"uv", "x"}})), 200, "", ""},
		{"one fact as a text", w.sign(w.good(claims{"authenticator_attestation": "uv"})), 200, "", ""},
		{"higher level", w.sign(w.good(claims{"acr": "another"})), 200, "", ""},
		{"automation, listed", w.sign(w.good(app)), 200, "", ""},
		{"wrong kid, right key", w.signWith(jose.RS256, w.key, map[string]any{"kid": "unknown"}, w.good(nil)), 200, "", ""},
		{"no kid, right key", w.signWith(jose.RS256, w.key, nil, w.good(nil)), 200, "", ""},
		{"RS512", w.signWith(jose.RS512, w.key, kid, w.good(nil)), 200, "", ""},
		{"PS256", w.signWith(jose.PS256, w.key, kid, w.good(nil)), 200, "", ""},
		{"ES256", w.signWith(jose.ES256, curve, map[string]any{"kid": "ec1"}, w.good(nil)), 200, "", ""},

		{"not a token", "opaque", 401, "touchstone-orders", "IDX12741"},
		{"two segments", part[0] + "." + part[1], 401, "touchstone-orders", "IDX12741"},
		{"five segments", good + ".a.b", 401, "touchstone-orders", "IDX10609"},
		{"header no base64", "!." + part[1] + "." + part[2], 401, "touchstone-orders", "IDX12741"},
		{"header no JSON", raw("x", w.good(nil), part[2]), 401, "touchstone-orders", "IDX12741"},
		{"payload no object", raw(map[string]any{"alg": "RS256"}, "[1]", part[2]), 401, "touchstone-orders", "IDX12741"},
		{"signature no base64", part[0] + "." + part[1] + ".!!!", 401, "touchstone-orders", "IDX12741"},
		{"padding", part[0] + "=." + part[1] + "." + part[2], 401, "touchstone-orders", "IDX12741"},
		{"critical extension", raw(map[string]any{"alg": "RS256", "kid": "k1", "crit": []string{"exp"}, "exp": 1}, w.good(nil), part[2]), 401, "touchstone-orders", "IDX12741"},
		{"alg none", raw(map[string]any{"alg": "none"}, w.good(nil), ""), 401, "touchstone-orders", "IDX10504"},
		{"alg None", raw(map[string]any{"alg": "NoNe"}, w.good(nil), ""), 401, "touchstone-orders", "IDX10504"},
		{"alg none with a signature", raw(map[string]any{"alg": "none", "kid": "k1"}, w.good(nil), part[2]), 401, "touchstone-orders", "IDX10504"},
		{"signature removed", part[0] + "." + part[1] + ".", 401, "touchstone-orders", "IDX10504"},
		{"no alg", raw(map[string]any{"kid": "k1"}, w.good(nil), part[2]), 401, "touchstone-orders", "IDX10634"},
		{"alg in lower case", raw(map[string]any{"alg": "rs256", "kid": "k1"}, w.good(nil), part[2]), 401, "touchstone-orders", "IDX10634"},
		{"HMAC with the public key", w.signWith(jose.HS256, der, kid, w.good(nil)), 401, "touchstone-orders", "IDX10634"},
		{"HMAC with the modulus", w.signWith(jose.HS512, w.key.N.Bytes(), kid, w.good(nil)), 401, "touchstone-orders", "IDX10634"},
		{"undocumented RS384", w.signWith(jose.RS384, w.key, kid, w.good(nil)), 401, "touchstone-orders", "IDX10634"},
		{"undocumented PS512", w.signWith(jose.PS512, w.key, kid, w.good(nil)), 401, "touchstone-orders", "IDX10634"},
		{"algorithm of another kind of key", w.signWith(jose.ES256, curve, kid, w.good(nil)), 401, "touchstone-orders", "IDX10634"},
		{"altered signature", flip(good), 401, "touchstone-orders", "IDX10511"},
		{"altered claims", part[0] + "." + strings.Split(w.sign(w.good(claims{"sub": "eve"})), ".")[1] + "." + part[2], 401, "touchstone-orders", "IDX10511"},
		{"stranger under our kid", w.signWith(jose.RS256, stranger, kid, w.good(nil)), 401, "touchstone-orders", "IDX10511"},
		{"stranger", w.signWith(jose.RS256, stranger, map[string]any{"kid": "k9"}, w.good(nil)), 401, "touchstone-orders", "IDX10503"},
		{"stranger without kid", w.signWith(jose.RS256, stranger, nil, w.good(nil)), 401, "touchstone-orders", "IDX10517"},
		{"stranger with jku and x5u", w.signWith(jose.RS256, stranger, jku, w.good(nil)), 401, "touchstone-orders", "IDX10503"},
		{"stranger with jwk", w.signWith(jose.RS256, stranger, map[string]any{"kid": "k1", "jwk": json.RawMessage(ownJSON)}, w.good(nil)), 401, "touchstone-orders", "IDX10511"},
		{"kid as a path", w.signWith(jose.RS256, stranger, map[string]any{"kid": "../../etc/passwd"}, w.good(nil)), 401, "touchstone-orders", "IDX10503"},
		{"key for encryption", w.signWith(jose.RS256, stranger, map[string]any{"kid": "enc1"}, w.good(nil)), 401, "touchstone-orders", "IDX10503"},
		{"stranger, expired", w.signWith(jose.RS256, stranger, map[string]any{"kid": "k9"}, w.good(claims{"exp": now - 99})), 401, "touchstone-orders", "IDX10223"},

		{"expired", w.sign(w.good(claims{"exp": now - 31})), 401, "touchstone-orders", "IDX10223"},
		{"expired long ago", w.sign(w.good(claims{"exp": -1e300})), 401, "touchstone-orders", "IDX10223"},
		{"no expiry", w.sign(w.good(claims{"exp": nil})), 401, "touchstone-orders", "IDX10225"},
		{"expiry is a word", w.sign(w.good(claims{"exp": "never"})), 401, "touchstone-orders", "IDX10225"},
		{"expiry is not a number", w.sign(w.good(claims{"exp": "NaN"})), 401, "touchstone-orders", "IDX10225"},
		{"several expiries", w.sign(w.good(claims{"exp": []int64{now + 9, now - 9}})), 401, "touchstone-orders", "IDX10225"},
		{"expiry in capitals", w.sign(w.good(claims{"exp": nil, "EXP": now + 300})), 401, "touchstone-orders", "IDX10225"},
		{"not yet valid", w.sign(w.good(claims{"nbf": now + 31})), 401, "touchstone-orders", "IDX10222"},
		{"valid after its end", w.sign(w.good(claims{"nbf": now + 301})), 401, "touchstone-orders", "IDX10224"},

		{"other API's audience", w.sign(w.good(claims{"aud": "https://api.test/other"})), 401, "touchstone-orders", "IDX10214"},
		{"audience with a slash", w.sign(w.good(claims{"aud": audience + "/"})), 401, "touchstone-orders", "IDX10214"},
		{"audience in capitals", w.sign(w.good(claims{"aud": strings.ToUpper(audience)})), 401, "touchstone-orders", "IDX10214"},
		{"longer audience", w.sign(w.good(claims{"aud": audience + "2"})), 401, "touchstone-orders", "IDX10214"},
		{"audiences in one text", w.sign(w.good(claims{"aud": audience + " x"})), 401, "touchstone-orders", "IDX10214"},
		{"no audience", w.sign(w.good(claims{"aud": nil})), 401, "touchstone-orders", "IDX10206"},
		{"empty audience", w.sign(w.good(claims{"aud": ""})), 401, "touchstone-orders", "IDX10214"},
		{"other issuer", w.sign(w.good(claims{"iss": "https://evil.test"})), 401, "touchstone-orders", "IDX10205"},
		{"issuer with a slash", w.sign(w.good(claims{"iss": w.issuer.URL + "/"})), 401, "touchstone-orders", "IDX10205"},
		{"no issuer", w.sign(w.good(claims{"iss": nil})), 401, "touchstone-orders", "IDX10211"},
		{"several issuers", w.sign(w.good(claims{"iss": []string{w.issuer.URL, "https://evil.test"}})), 401, "touchstone-orders", "IDX10211"},

		{"ID token", w.sign(idToken), 401, "touchstone-orders", "IDX10214"},
		{"ID token for this API", w.sign(toThisAPI), 401, "touchstone-orders", ""},
		{"idtyp of neither kind", w.sign(w.good(claims{"idtyp": "admin"})), 401, "touchstone-orders", ""},
		{"idtyp in capitals", w.sign(w.good(claims{"idtyp": "USER"})), 401, "touchstone-orders", ""},

		{"scope missing", w.sign(w.good(claims{"scope": "openid"})), 403, "touchstone-orders-permissions", ""},
		{"no scope", w.sign(w.good(claims{"scope": nil})), 403, "touchstone-orders-permissions", ""},
		{"scope is a part of a word", w.sign(w.good(claims{"scope": "orders.readonly"})), 403, "touchstone-orders-permissions", ""},
		{"scope in capitals", w.sign(w.good(claims{"scope": "ORDERS.READ"})), 403, "touchstone-orders-permissions", ""},
		{"automation without scope", w.sign(w.good(claims{"idtyp": "app", "client_id": "batch", "scope": ""})), 403, "touchstone-orders-permissions", ""},

		{"fact missing", w.sign(w.good(claims{"authenticator_attestation": []string{"device_bound"}})), 401, "touchstone-orders-authenticator", ""},
		{"fact in capitals", w.sign(w.good(claims{"authenticator_attestation": []string{"UV"}})), 401, "touchstone-orders-authenticator", ""},
		{"facts in one text", w.sign(w.good(claims{"authenticator_attestation": "uv,device_bound"})), 401, "touchstone-orders-authenticator", ""},
		{"facts in an object", w.sign(w.good(claims{"authenticator_attestation": map[string]bool{"uv": true}})), 401, "touchstone-orders-authenticator", ""},
		{"no facts", w.sign(w.good(claims{"authenticator_attestation": nil})), 401, "touchstone-orders-authenticator", ""},
		{"no facts, high level", w.sign(w.good(claims{"authenticator_attestation": nil, "acr": "phrh"})), 401, "touchstone-orders-authenticator", ""},
		{"automation, not listed", w.sign(w.good(claims{"idtyp": "app", "client_id": "evil", "authenticator_attestation": nil})), 401, "touchstone-orders-authenticator", ""},
		{"automation, not listed, with facts", w.sign(w.good(claims{"idtyp": "app", "client_id": "evil"})), 401, "touchstone-orders-authenticator", ""},
		{"automation, several clients", w.sign(w.good(claims{"idtyp": "app", "client_id": []string{"batch", "evil"}, "authenticator_attestation": nil})), 401, "touchstone-orders-authenticator", ""},
		{"person's token with the workload's client", w.sign(w.good(claims{"client_id": "batch", "authenticator_attestation": nil})), 401, "touchstone-orders-authenticator", ""},
		{"both kinds", w.sign(w.good(claims{"idtyp": []string{"user", "app"}, "client_id": "batch", "authenticator_attestation": nil})), 401, "touchstone-orders-authenticator", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := w.call("GET", "/orders/", bearer(tt.token)...)
			if rec.Code != tt.status {
				t.Fatalf("got %d %s, want %d", rec.Code, rec.Body, tt.status)
			}
			tr := w.trace(rec)
			if text, _ := json.Marshal(tr); len(tt.token) > 20 && strings.Contains(string(text), tt.token) {
				t.Error("the trace holds the token")
			}
			if tt.status == 200 {
				if w.seen == nil || tr.Decision != decisionPassed || tr.Status != 200 {
					t.Errorf("backend called: %t, trace %+v", w.seen != nil, tr)
				}
				return
			}
			if w.seen != nil {
				t.Error("the backend was called")
			}
			message(t, rec)
			no := tr.failed()
			if no.ID != tt.policy || no.IDX != tt.idx || no.Hint == "" || no.Wanted == "" || tr.Decision != decisionRefused {
				t.Errorf("trace %+v, want %s %s", no, tt.policy, tt.idx)
			}
			challenge := map[string]string{"touchstone-orders": `error="invalid_token"`, "touchstone-orders-permissions": `error="insufficient_scope"`,
				"touchstone-orders-authenticator": `error="insufficient_user_authentication"`}[tt.policy]
			if got := rec.Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="`+audience+`"`) || !strings.Contains(got, challenge) {
				t.Errorf("challenge %q, want %s", got, challenge)
			}
		})
	}
	for _, secret := range []string{part[1], part[2], "orders.write", "device_bound"} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestMissingTokensAreChallengedWithoutAnErrorCode(t *testing.T) {
	w := newWorld(t)
	good := w.sign(w.good(nil))
	for _, tt := range []struct {
		name    string
		header  []string
		status  int
		message string
	}{
		{"bearer", []string{"Authorization", "Bearer " + good}, 200, ""},
		{"lower-case scheme", []string{"Authorization", "bearer " + good}, 200, ""},
		{"no header", nil, 401, "JWT not present."},
		{"empty header", []string{"Authorization", ""}, 401, "JWT not present."},
		{"bare token", []string{"Authorization", good}, 401, "JWT not present."},
		{"other scheme", []string{"Authorization", "DPoP " + good}, 401, "JWT not present."},
		{"scheme alone", []string{"Authorization", "Bearer "}, 401, "JWT not present."},
		{"two headers", []string{"Authorization", "Bearer " + good, "Authorization", "Bearer " + good}, 401, "Invalid JWT."},
		{"query", nil, 401, "JWT not present."},
		{"connection removes it", []string{"Authorization", "Bearer " + good, "Connection", "Authorization"}, 401, "JWT not present."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := w.call("GET", "/orders/?access_token="+good, tt.header...)
			if rec.Code != tt.status {
				t.Fatalf("got %d %s", rec.Code, rec.Body)
			}
			if tt.status == 200 {
				return
			}
			if got := message(t, rec); got != tt.message {
				t.Errorf("message %q, want %q", got, tt.message)
			}
			// RFC 6750 section 3.1: no error code for a request without a token.
			if challenge := rec.Header().Get("WWW-Authenticate"); strings.Contains(challenge, "error=") != (tt.message == "Invalid JWT.") {
				t.Errorf("challenge %q", challenge)
			}
		})
	}
}

func TestOperationAsksForMore(t *testing.T) {
	w := newWorld(t)
	now := w.now().Unix()
	for _, tt := range []struct {
		name      string
		changes   claims
		status    int
		challenge string
	}{
		{"everything", nil, 200, ""},
		{"automation", claims{"idtyp": "app", "client_id": "batch", "authenticator_attestation": nil, "auth_time": nil}, 200, ""},
		{"clocks differ a little", claims{"auth_time": now + 30}, 200, ""},
		{"not attested", claims{"authenticator_attestation": []string{"uv", "device_bound"}}, 401, `error="insufficient_user_authentication", error_description="Another passkey is required.", acr_values="phrh"`},
		{"not even the API's facts", claims{"authenticator_attestation": nil}, 401, `acr_values="phr"`},
		{"scope of the operation", claims{"scope": "orders.read"}, 403, `error="insufficient_scope", error_description="The token lacks a scope or role.", scope="orders.write"`},
		{"signed in too long ago", claims{"auth_time": now - 301}, 401, `error="insufficient_user_authentication", error_description="The sign-in is too old.", max_age="300"`},
		{"signs in tomorrow", claims{"auth_time": now + 86400}, 401, `max_age="300"`},
		{"no auth_time", claims{"auth_time": nil}, 401, `max_age="300"`},
		{"auth_time is a word", claims{"auth_time": "now"}, 500, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := w.call("POST", "/orders/7/refund", bearer(w.sign(w.good(tt.changes)))...)
			if rec.Code != tt.status || !strings.Contains(rec.Header().Get("WWW-Authenticate"), tt.challenge) {
				t.Errorf("got %d %q %s", rec.Code, rec.Header().Get("WWW-Authenticate"), rec.Body)
			}
			if (w.seen != nil) != (tt.status == 200) {
				t.Errorf("backend called: %t", w.seen != nil)
			}
			if tt.status != 200 {
				message(t, rec)
			}
		})
	}
}

// validate is a validate-jwt with the attributes and children given; it has
// audiences, and takes the token from the Authorization header unless told.
func validate(attributes, children string) string {
	if !strings.Contains(attributes, "-name=") && !strings.Contains(attributes, "token-value=") {
		attributes += ` header-name="Authorization"`
	}
	if !strings.Contains(children, "<audiences>") {
		children = strings.Replace(children, "AUD", `<audiences><audience>`+audience+`</audience></audiences>`, 1)
	}
	return "<inbound><base /><validate-jwt " + attributes + ">" + children + "</validate-jwt></inbound>"
}

const discovery = `<openid-config url="ISSUER/.well-known/openid-configuration" />AUD`

func TestTokenSources(t *testing.T) {
	for _, tt := range []struct {
		name, attributes string
		target           string
		header           []string
		status           int
	}{
		{"no scheme required, bearer", ``, "/a/1", []string{"Authorization", "Bearer TOKEN"}, 200},
		{"no scheme required, bare", ``, "/a/1", []string{"Authorization", "TOKEN"}, 200},
		{"custom header, bare", `header-name="X-Token"`, "/a/1", []string{"X-Token", "TOKEN"}, 200},
		{"custom header, scheme", `header-name="X-Token"`, "/a/1", []string{"X-Token", "Bearer TOKEN"}, 401},
		{"custom header ignores require-scheme", `header-name="X-Token" require-scheme="Bearer"`, "/a/1", []string{"X-Token", "TOKEN"}, 200},
		{"query", `query-parameter-name="t"`, "/a/1?t=TOKEN", nil, 200},
		{"query, empty", `query-parameter-name="t"`, "/a/1?t=", nil, 401},
		{"query, header sent", `query-parameter-name="t"`, "/a/1", []string{"Authorization", "Bearer TOKEN"}, 401},
		{"token-value", `token-value='@(context.Request.Headers.GetValueOrDefault("X-T", ""))'`, "/a/1", []string{"X-T", "TOKEN"}, 200},
		{"token-value, empty", `token-value='@(context.Request.Headers.GetValueOrDefault("X-T", ""))'`, "/a/1", nil, 401},
		{"token-value, scheme", `token-value='@(context.Request.Headers.GetValueOrDefault("Authorization", ""))'`, "/a/1", []string{"Authorization", "Bearer TOKEN"}, 401},
		{"scheme by expression", `header-name="Authorization" require-scheme='@("Token")'`, "/a/1", []string{"Authorization", "Token TOKEN"}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := with(t, validate(tt.attributes, discovery))
			token := w.sign(w.good(nil))
			header := make([]string, len(tt.header))
			for i, h := range tt.header {
				header[i] = strings.Replace(h, "TOKEN", token, 1)
			}
			if rec := w.call("GET", strings.Replace(tt.target, "TOKEN", url.QueryEscape(token), 1), header...); rec.Code != tt.status {
				t.Errorf("got %d %s, want %d", rec.Code, rec.Body, tt.status)
			}
		})
	}
}

func TestValidationOptions(t *testing.T) {
	secret := strings.Repeat("s", 32)
	inline := `<issuer-signing-keys><key id="h1">` + base64.StdEncoding.EncodeToString([]byte(secret)) + `</key></issuer-signing-keys>AUD`
	rsaInline := fmt.Sprintf(`<issuer-signing-keys><key n="%s" e="%s" /></issuer-signing-keys>AUD`,
		base64.RawURLEncoding.EncodeToString(testKey().N.Bytes()), base64.RawURLEncoding.EncodeToString(big.NewInt(int64(testKey().E)).Bytes()))
	claim := func(attributes string, values ...string) string {
		text := discovery + "<required-claims><claim " + attributes + ">"
		for _, v := range values {
			text += "<value>" + v + "</value>"
		}
		return text + "</claim></required-claims>"
	}
	unsigned := func(w *world, c claims) string { return raw(map[string]any{"alg": "none"}, c, "") }
	rs := func(w *world, c claims) string { return w.sign(c) }
	hs := func(w *world, c claims) string {
		return w.signWith(jose.HS256, []byte(secret), map[string]any{"kid": "h1"}, c)
	}
	for _, tt := range []struct {
		name, attributes, children string
		sign                       func(*world, claims) string
		changes                    claims
		status                     int
	}{
		{"no skew, expired a second ago", ``, discovery, rs, claims{"exp": 1_799_999_999}, 401},
		{"no skew, expires now", ``, discovery, rs, claims{"exp": 1_800_000_000}, 200},
		{"no skew, a moment too early", ``, discovery, rs, claims{"nbf": 1_800_000_001}, 401},
		{"skew by expression", `clock-skew="@(60)"`, discovery, rs, claims{"exp": 1_799_999_941}, 200},
		{"no expiry allowed", `require-expiration-time="false"`, discovery, rs, claims{"exp": nil}, 200},
		{"no expiry allowed, expired", `require-expiration-time="false"`, discovery, rs, claims{"exp": 1}, 401},
		{"no expiry allowed, nonsense", `require-expiration-time="false"`, discovery, rs, claims{"exp": "x"}, 401},
		{"unsigned allowed", `require-signed-tokens="false"`, discovery, unsigned, nil, 200},
		{"unsigned allowed, expired", `require-signed-tokens="false"`, discovery, unsigned, claims{"exp": 1}, 401},
		{"unsigned allowed, wrong signature", `require-signed-tokens="0"`, discovery, func(w *world, c claims) string { return flip(w.sign(c)) }, nil, 401},
		{"other status", `failed-validation-httpcode="403"`, discovery, rs, claims{"aud": "x"}, 403},
		{"status by expression", `failed-validation-httpcode="@(400 + 18)"`, discovery, rs, claims{"aud": "x"}, 418},
		{"inline symmetric key", ``, inline, hs, nil, 200},
		{"inline symmetric key, HS512", ``, inline, func(w *world, c claims) string {
			return w.signWith(jose.HS512, []byte(secret+secret), nil, c)
		}, nil, 401},
		{"inline symmetric key, other secret", ``, inline, func(w *world, c claims) string {
			return w.signWith(jose.HS256, []byte(strings.Repeat("t", 32)), map[string]any{"kid": "h1"}, c)
		}, nil, 401},
		{"inline symmetric key, any issuer", ``, inline, hs, claims{"iss": "whoever"}, 200},
		{"inline symmetric key, issuers listed", ``, inline + `<issuers><issuer>us</issuer></issuers>`, hs, claims{"iss": "them"}, 401},
		{"inline symmetric key, RSA token", ``, inline, rs, nil, 401},
		{"inline RSA key", ``, rsaInline, rs, nil, 200},
		{"inline RSA key, HMAC with it", ``, rsaInline, func(w *world, c claims) string {
			return w.signWith(jose.HS256, w.key.N.Bytes(), nil, c)
		}, nil, 401},
		{"issuers add to discovery's", ``, discovery + `<issuers><issuer>https://old.test</issuer></issuers>`, rs, claims{"iss": "https://old.test"}, 200},
		{"discovery's issuer stays beside issuers", ``, discovery + `<issuers><issuer>https://old.test</issuer></issuers>`, rs, nil, 200},
		{"audience by expression", ``, `<openid-config url="ISSUER/.well-known/openid-configuration" /><audiences><audience>@("https://api.test/" + "orders")</audience></audiences>`, rs, nil, 200},
		{"presence of a claim", ``, claim(`name="sid"`), rs, nil, 200},
		{"presence of a claim, absent", ``, claim(`name="sid"`), rs, claims{"sid": nil}, 401},
		{"all by default", ``, claim(`name="roles"`, "a", "b"), rs, claims{"roles": []string{"a"}}, 401},
		{"all, more in the token", ``, claim(`name="roles" match="all"`, "a", "b"), rs, claims{"roles": []string{"c", "b", "a"}}, 200},
		{"any", ``, claim(`name="roles" match="any"`, "a", "b"), rs, claims{"roles": []string{"b"}}, 200},
		{"any, none", ``, claim(`name="roles" match="any"`, "a", "b"), rs, claims{"roles": []string{"c"}}, 401},
		{"any by expression", ``, claim(`name="roles" match='@("any")'`, "a", "b"), rs, claims{"roles": []string{"b"}}, 200},
		{"separator splits the token's value", ``, claim(`name="roles" separator=","`, "b"), rs, claims{"roles": "a,b"}, 200},
		{"separator does not split the policy's", ``, claim(`name="roles" separator="," match="any"`, "a,b"), rs, claims{"roles": "a,b"}, 401},
		{"no separator", ``, claim(`name="roles"`, "b"), rs, claims{"roles": "a b"}, 401},
		{"number", ``, claim(`name="n"`, "5"), rs, claims{"n": 5}, 200},
		{"boolean", ``, claim(`name="b"`, "true"), rs, claims{"b": true}, 200},
		{"value by expression", ``, claim(`name="sub"`, `@("a" + "da")`), rs, nil, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := with(t, validate(tt.attributes, tt.children))
			if rec := w.call("GET", "/a/1", bearer(tt.sign(w, w.good(tt.changes)))...); rec.Code != tt.status {
				t.Errorf("got %d %s, want %d; trace %+v", rec.Code, rec.Body, tt.status, w.trace(rec).failed())
			}
		})
	}
}

func TestHintsNameWhatPeopleOverlook(t *testing.T) {
	for _, tt := range []struct {
		name, children string
		changes        claims
		hint           string
	}{
		{"slash", discovery, claims{"aud": audience + "/"}, "trailing slash"},
		{"case", discovery, claims{"aud": strings.ToUpper(audience)}, "letter case"},
		{"scheme", discovery, claims{"aud": strings.Replace(audience, "https", "http", 1)}, "http and https"},
		{"somewhere", discovery, claims{"aud": audience + "2"}, "from character 24"},
		{"ID token", discovery, claims{"aud": "web", "nonce": "n", "client_id": nil}, "ID token"},
		{"separator", discovery + `<required-claims><claim name="scope"><value>orders.read</value></claim></required-claims>`, nil, `separator=" "`},
		{"comma", discovery + `<required-claims><claim name="roles"><value>a,b</value></claim></required-claims>`, claims{"roles": []string{"a", "b"}}, "one <value> per entry"},
		{"case of a claim", discovery + `<required-claims><claim name="roles"><value>Admin</value></claim></required-claims>`, claims{"roles": "admin"}, "case-sensitive"},
		{"fact", discovery + `<required-claims><claim name="authenticator_attestation"><value>fido_l2</value></claim></required-claims>`, nil, "certified at FIDO level 2"},
		{"skew", discovery, claims{"nbf": 1_800_000_001}, "clock-skew"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := with(t, validate("", tt.children))
			rec := w.call("GET", "/a/1", bearer(w.sign(w.good(tt.changes)))...)
			if no := w.trace(rec).failed(); rec.Code != 401 || !strings.Contains(no.Hint, tt.hint) {
				t.Errorf("%d, hint %q, want %q", rec.Code, no.Hint, tt.hint)
			}
		})
	}
}
