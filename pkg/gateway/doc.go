// Package gateway runs policy documents in front of an API, as API Management
// does, on a laptop and in tests.
//
// It decides what happens to a request from the policy files alone: the file
// that ships is the file under test. What it does not implement it refuses when
// the policies are loaded, with file, line and reason; nothing is ignored. It
// refuses to know the issuer's database, keys and people: it sees discovery and
// tokens, like any gateway. docs/apim-compatibility.md says what it proves and
// what it cannot.
//
//	request → API and operation → inbound → backend → outbound → response
//	                                 any failure → on-error → response
package gateway
