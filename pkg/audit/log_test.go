package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/audit/record"
	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
)

// world is a log with a sequencer that runs when told.
type world struct {
	testing.TB
	pool *pgxpool.Pool
	log  *audit.Log
	seq  *audit.Sequencer
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, pool: pgtest.New(t)}
	w.log = audit.New(w.pool)
	w.seq = w.sequencer()
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// sequencer is another replica's.
func (w *world) sequencer() *audit.Sequencer {
	w.Helper()
	signer, err := audit.OpenSigner(context.Background(), w.pool, make([]byte, 32), "idp.test/audit")
	w.must(err)
	return audit.NewSequencer(w.pool, signer, zerolog.Nop(), time.Now)
}

// act records n acts of a person.
func (w *world) act(n int, user string) {
	w.Helper()
	for i := range n {
		w.must(w.log.Do(audit.WithOrigin(context.Background(), audit.Origin{Address: "192.0.2.1", Correlation: "C" + fmt.Sprint(i)}), func(pgx.Tx) (audit.Event, error) {
			return audit.Event{Action: audit.SignIn, UserID: user, Session: "s", Credential: "c", ClientID: "web", Details: map[string]string{"facts": "<2>", "acr": "1"}}, nil
		}))
	}
}

// step sequences all that is there.
func (w *world) step() {
	w.Helper()
	_, err := w.seq.Step(context.Background())
	w.must(err)
}

func (w *world) verifier() note.Verifier {
	w.Helper()
	key, err := audit.Key(context.Background(), w.pool)
	w.must(err)
	v, err := record.NewVerifier(key)
	w.must(err)
	return v
}

// first returns the id of some entry with a place.
func (w *world) entryAt(index int) string {
	w.Helper()
	var id string
	w.must(w.pool.QueryRow(context.Background(), `select entry_id::text from audit_leaf where index = $1`, index).Scan(&id))
	return id
}

// tamper changes the database behind the log's back, triggers off.
func (w *world) tamper(sql string, args ...any) {
	w.Helper()
	w.must(pgx.BeginFunc(context.Background(), w.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(context.Background(), `set local session_replication_role = replica`); err != nil {
			return err
		}
		_, err := tx.Exec(context.Background(), sql, args...)
		return err
	}))
}

func TestEveryEntryIsProvedByAnIndependentVerifier(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.act(100, "ada") // 300 entries cross a tile's width
		w.step()
	}
	verifier := w.verifier()
	for _, index := range []int{0, 1, 99, 255, 256, 299} {
		proof, err := audit.Prove(t.Context(), w.pool, w.entryAt(index))
		w.must(err)
		leaf, c, err := proof.Verify(verifier)
		if err != nil || c.Size != 300 || leaf.Action != string(audit.SignIn) || proof.Line.Personal.UserID != "ada" {
			t.Errorf("entry %d: %v, %+v", index, err, c)
		}
		// golang.org/x/mod opens the note and checks the record by itself.
		n, err := note.Open([]byte(proof.Checkpoint), note.VerifierList(verifier))
		w.must(err)
		tree := strings.Split(n.Text, "\n")
		var hashes tlog.RecordProof
		for _, h := range proof.Proof {
			hashes = append(hashes, tlog.Hash(h))
		}
		root, err := tlog.ParseHash(tree[2])
		w.must(err)
		w.must(tlog.CheckRecord(hashes, 300, root, int64(index), tlog.RecordHash(proof.Line.Leaf)))
	}
	proof, err := audit.ProveConsistency(t.Context(), w.pool, 100, 300)
	w.must(err)
	older, newer := w.checkpoint(100), w.checkpoint(300)
	w.must(record.CheckConsistency(older, newer, proof))
	older.Root[0] ^= 1
	if err := record.CheckConsistency(older, newer, proof); err == nil {
		t.Error("a rewritten log is consistent")
	}
	if _, err := audit.Prove(t.Context(), w.pool, "00000000-0000-0000-0000-000000000000"); !errors.Is(err, audit.ErrNotLogged) {
		t.Errorf("an unknown entry: %v", err)
	}
	if n, err := audit.Check(t.Context(), w.pool); err != nil || n != 300 {
		t.Errorf("%d entries: %v", n, err)
	}
}

func (w *world) checkpoint(size int64) record.Checkpoint {
	w.Helper()
	var text string
	w.must(w.pool.QueryRow(context.Background(), `select note from audit_checkpoint where size = $1`, size).Scan(&text))
	c, err := record.OpenCheckpoint([]byte(text), w.verifier())
	w.must(err)
	return c
}

func TestTamperingIsFoundAndPlaced(t *testing.T) {
	for _, tt := range []struct {
		name, sql string
		from, to  int64 // -1: found, without a place
	}{
		{"action", `update audit_entry set action = 'session.revoked' where id = $1`, 7, 7},
		{"outcome", `update audit_entry set outcome = 'refused', reason = 'x' where id = $1`, 7, 7},
		{"time", `update audit_entry set at = at + interval '1 microsecond' where id = $1`, 7, 7},
		{"client", `update audit_entry set client_id = 'spa' where id = $1`, 7, 7},
		{"grant", `update audit_entry set grant_id = 'g' where id = $1`, 7, 7},
		{"correlation", `update audit_entry set correlation = '' where id = $1`, 7, 7},
		{"details", `update audit_entry set details = '{"a":"2"}' where id = $1`, 7, 7},
		{"person", `update audit_entry set user_id = 'eve' where id = $1`, 7, 7},
		{"actor", `update audit_entry set actor = 'eve' where id = $1`, 7, 7},
		{"session", `update audit_entry set session = 'other' where id = $1`, 7, 7},
		{"passkey", `update audit_entry set credential = 'other' where id = $1`, 7, 7},
		{"address", `update audit_entry set address = '192.0.2.2' where id = $1`, 7, 7},
		{"salt", `update audit_entry set salt = '\x00' where id = $1`, 7, 7},
		{"leaf hash", `update audit_leaf set hash = sha256('x') where entry_id = $1`, 7, 7},
		{"commitment", `update audit_leaf set personal = sha256('x') where entry_id = $1`, 7, 7},
		{"entry removed", `delete from audit_entry where id = $1`, 7, 7},
		{"place removed", `delete from audit_leaf where entry_id = $1`, -1, -1},
		{"two places exchanged", `update audit_leaf set index = case index when 7 then -8 else -9 end, entry_id = entry_id where index in (7, 8) and $1 <> ''`, 5, 9},
		{"newest removed", `delete from audit_leaf where index >= 8 and $1 <> ''`, -1, -1},
		{"newest removed, tree and all", `with a as (delete from audit_checkpoint where size > 5), b as (delete from audit_leaf where index >= 5) delete from audit_entry where id <> $1 and id in (select entry_id from audit_leaf where index >= 5)`, -1, -1},
		{"checkpoint", `update audit_checkpoint set note = replace(note, '10', '11') where $1 <> ''`, -1, -1},
		{"put in beside", `insert into audit_entry (id, action, outcome) select gen_random_uuid(), 'user.invited', 'done' where $1 <> ''`, -1, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.act(5, "ada")
			w.step()
			w.act(5, "ada")
			w.step()
			anchored := w.checkpoint(10) // kept outside
			id := w.entryAt(7)
			if strings.Contains(tt.sql, "set index") {
				w.tamper(`alter table audit_leaf drop constraint index_is_not_negative`)
			}
			w.tamper(strings.Replace(tt.sql, "$1", "'"+id+"'", -1))
			if strings.Contains(tt.sql, "set index") {
				w.tamper(`update audit_leaf set index = case index when -8 then 8 else 7 end where index < 0`)
			}
			_, err := audit.Check(t.Context(), w.pool)
			if tt.name == "newest removed, tree and all" {
				// The database is whole in itself; the checkpoint that was kept outside tells.
				var export bytes.Buffer
				w.must(audit.Export(t.Context(), w.pool, &export, true))
				_, err = record.VerifyExport(&export, []record.Checkpoint{anchored})
			}
			var f *record.Fault
			if err == nil {
				t.Fatal("not found")
			}
			if tt.from >= 0 && (!errors.As(err, &f) || f.From != tt.from || f.To != tt.to) {
				t.Errorf("found %v, want leaf %d", err, tt.from)
			}
		})
	}
}

func TestARewriteIsPlacedBetweenCheckpoints(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.act(10, "ada")
		w.step()
	}
	var export bytes.Buffer
	w.must(audit.Export(t.Context(), w.pool, &export, false))
	var out bytes.Buffer
	for i, text := range strings.Split(strings.TrimSpace(export.String()), "\n") {
		var line record.Line
		w.must(json.Unmarshal([]byte(text), &line))
		if i == 14 { // rewritten with a fitting hash
			leaf, err := record.ParseLeaf(line.Leaf)
			w.must(err)
			leaf.ClientID = "evil"
			h := leaf.Hash()
			line.Leaf, line.Hash = leaf.Bytes(), h[:]
		}
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		w.must(encoder.Encode(line))
	}
	_, err := record.VerifyExport(&out, []record.Checkpoint{w.checkpoint(10), w.checkpoint(20), w.checkpoint(30)})
	var f *record.Fault
	if !errors.As(err, &f) || f.From != 10 || f.To != 19 {
		t.Errorf("found %v, want leaves 10 to 19", err)
	}
}

func TestErasureLeavesProofsValid(t *testing.T) {
	w := newWorld(t)
	w.act(3, "ada")
	w.act(3, "bob")
	w.step()
	before, err := audit.Prove(t.Context(), w.pool, w.entryAt(1))
	w.must(err)
	w.must(pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		n, err := audit.Erase(t.Context(), tx, "ada")
		if n != 3 {
			t.Errorf("%d entries erased", n)
		}
		return err
	}))
	after, err := audit.Prove(t.Context(), w.pool, w.entryAt(1))
	w.must(err)
	if _, _, err := after.Verify(w.verifier()); err != nil || after.Line.Personal != nil || after.Line.Salt != nil {
		t.Errorf("after: %v, %+v", err, after.Line)
	}
	if _, _, err := before.Verify(w.verifier()); err != nil {
		t.Errorf("a proof from before: %v", err)
	}
	w.must(pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		n, err := audit.EraseBefore(t.Context(), tx, time.Now().AddDate(-1, 0, 0))
		if n != 0 {
			t.Errorf("%d entries of this year erased", n)
		}
		return err
	}))
	var export bytes.Buffer
	w.must(audit.Export(t.Context(), w.pool, &export, true))
	if strings.Contains(export.String(), `"ada"`) || !strings.Contains(export.String(), `"bob"`) {
		t.Error("the export knows the wrong people")
	}
	if n, err := audit.Check(t.Context(), w.pool); err != nil || n != 6 {
		t.Errorf("%d entries: %v", n, err)
	}
	if _, err := w.pool.Exec(t.Context(), `update audit_entry set erased_at = now(), salt = null, user_id = '', credential = '', session = '', address = '', client_id = 'x' where user_id = 'bob'`); err == nil {
		t.Error("an erasure changed something else as well")
	}
	if _, err := w.pool.Exec(t.Context(), `delete from audit_entry`); err == nil {
		t.Error("entries can be deleted")
	}
}

func TestAnAdministratorIsOnRecord(t *testing.T) {
	w := newWorld(t)
	w.act(1, "ada")
	by := audit.WithOrigin(t.Context(), audit.Origin{Actor: "root", Session: "desk"})
	for _, session := range []string{"", "of-ada"} {
		w.must(w.log.Do(by, func(pgx.Tx) (audit.Event, error) {
			return audit.Event{Action: audit.SessionRevoked, UserID: "ada", Session: session}, nil
		}))
	}
	w.step()
	p, sessions := w.page(audit.Query{Actor: "root"})
	// Where it was done is told unless the act is about another session.
	if sessions != "of-ada desk" || p.Entries[0].Actor != "root" {
		t.Errorf("done by root: %q, %+v", sessions, p.Entries)
	}
	proof, err := audit.Prove(t.Context(), w.pool, w.entryAt(1))
	w.must(err)
	if _, _, err := proof.Verify(w.verifier()); err != nil || proof.Line.Personal.Actor != "root" {
		t.Errorf("proof: %v, %+v", err, proof.Line.Personal)
	}
	proof.Line.Personal.Actor = "eve"
	if _, _, err := proof.Verify(w.verifier()); err == nil {
		t.Error("somebody else can be blamed")
	}
	w.must(pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		if n, err := audit.Erase(t.Context(), tx, "root"); n != 0 || err != nil {
			t.Errorf("%d entries about ada erased with root: %v", n, err)
		}
		n, err := audit.Erase(t.Context(), tx, "ada")
		if n != 3 {
			t.Errorf("%d entries erased", n)
		}
		return err
	}))
	var export bytes.Buffer
	w.must(audit.Export(t.Context(), w.pool, &export, true))
	if strings.Contains(export.String(), `"root"`) {
		t.Error("an erased entry tells who acted")
	}
}

func TestManySequencersAndActorsLeaveNeitherGapNorDuplicate(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	var sequencers, actors sync.WaitGroup
	for range 4 {
		s := w.sequencer()
		sequencers.Go(func() {
			for ctx.Err() == nil {
				// Some of them die in the middle: between any two statements.
				dying, kill := context.WithTimeout(ctx, 3*time.Millisecond)
				s.Step(dying)
				kill()
				s.Step(ctx)
			}
		})
	}
	for i := range 8 {
		actors.Go(func() { w.act(50, fmt.Sprint("p", i)) })
	}
	actors.Wait()
	stop()
	sequencers.Wait()
	// A replica that died may hold the lock until the database notices.
	pending := 1
	for i := 0; pending > 0 && i < 10_000; i++ {
		w.step()
		w.must(w.pool.QueryRow(t.Context(), `select count(*) from audit_pending`).Scan(&pending))
	}
	if n, err := audit.Check(t.Context(), w.pool); err != nil || n != 400 {
		t.Errorf("%d entries: %v", n, err)
	}
	if pending != 0 {
		t.Errorf("%d entries wait", pending)
	}
}

func TestTheLogHasOneKey(t *testing.T) {
	w := newWorld(t)
	if _, err := audit.OpenSigner(t.Context(), w.pool, bytes.Repeat([]byte{1}, 32), "idp.test/audit"); !errors.Is(err, audit.ErrOtherKey) {
		t.Errorf("another key: %v", err)
	}
	if s, err := audit.OpenSigner(t.Context(), w.pool, make([]byte, 32), "other.test/audit"); err != nil || s.Name() != "idp.test/audit" {
		t.Errorf("another name: %v", err)
	}
}
