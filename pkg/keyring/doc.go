// Package keyring keeps the keys that sign our tokens.
//
// It decides which key signs now, which keys verifiers must still see, when a
// key gives way to the next, and that a private key is never stored open. It
// refuses to know what is signed, and how a gateway is run beyond how long it
// caches.
//
// There is one ring for each algorithm: a current key that signs and a standby
// that is published already, so that a change never has to wait for gateways.
// A key lives through four states:
//
//		pending ──promoted──▶ active ──succeeded──▶ honoured ──HonourFor──▶ retired
//		   │                    │                      │                       ▲
//		   └──────retire────────┴──────emergency───────┴───────────────────────┘
//
//	  - pending: in the JWKS, does not sign. It may be promoted once it was
//	    published for Rules.PublishAhead, 24 hours by default; in an emergency
//	    after GatewayWindow, which is also the least that PublishAhead may be
//	    outside development. Only the very first keys wait for nothing, because
//	    nobody can hold an older key set.
//	  - active: signs. One for each algorithm, which an index of the table holds.
//	  - honoured: signs no more, stays in the JWKS for HonourFor: the longest token
//	    life plus GatewayWindow.
//	  - retired: in no JWKS; its private part is erased.
//
// A rotation promotes the standby. It comes Rules.RotateEvery after the last
// one, moved by up to slack so that it follows the metadata's next update; it
// never happens between a metadata update (or another trust file) and the end of
// the judgement of every credential under it. An emergency takes every key that
// has signed out of the JWKS at once and promotes the standby in the same act.
//
// Every change is one transaction under one lock, decided again inside by the
// same pure function (decide.go), so that replicas race to one outcome and a
// replica that dies leaves nothing half done.
//
// The database clock decides. A replica whose own clock is off by more than
// MaxSkew says so and changes nothing. What a replica publishes and signs with
// is a snapshot, swapped atomically: a request reads, decrypts and encodes
// nothing. Replicas learn of changes by LISTEN/NOTIFY and look once a minute. A
// snapshot that could not be confirmed for Lease is used no more, neither to
// publish nor to sign: so no replica signs with a key that another that still
// answers does not publish, and a withdrawn key leaves them all within Lease.
package keyring
