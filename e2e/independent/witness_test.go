package independent

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	client "github.com/transparency-dev/witness/client/http"
	"github.com/transparency-dev/witness/persistence/inmemory"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/audit/record"
)

// theirs serves a witness that we did not write, and returns it as an anchor of
// ours with the key that it calls its own.
func (w *world) theirs() (audit.WitnessAnchor, string) {
	w.Helper()
	private, public, err := note.GenerateKey(nil, "witness.test")
	w.must(err)
	signer, err := fnote.NewSignerForCosignatureV1(private)
	w.must(err)
	ofLog, err := fnote.NewVerifier(w.key())
	w.must(err)
	theirs, err := witness.New(w.Context(), witness.Opts{Persistence: inmemory.New(), Signers: []note.Signer{signer},
		VerifierForLog: func(_ context.Context, name string) (note.Verifier, bool, error) { return ofLog, name == origin, nil }})
	w.must(err)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", witness.NewHTTPHandler(theirs).AddCheckpoint)
	server := httptest.NewServer(mux)
	w.Cleanup(server.Close)
	key, err := fnote.VKeyToCosignatureV1(public)
	w.must(err)
	verifier, err := record.NewVerifier(key)
	w.must(err)
	return audit.WitnessAnchor{URL: server.URL, Key: verifier, Pool: w.pool, Client: server.Client()}, key
}

func TestTheirWitnessCosignsOurLogAndRefusesItsForks(t *testing.T) {
	w := newWorld(t)
	w.grow(10)
	witness, key := w.theirs()
	for _, n := range []int{0, 1, 300} {
		w.grow(n)
		w.must(w.anchor(witness))
		signed, err := audit.Latest(t.Context(), w.pool)
		w.must(err)
		theirs, err := fnote.NewVerifierForCosignatureV1(key)
		w.must(err)
		ofLog, err := fnote.NewVerifier(w.key())
		w.must(err)
		_, _, n, err := log.ParseCheckpoint([]byte(signed), origin, ofLog, theirs)
		if err != nil || len(n.Sigs) != 2 {
			t.Fatalf("cosigned, as they read it: %v\n%s", err, signed)
		}
	}
	w.rewrite(3)
	if err := w.anchor(witness); err == nil || !strings.Contains(err.Error(), "forked or cut") {
		t.Errorf("a shortened log: %v", err)
	}
	w.grow(50)
	if err := w.anchor(witness); err == nil || !strings.Contains(err.Error(), "422") {
		t.Errorf("a log that went on from a fork: %v", err)
	}
}

func TestOurWitnessAnswersTheirClient(t *testing.T) {
	w := newWorld(t)
	public, private, err := record.GenerateKey()
	w.must(err)
	ofLog, err := record.NewVerifier(w.key())
	w.must(err)
	server := httptest.NewServer(audit.NewWitness(ofLog, record.NewCosigner("witness.test", private, time.Now), t.TempDir()))
	defer server.Close()
	at, err := url.Parse(server.URL)
	w.must(err)
	ours := client.NewWitness(at, server.Client())
	verifier, err := fnote.NewVerifierForCosignatureV1(record.WitnessKey("witness.test", public))
	w.must(err)

	first := w.grow(7)
	body, _, err := ours.Update(t.Context(), 0, []byte(first), nil)
	w.must(err)
	text, _, _ := strings.Cut(first, "\n\n")
	n, err := note.Open([]byte(text+"\n\n"+string(body)), note.VerifierList(verifier))
	w.must(err)
	if at, err := fnote.CoSigV1Timestamp(n.Sigs[0]); err != nil || time.Since(at) > time.Minute || at.After(time.Now()) {
		t.Errorf("cosigned at %v: %v", at, err)
	}
	second := w.grow(20)
	good, err := audit.ProveConsistency(t.Context(), w.pool, 7, 27)
	w.must(err)
	fork := w.rewrite(1)  // 26 entries
	forked := w.grow(1)   // 27 again, of another tree
	beyond := w.grow(100) // and on
	another := strings.Replace(first, origin, "other.test/audit", 1)
	for _, tt := range []struct {
		name       string
		old        uint64
		checkpoint string
		proof      [][]byte
		want       error
		size       uint64
	}{
		{"a stale size", 0, second, nil, witness.ErrCheckpointStale, 7},
		{"a size beyond", 28, second, good, witness.ErrOldSizeInvalid, 0},
		{"no proof", 7, second, nil, witness.ErrInvalidProof, 0},
		{"a proof of something else", 7, second, good[1:], witness.ErrInvalidProof, 0},
		{"another log", 7, another, good, witness.ErrUnknownLog, 0},
		{"altered", 7, strings.Replace(second, "\n27\n", "\n28\n", 1), good, witness.ErrNoValidSignature, 0},
		{"good", 7, second, good, nil, 0},
		{"good again", 27, second, nil, nil, 0},
		{"shorter", 27, fork, nil, witness.ErrOldSizeInvalid, 0},
		{"another tree of the same size", 27, forked, nil, witness.ErrRootMismatch, 0},
		{"a fork that went on", 27, beyond, w.consistency(27, 127), witness.ErrInvalidProof, 0},
	} {
		if _, size, err := ours.Update(t.Context(), tt.old, []byte(tt.checkpoint), tt.proof); !errors.Is(err, tt.want) || size != tt.size {
			t.Errorf("%s: %v, size %d; want %v, %d", tt.name, err, size, tt.want, tt.size)
		}
	}
}

func (w *world) consistency(older, newer int64) [][]byte {
	w.Helper()
	proof, err := audit.ProveConsistency(w.Context(), w.pool, older, newer)
	w.must(err)
	return proof
}
