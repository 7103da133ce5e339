package expr

import (
	"context"
	"strings"
)

// Limits bound one evaluation. The gateway evaluates expressions of policies
// that somebody is still writing, on requests that anybody may send.
type Limits struct {
	// Steps counts operations: every part of an expression that is evaluated,
	// every element that a sequence method looks at, every turn of a loop.
	Steps int64
	// Bytes bounds what the evaluation may allocate in total, roughly.
	Bytes int64
	// String bounds each string and byte array made by the evaluation, in bytes.
	String int
	// Depth bounds nested calls of lambdas and local functions.
	Depth int
}

// DefaultLimits are the limits of every evaluation: 100 000 steps, 32 MiB in
// total, 8 MiB a string, 128 nested calls. They stop the worst expression
// within a fraction of a second, and hold the 4 MiB body that the gateway lets
// through.
var DefaultLimits = Limits{Steps: 100_000, Bytes: 32 << 20, String: 8 << 20, Depth: 128}

// machine is one evaluation: what it may see, its variables and what it may
// still spend.
type machine struct {
	ctx    context.Context
	env    *Context
	locals []Value
	limits Limits
	steps  int64
	bytes  int64
	depth  int
}

func (m *machine) stop(what string) {
	panic(&Exception{Type: "Touchstone.LimitExceeded", Message: "The expression exceeded its limit of " + what + ".", final: true})
}

// step spends n operations, and notices the end of the caller's context.
func (m *machine) step(n int) {
	before := m.steps
	m.steps += int64(n)
	if m.steps > m.limits.Steps {
		m.stop("steps")
	}
	if before>>8 != m.steps>>8 && m.ctx.Err() != nil {
		panic(&Exception{Type: "System.OperationCanceledException", Message: "The operation was canceled.", final: true})
	}
}

// alloc spends n bytes.
func (m *machine) alloc(n int) {
	m.bytes += int64(n)
	if m.bytes > m.limits.Bytes {
		m.stop("memory")
	}
}

// room spends the memory of a string or byte array about to be made.
func (m *machine) room(n int) {
	if n > m.limits.String || n < 0 {
		m.stop("string length")
	}
	m.alloc(n + 16)
}

// enter begins a nested call and returns what ends it.
func (m *machine) enter() func() {
	m.depth++
	if m.depth > m.limits.Depth {
		m.stop("nested calls")
	}
	return func() { m.depth-- }
}

// look spends what looking through a text costs.
func (m *machine) look(s string) {
	if len(s) > 256 {
		m.step(len(s) / 256)
	}
}

// equal compares, and spends what long texts cost.
func (m *machine) equal(a, b Value) bool {
	if x, ok := a.(string); ok {
		m.look(x)
	}
	return equal(a, b)
}

// made accounts for a string that was just made from others no longer than the
// limits allow.
func (m *machine) made(s string) string {
	m.room(len(s))
	return s
}

// joined concatenates within the limits.
func (m *machine) joined(parts ...string) string {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	m.room(n)
	return strings.Join(parts, "")
}
