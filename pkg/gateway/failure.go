package gateway

import (
	"errors"
	"net/http"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/apim/expr"
)

// failure is a policy's no: what context.LastError will hold, and the response
// prepared for on-error. Source, policy id and place are filled by locate.
type failure struct {
	expr.LastError
	status  int
	message string
	header  http.Header
}

// Error names the policy and what it said.
func (f *failure) Error() string { return f.Source + " (" + f.Path + "): " + f.Message }

// refused is a failure with reason and message of its own.
func refused(status int, reason, message, body string) *failure {
	return &failure{LastError: expr.LastError{Reason: reason, Message: message}, status: status, message: body}
}

// policy is a compiled policy and its place.
type policy struct {
	name, id, scope string
	section         apim.Section
	// path is the place within the section, such as choose[1]/when[2]/set-header[1].
	path string
	act  func(*run) error
	// cors, when the policy is one, answers preflights.
	cors *cors
}

// locate tells an error where it came from; an inner policy has done so before.
func (p policy) locate(err error) error {
	if errors.Is(err, errAnswered) || errors.Is(err, errAbandoned) {
		return err
	}
	var f *failure
	if !errors.As(err, &f) {
		f = refused(http.StatusInternalServerError, "ExpressionValueEvaluationFailure", "Expression evaluation failed. "+err.Error(), "Internal server error")
	}
	if f.Source == "" {
		f.Source, f.PolicyID, f.Scope, f.Section, f.Path = p.name, p.id, p.scope, string(p.section), p.path
	}
	return f
}

// note adds a step of the policy to the run's trace.
func (p policy) note(r *run, result, message string) {
	r.note(step{Policy: p.name, ID: p.id, Scope: p.scope, Section: string(p.section), Result: result, Message: message})
}
