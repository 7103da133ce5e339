package trust

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	// defaultTokenLifetime is short because gateways cannot ask whether a token was revoked.
	defaultTokenLifetime = 5 * time.Minute
	minTokenLifetime     = time.Minute
	maxTokenLifetime     = time.Hour
	// maxMaxAge bounds a maximum age of auth_time: beyond a month it protects nothing.
	maxMaxAge = 31 * 24 * time.Hour
)

// identityScopes are the scopes that belong to no API.
var identityScopes = []string{"openid", "profile", "email", "phone", "address", "offline_access", "authenticator"}

// IdentityScopes returns the scopes that belong to no API: those of OpenID
// Connect Core sections 5.4 and 11, and authenticator.
func IdentityScopes() []string { return slices.Clone(identityScopes) }

var (
	identifierForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)
	// scopeForm is the scope-token of RFC 6749 section 3.3.
	scopeForm = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`)
	mountForm = regexp.MustCompile(`^/([A-Za-z0-9._~{}-]+(/[A-Za-z0-9._~{}-]+)*)?$`)
)

func anything(text string) string {
	if strings.TrimSpace(text) == "" {
		return "is empty"
	}
	return ""
}

func identifier(text string) string {
	if !identifierForm.MatchString(text) {
		return "must be lower-case letters, digits, dots, hyphens and underscores"
	}
	return ""
}

func scopeToken(text string) string {
	if !scopeForm.MatchString(text) {
		return "is not a scope token (RFC 6749 section 3.3)"
	}
	return ""
}

func mountPath(text string) string {
	if !mountForm.MatchString(text) || strings.Contains(text, "/..") || strings.Contains(text, "/./") {
		return "must be an absolute path without trailing slash"
	}
	return ""
}

func oneOf(words ...string) func(string) string {
	return func(text string) string {
		if !slices.Contains(words, text) {
			return fmt.Sprintf("is not one of %s%s", strings.Join(words, ", "), suggestion(text, words))
		}
		return ""
	}
}

// audience accepts an absolute URI without trailing slash and fragment
// (RFC 8707 section 2), because policies compare it byte by byte.
func audience(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "" || u.Fragment != "" || strings.HasSuffix(text, "/") {
		return "must be an absolute URI without trailing slash and fragment"
	}
	return ""
}

func httpURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.Fragment != "" {
		return "must be an http or https URL"
	}
	return ""
}

func origin(text string) string {
	u, err := url.Parse(text)
	if err != nil || httpURL(text) != "" || u.Path != "" || u.RawQuery != "" || text != strings.ToLower(text) {
		return "must be an origin such as https://portal.example"
	}
	return ""
}

// issuer accepts an issuer identifier (RFC 8414 section 2).
func issuer(text string) string {
	u, err := url.Parse(text)
	if err != nil || httpURL(text) != "" || u.RawQuery != "" || strings.HasSuffix(text, "/") || u.Host != strings.ToLower(u.Host) {
		return "must be an issuer such as https://login.example or https://login.example/tenant"
	}
	return ""
}

// CheckRedirectURI returns an error that says why a redirect URI may not be
// registered, by the trust file's own rule, or nil.
func CheckRedirectURI(uri string) error {
	if wrong := redirectURI(uri); wrong != "" {
		return fmt.Errorf("redirect URI %q %s", uri, wrong)
	}
	return nil
}

// CheckRemoteURL returns an error that says why a client's own address may not be
// registered, by the trust file's rule, or nil.
func CheckRemoteURL(uri string) error {
	if wrong := remoteURL(uri); wrong != "" {
		return fmt.Errorf("address %q %s", uri, wrong)
	}
	return nil
}

// redirectURI accepts what may be registered (RFC 9700 section 4.1.1): https,
// http on a loopback host (RFC 8252 section 7.3), or a private-use scheme with
// a dot (RFC 8252 section 7.1). No fragment, no userinfo, no wildcard.
func redirectURI(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Fragment != "" || strings.Contains(text, "#") || u.User != nil || strings.ContainsAny(text, "*\\ ") {
		return "must be an absolute URI without userinfo, fragment and wildcard"
	}
	switch {
	case u.Scheme == "https" && u.Host != "":
		return ""
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return ""
	case strings.Contains(u.Scheme, "."):
		return ""
	}
	return "must be https, http on a loopback host, or a private-use scheme with a dot"
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// crossCheck holds what must fit together across the file.
func (r *reader) crossCheck(n *yaml.Node, t *Trust) {
	levels := make([]string, len(t.Levels))
	for i, l := range t.Levels {
		levels[i] = l.Name
	}
	for _, u := range r.levelUses {
		if !slices.Contains(levels, u.name) {
			r.fault(u.node, u.at, "unknown level %q%s", u.name, suggestion(u.name, levels))
		}
	}
	scopes := IdentityScopes()
	apis := make([]string, 0, len(t.APIs))
	paths, audiences := map[string]string{}, map[string]string{}
	for _, a := range t.APIs {
		at := "apis." + a.Name
		if slices.Contains(apis, a.Name) {
			r.fault(n, at, "two APIs have this name")
		}
		if other, ok := paths[a.Path]; ok {
			r.fault(n, at+".path", "%q is also the path of %s", a.Path, other)
		}
		if other, ok := audiences[a.Audience]; ok {
			r.fault(n, at+".audience", "%q is also the audience of %s", a.Audience, other)
		}
		paths[a.Path], audiences[a.Audience] = a.Name, a.Name
		apis = append(apis, a.Name)
		own := make([]string, len(a.Scopes))
		for i, s := range a.Scopes {
			if slices.Contains(identityScopes, s.Name) {
				r.fault(n, at+".scopes", "%q is an identity scope", s.Name)
			}
			own[i] = s.Name
		}
		scopes = append(scopes, own...)
		required := slices.Clone(a.Require.Scopes)
		names := map[string]bool{}
		for _, o := range a.Operations {
			required = append(required, o.Require.Scopes...)
			if names[o.Name] {
				r.fault(n, at+".operations", "two operations are named %q", o.Name)
			}
			names[o.Name] = true
		}
		for _, s := range required {
			if !slices.Contains(own, s) {
				r.fault(n, at+".require.scopes", "%q is not a scope of this API%s", s, suggestion(s, own))
			}
		}
	}
	r.checkClients(n, t, scopes, apis)
}

// checkClients holds what each client's declaration must fit.
func (r *reader) checkClients(n *yaml.Node, t *Trust, scopes, apis []string) {
	seen := map[string]bool{}
	for _, c := range t.Clients {
		at := "clients." + c.ID
		if seen[c.ID] {
			r.fault(n, at, "two clients have this id")
		}
		seen[c.ID] = true
		for _, s := range c.Scopes {
			if !slices.Contains(scopes, s) {
				r.fault(n, at+".scopes", "unknown scope %q%s", s, suggestion(s, scopes))
			}
		}
		for _, a := range append(slices.Clone(c.Serves), c.APIs...) {
			if !slices.Contains(apis, a) {
				r.fault(n, at+".apis", "unknown API %q%s", a, suggestion(a, apis))
			}
		}
		code := slices.Contains(c.GrantTypes, "authorization_code")
		app := slices.Contains(c.GrantTypes, "client_credentials")
		switch {
		case c.Kind == "workload" && (code || !app || len(c.RedirectURIs) > 0):
			r.fault(n, at+".grant_types", "a workload has client_credentials alone (and token exchange) and no redirect URIs")
		case c.Kind == "public" && slices.Contains(c.GrantTypes, "urn:ietf:params:oauth:grant-type:token-exchange"):
			r.fault(n, at+".grant_types", "token exchange needs a client that proves itself")
		case c.Kind != "workload" && app:
			r.fault(n, at+".grant_types", "client_credentials is for kind workload")
		case code && len(c.RedirectURIs) == 0:
			r.fault(n, at+".redirect_uris", "authorization_code needs at least one")
		}
	}
	for _, a := range t.APIs {
		for _, id := range a.Automation {
			if !seen[id] {
				r.fault(n, "apis."+a.Name+".automation", "unknown client %q", id)
			}
		}
	}
}
