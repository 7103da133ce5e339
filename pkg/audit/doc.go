// Package audit is the record, and the only way to act.
//
// It decides that an act and its entry commit together or not at all, and
// which actions exist: the catalogue is closed. It refuses to know what an act
// does.
//
// Three sentences hold everywhere:
//
//  1. An act runs in Log.Do. The closure does the work and returns what
//     happened. Housekeeping (ceremony rows, sweeps, metadata) uses the pool.
//  2. A function that takes part in someone else's act takes the transaction
//     and returns a fact. Only the outermost story makes the event.
//  3. A denial commits; a fault undoes. Inside a closure the order is always
//     consume, decide, write. Only a denial that consumed something earns an
//     entry; otherwise strangers could write our record.
package audit
