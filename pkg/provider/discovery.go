package provider

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/touchstone-id/touchstone/pkg/keyring"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// metadata is the discovery document (OpenID Connect Discovery section 3, RFC
// 8414 section 2). Only what is enabled stands in it.
type metadata struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	UserinfoEndpoint      string   `json:"userinfo_endpoint"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	IntrospectionEndpoint string   `json:"introspection_endpoint"`
	DeviceEndpoint        string   `json:"device_authorization_endpoint"`
	EndSessionEndpoint    string   `json:"end_session_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	Scopes                []string `json:"scopes_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	ResponseModes         []string `json:"response_modes_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	IDTokenAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgorithms   []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationAuthMethods []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAlgorithms  []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectAuthMethods []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectAlgorithms  []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	IntrospectSigning     []string `json:"introspection_signing_alg_values_supported"`
	CodeChallengeMethods  []string `json:"code_challenge_methods_supported"`
	Prompts               []string `json:"prompt_values_supported"`
	ACRs                  []string `json:"acr_values_supported"`
	Claims                []string `json:"claims_supported"`
	ClaimsParameter       bool     `json:"claims_parameter_supported"`
	RequestParameter      bool     `json:"request_parameter_supported"`
	RequestURIParameter   bool     `json:"request_uri_parameter_supported"`
	IssInResponse         bool     `json:"authorization_response_iss_parameter_supported"`
	BackchannelLogout     bool     `json:"backchannel_logout_supported"`
	BackchannelSession    bool     `json:"backchannel_logout_session_supported"`
	ProtectedResources    []string `json:"protected_resources,omitempty"`
}

// published is the document made under one version of the trust file, for
// clients that want EdDSA or do not.
type published struct {
	version  string
	eddsa    bool
	document keyring.Document
}

// describeNow returns the document of the trust file and the clients in force,
// built once for each.
func (p *Provider) describeNow() keyring.Document {
	t, current, eddsa := p.options.Trust(), p.discovery.Load(), p.options.Clients.WantsIDTokens(string(keyring.EdDSA))
	if current.version == t.Version && current.eddsa == eddsa {
		return current.document
	}
	document, err := p.describe(t)
	if err != nil {
		p.options.Logger.Error().Err(err).Msg("the discovery document could not be rebuilt; the last good one stays")
		return current.document
	}
	p.discovery.Store(&published{t.Version, eddsa, document})
	return document
}

// describe builds the document of a trust file.
func (p *Provider) describe(t *trust.Trust) (keyring.Document, error) {
	at := func(path string) string { return p.options.Issuer + path }
	m := metadata{
		Issuer: p.options.Issuer, AuthorizationEndpoint: at(pathAuthorize), TokenEndpoint: at(pathToken), UserinfoEndpoint: at(pathUserinfo),
		RevocationEndpoint: at(pathRevoke), IntrospectionEndpoint: at(pathIntrospect), DeviceEndpoint: at(pathDevice), EndSessionEndpoint: at(pathEndSession), JWKSURI: at(pathJWKS),
		Scopes: trust.IdentityScopes(), ResponseTypes: []string{"code"}, ResponseModes: []string{modeQuery, modeFormPost},
		GrantTypes:   []string{"authorization_code", "refresh_token", "client_credentials", grantDevice, grantExchange},
		SubjectTypes: []string{"public", "pairwise"}, IDTokenAlgorithms: p.idTokenAlgorithms(),
		TokenAuthMethods: supportedAuth(), TokenAuthAlgorithms: algorithmNames(),
		RevocationAuthMethods: supportedAuth(), RevocationAlgorithms: algorithmNames(),
		IntrospectAuthMethods: supportedAuth()[:3], IntrospectAlgorithms: algorithmNames(), IntrospectSigning: []string{string(keyring.RS256)},
		BackchannelLogout: true, BackchannelSession: true, ClaimsParameter: true,
		CodeChallengeMethods: []string{"S256"}, Prompts: []string{"none", "login", "consent", "select_account"},
		Claims:        slices.Concat([]string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash"}, slices.Sorted(maps.Keys(scopeOf))),
		IssInResponse: true,
	}
	for _, l := range t.Levels {
		m.ACRs = append(m.ACRs, l.Name)
	}
	for _, a := range t.APIs {
		m.ProtectedResources = append(m.ProtectedResources, a.Audience)
		for _, s := range a.Scopes {
			m.Scopes = append(m.Scopes, s.Name)
		}
	}
	body, err := json.Marshal(m)
	if err != nil {
		return keyring.Document{}, fmt.Errorf("encode discovery: %w", err)
	}
	sum := sha256.Sum256(body)
	return keyring.Document{Body: body, ETag: `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}, nil
}

// idTokenAlgorithms lists what can sign ID tokens now; RS256 always can.
func (p *Provider) idTokenAlgorithms() []string {
	var names []string
	for _, a := range p.options.Ring.Algorithms() {
		names = append(names, string(a))
	}
	return names
}

// cacheFor is shorter than the hour that gateways cache, so that what they
// fetch is never much older than what we publish.
const cacheFor = "public, max-age=300"

// static serves a document from memory, open to any origin, with a validator. A
// key set that is not known to be in force is not served: gateways keep the one
// they have and ask again.
func (p *Provider) static(document func() (keyring.Document, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d, err := document()
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		if err != nil {
			h.Set("Cache-Control", "no-store")
			h.Set("Retry-After", "60")
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		h.Set("Cache-Control", cacheFor)
		h.Set("ETag", d.ETag)
		h.Set("Content-Type", "application/json")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(d.Body)) // judges If-None-Match (RFC 9110 section 13.1.2)
	}
}
