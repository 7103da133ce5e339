package provider

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/keyring"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// documentLife lets caches keep metadata and keys for five minutes: far less
// than a key is published before it signs.
const documentLife = "public, max-age=300"

// authorizationServer is the metadata of RFC 8414 section 2 and OpenID Connect
// Discovery section 3. Every member tells what is really enabled.
type authorizationServer struct {
	Issuer                       string            `json:"issuer"`
	AuthorizationEndpoint        string            `json:"authorization_endpoint"`
	TokenEndpoint                string            `json:"token_endpoint"`
	UserInfoEndpoint             string            `json:"userinfo_endpoint"`
	RevocationEndpoint           string            `json:"revocation_endpoint"`
	EndSessionEndpoint           string            `json:"end_session_endpoint"`
	JWKSURI                      string            `json:"jwks_uri"`
	ScopesSupported              []string          `json:"scopes_supported"`
	ResponseTypesSupported       []string          `json:"response_types_supported"`
	ResponseModesSupported       []string          `json:"response_modes_supported"`
	GrantTypesSupported          []oidc.GrantType  `json:"grant_types_supported"`
	SubjectTypesSupported        []string          `json:"subject_types_supported"`
	IDTokenAlgorithms            []string          `json:"id_token_signing_alg_values_supported"`
	TokenAuthMethods             []oidc.AuthMethod `json:"token_endpoint_auth_methods_supported"`
	RevocationAuthMethods        []oidc.AuthMethod `json:"revocation_endpoint_auth_methods_supported"`
	CodeChallengeMethods         []string          `json:"code_challenge_methods_supported"`
	ACRValuesSupported           []string          `json:"acr_values_supported"`
	PromptValuesSupported        []string          `json:"prompt_values_supported"`
	ClaimTypesSupported          []string          `json:"claim_types_supported"`
	ClaimsSupported              []claim.Name      `json:"claims_supported"`
	ClaimsParameterSupported     bool              `json:"claims_parameter_supported"`
	RequestParameterSupported    bool              `json:"request_parameter_supported"`
	RequestURIParameterSupported bool              `json:"request_uri_parameter_supported"`
	IssParameterSupported        bool              `json:"authorization_response_iss_parameter_supported"`
}

// describeServer returns the metadata under a trust file.
func (p *Provider) describeServer(t *trust.Trust) authorizationServer {
	methods := []oidc.AuthMethod{oidc.AuthMethodNone, oidc.AuthMethodBasic, oidc.AuthMethodPost}
	a := authorizationServer{
		Issuer:                 p.Issuer,
		AuthorizationEndpoint:  p.Issuer + authorizePath,
		TokenEndpoint:          p.Issuer + tokenPath,
		UserInfoEndpoint:       p.Issuer + userInfoPath,
		RevocationEndpoint:     p.Issuer + revokePath,
		EndSessionEndpoint:     p.Issuer + endSessionPath,
		JWKSURI:                p.Issuer + jwksPath,
		ScopesSupported:        trust.IdentityScopes(),
		ResponseTypesSupported: []string{"code"},
		ResponseModesSupported: []string{"query"},
		GrantTypesSupported:    []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken, oidc.GrantTypeClientCredentials},
		SubjectTypesSupported:  []string{"public"},
		IDTokenAlgorithms:      []string{string(idTokenAlgorithm)},
		TokenAuthMethods:       methods,
		RevocationAuthMethods:  methods,
		CodeChallengeMethods:   []string{"S256"},
		PromptValuesSupported:  prompts,
		ClaimTypesSupported:    []string{"normal"},
		ClaimsSupported: []claim.Name{claim.Subject, claim.Issuer, claim.Audience, claim.Expiry, claim.IssuedAt, claim.AuthTime, "nonce",
			claim.ACR, claim.AMR, claim.SessionID, "at_hash", "name", "preferred_username", claim.Attestation, claim.AAGUID, claim.Model},
		IssParameterSupported: true,
	}
	for _, api := range t.APIs {
		for _, s := range api.Scopes {
			a.ScopesSupported = append(a.ScopesSupported, s.Name)
		}
	}
	for _, l := range t.Levels {
		a.ACRValuesSupported = append(a.ACRValuesSupported, l.Name)
	}
	return a
}

// metadataCache keeps the metadata of the trust file in force.
type metadataCache struct{ current atomic.Pointer[versioned] }

// versioned is a document made under one version of the trust file.
type versioned struct {
	version  string
	document keyring.Document
}

// metadata returns the metadata, encoded once per trust file.
func (p *Provider) metadata() (keyring.Document, error) {
	t := p.Trust()
	if v := p.docs.current.Load(); v != nil && v.version == t.Version {
		return v.document, nil
	}
	body, err := json.MarshalIndent(p.describeServer(t), "", "  ")
	if err != nil {
		return keyring.Document{}, fmt.Errorf("encode metadata: %w", err)
	}
	sum := sha256.Sum256(body)
	v := &versioned{t.Version, keyring.Document{Body: body, ETag: `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}}
	p.docs.current.Store(v)
	return v.document, nil
}

// jwks returns the published keys.
func (p *Provider) jwks() (keyring.Document, error) { return p.Ring.JWKS(), nil }

// document serves a JSON document from memory, with its validator.
func (p *Provider) document(read func() (keyring.Document, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		d, err := read()
		if err != nil {
			p.logFault(r.Context(), err)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", documentLife)
		w.Header().Set("ETag", d.ETag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(d.Body))
	})
}
