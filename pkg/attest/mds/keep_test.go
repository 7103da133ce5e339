package mds

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
)

func TestRefreshKeepsTheLastGoodBLOB(t *testing.T) {
	pool, s := pgtest.New(t), newService(t)
	path := filepath.Join(t.TempDir(), "blob.jwt")
	source := Source{Name: "ours", Path: path, Roots: s.roots(), SignerName: "mds.invalid"}
	sixth := s.sign("mds.invalid", numbered(6, entry()))
	forged := append(bytes.Clone(sixth[:len(sixth)-20]), "AAAAAAAAAAAAAAAAAAAA"...)
	for _, step := range []struct {
		name   string
		file   []byte // nil removes it
		at     time.Time
		number int
		kept   bool
		err    string
	}{
		{"no file yet", nil, issued, 0, false, "no such file"},
		{"not ours to believe", newService(t).sign("mds.invalid", numbered(5)), issued, 0, false, "not trusted"},
		{"first", s.sign("mds.invalid", numbered(5)), issued, 5, false, ""},
		{"newer", sixth, issued, 6, false, ""},
		{"the same", sixth, issued, 6, false, ""},
		{"older", s.sign("mds.invalid", numbered(5)), issued, 6, true, "no. 5 is not newer"},
		{"another of the same number", s.sign("mds.invalid", numbered(6)), issued, 6, true, "no. 6 is not newer"},
		{"signed by a neighbour under the same root", s.sign("shop.invalid", numbered(7)), issued, 6, true, "not trusted"},
		{"damaged", forged, issued, 6, true, "does not verify"},
		{"empty", []byte{}, issued, 6, true, "not a signed"},
		{"removed", nil, issued, 6, true, "no such file"},
		{"the signer has expired since", sixth, issued.AddDate(2, 0, 0), 6, true, "expired"},
		{"newer again", s.sign("mds.invalid", numbered(8, entry())), issued, 8, false, ""},
	} {
		t.Run(step.name, func(t *testing.T) {
			os.Remove(path)
			if step.file != nil {
				if err := os.WriteFile(path, step.file, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			set, r := refreshed(t, pool, step.at, source)
			if set.Number() != step.number || r.Number != step.number || r.Kept != step.kept || r.Source != "ours" {
				t.Errorf("number %d, report %+v, want number %d, kept %v", set.Number(), r, step.number, step.kept)
			}
			if step.err == "" && r.Err != nil || step.err != "" && (r.Err == nil || !strings.Contains(r.Err.Error(), step.err)) {
				t.Errorf("reported %v, want %q", r.Err, step.err)
			}
			if step.number >= 6 && set.Len() != 1 {
				t.Errorf("%d models", set.Len())
			}
		})
	}
}

// refreshed returns what a replica that starts at an instant makes of its sources.
func refreshed(t *testing.T, pool *pgxpool.Pool, at time.Time, sources ...Source) (*Set, Report) {
	t.Helper()
	k, err := Open(t.Context(), Options{Pool: pool, Log: audit.New(pool), Sources: sources, Logger: zerolog.Nop(), Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	reports, err := k.Refresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return k.Current(), reports[0]
}

func TestCopiesBelongToTheirSource(t *testing.T) {
	pool, s, other := pgtest.New(t), newService(t), newService(t)
	path := filepath.Join(t.TempDir(), "blob.jwt")
	if err := os.WriteFile(path, s.sign("mds.invalid", numbered(5, entry())), 0o600); err != nil {
		t.Fatal(err)
	}
	ours := Source{Name: "ours", Path: path, Roots: s.roots()}
	theirs := Source{Name: "theirs", Path: path + ".none", Roots: other.roots()}
	set, r := refreshed(t, pool, issued, theirs, ours)
	if set.Number() != 5 || set.Len() != 1 || r.Kept || r.Err == nil {
		t.Errorf("number %d, report %+v", set.Number(), r)
	}
	// Under other roots the copy is not believed, whoever put it there.
	ours.Path, ours.Roots = theirs.Path, other.roots()
	set, r = refreshed(t, pool, issued, ours)
	if set.Number() != 0 || set.Len() != 0 || r.Kept || !strings.Contains(r.Err.Error(), "the copy: the signer is not trusted") {
		t.Errorf("number %d, report %+v", set.Number(), r)
	}
}

func TestSourcesNeedNamesOfTheirOwn(t *testing.T) {
	pool := pgtest.New(t)
	for name, sources := range map[string][]Source{"none": {{Path: "a"}}, "shared": {{Name: "ours", Path: "a"}, {Name: "ours", Path: "b"}}} {
		if _, err := Open(t.Context(), Options{Pool: pool, Sources: sources}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestFilesHaveALimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blob.jwt")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(maxBLOBSize + 1); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := LoadFile(path, nil, issued); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
}
