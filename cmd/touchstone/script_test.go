package main

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"touchstone": func() { os.Exit(run()) }})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", Cmds: commands, Setup: func(e *testscript.Env) error {
		url := pgtest.URL(t)
		e.Setenv("DATABASE_URL", url)
		return postgres.Migrate(t.Context(), url)
	}})
}

// commands are what scripts can do beside running programs.
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	// sequence gives waiting entries their places, as a server would.
	"sequence": func(ts *testscript.TestScript, _ bool, _ []string) {
		ctx := context.Background()
		pool, err := postgres.Open(ctx, ts.Getenv("DATABASE_URL"))
		ts.Check(err)
		defer pool.Close()
		signer, err := audit.OpenSigner(ctx, pool, make([]byte, 32), "login.example/audit")
		ts.Check(err)
		_, err = audit.NewSequencer(pool, signer, zerolog.Nop(), time.Now).Step(ctx)
		ts.Check(err)
	},
	// build PROGRAM builds another of our programs into the working directory.
	"build": func(ts *testscript.TestScript, _ bool, args []string) {
		out, err := exec.Command("go", "build", "-o", ts.MkAbs(args[0]), "../"+args[0]).CombinedOutput()
		if err != nil {
			ts.Fatalf("%s", out)
		}
	},
	// capture NAME FILE PATTERN keeps what the pattern's group matches in a variable.
	"capture": func(ts *testscript.TestScript, _ bool, args []string) {
		m := regexp.MustCompile(args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
		if m == nil {
			ts.Fatalf("%s has nothing like %s", args[1], args[2])
		}
		ts.Setenv(args[0], m[1])
	},
}
