// Package private runs a Postgres cluster of its own for development and tests.
//
// It decides where the binaries come from, under which user the server runs and
// how it is started and stopped. It never touches a system cluster and opens no
// TCP port: the server listens on a Unix socket in a directory that only its
// user may enter. It refuses to know what is stored.
//
// A directory belongs to one process at a time, by a file lock. Whoever holds
// the lock may stop a server that an earlier owner left behind; on Linux the
// kernel also stops the server when its owner dies, however it dies.
package private

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// startBound and stopBound keep a start or stop from hanging for ever.
	startBound = 30 * time.Second
	stopBound  = 20 * time.Second
	// maxSocketPath is what the kernel allows for a Unix socket's path, in bytes.
	maxSocketPath = 107
	role          = "touchstone"
)

// Options say where a cluster lives.
type Options struct {
	// Dir holds the data; made when missing.
	Dir string
	// Durable keeps fsync on: for development, not for tests.
	Durable bool
	// Log receives sentences for the operator; may be nil.
	Log func(string)
}

// Cluster is a running server.
type Cluster struct {
	bin, data, socket string
	owner             *syscall.Credential
	lock              *os.File
	process           *os.Process
	exited            chan error
}

// ErrInUse is returned when another process owns the directory.
var ErrInUse = errors.New("another process is using this Postgres directory")

// Start starts the cluster, creating it first when the directory is empty. It
// returns *NotFoundError when no Postgres binaries are found, and ErrInUse.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	bin, err := Binaries()
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("private postgres: %w", err)
	}
	c := &Cluster{bin: bin, exited: make(chan error, 1)}
	if c.owner, err = unprivileged(); err != nil {
		return nil, err
	}
	if c.owner != nil && !traversable(dir) {
		moved := filepath.Join(os.TempDir(), "touchstone-"+short(dir))
		o.Log(fmt.Sprintf("Postgres cannot run as root and its user cannot enter %s: the data is kept in %s", dir, moved))
		dir = moved
	}
	if err := c.prepare(dir); err != nil {
		return nil, err
	}
	if err := c.start(ctx, o); err != nil {
		c.lock.Close()
		return nil, err
	}
	return c, nil
}

// prepare makes the directories and takes the lock.
func (c *Cluster) prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("private postgres: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("private postgres: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return fmt.Errorf("%w: %s", ErrInUse, dir)
	}
	c.lock = lock
	c.data, c.socket = filepath.Join(dir, "data"), filepath.Join(dir, "socket")
	if len(c.socket)+len("/.s.PGSQL.5432.lock") > maxSocketPath {
		c.socket = filepath.Join(os.TempDir(), "touchstone-"+short(dir)+"-s")
	}
	for _, d := range []string{c.data, c.socket} {
		err := os.MkdirAll(d, 0o700)
		if err == nil && c.owner != nil {
			err = os.Chown(d, int(c.owner.Uid), int(c.owner.Gid))
		}
		if err != nil {
			lock.Close()
			return fmt.Errorf("private postgres: %w", err)
		}
	}
	return nil
}

// start creates the cluster when needed, stops a left-over server, and starts a new one.
func (c *Cluster) start(ctx context.Context, o Options) error {
	if _, err := os.Stat(filepath.Join(c.data, "PG_VERSION")); errors.Is(err, os.ErrNotExist) {
		if err := c.run(ctx, "initdb", "-D", c.data, "-U", role, "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8"); err != nil {
			return err
		}
	} else if err := c.sameVersion(ctx); err != nil {
		return err
	}
	if c.run(ctx, "pg_ctl", "status", "-D", c.data) == nil {
		o.Log("stopping a Postgres that an earlier run left behind")
		if err := c.run(ctx, "pg_ctl", "stop", "-D", c.data, "-m", "fast", "-w"); err != nil {
			return err
		}
	}
	args := []string{"-D", c.data, "-k", c.socket, "-c", "listen_addresses=", "-c", "unix_socket_permissions=0700", "-c", "max_connections=200", "-c", "log_destination=stderr", "-c", "logging_collector=off"}
	if !o.Durable {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	log, err := os.OpenFile(filepath.Join(filepath.Dir(c.data), "postgres.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("private postgres: %w", err)
	}
	cmd := exec.Command(filepath.Join(c.bin, "postgres"), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = c.data, log, log, environment()
	cmd.SysProcAttr = attributes(c.owner)
	started := make(chan error)
	go func() {
		// The kernel sends the death signal when the starting thread ends, so
		// this goroutine keeps its thread for as long as the server runs.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			c.exited <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	c.process = cmd.Process
	return c.awaitReady(ctx, log.Name())
}

// awaitReady returns once the server accepts connections.
func (c *Cluster) awaitReady(ctx context.Context, log string) error {
	ctx, cancel := context.WithTimeout(ctx, startBound)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.exited:
			tail, _ := os.ReadFile(log)
			return fmt.Errorf("postgres stopped at its start: %s", lastLines(string(tail)))
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("postgres did not become ready: %w", err), c.Stop())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// sameVersion refuses data of another major version in words.
func (c *Cluster) sameVersion(ctx context.Context) error {
	have, err := os.ReadFile(filepath.Join(c.data, "PG_VERSION"))
	if err != nil {
		return fmt.Errorf("private postgres: %w", err)
	}
	out, err := c.command(ctx, "postgres", "--version").Output()
	if err != nil {
		return fmt.Errorf("ask postgres for its version: %w", err)
	}
	major := strings.TrimSpace(string(have))
	if fields := strings.Fields(string(out)); len(fields) < 3 || fields[2] != major && !strings.HasPrefix(fields[2], major+".") {
		return fmt.Errorf("the data in %s was made by Postgres %s, but %s has %s: set PG_BINDIR to a Postgres %s, or remove the directory to start afresh",
			c.data, major, c.bin, strings.TrimSpace(string(out)), major)
	}
	return nil
}

// URL returns the connection string of a database in the cluster.
func (c *Cluster) URL(database string) string {
	u := url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: url.Values{"host": {c.socket}, "user": {role}}.Encode()}
	return u.String()
}

// CreateDatabase creates the database unless it exists.
func (c *Cluster) CreateDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	defer conn.Close(ctx)
	var exists bool
	if err := conn.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, name).Scan(&exists); err != nil || exists {
		return err
	}
	if _, err := conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	return nil
}

// Stop stops the server, waiting for open transactions to be rolled back, and
// gives the directory up.
func (c *Cluster) Stop() error {
	defer c.lock.Close()
	if err := c.process.Signal(syscall.SIGINT); err != nil {
		return nil // it has already stopped
	}
	select {
	case <-c.exited:
		return nil
	case <-time.After(stopBound):
		return errors.Join(errors.New("postgres did not stop in time"), c.process.Signal(syscall.SIGQUIT))
	}
}

// run runs one of the binaries to its end.
func (c *Cluster) run(ctx context.Context, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, startBound)
	defer cancel()
	out, err := c.command(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, lastLines(string(out)))
	}
	return nil
}

func (c *Cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, name), args...)
	cmd.Dir, cmd.Env = c.data, environment()
	if c.owner != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner}
	}
	return cmd
}

// environment is the little that Postgres needs; no PG* variable leads it astray.
func environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC", "LD_LIBRARY_PATH=" + os.Getenv("LD_LIBRARY_PATH")}
}

// unprivileged returns the user to run as, or nil when we are not root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("read user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("postgres refuses to run as root, and there is neither a user postgres nor a user nobody to run it as")
}

// traversable reports whether every existing parent lets others pass.
func traversable(dir string) bool {
	for p := filepath.Dir(dir); ; p = filepath.Dir(p) {
		if info, err := os.Stat(p); err == nil && info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if p == filepath.Dir(p) {
			return true
		}
	}
}

func short(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "; ")
}
