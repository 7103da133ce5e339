package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"touchstone": func() { os.Exit(run()) }})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", Setup: func(e *testscript.Env) error {
		url := pgtest.URL(t)
		e.Setenv("DATABASE_URL", url)
		return postgres.Migrate(t.Context(), url)
	}})
}
