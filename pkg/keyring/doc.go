// Package keyring keeps the keys that sign our tokens.
//
// It decides which key signs now, which keys verifiers must still see, and that
// a private key is never stored open. It refuses to know what is signed.
//
// A key lives through four states, each reached by the clock alone:
//
//		pending ──activates_at──▶ active ──honoured_at──▶ honoured ──retires_at──▶ retired
//
//	  - pending: published in the JWKS, does not sign yet, so that every gateway
//	    has fetched it before the first token that names it. The wait is
//	    Options.PublishAhead; only the first key of an algorithm has none,
//	    because nobody can hold an older key set.
//	  - active: signs. Of several, the one activated last.
//	  - honoured: signs no more, stays published for the longest token life plus
//	    the time gateways cache a key set (Options.HonourFor).
//	  - retired: published no more.
//
// The database clock decides, so that replicas agree. Signers and the JWKS are
// built when keys change and swapped atomically: signing reads nothing, decrypts
// nothing and parses nothing. Replicas learn of changes by LISTEN/NOTIFY, and
// poll in case a notification is lost.
package keyring
