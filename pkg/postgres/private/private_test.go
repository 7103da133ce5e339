package private

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// directory returns a short directory that another user may reach.
func directory(t *testing.T) string {
	dir, err := os.MkdirTemp("", "tsp")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func start(t *testing.T, dir string) *Cluster {
	t.Helper()
	c, err := Start(context.Background(), Options{Dir: dir, Durable: true, Log: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop() })
	return c
}

func run(t *testing.T, c *Cluster, sql string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), c.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		t.Fatal(err)
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestClusterKeepsItsDataAndStops(t *testing.T) {
	dir := directory(t)
	c := start(t, dir)
	run(t, c, `create table kept (n int)`)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if alive(c.process.Pid) {
		t.Error("the server runs after Stop")
	}
	run(t, start(t, dir), `insert into kept values (1)`)
}

func TestClusterRecoversFromKill(t *testing.T) {
	dir := directory(t)
	c := start(t, dir)
	run(t, c, `create table kept (n int)`)
	if err := c.process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-c.exited
	c.lock.Close()
	run(t, start(t, dir), `insert into kept values (1)`)
}

func TestClusterStopsWhatAnEarlierOwnerLeft(t *testing.T) {
	dir := directory(t)
	c := start(t, dir)
	c.lock.Close() // the owner is gone, its server is not
	next := start(t, dir)
	run(t, next, `select 1`)
	if alive(c.process.Pid) {
		t.Error("the left-over server still runs")
	}
}

func TestClusterHasOneOwner(t *testing.T) {
	dir := directory(t)
	start(t, dir)
	if _, err := Start(context.Background(), Options{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("second Start = %v, want ErrInUse", err)
	}
}

func TestClusterIsClosedToOtherUsers(t *testing.T) {
	c := start(t, directory(t))
	info, err := os.Stat(c.socket)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("socket directory has mode %o, want 700", info.Mode().Perm())
	}
}

func TestMissingBinariesAreExplained(t *testing.T) {
	t.Setenv("PG_BINDIR", t.TempDir())
	_, err := Start(context.Background(), Options{Dir: directory(t)})
	var notFound *NotFoundError
	if !errors.As(err, &notFound) || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("Start = %v, want an explanation", err)
	}
}
