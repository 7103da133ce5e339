package mds

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// publisher is a metadata service that answers over HTTP.
type publisher struct {
	*httptest.Server
	mu           sync.Mutex
	blob         []byte
	status       int
	asked, saved atomic.Int32
}

func publish(t *testing.T) *publisher {
	p := &publisher{status: http.StatusOK}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked.Add(1)
		etag := fmt.Sprintf(`"%d-%x"`, len(p.blob), p.blob[len(p.blob)-4:])
		w.Header().Set("ETag", etag)
		switch {
		case p.status != http.StatusOK:
			w.WriteHeader(p.status)
		case r.Header.Get("If-None-Match") == etag:
			p.saved.Add(1)
			w.WriteHeader(http.StatusNotModified)
		default:
			w.Write(p.blob)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) put(blob []byte, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.blob, p.status = blob, status
}

// replica is a keeper with a clock of its own.
func replica(t *testing.T, pool *pgxpool.Pool, now *time.Time, sources ...Source) *Keeper {
	t.Helper()
	k, err := Open(t.Context(), Options{Pool: pool, Log: audit.New(pool), Sources: sources, Logger: zerolog.Nop(), Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestAServiceIsAskedWhenAnUpdateIsDue(t *testing.T) {
	pool, s, p, now := pgtest.New(t), newService(t), publish(t), issued
	source := Source{Name: "fido", URL: p.URL, Roots: s.roots()}
	p.put(s.sign("mds.invalid", numbered(5, entry())), http.StatusOK)
	k := replica(t, pool, &now, source)
	if k.Current().Number() != 0 || len(k.dueNow()) != 1 {
		t.Fatalf("number %d before the first fetch, %d due", k.Current().Number(), len(k.dueNow()))
	}
	refresh := func(number int, wantErr string) {
		t.Helper()
		reports, err := k.Refresh(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := k.Current().Number(); got != number {
			t.Errorf("number %d, want %d", got, number)
		}
		if err := reports[0].Err; wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("reported %v, want %q", err, wantErr)
		}
	}
	refresh(5, "")
	if k.Current().Len() != 1 || len(k.dueNow()) != 0 {
		t.Errorf("%d models; due again at once: %v", k.Current().Len(), k.dueNow())
	}
	refresh(5, "")
	if p.saved.Load() != 1 {
		t.Errorf("%d conditional answers, want 1", p.saved.Load())
	}
	// A month and the jitter later it is due, and an outage does not take the copy away.
	now = issued.AddDate(0, 1, 0).Add(jitter)
	if len(k.dueNow()) != 1 {
		t.Error("not due after the promised update")
	}
	p.put([]byte("gone"), http.StatusBadGateway)
	refresh(5, "status 502")
	if len(k.dueNow()) != 0 {
		t.Error("asked again at once after a failure")
	}
	now = now.Add(2*retryLeast + jitter)
	if len(k.dueNow()) != 1 {
		t.Error("not asked again after a pause")
	}
	p.put(s.sign("mds.invalid", numbered(4)), http.StatusOK)
	refresh(5, "no. 4 is not newer")
	p.put(s.sign("mds.invalid", numbered(6)), http.StatusOK)
	refresh(6, "")
	p.Close()
	refresh(6, "refused")
	// Another replica that has never reached the service has what this one fetched.
	if other := replica(t, pool, &now, source); other.Current().Number() != 6 || other.Current().Version() != k.Current().Version() {
		t.Errorf("another replica has %q", other.Current().Version())
	}
}

func TestAServiceThatWasNeverReachedIsNotAskedWithoutPause(t *testing.T) {
	pool, s, p, now := pgtest.New(t), newService(t), publish(t), issued
	p.put([]byte("rubbish"), http.StatusOK)
	k := replica(t, pool, &now, Source{Name: "fido", URL: p.URL, Roots: s.roots()})
	for range 3 {
		if _, err := k.read(t.Context(), k.dueNow()); err != nil {
			t.Fatal(err)
		}
		if err := k.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if p.asked.Load() != 1 {
		t.Errorf("asked %d times", p.asked.Load())
	}
}

func TestPlacesThatAreNotFetchedFrom(t *testing.T) {
	for _, url := range []string{"http://mds.example/", "ftp://mds.example/", "https://user:pass@mds.example/", "file:///etc/passwd", "https://", ""} {
		if err := checkFetchURL(url); err == nil {
			t.Errorf("%q is fetched", url)
		}
	}
	elsewhere := httptest.NewServer(http.RedirectHandler("http://mds.example/", http.StatusFound))
	defer elsewhere.Close()
	if _, err := (Source{URL: elsewhere.URL}).fetch(t.Context(), newClient(), "", issued); err == nil || !strings.Contains(err.Error(), "must be https") {
		t.Errorf("redirect followed: %v", err)
	}
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chunk := bytes.Repeat([]byte("A"), 1<<20)
		for range maxBLOBSize>>20 + 2 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	if _, err := (Source{URL: endless.URL}).fetch(t.Context(), newClient(), "", issued); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("endless answer: %v", err)
	}
}

func TestTheNewestOfADirectoryCounts(t *testing.T) {
	pool, s, now, dir := pgtest.New(t), newService(t), issued, t.TempDir()
	for name, blob := range map[string][]byte{"b.jwt": s.sign("mds.invalid", numbered(7)), "a.jwt": s.sign("mds.invalid", numbered(9)),
		"c.jwt": newService(t).sign("mds.invalid", numbered(11)), "d.txt": s.sign("mds.invalid", numbered(12))} {
		if err := os.WriteFile(filepath.Join(dir, name), blob, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := replica(t, pool, &now, Source{Name: "dir", Path: dir, Roots: s.roots()}).Current().Number(); got != 9 {
		t.Errorf("number %d, want 9", got)
	}
}

func TestReplicasFollowEachOther(t *testing.T) {
	pool, s, p, now := pgtest.New(t), newService(t), publish(t), issued
	source := Source{Name: "fido", URL: p.URL, Roots: s.roots()}
	p.put(s.sign("mds.invalid", numbered(5)), http.StatusOK)
	one, two := replica(t, pool, &now, source), replica(t, pool, &now, source)
	changed, ctx := make(chan int, 8), t.Context()
	ctx, stop := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { two.Run(ctx, func() { changed <- two.Current().Number() }) })
	if got := <-changed; got != 5 {
		t.Errorf("the first change brings %d", got)
	}
	p.put(s.sign("mds.invalid", numbered(6)), http.StatusOK)
	if _, err := one.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-changed; got != 6 {
		t.Errorf("the second change brings %d", got)
	}
	stop()
	done.Wait()
	if asked := p.asked.Load(); asked != 2 {
		t.Errorf("the service was asked %d times, want 2: one replica fetches for all", asked)
	}
}

func TestPrivateModelsStandBesideTheMetadata(t *testing.T) {
	set, err := Parse(real(t), nil, issued)
	if err != nil {
		t.Fatal(err)
	}
	const yubikey5, ours = "2fc0579f-8113-47ea-b116-bb5a8db9202a", "0a0b0c0d-0000-4000-8000-000000000001"
	root := string(rootR46)
	with := set.With([]trust.PrivateModel{{AAGUID: ours, Description: "Our key", Roots: []string{root}, KeyProtection: []string{"hardware"}}, {AAGUID: yubikey5, Description: "Another name", Roots: []string{root}}})
	e, ok := with.Lookup(ours)
	if !ok || !e.Operator || e.Description != "Our key" || len(e.Roots) != 1 {
		t.Errorf("private model: %+v", e)
	}
	before, _ := set.Lookup(yubikey5)
	if e, _ = with.Lookup(yubikey5); e.Operator || e.Description != before.Description || len(e.Roots) != len(before.Roots)+1 || len(e.Status) != len(before.Status) {
		t.Errorf("listed model: %+v", e)
	}
	if _, ok := set.Lookup(ours); ok {
		t.Error("the set itself changed")
	}
	// A private model needs no BLOB, and has no date after which it is stale.
	v := attest.Judge(attest.Evidence{Format: "packed", AAGUID: ours, Chain: [][]byte{PinnedRoots()[1].Raw}, RegisteredAt: issued}, Merge().With([]trust.PrivateModel{{AAGUID: ours, Description: "Our key", Roots: []string{root}}}), terms, issued)
	if !v.Facts.Has(claim.FactAttested) || !v.Facts.Has(claim.FactMetadataCurrent) || v.Facts.Has(claim.FactFIDOCertified) {
		t.Errorf("facts %v, because %v", v.Facts, v.Because)
	}
}

func TestHistoricBLOBsTellWhenTheyWereBelieved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.jwt")
	if err := os.WriteFile(path, real(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadFile(path, nil, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil {
		t.Error("an expired signer is believed")
	}
	set, at, err := LoadHistoric(path, nil)
	if err != nil || set.Number() != 122 || at.Year() != 2025 {
		t.Errorf("number %v at %s: %v", set, at, err)
	}
}
