// Package sandbox is an issuer that makes wrong tokens on purpose, for the
// playground's token bench.
//
// It decides which flaws a token can have and how each looks, and asks the local
// gateway what its policies would do with any token:
//
//	flaws → token, signed with a key of this process alone → curl → refused, for exactly that
//	any token → every operation's policies, without a call → which check failed, and why
//
// It refuses to sign with the provider's keys or in the provider's name: its
// issuer is another, its key is made at start and never written, and only APIs
// that a gateway was given for it believe it. It stands above the server, so that
// no server can hold it; development hands it over from outside. Tokens that it
// is shown are neither kept nor logged.
package sandbox
