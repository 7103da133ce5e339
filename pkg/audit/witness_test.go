package audit_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/mod/sumdb/note"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/audit/record"
)

// witnessed serves a witness of the log and returns it as an anchor.
func (w *world) witnessed(dir string) (*audit.Witness, audit.WitnessAnchor) {
	w.Helper()
	public, private, err := record.GenerateKey()
	w.must(err)
	witness := audit.NewWitness(w.verifier(), record.NewCosigner("witness.test", private, time.Now), dir)
	server := httptest.NewServer(witness)
	w.Cleanup(server.Close)
	key, err := record.NewVerifier(record.WitnessKey("witness.test", public))
	w.must(err)
	return witness, audit.WitnessAnchor{URL: server.URL, Key: key, Pool: w.pool, Client: server.Client()}
}

// signer is the log's, as the log's operator has it.
func (w *world) signer() note.Signer {
	w.Helper()
	s, err := audit.OpenSigner(context.Background(), w.pool, make([]byte, 32), "idp.test/audit")
	w.must(err)
	return s.Signer
}

func (w *world) anchor(anchors ...audit.Anchor) error {
	return audit.NewAnchors(w.pool, zerolog.Nop(), anchors...).Step(context.Background())
}

func (w *world) latest() string {
	w.Helper()
	text, err := audit.Latest(context.Background(), w.pool)
	w.must(err)
	return text
}

func TestCheckpointsAreAnchoredAndCosigned(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	var posted, put atomic.Int32
	endpoint := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			posted.Add(1)
		case r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, "/bucket/checkpoint-000000000") && r.URL.RawQuery == "sig=x":
			put.Add(1)
		default:
			rw.WriteHeader(http.StatusBadRequest)
		}
	}))
	defer endpoint.Close()
	file := audit.FileAnchor{Path: filepath.Join(dir, "anchors")}
	_, witness := w.witnessed(dir)
	anchors := []audit.Anchor{file, audit.HTTPAnchor{URL: endpoint.URL + "/in", Client: endpoint.Client()}, audit.HTTPAnchor{URL: endpoint.URL + "/bucket/?sig=x", Client: endpoint.Client()}, witness}
	for range 3 {
		w.act(40, "ada")
		w.step()
		w.must(w.anchor(anchors...))
		w.must(w.anchor(anchors...)) // a second look changes nothing
	}
	if posted.Load() != 3 || put.Load() != 3 {
		t.Errorf("posted %d, put %d", posted.Load(), put.Load())
	}
	kept, err := os.ReadFile(file.Path)
	w.must(err)
	if n := strings.Count(string(kept), "idp.test/audit\n"); n != 3 {
		t.Errorf("%d checkpoints in the file", n)
	}
	if names := audit.Cosigners(w.latest(), []note.Verifier{w.verifier(), witness.Key}); len(names) != 2 {
		t.Errorf("signed by %v", names)
	}
	if n, err := audit.Check(t.Context(), w.pool); err != nil || n != 120 {
		t.Errorf("%d entries: %v", n, err)
	}
}

func TestAWitnessRefusesForks(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	w.act(10, "ada")
	w.step()
	_, witness := w.witnessed(dir)
	w.must(w.anchor(witness))
	// The operator takes the newest entries back and goes on from there, key and all.
	w.tamper(`delete from audit_checkpoint`)
	w.tamper(`delete from audit_tile`)
	w.tamper(`delete from audit_leaf`)
	w.tamper(`delete from audit_entry where id in (select id from audit_entry order by at desc limit 3)`)
	w.tamper(`insert into audit_pending select id from audit_entry`)
	w.step()
	if err := w.anchor(witness); err == nil || !strings.Contains(err.Error(), "forked or cut") {
		t.Errorf("a shortened log: %v", err)
	}
	w.act(10, "eve")
	w.step()
	if err := w.anchor(witness); err == nil || !strings.Contains(err.Error(), "422") {
		t.Errorf("a log that went on from a fork: %v", err)
	}
	if n, err := audit.Check(t.Context(), w.pool); err != nil || n != 17 {
		t.Errorf("the fork is not whole in itself, so the witness proves nothing: %d, %v", n, err)
	}
}

func TestAWitnessReadsCarefully(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	w.act(3, "ada")
	w.step()
	witness, _ := w.witnessed(dir)
	good := w.latest()
	_, other, err := record.GenerateKey()
	w.must(err)
	forged, err := record.Checkpoint{Origin: "idp.test/audit", Size: 3}.Sign(record.NewSigner("idp.test/audit", other))
	w.must(err)
	rootless, err := record.Checkpoint{Origin: "idp.test/audit", Size: 0, Root: [32]byte{1}}.Sign(w.signer())
	w.must(err)
	ask := func(body string) (int, string) {
		rec := httptest.NewRecorder()
		witness.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/add-checkpoint", strings.NewReader(body)))
		return rec.Code, rec.Body.String()
	}
	for _, tt := range []struct {
		name, body string
		status     int
	}{
		{"nothing", "", 400},
		{"no size", "\n\n" + good, 400},
		{"a size that is none", "old x\n\n" + good, 400},
		{"a size beyond", "old 9\n\n" + good, 400},
		{"a proof that is none", "old 0\n!!\n\n" + good, 400},
		{"a size with zeros before", "old 00\n\n" + good, 400},
		{"a size with a sign", "old +0\n\n" + good, 400},
		{"a carriage return", "old 0\r\n\n" + good, 400},
		{"a hash cut short", "old 0\nAAAA\n\n" + good, 400},
		{"an endless proof", "old 0" + strings.Repeat("\n"+strings.Repeat("A", 43)+"=", 64) + "\n\n" + good, 400},
		{"a proof of nothing", "old 0\n" + strings.Repeat("A", 43) + "=\n\n" + good, 422},
		{"no entries and a root", "old 0\n\n" + string(rootless), 422},
		{"another log", "old 0\n\n" + strings.Replace(good, "idp.test", "evil.test", 1), 404},
		{"another key", "old 0\n\n" + string(forged), 403},
		{"altered", "old 0\n\n" + strings.Replace(good, "\n3\n", "\n4\n", 1), 403},
		{"endless", strings.Repeat("x", 1<<20), 413},
		{"good", "old 0\n\n" + good, 200},
		{"good again, from the start", "old 0\n\n" + good, 409},
		{"good again", "old 3\n\n" + good, 200},
	} {
		if status, answer := ask(tt.body); status != tt.status {
			t.Errorf("%s: status %d %s, want %d", tt.name, status, answer, tt.status)
		}
	}
	// Another process with the same directory knows what was seen.
	again, _ := w.witnessed(dir)
	rec := httptest.NewRecorder()
	again.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/add-checkpoint", strings.NewReader("old 0\n\n"+good)))
	if rec.Code != http.StatusConflict || rec.Body.String() != "3\n" {
		t.Errorf("after a restart: status %d %q", rec.Code, rec.Body)
	}
}

func TestOnlyTheWitnessAddsToTheNote(t *testing.T) {
	w := newWorld(t)
	w.act(3, "ada")
	w.step()
	honest, anchor := w.witnessed(t.TempDir())
	_, key, err := record.GenerateKey()
	w.must(err)
	stranger := record.NewCosigner("stranger.test", key, time.Now)
	between := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		honest.ServeHTTP(rec, r)
		added, err := note.Sign(&note.Note{Text: w.checkpoint(3).Text()}, stranger)
		if err != nil {
			t.Error(err)
		}
		_, lines, _ := strings.Cut(string(added), "\n\n")
		rw.WriteHeader(rec.Code)
		rw.Write([]byte(lines + rec.Body.String()))
	}))
	defer between.Close()
	anchor.URL = between.URL
	w.must(w.anchor(anchor))
	if text := w.latest(); strings.Contains(text, "stranger.test") || strings.Count(text, "\u2014 ") != 2 {
		t.Errorf("the note became\n%s", text)
	}
}
