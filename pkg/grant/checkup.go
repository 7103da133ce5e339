package grant

import (
	"net/url"
	"slices"
	"time"
)

// Profiles a client is checked against.
const (
	// ProfileOAuth21 is the OAuth 2.1 draft with RFC 9700.
	ProfileOAuth21 = "OAuth 2.1"
	// ProfileFAPI2 is the FAPI 2.0 Security Profile.
	ProfileFAPI2 = "FAPI 2.0"
)

// Point is one rule of a profile, as a client's registration meets it.
type Point struct {
	Profile string
	Rule    string
	Met     bool
	// Fix says what to change; empty when the rule is met.
	Fix string
}

// CheckUp compares a client's registration with the profiles.
func (c Client) CheckUp() []Point {
	var points []Point
	check := func(profile, rule string, met bool, fix string) {
		if met {
			fix = ""
		}
		points = append(points, Point{profile, rule, met, fix})
	}
	code := c.AllowsGrant("authorization_code")
	check(ProfileOAuth21, "PKCE with S256 is required (section 4.1.1)", !code || !c.Settings.PKCEExempt, "remove pkce_exempt once the client sends a code challenge")
	check(ProfileOAuth21, "redirect URIs are https, or loopback addresses of a native app (RFC 8252 section 8.3)", !slices.ContainsFunc(c.RedirectURIs, insecure),
		"register https addresses, and 127.0.0.1 in place of localhost")
	check(ProfileOAuth21, "refresh tokens rotate, and reuse ends the family (RFC 9700 section 2.2.2)", true, "")
	check(ProfileOAuth21, "a secret is not shared by browsers and devices (section 2.1)", c.Kind != Public || len(c.SecretDigests) == 0, "make the client confidential, or drop its secret")
	check(ProfileOAuth21, "at most two secrets live, and one outside a rotation", len(c.SecretDigests) < 2, "rotate again once every instance has the new secret, which drops the old one")
	check(ProfileOAuth21, "the client asks only for what it is registered for (RFC 9700 section 2.3)", len(c.Scopes) > 0, "register the scopes that it needs")
	check(ProfileFAPI2, "the client is confidential (section 5.3.2.1)", c.Kind != Public, "move the code exchange to a server of yours")
	check(ProfileFAPI2, "the client proves itself with private_key_jwt or mTLS (section 5.3.2.1)", c.Settings.AuthMethod == AuthPrivateKeyJWT,
		"register token_endpoint_auth_method private_key_jwt with jwks or jwks_uri")
	check(ProfileFAPI2, "ID tokens are signed with PS256, ES256 or EdDSA (section 5.4)", !code || slices.Contains([]string{"PS256", "ES256", "EdDSA"}, c.Settings.IDTokenAlgorithm),
		"register id_token_signed_response_alg ES256, PS256 or EdDSA")
	check(ProfileFAPI2, "redirect URIs are https (section 5.3.2.2)", !slices.ContainsFunc(c.RedirectURIs, func(uri string) bool {
		u, err := url.Parse(uri)
		return err != nil || u.Scheme != "https"
	}), "register https addresses")
	check(ProfileFAPI2, "access tokens live ten minutes at most", c.Settings.TokenLifetime > 0 && c.Settings.TokenLifetime <= 10*time.Minute,
		"register token_lifetime 10m or less, unless every API it calls already says so")
	check(ProfileFAPI2, "access tokens are bound to their sender (section 5.3.2.1)", false, "not offered yet: tokens are bearer tokens of a few minutes")
	return points
}

// insecure reports a redirect URI that travels unprotected, or whose host the
// device's resolver decides.
func insecure(uri string) bool {
	u, err := url.Parse(uri)
	return err != nil || u.Scheme == "http" && u.Hostname() != "127.0.0.1" && u.Hostname() != "::1"
}
