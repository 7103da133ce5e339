package pgtest

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Counted returns a pool as New does, and a function that says how often its
// connections have waited for the database since it was last called. It reads
// the wire: a client waits after each Sync and each simple Query (PostgreSQL's
// frontend/backend protocol, message flow).
func Counted(t testing.TB) (*pgxpool.Pool, func() int) {
	t.Helper()
	config, err := pgxpool.ParseConfig(URL(t))
	if err != nil {
		t.Fatal(err)
	}
	var waits atomic.Int64
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &countedConn{Conn: conn, waits: &waits}, err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool, func() int { return int(waits.Swap(0)) }
}

// countedConn reads the messages of a client.
type countedConn struct {
	net.Conn
	waits   *atomic.Int64
	mu      sync.Mutex
	started bool
	rest    []byte
}

func (c *countedConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.rest = append(c.rest, b...)
	for {
		kind := 0
		if c.started {
			kind = 1 // the first message has no type
		}
		if len(c.rest) < kind+4 {
			break
		}
		size := kind + int(binary.BigEndian.Uint32(c.rest[kind:]))
		if len(c.rest) < size {
			break
		}
		if c.started && (c.rest[0] == 'S' || c.rest[0] == 'Q') {
			c.waits.Add(1)
		}
		c.started, c.rest = true, c.rest[size:]
	}
	c.mu.Unlock()
	return c.Conn.Write(b)
}
