package provider

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
)

// writeError answers a client directly with an OAuth error (RFC 6749 section
// 5.2). A fault is logged and told as server_error, no more.
func (p *Provider) writeError(w http.ResponseWriter, r *http.Request, err error) {
	code, description, status := p.explain(r, err)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	if status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", `Basic realm="`+p.options.Issuer+`"`)
	}
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": description})
}

// explain returns the OAuth code, the description and the status of an error.
// The description names our reason, so that developers find it in the docs.
func (p *Provider) explain(r *http.Request, err error) (code, description string, status int) {
	reason, ok := denial.ReasonOf(err)
	correlation := audit.OriginOf(r.Context()).Correlation
	if !ok {
		p.options.Logger.Error().Err(err).Str("correlation", correlation).Str("path", r.URL.Path).Msg("request failed")
		return "server_error", "something went wrong here; correlation " + correlation, http.StatusInternalServerError
	}
	p.options.Logger.Info().Str("reason", string(reason)).AnErr("detail", err).Str("correlation", correlation).Str("path", r.URL.Path).Msg("refused")
	return reason.OAuth(), strings.TrimSuffix(reason.Text().Sentence, ".") + " (" + string(reason) + ")", reason.Status()
}

// forLibrary turns our error into one that the library writes with our code and status.
func (p *Provider) forLibrary(r *http.Request, err error) error {
	code, description, status := p.explain(r, err)
	e := oidc.ErrInvalidRequest()
	switch code {
	case "invalid_client":
		e = oidc.ErrInvalidClient()
	case "invalid_grant":
		e = oidc.ErrInvalidGrant()
	case "invalid_scope":
		e = oidc.ErrInvalidScope()
	case "unauthorized_client":
		e = oidc.ErrUnauthorizedClient()
	case "unsupported_grant_type":
		e = oidc.ErrUnsupportedGrantType()
	case "invalid_target":
		e = &oidc.Error{ErrorType: "invalid_target"}
	case "authorization_pending":
		e = oidc.ErrAuthorizationPending()
	case "slow_down":
		e = oidc.ErrSlowDown()
	case "expired_token":
		e = oidc.ErrExpiredDeviceCode()
	case "access_denied":
		// Not an error of the token endpoint (RFC 6749 section 5.2), but for a device
		// (RFC 8628 section 3.5): a refused person or passkey voids the grant.
		e = oidc.ErrInvalidGrant()
		if denial.Is(err, denial.PersonDeclined) {
			e = oidc.ErrAccessDenied()
		}
	case "login_required":
		e = oidc.ErrInvalidGrant()
	case "server_error":
		e = oidc.ErrServerError()
	}
	if status == http.StatusForbidden {
		status = http.StatusBadRequest
	}
	if e.ErrorType == oidc.ErrInvalidGrant().ErrorType {
		status = http.StatusBadRequest
	}
	return op.NewStatusError(e.WithDescription("%s", description), status)
}
