// Package admin speaks HTML to administrators: the console.
//
// It decides who is let into the console, which of its acts ask for a fresh
// sign-in, and how the state of an installation is told in sentences. It refuses
// to know how anything is done: each act is a method of the package that owns
// the thing, run in the record with the administrator as its actor.
//
// The door is the same for every address below /console, whether there is a page
// or not. It is judged afresh at each request, from the database:
//
//	no console in the trust file      → not found
//	nobody is signed in               → the sign-in page, and back
//	somebody who is no administrator  → not found
//	a weaker passkey, an old sign-in  → the sign-in page with the reason, and back
//	an act with consequences          → as above, with five minutes as the age
//
// Acts that go through this package's own transactions ask again inside them,
// one administrator at a time, so that somebody who was just removed cannot
// finish what they began, and two cannot remove each other.
//
// There is no script that anything depends on: an act is a link to a page that
// names the object and what will happen, and a form on it.
package admin
