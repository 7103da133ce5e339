package apim

// Failure is one way in which validate-jwt fails, with the words that gateways
// were observed to use. docs/apim-compatibility.md says how sure each is.
type Failure struct {
	// Reason and Message become context.LastError.
	Reason, Message string
	// Body is the default message of the response.
	Body string
	// IDX is the library's code, as traces show it.
	IDX string
	// Hint says what a developer should do.
	Hint string
}

const (
	bodyMissing = "JWT not present."
	bodyInvalid = "Invalid JWT."
)

// The failures of validate-jwt, in the order in which they are looked for.
var (
	TokenMissing   = Failure{"TokenNotPresent", "JWT not present.", bodyMissing, "", "Send the access token in the Authorization header, after the word Bearer."}
	TokenMalformed = Failure{"JwtInvalid", "JWT is not well formed", bodyInvalid, "IDX12741", "Send the access token, not an authorization code or a refresh token."}
	KeyUnknown     = Failure{"TokenSignatureKeyNotFound", "Signature validation failed. Unable to match key", bodyInvalid, "IDX10503", "The key may be newer than the gateway's cache, or the token may come from another issuer."}
	BadSignature   = Failure{"TokenInvalidSignature", "Signature validation failed", bodyInvalid, "IDX10511", "The token was altered or signed by someone else."}
	Unsigned       = Failure{"TokenInvalidSignature", "Signature validation failed. Token does not have a signature.", bodyInvalid, "IDX10504", "Unsigned tokens are never accepted."}
	BadAlgorithm   = Failure{"TokenInvalidSignature", "Signature validation failed. The algorithm cannot be used with the key", bodyInvalid, "IDX10634", "Use RS256, RS512, PS256 or ES256."}
	NoExpiry       = Failure{"TokenExpired", "Lifetime validation failed. The token is missing an Expiration Time.", bodyInvalid, "IDX10225", "Tokens need exp."}
	Expired        = Failure{"TokenExpired", "Lifetime validation failed. The token is expired", bodyInvalid, "IDX10223", "Refresh the token."}
	NotYetValid    = Failure{"TokenInvalid", "Lifetime validation failed. The token is not yet valid", bodyInvalid, "IDX10222", "Compare the clocks of issuer and gateway."}
	WrongAudience  = Failure{"TokenClaimValueMismatch", "Claim value mismatch: aud", bodyInvalid, "IDX10214", "Ask the issuer for a token of this API, with the resource parameter."}
	WrongIssuer    = Failure{"TokenIssuerNotAllowed", "Issuer validation failed", bodyInvalid, "IDX10205", "The token comes from another issuer, or the issuer differs in a slash, a port or http and https."}
	ClaimMissing   = Failure{"TokenClaimNotFound", "Claim not found", bodyInvalid, "", "The token lacks a claim that this API requires."}
	ClaimMismatch  = Failure{"TokenClaimValueMismatch", "Claim value mismatch", bodyInvalid, "", "The token does not show everything that this API requires."}
	NoMetadata     = Failure{"TokenSignatureKeyNotFound", "Unable to obtain configuration", bodyInvalid, "IDX20803", "The gateway cannot reach the issuer's discovery document or key set."}
)
