package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

const (
	// assertionType is the one kind of client assertion (RFC 7523 section 2.2).
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// maxAssertionLife bounds how far in the future an assertion may expire: it
	// also bounds how long its jti is kept.
	maxAssertionLife = 5 * time.Minute
	// assertionSkew is what clocks of clients may be off.
	assertionSkew = 30 * time.Second
	// maxAssertion bounds an assertion, in bytes.
	maxAssertion = 8 << 10
)

// assertionAlgorithms are accepted from clients. Symmetric ones are not: a
// secret is not a key.
var assertionAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA}

// VerifyClient authenticates a client for the library.
func (p *Provider) VerifyClient(ctx context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	client, err := p.authenticate(ctx, r.Header, r.Form, *r.Data)
	if err != nil {
		return nil, p.forLibrary(request(ctx, r.URL), err)
	}
	return libraryClient{client}, nil
}

// authenticate authenticates a client by the method it registered (RFC 6749
// section 2.3, OpenID Connect Core section 9). An unknown client and a wrong
// secret take the same time and get the same answer.
func (p *Provider) authenticate(ctx context.Context, header http.Header, form url.Values, c op.ClientCredentials) (grant.Client, error) {
	if c.ClientAssertion != "" {
		return p.assertedClient(ctx, c.ClientAssertion, form)
	}
	client, known := p.options.Clients.Get(grant.ClientID(c.ClientID))
	given := secret.Of(c.ClientSecret)
	matches := client.SecretMatches(given)
	method := grant.AuthNone
	switch {
	case header.Get("Authorization") != "":
		method = grant.AuthSecretBasic
	case !given.Empty():
		method = grant.AuthSecretPost
	}
	fits := matches
	if client.Kind == grant.Public {
		fits = method == grant.AuthNone
	}
	bodyID := form.Get("client_id")
	if !known || !fits || !client.AllowsAuth(method) || bodyID != "" && bodyID != c.ClientID {
		return grant.Client{}, denial.New(denial.ClientAuthentication, "client %.80q by %s", c.ClientID, method)
	}
	return client, nil
}

// credentials reads what a client presents, after checkCredentials.
func credentials(r *http.Request) op.ClientCredentials {
	c := op.ClientCredentials{ClientID: r.Form.Get("client_id"), ClientSecret: r.Form.Get("client_secret"), ClientAssertion: r.Form.Get("client_assertion")}
	if id, password, ok := r.BasicAuth(); ok {
		c.ClientID, _ = url.QueryUnescape(id)
		c.ClientSecret, _ = url.QueryUnescape(password)
	}
	return c
}

// assertionClaims are the claims of a client assertion (RFC 7523 section 3).
type assertionClaims struct {
	Issuer    string       `json:"iss"`
	Subject   string       `json:"sub"`
	Audience  oidcAudience `json:"aud"`
	Expiry    int64        `json:"exp"`
	NotBefore int64        `json:"nbf"`
	IssuedAt  int64        `json:"iat"`
	TokenID   string       `json:"jti"`
}

// oidcAudience is one audience or several.
type oidcAudience []string

// UnmarshalJSON reads a string or an array of strings (RFC 7519 section 4.1.3).
func (a *oidcAudience) UnmarshalJSON(text []byte) error {
	var one string
	if err := json.Unmarshal(text, &one); err == nil {
		*a = []string{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// assertedClient verifies a client assertion (RFC 7523 section 3, as narrowed by
// the update for audience injection): the audience is the issuer or the token
// endpoint and nothing else beside, the life is short, and each jti is good once.
func (p *Provider) assertedClient(ctx context.Context, assertion string, form url.Values) (grant.Client, error) {
	refused := func(format string, args ...any) (grant.Client, error) {
		return grant.Client{}, denial.New(denial.ClientAuthentication, format, args...)
	}
	if len(assertion) > maxAssertion || form.Get("client_assertion_type") != assertionType {
		return refused("assertion of %d bytes, type %.80q", len(assertion), form.Get("client_assertion_type"))
	}
	jws, err := jose.ParseSignedCompact(assertion, assertionAlgorithms)
	if err != nil {
		return refused("the assertion is not a signed JWT")
	}
	var unverified assertionClaims
	if err := json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &unverified); err != nil {
		return refused("the assertion's claims cannot be read")
	}
	client, known := p.options.Clients.Get(grant.ClientID(unverified.Subject))
	id := form.Get("client_id")
	if !known || !client.AllowsAuth(grant.AuthPrivateKeyJWT) || unverified.Issuer != unverified.Subject || id != "" && id != unverified.Subject {
		return refused("client %.80q", unverified.Subject)
	}
	header := jws.Signatures[0].Protected
	payload, err := p.verifyWith(ctx, client, jws, header)
	if err != nil {
		return refused("client %s: %v", client.ID, err)
	}
	var c assertionClaims
	if err := json.Unmarshal(payload, &c); err != nil {
		return refused("the assertion's claims cannot be read")
	}
	now := p.options.Now()
	expires := time.Unix(c.Expiry, 0)
	switch {
	case len(c.Audience) != 1 || c.Audience[0] != p.options.Issuer && c.Audience[0] != p.options.Issuer+pathToken:
		return refused("client %s: audience %.200q", client.ID, c.Audience)
	case !now.Before(expires.Add(assertionSkew)) || expires.After(now.Add(maxAssertionLife+assertionSkew)):
		return refused("client %s: expires at %s", client.ID, expires)
	case c.NotBefore > now.Add(assertionSkew).Unix() || c.IssuedAt > now.Add(assertionSkew).Unix():
		return refused("client %s: from the future", client.ID)
	case c.TokenID == "" || len(c.TokenID) > 256:
		return refused("client %s: jti of %d bytes", client.ID, len(c.TokenID))
	}
	return client, grant.UseAssertion(ctx, p.options.Pool, client.ID, c.TokenID, expires.Add(assertionSkew))
}

// verifyWith verifies with the client's keys; keys that are fetched are fetched
// again, within bounds, when none of them has the assertion's kid.
func (p *Provider) verifyWith(ctx context.Context, client grant.Client, jws *jose.JSONWebSignature, header jose.Header) ([]byte, error) {
	for _, again := range []bool{false, true} {
		keys, err := p.keys.of(ctx, client, again, p.options.Now())
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			if header.KeyID != "" && k.KeyID != header.KeyID || k.Algorithm != "" && k.Algorithm != header.Algorithm {
				continue
			}
			if payload, err := jws.Verify(k); err == nil {
				return payload, nil
			}
		}
		if client.Settings.JWKSURI == "" {
			break
		}
	}
	return nil, errors.New("no key of the client verifies the assertion")
}

// checkCredentials judges the form of a client's authentication, before the
// library reads it by laxer rules: one well-formed Basic header at most, and not
// two ways at once (RFC 6749 section 2.3).
func checkCredentials(r *http.Request, form url.Values) error {
	headers := r.Header.Values("Authorization")
	asserts := form.Has("client_assertion") || form.Has("client_assertion_type")
	ways := 0
	for _, way := range []bool{len(headers) > 0, form.Has("client_secret"), asserts} {
		if way {
			ways++
		}
	}
	if ways > 1 {
		return denial.New(denial.RequestMalformed, "two ways of client authentication")
	}
	if asserts && (form.Get("client_assertion") == "" || form.Get("client_assertion_type") != assertionType) {
		return denial.New(denial.ClientAuthentication, "client assertion of type %.80q", form.Get("client_assertion_type"))
	}
	if len(headers) == 0 {
		return nil
	}
	id, password, ok := r.BasicAuth()
	_, idErr := url.QueryUnescape(id)
	_, passwordErr := url.QueryUnescape(password)
	if !ok || len(headers) > 1 || idErr != nil || passwordErr != nil {
		return denial.New(denial.ClientAuthentication, "the Authorization header is not well-formed Basic")
	}
	return nil
}

// supportedAuth lists the methods for discovery.
func supportedAuth() []string {
	return []string{grant.AuthSecretBasic, grant.AuthSecretPost, grant.AuthPrivateKeyJWT, grant.AuthNone}
}

// algorithmNames lists assertionAlgorithms for discovery.
func algorithmNames() []string {
	var names []string
	for _, a := range assertionAlgorithms {
		names = append(names, string(a))
	}
	slices.Sort(names)
	return names
}
