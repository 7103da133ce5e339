// Package independent lets others judge the record: a verifier, a witness and an
// object store that we did not write.
//
// It decides whether what we call a checkpoint, a proof, a tile and an anchor is
// that to them as well. It is a module of its own, so that nothing of theirs is
// linked into Touchstone or stands in its list of dependencies.
package independent
