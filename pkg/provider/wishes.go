package provider

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/grant"
)

// maxClaims bounds the claims parameter, in bytes.
const maxClaims = 4 << 10

// wish is what a client says about one claim (OpenID Connect Core section 5.5.1).
type wish struct {
	Essential bool              `json:"essential"`
	Value     json.RawMessage   `json:"value"`
	Values    []json.RawMessage `json:"values"`
}

// texts are the values that are strings; the claims that we look at have no others.
func (w *wish) texts() []string {
	if w == nil {
		return nil
	}
	var all []string
	for _, value := range append(w.Values, w.Value) {
		var text string
		if json.Unmarshal(value, &text) == nil && text != "" {
			all = append(all, text)
		}
	}
	return all
}

// scopeOf says which scope brings a claim that may be asked for by name.
var scopeOf = map[string]string{"name": "profile", "preferred_username": "profile",
	"given_name": "profile", "family_name": "profile", "middle_name": "profile", "nickname": "profile", "profile": "profile", "picture": "profile", "website": "profile",
	"gender": "profile", "birthdate": "profile", "zoneinfo": "profile", "locale": "profile", "updated_at": "profile",
	"email": "email", "email_verified": "email", "phone_number": "phone", "phone_number_verified": "phone", "address": "address",
	string(claim.Attestation): "authenticator", string(claim.AAGUID): "authenticator", string(claim.Model): "authenticator"}

// wishes reads acr_values and the claims parameter (OpenID Connect Core sections
// 3.1.2.1 and 5.5). Levels that the trust file knows are binding, whether they
// were asked for as essential or not: no answer comes with a weaker acr. Levels
// that nobody knows are passed over when voluntary; when essential, and none of
// them is known, the request cannot be met. A sub that is asked for, and a hint,
// are kept with the request: see expects.
func (p *Provider) wishes(form url.Values, client grant.Client, o *grant.OpenParams) error {
	// Who gets a token for userinfo asks there about e-mail, telephone and address
	// (OpenID Connect Core section 5.4); others can only be told by the ID token.
	for _, s := range o.Scopes {
		if o.Audience != p.userinfoAudience() || !slices.Contains([]string{"email", "phone", "address"}, s) {
			o.IDTokenScopes = append(o.IDTokenScopes, s)
		}
	}
	asked := strings.Fields(form.Get("acr_values"))
	essential, subject := false, ""
	if text := form.Get("claims"); text != "" {
		var in struct {
			IDToken  map[string]*wish `json:"id_token"`
			Userinfo map[string]*wish `json:"userinfo"`
		}
		if len(text) > maxClaims || json.Unmarshal([]byte(text), &in) != nil {
			return denial.New(denial.ClaimsInvalid, "%d bytes", len(text))
		}
		if levels := in.IDToken["acr"].texts(); len(levels) > 0 {
			asked, essential = levels, in.IDToken["acr"].Essential
		}
		for i, wanted := range []map[string]*wish{in.IDToken, in.Userinfo} {
			if one := wanted["sub"].texts(); len(one) > 0 {
				if len(one) > 1 || subject != "" && subject != one[0] {
					return denial.New(denial.ClaimsInvalid, "more than one sub")
				}
				subject = one[0]
			}
			for name := range wanted {
				s := scopeOf[name]
				if s == "" || !client.AllowsScope(s) {
					continue
				}
				if !slices.Contains(o.Scopes, s) {
					o.Scopes = append(o.Scopes, s)
				}
				if i == 0 && !slices.Contains(o.IDTokenScopes, s) {
					o.IDTokenScopes = append(o.IDTokenScopes, s)
				}
			}
		}
	}
	for _, level := range asked {
		if p.options.Trust().FactsOf(level) != nil && !slices.Contains(o.ACRValues, level) {
			o.ACRValues = append(o.ACRValues, level)
		}
	}
	if essential && len(o.ACRValues) == 0 {
		return denial.New(denial.LevelUnmet, "acr %.200q", asked)
	}
	return p.expects(o, form.Get("id_token_hint"), subject)
}
