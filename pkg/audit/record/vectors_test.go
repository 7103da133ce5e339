package record

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

var update = flag.Bool("update", false, "write the vectors")

// vectors are for other implementers: a log of three entries under a key that
// everybody knows.
type vectors struct {
	Seed        []byte    `json:"ed25519_seed"`
	Key         string    `json:"key"`
	Lines       []Line    `json:"lines"`
	Checkpoints []string  `json:"checkpoints"`
	Proof       Proof     `json:"proof_of_entry_1"`
	Consistency [][]byte  `json:"consistency_2_to_3"`
	Witness     string    `json:"witness_key"`
	Cosigned    string    `json:"cosigned"`
	CosignedAt  time.Time `json:"cosigned_at"`
}

// make computes the vectors from nothing but constants.
func makeVectors(t *testing.T) vectors {
	t.Helper()
	v := vectors{Seed: bytes.Repeat([]byte{7}, 32), CosignedAt: time.Unix(1_767_225_600, 0).UTC()}
	key := ed25519.NewKeyFromSeed(v.Seed)
	signer := NewSigner("login.example/audit", key)
	v.Key = VerifierKey(signer.Name(), key.Public().(ed25519.PublicKey))
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, action := range []string{"user.invited", "session.signed_in", "code.redeemed"} {
		salt, personal := bytes.Repeat([]byte{byte(i)}, 32), Personal{UserID: "ada", Session: "s", Address: "192.0.2.1"}
		leaf := Leaf{Version: Version, ID: "0198f0a0-0000-7000-8000-00000000000" + string(rune('0'+i)), At: time.Date(2026, 1, 1, 0, 0, i, 123456000, time.UTC), Action: action, Outcome: "done",
			ClientID: "web", Details: map[string]string{"b": "<&>", "a": "ü"}, Personal: Commit(salt, personal)}
		h := leaf.Hash()
		hashes, err := tlog.StoredHashesForRecordHash(int64(i), h, reader)
		must(err)
		stored = append(stored, hashes...)
		v.Lines = append(v.Lines, Line{Index: int64(i), Hash: h[:], Leaf: leaf.Bytes(), Salt: salt, Personal: &personal})
		root, err := tlog.TreeHash(int64(i+1), reader)
		must(err)
		signed, err := Checkpoint{signer.Name(), int64(i + 1), root}.Sign(signer)
		must(err)
		v.Checkpoints = append(v.Checkpoints, string(signed))
	}
	proof, err := tlog.ProveRecord(3, 1, reader)
	must(err)
	v.Proof = Proof{Line: v.Lines[1], Size: 3, Checkpoint: v.Checkpoints[2]}
	for _, h := range proof {
		v.Proof.Proof = append(v.Proof.Proof, append([]byte(nil), h[:]...))
	}
	tree, err := tlog.ProveTree(3, 2, reader)
	must(err)
	for _, h := range tree {
		v.Consistency = append(v.Consistency, append([]byte(nil), h[:]...))
	}
	witness := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, 32))
	v.Witness = WitnessKey("witness.example", witness.Public().(ed25519.PublicKey))
	text, _, _ := strings.Cut(v.Checkpoints[2], "\n\n")
	cosigned, err := note.Sign(&note.Note{Text: text + "\n"}, NewCosigner("witness.example", witness, func() time.Time { return v.CosignedAt }))
	must(err)
	v.Cosigned = string(cosigned)
	return v
}

func TestVectorsForOtherImplementers(t *testing.T) {
	var got bytes.Buffer
	encoder := json.NewEncoder(&got)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(makeVectors(t)); err != nil {
		t.Fatal(err)
	}
	const file = "testdata/vectors.json"
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Fatalf("the format changed (run with -update only together with a new version): %v", err)
	}
	// Read from the file, everything verifies.
	var v vectors
	if err := json.Unmarshal(want, &v); err != nil {
		t.Fatal(err)
	}
	verifier, err := NewVerifier(v.Key)
	if err != nil {
		t.Fatal(err)
	}
	var checkpoints []Checkpoint
	for _, text := range v.Checkpoints {
		c, err := OpenCheckpoint([]byte(text), verifier)
		if err != nil {
			t.Fatal(err)
		}
		checkpoints = append(checkpoints, c)
	}
	if _, _, err := v.Proof.Verify(verifier); err != nil {
		t.Error(err)
	}
	for _, line := range v.Lines {
		if _, err := line.Check(); err != nil {
			t.Error(err)
		}
	}
	if err := CheckConsistency(checkpoints[1], checkpoints[2], v.Consistency); err != nil {
		t.Error(err)
	}
	witness, err := NewVerifier(v.Witness)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open([]byte(v.Cosigned), note.VerifierList(witness)); err != nil {
		t.Error(err)
	}
	if _, err := note.Open([]byte(strings.Replace(v.Cosigned, "\n3\n", "\n4\n", 1)), note.VerifierList(witness)); err == nil {
		t.Error("a cosignature fits another checkpoint")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"v":1}`))
	f.Add([]byte("login.example/audit\n3\nAAAA\n\n— login.example/audit AAAA\n"))
	verifier, err := NewVerifier(VerifierKey("x", make(ed25519.PublicKey, 32)))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		ParseLeaf(text)
		ParseCheckpoint(string(text))
		NewVerifier(string(text))
		var p Proof
		if json.Unmarshal(text, &p) == nil {
			if _, _, err := p.Verify(verifier); err == nil {
				t.Error("rubbish verifies")
			}
		}
		VerifyExport(bytes.NewReader(text), nil)
	})
}
