// Package pgtest gives each test a database of its own on a real Postgres.
//
// It decides how test databases are made: one private cluster per test binary,
// kept warm between runs below the temporary directory, and one migrated
// template that every test clones. A test fails when Postgres is missing; it
// never skips.
package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/migrations"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/postgres/private"
)

var (
	once    sync.Once
	cluster *private.Cluster
	fault   error
	count   atomic.Int64
)

// New returns a pool on a fresh, migrated database that is dropped when the
// test ends.
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Open(context.Background(), URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// URL returns the connection string of a fresh, migrated database that is
// dropped when the test ends.
func URL(t testing.TB) string {
	t.Helper()
	once.Do(func() { fault = begin(context.Background()) })
	if fault != nil {
		t.Fatalf("this test needs Postgres: %v", fault)
	}
	name := fmt.Sprintf("t%d_%d", os.Getpid(), count.Add(1))
	administer(t, fmt.Sprintf("create database %s template %s strategy file_copy", name, templateName()))
	t.Cleanup(func() { administer(t, "drop database "+name+" with (force)") })
	return cluster.URL(name)
}

// administer runs one statement on the cluster.
func administer(t testing.TB, sql string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), cluster.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		t.Fatal(err)
	}
}

// maxClusters bounds how many processes test in one directory at once.
const maxClusters = 16

// begin starts the cluster of this test binary and migrates the template.
func begin(ctx context.Context) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(dir))
	home := filepath.Join(os.TempDir(), fmt.Sprintf("touchstone-test-%d-%s", os.Getuid(), hex.EncodeToString(sum[:6])))
	// A fuzzing test is several processes in one directory: each takes a cluster.
	for i := 0; ; i++ {
		dir := home
		if i > 0 {
			dir = fmt.Sprintf("%s-%d", home, i)
		}
		cluster, err = private.Start(ctx, private.Options{Dir: dir})
		if err == nil {
			break
		}
		if !errors.Is(err, private.ErrInUse) || i == maxClusters {
			return err
		}
	}
	conn, err := pgx.Connect(ctx, cluster.URL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `select datname from pg_database where datname ~ '^(t[0-9]|template_)' and datname <> $1`, templateName())
	if err != nil {
		return err
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range left {
		if _, err := conn.Exec(ctx, "drop database "+pgx.Identifier{name}.Sanitize()+" with (force)"); err != nil {
			return err
		}
	}
	if err := cluster.CreateDatabase(ctx, templateName()); err != nil {
		return err
	}
	return postgres.Migrate(ctx, cluster.URL(templateName()))
}

// templateName names the template after the migrations, so that it is made anew
// when they change.
var templateName = sync.OnceValue(func() string {
	hash := sha256.New()
	err := fs.WalkDir(migrations.Files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(migrations.Files, path)
		fmt.Fprintf(hash, "%s %d\n%s", path, len(body), body)
		return err
	})
	if err != nil {
		panic(err) // the files are embedded
	}
	return "template_" + hex.EncodeToString(hash.Sum(nil)[:6])
})
