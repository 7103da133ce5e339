package pkg_test

import (
	"context"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
)

const module = "github.com/touchstone-id/touchstone/"

// floors says on which floor each package stands. A package that is not here fails.
var floors = map[string]int{
	"claim": 0, "denial": 0, "secret": 0, "trust": 1, "postgres": 1, "audit": 2, "account": 3, "keyring": 3, "grant": 3, "attest": 3,
	"passkey": 4, "signin": 5, "fleet": 5, "evidence": 6, "admin": 6, "provider": 6, "frontend": 6, "apim": 6, "gateway": 7, "server": 8, "sandbox": 8,
}

// allowed are imports between siblings that the design names: grant freezes
// what an account did, and the trust file speaks of facts.
var siblings = map[string][]string{"grant": {"account"}}

// doors says which packages may import a foreign vocabulary.
var doors = map[string][]string{
	"github.com/zitadel/oidc":         {"provider"},
	"github.com/go-webauthn":          {"passkey"},
	"github.com/gorilla/sessions":     {"signin"},
	"html/template":                   {"frontend", "admin"},
	"github.com/jackc/pgx":            {"postgres", "audit", "account", "keyring", "grant", "attest", "passkey", "signin", "fleet", "evidence", "frontend", "admin", "provider", "server"},
	"github.com/jackc/tern":           {"postgres"},
	"github.com/alecthomas/kong":      {},
	"github.com/go-jose/go-jose":      {"keyring", "gateway", "attest", "passkey", "provider", "sandbox"},
	"github.com/fxamacker/cbor":       {"passkey"},
	"rsc.io/qr":                       {"admin"},
	"github.com/ThalesGroup/crypto11": {"keyring"},
	"net/http":                        {"attest", "audit", "provider", "frontend", "admin", "gateway", "server", "signin", "denial", "apim", "sandbox"},
	"github.com/gorilla/securecookie": {"signin"},
	"github.com/aws":                  {"audit"},
}

// listed is what go list says of a package.
type listed struct {
	ImportPath, Doc string
	Imports         []string
	Deps            []string
}

func list(t *testing.T, pattern string) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,Deps", pattern)
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listed
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for decoder.More() {
		var p listed
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	return packages
}

// room returns the package's name below pkg/, without its children's.
func room(importPath string) (string, bool) {
	rest, ok := strings.CutPrefix(importPath, module+"pkg/")
	name, _, _ := strings.Cut(rest, "/")
	return name, ok
}

func TestFloorsAndDoors(t *testing.T) {
	for _, p := range list(t, "./pkg/...") {
		name, ok := room(p.ImportPath)
		if !ok {
			continue
		}
		floor, known := floors[name]
		if !known {
			t.Errorf("%s stands on no floor", name)
		}
		for _, imported := range p.Imports {
			if other, ours := room(imported); ours && other != name && floors[other] >= floor && !slices.Contains(siblings[name], other) {
				t.Errorf("%s (floor %d) imports %s (floor %d)", p.ImportPath, floor, other, floors[other])
			}
			for vocabulary, rooms := range doors {
				if (imported == vocabulary || strings.HasPrefix(imported, vocabulary+"/")) && !slices.Contains(rooms, name) {
					t.Errorf("%s imports %s, whose doors are %v", p.ImportPath, imported, rooms)
				}
			}
		}
	}
}

// TestDocsNameTestsThatExist follows each test or fuzz target that a page names.
func TestDocsNameTestsThatExist(t *testing.T) {
	there := map[string]bool{}
	functions := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
	walk := func(root, suffix string, read func(path string, text []byte)) {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, suffix) {
				return err
			}
			text, err := os.ReadFile(path)
			read(path, text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, root := range []string{".", "../cmd"} {
		walk(root, "_test.go", func(_ string, text []byte) {
			for _, m := range functions.FindAllSubmatch(text, -1) {
				there[string(m[1])] = true
			}
		})
	}
	named := 0
	walk("../docs", ".md", func(path string, text []byte) {
		for _, m := range regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z0-9]+)`").FindAllSubmatch(text, -1) {
			if named++; !there[string(m[1])] {
				t.Errorf("%s names %s, which does not exist", path, m[1])
			}
		}
	})
	if named < 50 {
		t.Errorf("only %d tests are named", named)
	}
}

func TestGatewayLinksNeitherDatabaseNorKeys(t *testing.T) {
	for _, p := range list(t, "./cmd/touchstone-gateway") {
		for _, dep := range p.Deps {
			for _, forbidden := range []string{"jackc/pgx", "touchstone/pkg/keyring", "touchstone/pkg/audit", "go-webauthn", "zitadel"} {
				if strings.Contains(dep, forbidden) {
					t.Errorf("touchstone-gateway links %s", dep)
				}
			}
		}
	}
}

// sources parses every Go file that is not a test, below the folders.
func sources(t *testing.T, visit func(file string, f *ast.File, set *token.FileSet)) {
	t.Helper()
	for _, dir := range []string{".", "../cmd", "../migrations", "../web"} {
		err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, file, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			visit(file, f, set)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestEveryPackageAndExportedNameIsDocumented(t *testing.T) {
	for _, pattern := range []string{"./pkg/...", "./cmd/...", "./migrations", "./web"} {
		for _, p := range list(t, pattern) {
			if p.Doc == "" {
				t.Errorf("%s has no package comment", p.ImportPath)
			}
		}
	}
	sources(t, func(file string, f *ast.File, set *token.FileSet) {
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
					t.Errorf("%s: %s has no comment", set.Position(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if ts, ok := spec.(*ast.TypeSpec); ok && ts.Name.IsExported() && d.Doc == nil && ts.Doc == nil {
						t.Errorf("%s: type %s has no comment", set.Position(ts.Pos()), ts.Name.Name)
					}
					if vs, ok := spec.(*ast.ValueSpec); ok && vs.Names[0].IsExported() && d.Doc == nil && vs.Doc == nil && vs.Comment == nil {
						t.Errorf("%s: %s has no comment", set.Position(vs.Pos()), vs.Names[0].Name)
					}
				}
			}
		}
	})
}

// exportedReceiver reports whether a function is a function or a method of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	kind := d.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	id, ok := kind.(*ast.Ident)
	return ok && id.IsExported()
}

var writes = regexp.MustCompile(`(?i)\b(?:insert\s+into|update|delete\s+from|truncate)\s+([a-z_]+)`)

func TestOnlyTheOwnerWritesToATable(t *testing.T) {
	pool := pgtest.New(t)
	rows, err := pool.Query(context.Background(), `select relname, coalesce(obj_description(oid), '') from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	owners := map[string]string{}
	_, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (string, error) {
		var table, comment string
		if err := r.Scan(&table, &comment); err != nil {
			return "", err
		}
		owner, ok := strings.CutPrefix(comment, "owner: ")
		if !ok {
			t.Errorf("table %s names no owner in its comment", table)
		}
		owners[table], _, _ = strings.Cut(owner, ";")
		return table, nil
	})
	if err != nil || len(owners) < 10 {
		t.Fatalf("%d tables, %v", len(owners), err)
	}
	prepared := 0
	sources(t, func(file string, f *ast.File, set *token.FileSet) {
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range writes.FindAllStringSubmatch(text, -1) {
				if owner, table := owners[m[1]], m[1]; owner != "" && !strings.HasPrefix(filepath.ToSlash(file), owner+"/") {
					t.Errorf("%s writes to %s, which belongs to %s", set.Position(lit.Pos()), table, owner)
				}
			}
			first, _, _ := strings.Cut(strings.TrimSpace(text), " ")
			if strings.HasPrefix(lit.Value, "`") && slices.Contains([]string{"select", "insert", "update", "delete", "with"}, strings.TrimSpace(first)) {
				if _, err := pool.Exec(context.Background(), "prepare statement_of_the_house as "+text); err != nil && !strings.Contains(err.Error(), "could not determine data type") {
					t.Errorf("%s: %v", set.Position(lit.Pos()), err)
				}
				pool.Exec(context.Background(), "deallocate all")
				prepared++
			}
			return true
		})
	})
	if prepared < 40 {
		t.Errorf("only %d statements were prepared: the test has lost sight of them", prepared)
	}
}

func TestEveryActionAndReasonIsInTheDocs(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "audit/action.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	events, err := os.ReadFile("../docs/audit-events.md")
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && !strings.Contains(string(events), "`"+strings.Trim(lit.Value, `"`)+"`") {
			t.Errorf("docs/audit-events.md lacks %s", lit.Value)
		}
		return true
	})
	denials, err := os.ReadFile("../docs/denials.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range denial.All() {
		if !strings.Contains(string(denials), "`"+string(r)+"`") {
			t.Errorf("docs/denials.md lacks %s", r)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)

func TestLinksInTheDocsResolve(t *testing.T) {
	checked := 0
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && slices.Contains([]string{".git", "node_modules", ".touchstone"}, d.Name()) {
			return filepath.SkipDir
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".md") {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			checked++
			if _, err := os.Stat(path.Join(filepath.ToSlash(filepath.Dir(file)), m[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", file, m[1])
			}
		}
		return nil
	})
	if err != nil || checked == 0 {
		t.Fatalf("%d links checked, %v", checked, err)
	}
}

func TestNothingIsLeftForLater(t *testing.T) {
	words := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b|t\.Sk` + `ip`)
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && slices.Contains([]string{".git", "node_modules", ".touchstone", "testdata"}, d.Name()) {
			return filepath.SkipDir
		}
		if err != nil || d.IsDir() || !slices.Contains([]string{".go", ".js", ".sql"}, filepath.Ext(file)) {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if m := words.Find(text); m != nil {
			t.Errorf("%s holds %q", file, m)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
