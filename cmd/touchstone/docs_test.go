package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/touchstone-id/touchstone/pkg/trust"
)

// blocks calls visit with every fenced block of a language in the documents.
func blocks(t *testing.T, language string, visit func(file, text string)) {
	t.Helper()
	err := filepath.WalkDir("../..", func(file string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".md") {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, part := range strings.Split(string(text), "```"+language+"\n")[1:] {
			block, _, _ := strings.Cut(part, "```")
			visit(file, block)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestCommandsInTheDocsExist parses every command line that a document shows.
func TestCommandsInTheDocsExist(t *testing.T) {
	seen := 0
	blocks(t, "sh", func(file, block string) {
		for line := range strings.Lines(block) {
			arguments := strings.Fields(line)
			if len(arguments) == 0 || arguments[0] != "touchstone" {
				continue
			}
			seen++
			var c cli
			parser, err := kong.New(&c, kong.Exit(func(int) {}), kong.DefaultEnvars("TOUCHSTONE"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parser.Parse(arguments[1:]); err != nil {
				t.Errorf("%s shows %q: %v", file, strings.TrimSpace(line), err)
			}
		}
	})
	if seen == 0 {
		t.Error("no document shows a command")
	}
}

// TestTrustFilesInTheDocsAreGood parses every trust file that a document shows.
func TestTrustFilesInTheDocsAreGood(t *testing.T) {
	seen := 0
	blocks(t, "yaml", func(file, block string) {
		if !strings.Contains(block, "apis:") || strings.Contains(file, "gateway") {
			return
		}
		seen++
		if _, err := trust.Parse(filepath.Base(file), []byte(block)); err != nil {
			t.Error(err)
		}
	})
	if seen == 0 {
		t.Error("no document shows a trust file")
	}
}
