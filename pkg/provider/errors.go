package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
)

// returnAddress is where an authorization response goes: a redirect URI that
// was found registered for the client, and the client's state. Only
// registeredAddress makes one.
type returnAddress struct{ uri, state string }

// url returns the address with the response's parameters (RFC 6749 sections
// 4.1.2 and 4.1.2.1), the state and the issuer (RFC 9207) added to whatever
// query was registered.
func (a returnAddress) url(issuer string, response url.Values) string {
	if a.state != "" {
		response.Set("state", a.state)
	}
	response.Set("iss", issuer)
	separator := "?"
	if strings.Contains(a.uri, "?") {
		separator = "&"
	}
	return a.uri + separator + response.Encode()
}

// redirected is an error that the client is told, at its registered address.
// Every other error of a browser endpoint is shown to the person.
type redirected struct {
	to  returnAddress
	err error
}

func (e *redirected) Error() string { return e.err.Error() }
func (e *redirected) Unwrap() error { return e.err }

// tell turns the error of a browser endpoint into a redirect or a page.
func (p *Provider) tell(w http.ResponseWriter, r *http.Request, err error) {
	reason, denied := denial.ReasonOf(err)
	var e *redirected
	if !errors.As(err, &e) {
		p.ShowError(w, r, err)
		return
	}
	response := url.Values{"error": {"server_error"}}
	if denied {
		response = url.Values{"error": {reason.OAuth()}, "error_description": {describe(reason)}}
	} else {
		p.logFault(r.Context(), err)
	}
	seeOther(w, e.to.url(p.Issuer, response))
}

// seeOther sends the browser on with a GET (RFC 9700 section 4.12).
func seeOther(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
}

// describe is the error_description of a reason: its stable name, and what it
// means in words that anybody may read.
func describe(reason denial.Reason) string { return string(reason) + ": " + reason.Text().Sentence }

// tokenErrors are the codes that the token and revocation endpoints may answer
// (RFC 6749 section 5.2, RFC 8707 section 2). Any other refusal there means
// that the grant is not good for a token, which is invalid_grant.
var tokenErrors = map[string]func() *oidc.Error{
	"invalid_request":        oidc.ErrInvalidRequest,
	"invalid_client":         oidc.ErrInvalidClient,
	"invalid_grant":          oidc.ErrInvalidGrant,
	"unauthorized_client":    oidc.ErrUnauthorizedClient,
	"unsupported_grant_type": oidc.ErrUnsupportedGrantType,
	"invalid_scope":          oidc.ErrInvalidScope,
	"invalid_target":         oidc.ErrInvalidTarget,
}

// refuse turns an error of a token, revocation or userinfo request into one
// that the library writes. A fault is logged here and told to nobody in detail.
func (p *Provider) refuse(ctx context.Context, err error) error {
	reason, denied := denial.ReasonOf(err)
	if !denied {
		p.logFault(ctx, err)
		return op.NewStatusError(oidc.ErrServerError(), http.StatusInternalServerError)
	}
	e, status := tokenError(reason)
	return op.NewStatusError(e, status)
}

// tokenError translates a reason.
func tokenError(reason denial.Reason) (*oidc.Error, int) {
	status := http.StatusBadRequest
	var e *oidc.Error
	switch known, ok := tokenErrors[reason.OAuth()]; {
	case reason == denial.TokenInvalid:
		e, status = &oidc.Error{ErrorType: "invalid_token"}, http.StatusUnauthorized
	case ok:
		e = known()
	default:
		e = oidc.ErrInvalidGrant()
	}
	switch reason {
	case denial.ClientAuthentication:
		status = http.StatusUnauthorized
	case denial.RequestTooLarge:
		status = http.StatusRequestEntityTooLarge
	}
	return e.WithDescription("%s", describe(reason)), status
}

// writeError answers a denial of the guard, before the library is asked.
func writeError(w http.ResponseWriter, err error) {
	reason, ok := denial.ReasonOf(err)
	if !ok {
		reason = denial.RequestMalformed
	}
	e, status := tokenError(reason)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(e) // the peer may be gone
}

// logFault tells the operators.
func (p *Provider) logFault(ctx context.Context, err error) {
	p.Logger.Error().Err(err).Str("correlation", audit.OriginOf(ctx).Correlation).Msg("provider: a request failed")
}
