package expr

import "fmt"

// Error says why Compile refused a source. Line and Column count from 1,
// columns in characters, relative to the source given to Compile.
type Error struct {
	Line, Column int
	Msg          string
}

// Error returns "line 1, column 7: …".
func (e *Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Msg)
}

const (
	notAvailable   = "is not available in API Management policy expressions"
	notImplemented = "is not implemented by the local gateway"
)

// Exception is a C# exception that no catch clause of the expression handled,
// or an exhausted limit. Type is the full .NET name, such as
// "System.NullReferenceException"; limits use "Touchstone.LimitExceeded" and an
// ended context "System.OperationCanceledException". Message never contains a
// value that was being parsed, so that it can be logged.
type Exception struct {
	Type, Message string

	// final exceptions pass through catch clauses: an expression cannot
	// outlive its limits by catching.
	final bool
}

// Error returns "System.FormatException: …".
func (e *Exception) Error() string { return e.Type + ": " + e.Message }

// Within the evaluator a C# exception unwinds as a Go panic that carries
// *Exception, as in text/template; only try statements and Eval recover it.

func throw(class, format string, args ...any) {
	panic(&Exception{Type: class, Message: fmt.Sprintf(format, args...)})
}

func throwNull() {
	throw("System.NullReferenceException", "Object reference not set to an instance of an object.")
}

func throwArgumentNull(name string) {
	throw("System.ArgumentNullException", "Value cannot be null. (Parameter '%s')", name)
}

func throwFormat() {
	throw("System.FormatException", "Input string was not in a correct format.")
}

func throwRange(name string) {
	throw("System.ArgumentOutOfRangeException", "Specified argument was out of the range of valid values. (Parameter '%s')", name)
}

func throwIndex() {
	throw("System.IndexOutOfRangeException", "Index was outside the bounds of the array.")
}

func throwOverflow(kind string) {
	throw("System.OverflowException", "Value was either too large or too small for %s.", kind)
}

func throwCast(from, to string) {
	throw("System.InvalidCastException", "Unable to cast object of type '%s' to type '%s'.", from, to)
}

func throwInvalid(msg string) {
	throw("System.InvalidOperationException", "%s", msg)
}

func throwKey() {
	throw("System.Collections.Generic.KeyNotFoundException", "The given key was not present in the dictionary.")
}
