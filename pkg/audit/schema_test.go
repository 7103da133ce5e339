package audit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
)

func TestTheCatalogueIsClosed(t *testing.T) {
	w := newWorld(t)
	f, err := parser.ParseFile(token.NewFileSet(), "action.go", nil, 0)
	w.must(err)
	act := func(e audit.Event) error {
		return w.log.Do(t.Context(), func(pgx.Tx) (audit.Event, error) { return e, nil })
	}
	actions := 0
	ast.Inspect(f, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		name, err := strconv.Unquote(lit.Value)
		w.must(err)
		actions++
		if err := act(audit.Event{Action: audit.Action(name)}); err != nil {
			t.Errorf("%s has no schema: %v", name, err)
		}
		if err := act(audit.Event{Action: audit.Action(name), Details: map[string]string{"password": "x"}}); err == nil {
			t.Errorf("%s takes any detail", name)
		}
		return true
	})
	if err := act(audit.Event{Action: "made.up"}); err == nil || actions == 0 {
		t.Errorf("an action outside the catalogue: %v; %d actions", err, actions)
	}
	var n int
	w.must(w.pool.QueryRow(t.Context(), `select count(*) from audit_entry`).Scan(&n))
	if n != actions {
		t.Errorf("%d entries for %d actions: a faulty event left something behind", n, actions)
	}
}
