package apim

// Failure is one way in which validate-jwt fails. Gateways do not use the
// words of their documentation: where words were observed, Reason and Message
// hold those, and Documented holds the documentation's reason.
// docs/apim-compatibility.md says how sure each is.
type Failure struct {
	// Reason and Message become context.LastError.
	Reason, Message string
	// Documented is the reason that the documentation names.
	Documented string
	// Body is the default message of the response.
	Body string
	// IDX is the validating library's code, as traces show it; "" where the
	// gateway, not the library, decides.
	IDX string
	// Hint says what a developer should do.
	Hint string
}

// The two default messages of a refusal's body.
const (
	bodyMissing = "JWT not present."
	bodyInvalid = "Invalid JWT."
)

// The failures of validate-jwt, in the order in which they are looked for.
var (
	TokenMissing     = Failure{"TokenNotPresent", "JWT not present.", "TokenNotPresent", bodyMissing, "", "Send the access token in the Authorization header, after the word Bearer."}
	TokenTooLong     = Failure{"JwtInvalid", "JWT is not well formed", "JwtInvalid", bodyInvalid, "IDX10209", "The token is longer than 250 KB: ask for fewer claims."}
	TokenMalformed   = Failure{"JwtInvalid", "JWT is not well formed", "JwtInvalid", bodyInvalid, "IDX12741", "Send the access token, not an authorization code or a refresh token."}
	TokenEncrypted   = Failure{"JwtInvalid", "JWT cannot be decrypted", "JwtInvalid", bodyInvalid, "IDX10609", "The token is encrypted and the policy has no key for it; ask the issuer for a signed token."}
	Unsigned         = Failure{"TokenInvalidSignature", "Signature validation failed. Token does not have a signature.", "TokenSignatureInvalid", bodyInvalid, "IDX10504", "Unsigned tokens are not accepted."}
	BadAlgorithm     = Failure{"TokenInvalidSignature", "Signature validation failed. The algorithm cannot be used with the key", "TokenSignatureInvalid", bodyInvalid, "IDX10634", "Use RS256, RS512, PS256 or ES256 with keys from discovery, HS256 or HS512 with an inline key."}
	NoMetadata       = Failure{"TokenSignatureKeyNotFound", "Unable to obtain configuration", "TokenSignatureKeyNotFound", bodyInvalid, "IDX20803", "The gateway cannot reach the issuer's discovery document or key set; it tries again after five minutes."}
	NoKeys           = Failure{"TokenSignatureKeyNotFound", "Signature validation failed. No security keys were provided", "TokenSignatureKeyNotFound", bodyInvalid, "IDX10500", "The issuer's key set holds no key that can verify; look at kty and use."}
	BadSignature     = Failure{"TokenInvalidSignature", "Signature validation failed", "TokenSignatureInvalid", bodyInvalid, "IDX10511", "The token was altered, or signed by someone else under a known key id."}
	KeyUnknown       = Failure{"TokenSignatureKeyNotFound", "Signature validation failed. Unable to match key", "TokenSignatureKeyNotFound", bodyInvalid, "IDX10503", "The key may be newer than the gateway's cache (an hour), or the token comes from another issuer."}
	KeyUnnamed       = Failure{"TokenSignatureKeyNotFound", "Signature validation failed. The token has no kid", "TokenSignatureKeyNotFound", bodyInvalid, "IDX10517", "No known key verifies the token, and its header names none."}
	NoExpiry         = Failure{"TokenExpired", "Lifetime validation failed. The token is missing an Expiration Time.", "TokenExpired", bodyInvalid, "IDX10225", "Tokens need exp."}
	InvertedLifetime = Failure{"TokenExpired", "Lifetime validation failed. NotBefore is after Expires", "TokenExpired", bodyInvalid, "IDX10224", "The issuer wrote an nbf that is later than exp."}
	NotYetValid      = Failure{"TokenInvalid", "Lifetime validation failed. The token is not yet valid", "TokenExpired", bodyInvalid, "IDX10222", "Compare the clocks of issuer and gateway, or give the policy a clock-skew."}
	Expired          = Failure{"TokenExpired", "Lifetime validation failed. The token is expired", "TokenExpired", bodyInvalid, "IDX10223", "Refresh the token."}
	NoAudience       = Failure{"TokenClaimValueMismatch", "Claim value mismatch: aud", "TokenAudienceNotAllowed", bodyInvalid, "IDX10206", "The token names no audience: ask the issuer for a token of this API, with the resource parameter."}
	WrongAudience    = Failure{"TokenClaimValueMismatch", "Claim value mismatch: aud", "TokenAudienceNotAllowed", bodyInvalid, "IDX10214", "Ask the issuer for a token of this API, with the resource parameter."}
	NoIssuer         = Failure{"TokenIssuerNotAllowed", "Issuer validation failed", "TokenIssuerNotAllowed", bodyInvalid, "IDX10211", "The token names no issuer."}
	WrongIssuer      = Failure{"TokenIssuerNotAllowed", "Issuer validation failed", "TokenIssuerNotAllowed", bodyInvalid, "IDX10205", "The token comes from another issuer, or the issuer differs in a slash, in case, in the port, or in http and https."}
	ClaimMissing     = Failure{"TokenClaimNotFound", "Claim not found", "TokenClaimNotFound", bodyInvalid, "", "The token lacks a claim that this API requires."}
	ClaimMismatch    = Failure{"TokenClaimValueMismatch", "Claim value mismatch", "TokenClaimValueNotAllowed", bodyInvalid, "", "The token does not show everything that this API requires."}
)

// Explanation says what a code of the validating library means.
type Explanation struct {
	// Code is the library's code, such as IDX10205.
	Code string
	// Meaning is what failed, Cause what usually lies behind it.
	Meaning, Cause string
}

// explanations are the codes that traces of API Management show.
var explanations = []Explanation{
	{"IDX10204", "no issuer is configured to compare with", "the policy has neither openid-config nor issuers"},
	{"IDX10205", "the issuer does not match", "tokens of another version or tenant, a trailing slash, a host name behind a proxy"},
	{"IDX10206", "the token has no audience", "an ID token or a token for another purpose was sent"},
	{"IDX10208", "no audience is configured to compare with", "the policy has no audiences"},
	{"IDX10209", "the token is longer than allowed", "too many claims"},
	{"IDX10211", "the token has no issuer", "the issuer leaves out iss"},
	{"IDX10214", "the audience does not match", "the ID token was sent as access token, or the resource was not asked for"},
	{"IDX10222", "the token is not yet valid", "nbf equals the time of issue and clock-skew is 0"},
	{"IDX10223", "the token has expired", "it was not refreshed"},
	{"IDX10224", "the token's nbf is later than its exp", "a fault of the issuer"},
	{"IDX10225", "the token has no expiry", "a test token without exp"},
	{"IDX10248", "the certificate of the key is not yet valid", "the issuer publishes x5c with a lifetime"},
	{"IDX10249", "the certificate of the key has expired", "the issuer publishes x5c with a lifetime"},
	{"IDX10500", "there are no keys to verify with", "an empty key set, or keys of kinds that are passed over"},
	{"IDX10501", "no key matches (older library)", "rotation, or the wrong discovery document"},
	{"IDX10503", "no key has the token's kid, and none verifies it", "rotation, or the wrong discovery document"},
	{"IDX10504", "the token is not signed", "alg none"},
	{"IDX10511", "the key with the token's kid does not verify it", "the token was altered, or a kid was reused for a new key"},
	{"IDX10517", "the token has no kid, and no key verifies it", "the token comes from another issuer"},
	{"IDX10603", "decryption failed", "the wrong decryption key"},
	{"IDX10609", "the token is encrypted and no key is configured", "the policy has no decryption-keys"},
	{"IDX10634", "the algorithm cannot be used with the key", "a certificate pasted as base64 key, or an algorithm of another family"},
	{"IDX10653", "the symmetric key is too short", "a demonstration secret of fewer than 128 bits"},
	{"IDX10720", "the symmetric key is too short for the algorithm", "a demonstration secret"},
	{"IDX12709", "this is not a JWT", "an opaque token was sent"},
	{"IDX12723", "a segment is not base64url JSON", "the token was cut or altered"},
	{"IDX12729", "the header cannot be decoded", "the token was cut or altered"},
	{"IDX12741", "a JWT has three segments, an encrypted one five", "an opaque token was sent"},
	{"IDX14120", "a JWT has at least two dots", "an opaque token was sent"},
	{"IDX20108", "metadata must be fetched over https", "a local issuer"},
	{"IDX20803", "the discovery document could not be obtained", "DNS, a private network, the TLS chain"},
	{"IDX20804", "a document could not be retrieved", "DNS, a private network, the TLS chain"},
	{"IDX20807", "a document was answered with an error status", "the address leads elsewhere"},
}

// Explain says what a code of the validating library means; it reports false
// for a code that is not known to come from validate-jwt.
func Explain(code string) (Explanation, bool) {
	for _, e := range explanations {
		if e.Code == code {
			return e, true
		}
	}
	return Explanation{}, false
}
