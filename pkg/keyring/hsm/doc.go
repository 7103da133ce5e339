// Package hsm seals signing keys under a key that never leaves a hardware
// security module.
//
// It decides how a PKCS #11 URI (RFC 7512) names the module, the token and the
// key, and that the key is AES and works in GCM mode with the signing key's id
// as additional data. It refuses to know what it seals: package keyring does.
//
// Modules are C libraries, so this package works in binaries built with cgo
// alone; in others Open says so (ADR 11).
package hsm
