package provider

import (
	"encoding/json"
	"time"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
)

// readAccessToken verifies an access token of ours (RFC 9068 section 4):
// signature, typ, issuer and expiry. The caller judges the audience. Every
// failure is the denial TokenInvalid; an ID token or another typ is one.
func (p *Provider) readAccessToken(token string, now time.Time) (claim.AccessToken, error) {
	var c claim.AccessToken
	payload, err := p.Ring.Verify(token, claim.TypeAccessToken)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, denial.New(denial.TokenInvalid, "claims cannot be read")
	}
	if c.Issuer != p.Issuer || !now.Before(time.Unix(c.Expiry, 0)) {
		return c, denial.New(denial.TokenInvalid, "of another issuer or expired")
	}
	return c, nil
}

// readHint verifies an ID token of ours that comes back as id_token_hint. It
// may have expired (OpenID Connect RP-Initiated Logout section 2).
func (p *Provider) readHint(token string) (claim.IDToken, error) {
	var c claim.IDToken
	payload, err := p.Ring.Verify(token, claim.TypeIDToken)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, denial.New(denial.TokenInvalid, "claims cannot be read")
	}
	if c.Issuer != p.Issuer {
		return c, denial.New(denial.TokenInvalid, "of another issuer")
	}
	return c, nil
}
