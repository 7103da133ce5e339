// Package signin turns a proof into a session, and a session into the
// authentication that an authorization request is bound to.
//
// It decides who is signed in, in which browser and since when: sessions live
// in the database and can be revoked there; the cookie carries nothing but a
// random identifier, which changes at every sign-in. It refuses to know what
// the passkey's answer looks like (package passkey), what a client may have
// (grant) and how a page is drawn.
//
// Two cookies, both HttpOnly and SameSite=Lax, both named __Host- and Secure
// outside plain-http development:
//
//   - the browser binding: a random value, kept by us only as its SHA-256 in what
//     the browser started (ceremonies, authorization requests), so that nobody
//     else's browser can finish it;
//   - the session: the random identifier of a session row, wrapped by
//     gorilla/sessions.
package signin
