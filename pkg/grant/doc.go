// Package grant keeps what people give to clients: authorization requests,
// codes, grants and refresh tokens, and the clients themselves.
//
// It decides what may be used, once and by whom: every single-use thing is
// consumed by one guarded statement, inside the act that uses it, and the state
// of the person, the passkey and the grant is checked again at that moment. It
// refuses to know HTTP, tokens' signatures and the library that parses requests.
//
// An authorization request is one row from its opening to its code's redemption:
//
//	opened ──Bind──▶ bound ──IssueCode──▶ code issued ──Redeem──▶ redeemed
//
// It belongs to the browser that opened it: every step but the last, which the
// client takes, must come from there. A redeemed code makes a grant; a grant
// with offline access has a chain of refresh tokens, each spent once. A code or
// refresh token that comes a second time ends the grant (RFC 6749 section
// 4.1.2, RFC 9700 section 4.14.2).
//
// Secrets (request ids, codes, refresh tokens) are 256-bit random and stored as
// their SHA-256.
package grant
