package provider

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/grant"
)

// subject returns a person's sub for a client: their id, or for a client of a
// sector a pairwise identifier (OpenID Connect Core section 8.1), which no other
// sector can link to theirs and which only we can compute.
func (p *Provider) subject(id grant.ClientID, user account.ID) string {
	client, ok := p.options.Clients.Get(id)
	if !ok || client.Settings.Sector == "" || user == "" {
		return string(user)
	}
	mac := hmac.New(sha256.New, p.options.PairwiseKey)
	mac.Write([]byte("touchstone pairwise v1\x00" + client.Settings.Sector + "\x00" + string(user)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
