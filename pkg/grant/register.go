package grant

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/touchstone-id/touchstone/pkg/trust"
)

// Misregistered says in words what is wrong with a registration.
type Misregistered string

// Error is the text.
func (m Misregistered) Error() string { return string(m) }

const (
	// maxClientID bounds a client_id, in characters.
	maxClientID = 200
	// maxClientName bounds what people read of a client, in characters.
	maxClientName = 100
)

// check holds what an operator's client must fit, as the trust file holds it for
// those that it declares. What it finds is a Misregistered.
func (c Client) check() error {
	code, app := c.AllowsGrant("authorization_code"), c.AllowsGrant("client_credentials")
	keys := c.Settings.JWKS != "" || c.Settings.JWKSURI != ""
	switch {
	case !clientID(string(c.ID)):
		return Misregistered(fmt.Sprintf("a client_id has 1 to %d printable characters without spaces", maxClientID))
	case strings.TrimSpace(c.Name) == "" || !utf8.ValidString(c.Name) || utf8.RuneCountInString(c.Name) > maxClientName || strings.ContainsFunc(c.Name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return Misregistered(fmt.Sprintf("a client's name has 1 to %d printable characters", maxClientName))
	case !slices.Contains([]Kind{Public, Confidential, Workload}, c.Kind):
		return Misregistered("a client is public, confidential or a workload")
	case c.Kind == Workload && (code || !app || len(c.RedirectURIs) > 0):
		return Misregistered("a workload has client_credentials alone and no redirect URIs")
	case c.Kind != Workload && app:
		return Misregistered("client_credentials is for workloads")
	case code && len(c.RedirectURIs) == 0:
		return Misregistered(fmt.Sprintf("a %s client needs a redirect URI", c.Kind))
	case (c.Settings.AuthMethod == AuthPrivateKeyJWT) != keys:
		return Misregistered("private_key_jwt and the client's keys (jwks_uri) belong together")
	case c.Kind == Public && c.Settings.AuthMethod != "" && c.Settings.AuthMethod != AuthNone:
		return Misregistered("a public client cannot prove itself")
	case c.Settings.PKCEExempt && c.Kind != Confidential:
		return Misregistered("an exemption from PKCE is for confidential clients")
	}
	for _, uri := range slices.Concat(c.RedirectURIs, c.PostLogoutRedirectURIs) {
		if err := trust.CheckRedirectURI(uri); err != nil {
			return Misregistered(err.Error())
		}
	}
	for _, uri := range []string{c.Settings.JWKSURI, c.Settings.BackchannelLogoutURI} {
		if uri == "" {
			continue
		}
		if err := trust.CheckRemoteURL(uri); err != nil {
			return Misregistered(err.Error())
		}
	}
	return nil
}

// clientID accepts the VSCHAR of RFC 6749 appendix A.1 without spaces, but for
// what a path reads as a place.
func clientID(id string) bool {
	return id != "" && len(id) <= maxClientID && id != "." && id != ".." && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' })
}
