// Package trust reads the trust file: the trust boundaries, written once.
//
// It decides what the file may say: assurance levels and the facts behind
// them, the APIs with their audience, scopes and requirements, and the clients
// that the operator declares. It has three readers: the sign-in judges people's
// authenticators by its levels, the provider issues tokens for its APIs, and
// the policy renderer turns its requirements into gateway policies. It refuses
// to know how any of them works.
//
// A faulty file is refused whole, with every fault named by line and key, so
// that nobody enforces half of what was written.
package trust
