package frontend

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/signin"
)

// administers reports whether a person may use the console, as far as who they
// are decides it.
func (f *Frontend) administers(u account.User) bool {
	c := f.options.Trust().Console
	return c != nil && slices.Contains(u.Groups, c.Group)
}

// consolePath returns where in the console a sign-in may lead, made anew from the
// parts that were looked at, or "". It is the only address that a sign-in page
// takes from its own address, so nobody's link leads elsewhere.
func (f *Frontend) consolePath(text string) string {
	u, err := url.Parse(text)
	if err != nil || f.options.Trust().Console == nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" ||
		u.Path != path.Clean(u.Path) || u.Path != "/console" && !strings.HasPrefix(u.Path, "/console/") ||
		strings.ContainsFunc(u.Path, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return ""
	}
	return (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}).String()
}

// consoleAsks says in words why the console sent somebody here.
func (f *Frontend) consoleAsks(r *http.Request) (string, error) {
	c := f.options.Trust().Console
	kind := f.kindOf(c.Level)
	if kind == "" {
		kind = "a passkey"
	}
	session, signedIn, err := f.session(r)
	if err != nil || !signedIn {
		return "It asks for " + kind + ".", err
	}
	switch now := f.options.Now(); session.Lacks(c.Level, c.MaxAge, now) {
	case signin.LackLevel:
		return "The passkey that you used is not of the kind it asks for: " + kind + ".", nil
	case signin.LackAge:
		return fmt.Sprintf("Your sign-in is %d minutes old. It asks you to sign in anew after %d, with %s.",
			int(now.Sub(session.Authentication.AuthTime)/time.Minute), int(c.MaxAge/time.Minute), kind), nil
	}
	return "What you are about to do has consequences for others, so it asks for a sign-in of the last five minutes.", nil
}
