package denial

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"
)

// declared returns the value of every Reason constant in catalogue.go.
func declared(t *testing.T) []Reason {
	file, err := parser.ParseFile(token.NewFileSet(), "catalogue.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var reasons []Reason
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); ok && id.Name == "Reason" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			reasons = append(reasons, Reason(text))
		}
		return true
	})
	return reasons
}

func TestEveryReasonHasItsThreeForms(t *testing.T) {
	reasons := declared(t)
	if len(reasons) < 50 || len(reasons) != len(All()) {
		t.Fatalf("%d constants, %d in the catalogue", len(reasons), len(All()))
	}
	sentences := map[string]Reason{}
	for _, r := range reasons {
		if !r.Known() {
			t.Errorf("%s is not in the catalogue", r)
			continue
		}
		text := r.Text()
		if text.Title == "" || text.Sentence == "" || text.Next == "" {
			t.Errorf("%s: text is incomplete: %+v", r, text)
		}
		if r.OAuth() == "" || r.Status() < 400 || r.Status() > 499 {
			t.Errorf("%s: OAuth code %q, status %d", r, r.OAuth(), r.Status())
		}
		if other, ok := sentences[text.Sentence]; ok {
			t.Errorf("%s and %s share a sentence", r, other)
		}
		sentences[text.Sentence] = r
	}
}

func TestReasonOf(t *testing.T) {
	d := New(CodeReplayed, "code of request %s", "r1")
	wrapped := fmt.Errorf("redeem: %w", d)
	if r, ok := ReasonOf(wrapped); !ok || r != CodeReplayed {
		t.Errorf("ReasonOf(wrapped) = %s, %v", r, ok)
	}
	if !Is(wrapped, CodeReplayed) || Is(wrapped, CodeExpired) || Is(nil, CodeReplayed) {
		t.Error("Is does not follow the chain")
	}
	if _, ok := ReasonOf(errors.New("disk full")); ok {
		t.Error("a fault is not a denial")
	}
}
