package gateway

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/apim"
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
