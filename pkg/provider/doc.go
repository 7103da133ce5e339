// Package provider speaks OpenID Connect and OAuth 2.0 with clients.
//
// It decides how a protocol message is read, which answer a fact becomes on the
// wire, and what a token says. It refuses to know how a person proves
// themselves (package signin), what is single-use (grant) and which key signs
// (keyring): its methods translate, and the decisions are made there.
//
// Three layers, from the outside in:
//
//   - the router and the guard are ours: one method and content type per
//     endpoint, no parameter twice (RFC 6749 section 3.1), bounded sizes,
//     headers, CORS, and everything that touches a browser (the authorization
//     endpoint, its callback, the end of a session);
//   - behind them, zitadel/oidc parses token, revocation and userinfo requests
//     and calls the methods of server, our op.Server. Nothing of op.Provider,
//     op.Storage and LegacyServer is used: a method here is one transaction;
//   - metadata and keys are served from memory.
//
// At the authorization endpoint an error is either shown to the person or
// redirected to the client, and its type says which: until the client and the
// redirect URI are validated there is no address to redirect to, so no code
// path can redirect to one that nobody registered.
//
// docs/divergences.md lists by section where we depart from the specifications.
package provider
