package claim

// Authenticator is the part of a token that says which kind of authenticator
// proved the person. It is frozen at sign-in and repeated by every token of the
// grant.
type Authenticator struct {
	// Attestation holds the verified facts; absent for automation and recovery.
	Attestation Facts `json:"authenticator_attestation,omitempty"`
	// AAGUID is a lower-case UUID, present only with the fact attested.
	AAGUID string `json:"authenticator_aaguid,omitempty"`
	// Model is the metadata statement's description.
	Model string `json:"authenticator_model,omitempty"`
}

// AccessToken is the payload of an access token (RFC 9068). Audience is one
// string, not an array: it is compared byte by byte with a gateway policy.
type AccessToken struct {
	Issuer       string   `json:"iss"`
	Subject      string   `json:"sub"`
	Audience     string   `json:"aud"`
	ClientID     string   `json:"client_id"`
	IssuedAt     int64    `json:"iat"`
	Expiry       int64    `json:"exp"`
	TokenID      string   `json:"jti"`
	Scope        string   `json:"scope,omitempty"`
	Roles        []string `json:"roles,omitempty"`
	IdentityType string   `json:"idtyp"`
	AuthTime     int64    `json:"auth_time,omitempty"`
	ACR          string   `json:"acr,omitempty"`
	AMR          []string `json:"amr,omitempty"`
	Authenticator
	AuthenticatorID string `json:"authenticator_id,omitempty"`
	Metadata        string `json:"authenticator_metadata,omitempty"`
	TrustVersion    string `json:"trust_version"`
	SessionID       string `json:"sid,omitempty"`
	// Act says who acts for the subject (RFC 8693 section 4.1); Actor repeats the
	// innermost actor's sub for policies, which read no objects.
	Act   *Actor `json:"act,omitempty"`
	Actor string `json:"actor,omitempty"`
}

// Actor is a party that acts for somebody, for whom another may have acted before.
type Actor struct {
	Subject string `json:"sub"`
	Act     *Actor `json:"act,omitempty"`
}

// IDToken is the payload of an ID token (OpenID Connect Core section 2). The
// Authenticator part is filled only when the scope "authenticator" was granted.
type IDToken struct {
	Issuer            string   `json:"iss"`
	Subject           string   `json:"sub"`
	Audience          string   `json:"aud"`
	IssuedAt          int64    `json:"iat"`
	Expiry            int64    `json:"exp"`
	AuthTime          int64    `json:"auth_time"`
	Nonce             string   `json:"nonce,omitempty"`
	ACR               string   `json:"acr,omitempty"`
	AMR               []string `json:"amr,omitempty"`
	SessionID         string   `json:"sid,omitempty"`
	AccessTokenHash   string   `json:"at_hash,omitempty"`
	Name              string   `json:"name,omitempty"`
	PreferredUsername string   `json:"preferred_username,omitempty"`
	Authenticator
}
