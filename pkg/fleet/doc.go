// Package fleet watches what all enrolled authenticators together are worth.
//
// It decides what follows when the world changes: a new metadata BLOB, another
// trust file or a new day has every stored credential judged again, takes
// facts and levels away, suspends where the trust file says so, ends the access
// that rested on what was lost, and tells the owner. It tells beforehand what
// such a change would do. It keeps the trust file in force. It refuses to know
// how one authenticator is judged (package attest) and how a level is defined
// (package trust).
//
// One replica judges at a time, in batches, and writes down how far it came, so
// that another goes on where it stopped:
//
//	BLOB or trust file changes → every replica is kicked → one takes the lock →
//	batch: read, judge on all cores → one act for each credential that changed:
//	facts, suspension, grants, notice, entry → where we are → next batch
package fleet
