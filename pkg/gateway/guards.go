package gateway

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// compileCheckHeader compiles check-header: the header must be there and, when
// values are listed, equal one of them.
func compileCheckHeader(c *compiler, e apim.Element, p *policy) {
	name, status := c.attribute(e, "name", ""), c.attribute(e, "failed-check-httpcode", "")
	message, ignoreCase := c.attribute(e, "failed-check-error-message", ""), c.attribute(e, "ignore-case", "false")
	values := c.texts(e, "value")
	note := *p
	p.act = func(r *run) error {
		header, err := name.text(r)
		if err != nil {
			return err
		}
		wanted, err := all(r, values)
		if err != nil {
			return err
		}
		folded, err := ignoreCase.boolean(r)
		if err != nil {
			return err
		}
		found := r.request.header.Values(header)
		text := strings.Join(found, ",")
		if len(found) > 0 && (len(wanted) == 0 || slices.ContainsFunc(wanted, func(w string) bool { return w == text || folded && strings.EqualFold(w, text) })) {
			note.note(r, resultPassed, "header "+header+" is as wanted")
			return nil
		}
		f := refused(0, "HeaderValueNotAllowed", "Header "+header+" value is not allowed. Access denied.", "")
		if len(found) == 0 {
			f = refused(0, "HeaderNotFound", "Header "+header+" was not found in the request. Access denied.", "")
		}
		note.note(r, resultFailed, f.Message)
		if f.status, err = status.statusCode(r); err != nil {
			return err
		}
		if f.message, err = message.text(r); err != nil {
			return err
		}
		if f.message == "" {
			f.message = f.Message
		}
		return f
	}
}

// compileIPFilter compiles ip-filter over the address of the connection.
func compileIPFilter(c *compiler, e apim.Element, p *policy) {
	type span struct{ from, to netip.Addr }
	var spans []span
	address := func(at apim.Element, text string) netip.Addr {
		a, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			c.fault(at, "%q is not an IP address", text)
		}
		return a.Unmap()
	}
	for _, child := range e.Children {
		s := span{}
		if child.Name == "address" {
			s.from = address(child, child.Text)
			s.to = s.from
		} else {
			s.from, s.to = address(child, child.Value("from")), address(child, child.Value("to"))
		}
		if s.from.BitLen() != s.to.BitLen() || s.to.Less(s.from) {
			c.fault(child, "the range is empty")
		}
		spans = append(spans, s)
	}
	action := e.Value("action")
	if apim.IsExpression(action) {
		c.fault(e, "an action that is an expression is not implemented by this gateway")
	}
	note := *p
	p.act = func(r *run) error {
		caller, err := netip.ParseAddr(r.remote)
		if err != nil {
			return refused(http.StatusForbidden, "FailedToParseCallerIP", "Failed to establish IP address for the caller. Access denied.", "Failed to establish IP address for the caller. Access denied.")
		}
		caller = caller.Unmap().WithZone("")
		listed := slices.ContainsFunc(spans, func(s span) bool {
			return s.from.BitLen() == caller.BitLen() && !caller.Less(s.from) && !s.to.Less(caller)
		})
		reason, message := "CallerIpNotAllowed", fmt.Sprintf("Caller IP address %s is not allowed. Access denied.", caller)
		if action == "forbid" {
			reason, message = "CallerIpBlocked", "Caller IP address is blocked. Access denied."
		}
		if listed == (action == "allow") {
			note.note(r, resultPassed, "the caller's address may call")
			return nil
		}
		note.note(r, resultFailed, message)
		return refused(http.StatusForbidden, reason, message, message)
	}
}

// The header and query parameter of the subscription key.
const (
	subscriptionHeader = "Ocp-Apim-Subscription-Key"
	subscriptionQuery  = "subscription-key"
)

// subscribed checks the subscription key of an API that requires one, before
// any policy runs. The query is looked at only when there is no header.
func (r *run) subscribed() bool {
	if !r.api.SubscriptionRequired {
		return true
	}
	key := r.request.header.Get(subscriptionHeader)
	if key == "" {
		key = r.client.URL.Query().Get(subscriptionQuery)
	}
	digest := secret.Of(key).Digest()
	known := 0
	for _, k := range r.gateway.keys {
		known |= subtle.ConstantTimeCompare(k, digest)
	}
	switch {
	case key == "":
		r.refuse("authorization", "SubscriptionKeyNotFound", http.StatusUnauthorized, "Access denied due to missing subscription key. Make sure to include subscription key when making requests to an API.")
	case known == 0:
		r.refuse("authorization", "SubscriptionKeyInvalid", http.StatusUnauthorized, "Access denied due to invalid subscription key. Make sure to provide a valid key for an active subscription.")
	default:
		return true
	}
	realm := url.URL{Scheme: "http", Host: r.client.Host, Path: r.api.Path}
	r.response.header.Set("WWW-Authenticate", fmt.Sprintf(`AzureApiManagementKey realm=%q,name=%q,type="header"`, realm.String(), subscriptionHeader))
	return false
}
