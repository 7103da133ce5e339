package gateway

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/apim/expr"
)

// maxDate bounds a NumericDate (the year 9999): beyond, time has no meaning.
const maxDate = 253402300799

// numericDate reads a claim as seconds since the epoch (RFC 7519 section 2).
// It reports false when the claim is absent or not one number.
func numericDate(jwt *expr.Jwt, name string) (float64, bool) {
	values := jwt.Claims[name]
	if len(values) != 1 {
		return 0, false
	}
	seconds, err := strconv.ParseFloat(values[0], 64)
	if err != nil || math.IsNaN(seconds) {
		return 0, false
	}
	return math.Max(-maxDate, math.Min(maxDate, seconds)), true
}

// lifetime checks exp and nbf. iat is not looked at, as in API Management.
func (v *validateJWT) lifetime(r *run, jwt *expr.Jwt) (*verdict, error) {
	skew, err := v.skew.integer(r)
	if err != nil {
		return nil, err
	}
	required, err := v.expiring.boolean(r)
	if err != nil {
		return nil, err
	}
	now := float64(r.now.UnixNano()) / 1e9
	expires, has := numericDate(jwt, "exp")
	starts, starting := numericDate(jwt, "nbf")
	_, written := jwt.Claims["exp"]
	switch {
	case !has && (required || written):
		return fail(apim.NoExpiry, "no exp", "exp"), nil
	case starting && has && starts > expires:
		return fail(apim.InvertedLifetime, "nbf "+stamp(starts)+", exp "+stamp(expires), "nbf before exp"), nil
	case starting && starts > now+float64(skew):
		f := apim.NotYetValid
		if starts-now < 5 {
			f.Hint = "The issuer's clock is a moment ahead; give the policy clock-skew=\"30\", or let the issuer leave out nbf."
		}
		return fail(f, "nbf "+stamp(starts), "not after "+stamp(now+float64(skew))), nil
	case has && expires < now-float64(skew):
		return fail(apim.Expired, "exp "+stamp(expires), "not before "+stamp(now-float64(skew))), nil
	}
	return nil, nil
}

// audience compares byte by byte: one that differs by a trailing slash, which
// the service may accept, is refused here.
func (v *validateJWT) audience(r *run, jwt *expr.Jwt) (*verdict, error) {
	if !v.checksAudience {
		return nil, nil
	}
	wanted, err := all(r, v.audiences)
	if err != nil {
		return nil, err
	}
	found := jwt.Claims["aud"]
	if slices.ContainsFunc(found, func(a string) bool { return slices.Contains(wanted, a) }) {
		return nil, nil
	}
	f := apim.WrongAudience
	if len(found) == 0 {
		f = apim.NoAudience
	}
	f.Message = "Claim value mismatch: aud=" + strings.Join(found, ",")
	_, nonce := jwt.Claims["nonce"]
	if _, client := jwt.Claims["client_id"]; nonce && !client {
		f.Hint = "This looks like an ID token: send the access token."
	}
	f.Hint = strings.TrimSpace(f.Hint + " " + nearly(found, wanted))
	return fail(f, strings.Join(found, ", "), strings.Join(wanted, " or ")), nil
}

// issuer compares byte by byte with the issuers of discovery and of the policy.
func (v *validateJWT) issuer(r *run, jwt *expr.Jwt, discovered []string) (*verdict, error) {
	listed, err := all(r, v.issuers)
	if err != nil {
		return nil, err
	}
	wanted := slices.Concat(discovered, listed)
	if len(v.source.configurations) == 0 && v.issuers == nil || slices.Contains(wanted, jwt.Issuer) && jwt.Issuer != "" {
		return nil, nil
	}
	f := apim.WrongIssuer
	if jwt.Issuer == "" {
		f = apim.NoIssuer
	}
	f.Hint = strings.TrimSpace(f.Hint + " " + nearly([]string{jwt.Issuer}, wanted))
	slices.Sort(wanted)
	return fail(f, jwt.Issuer, strings.Join(slices.Compact(wanted), " or ")), nil
}

// requiredClaim is one <claim> of required-claims.
type requiredClaim struct {
	name, match, separator value
	values                 []value
}

// required compares claims ordinally: with match all every value of the policy
// must be in the token, with any at least one.
func (v *validateJWT) required(r *run, jwt *expr.Jwt) (*verdict, error) {
	for _, c := range v.claims {
		parts, err := all(r, []value{c.name, c.match, c.separator})
		if err != nil {
			return nil, err
		}
		wanted, err := all(r, c.values)
		if err != nil {
			return nil, err
		}
		if parts[1] != "all" && parts[1] != "any" {
			return nil, fmt.Errorf("match %q is neither all nor any", parts[1])
		}
		if no := compare(jwt, parts[0], parts[1] == "any", parts[2], wanted); no != nil {
			return no, nil
		}
	}
	return nil, nil
}

func compare(jwt *expr.Jwt, name string, anyOf bool, separator string, wanted []string) *verdict {
	found, present := jwt.Claims[name]
	if !present {
		f := apim.ClaimMissing
		f.Message += ": " + name
		return fail(f, "no claim "+name, strings.Join(wanted, ", "))
	}
	if separator != "" {
		var parts []string
		for _, v := range found {
			parts = append(parts, strings.Split(v, separator)...)
		}
		found = parts
	}
	missing := slices.DeleteFunc(slices.Clone(wanted), func(w string) bool { return slices.Contains(found, w) })
	if len(missing) == 0 || anyOf && len(missing) < len(wanted) {
		return nil
	}
	f := apim.ClaimMismatch
	f.Message += ": " + name + "=" + strings.Join(found, ",") + "."
	f.Hint = claimHint(name, found, missing, separator)
	return fail(f, strings.Join(found, ", "), strings.Join(wanted, ", "))
}
