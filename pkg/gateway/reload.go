package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"
)

// lookEvery is how often a Live gateway looks whether its files have changed.
const lookEvery = 2 * time.Second

// Live is a gateway that follows its files: when one changes, all are read
// anew, and when they are wrong the policies in force stay.
type Live struct {
	path    string
	options Options
	current atomic.Pointer[Gateway]
	seen    [sha256.Size]byte
	adjust  func(*Config)
}

// Follow loads a configuration file and returns a gateway that follows it.
// Adjust, when not nil, changes each configuration after it is read.
func Follow(path string, o Options, adjust func(*Config)) (*Live, error) {
	l := &Live{path: path, options: o, adjust: adjust}
	_, err := l.Refresh()
	return l, err
}

// Refresh reads the files when they have changed and reports whether the
// gateway runs new policies. What counts and caches goes on.
func (l *Live) Refresh() (bool, error) {
	c, err := Load(l.path)
	if err != nil {
		return false, err
	}
	if l.adjust != nil {
		l.adjust(&c)
	}
	digest, err := c.digest(l.path)
	if err != nil {
		return false, err
	}
	if digest == l.seen {
		return false, nil
	}
	// A wrong set is reported once, not every time somebody looks.
	l.seen = digest
	g, err := New(c, l.options)
	if err != nil {
		return false, err
	}
	if before := l.current.Load(); before != nil {
		g.memory, g.traces = before.memory, before.traces
	}
	l.current.Store(g)
	return true, nil
}

// ServeHTTP serves with the policies in force.
func (l *Live) ServeHTTP(w http.ResponseWriter, r *http.Request) { l.current.Load().ServeHTTP(w, r) }

// Run serves until the context ends and looks for changes meanwhile. The
// address and the certificate are those of the start.
func (l *Live) Run(ctx context.Context, listener net.Listener) error {
	listener, err := l.current.Load().tls.wrap(listener)
	if err != nil {
		return err
	}
	go func() {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			switch changed, err := l.Refresh(); {
			case err != nil:
				l.options.Log.Error().Err(err).Msg("the files have changed and are wrong; the policies in force stay")
			case changed:
				l.options.Log.Info().Msg("the files have changed; new policies are in force")
			}
		}
	}()
	return serve(ctx, listener, l)
}

// digest is a digest of every file that the configuration names.
func (c Config) digest(path string) (sum [sha256.Size]byte, err error) {
	files := []string{path, c.GlobalPolicy, c.TLS.ClientAuthorities}
	for _, a := range c.APIs {
		files = append(files, a.Policy)
		for _, o := range a.Operations {
			files = append(files, o.Policy)
		}
	}
	for _, p := range c.Products {
		files = append(files, p.Policy)
	}
	for _, named := range []map[string]string{c.Fragments, c.Certificates} {
		for _, file := range named {
			files = append(files, file)
		}
	}
	if c.FragmentsFolder != "" {
		entries, err := os.ReadDir(c.FragmentsFolder)
		if err != nil {
			return sum, fmt.Errorf("fragments: %w", err)
		}
		for _, e := range entries {
			files = append(files, filepath.Join(c.FragmentsFolder, e.Name()))
		}
	}
	slices.Sort(files)
	h := sha256.New()
	for _, file := range slices.Compact(files) {
		if file == "" {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return sum, fmt.Errorf("gateway files: %w", err)
		}
		fmt.Fprintf(h, "%s %d %t\n", file, len(content), err == nil)
		h.Write(content) // never fails: see hash.Hash
	}
	h.Sum(sum[:0])
	return sum, nil
}
