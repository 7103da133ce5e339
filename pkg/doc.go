// Package pkg is the map of the house; it holds no code but the tests that keep
// its rules.
//
// Floors, from the ground up; a package imports only lower floors, and a child
// may import its parent:
//
//	0 vocabulary   claim denial secret
//	1 ground       trust postgres (postgres/private postgres/pgtest)
//	2 record       audit (audit/record)
//	3 nouns        account keyring grant attest (attest/mds)
//	4              passkey (passkey/passkeytest)
//	5 stories      signin fleet
//	6 edges        provider frontend admin evidence apim (apim/expr)
//	7              gateway
//	8              server sandbox
//
// Foreign vocabularies have doors: zitadel/oidc in provider, go-webauthn in
// passkey, gorilla/sessions in signin, html/template in frontend and admin, pgx in
// postgres and where tables are owned. Each table has one owner, named in its
// comment; only the owner writes to it.
package pkg
