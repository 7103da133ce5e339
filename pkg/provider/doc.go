// Package provider speaks OpenID Connect and OAuth 2.
//
// It decides how requests are read and answers written: what is shown to the
// person and what is redirected to a client, which errors and headers a client
// sees, what discovery says. It translates between the protocol and our nouns
// and refuses to decide who may have what: package grant redeems, package
// signin knows who is signed in.
//
// github.com/zitadel/oidc lives and ends here. Its token and revocation
// endpoints serve our op.Server; the authorization endpoint, userinfo, discovery
// and logout are ours, because the library cannot tell a page from a redirect
// there and hides the browser's cookies. A guard stands before every endpoint:
// methods, content types, sizes and repeated parameters are settled before
// anything is parsed for meaning.
package provider
