package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/touchstone-id/touchstone/pkg/audit/record"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// ErrNotLogged is returned for an entry that has no place in the log, yet or ever.
var ErrNotLogged = errors.New("the log has no such entry; a new one takes a second to get its place")

// Key returns the key that verifies the log's checkpoints, in the text form of a
// signed note's verifier, or "" before the log's first start.
func Key(ctx context.Context, q postgres.Querier) (string, error) {
	var name string
	var public []byte
	err := q.QueryRow(ctx, `select name, public from audit_signer`).Scan(&name, &public)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the record's key: %w", err)
	}
	return record.VerifierKey(name, public), nil
}

// Latest returns the newest checkpoint as a signed note, with the cosignatures it
// has; empty before the first.
func Latest(ctx context.Context, q postgres.Querier) (string, error) {
	var text string
	err := q.QueryRow(ctx, `select note from audit_checkpoint order by size desc limit 1`).Scan(&text)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("read checkpoint: %w", err)
	}
	return text, nil
}

// Prove returns the proof that an entry, by its id, is in the log, under the
// newest checkpoint.
func Prove(ctx context.Context, q postgres.Querier, id string) (record.Proof, error) {
	var index int64
	err := q.QueryRow(ctx, `select index from audit_leaf where entry_id::text = $1`, id).Scan(&index)
	if errors.Is(err, pgx.ErrNoRows) {
		return record.Proof{}, ErrNotLogged
	}
	if err != nil {
		return record.Proof{}, fmt.Errorf("prove: %w", err)
	}
	text, err := Latest(ctx, q)
	if err != nil {
		return record.Proof{}, err
	}
	c, err := record.ParseCheckpoint(text)
	if err != nil {
		return record.Proof{}, err
	}
	proof, err := tlog.ProveRecord(c.Size, index, newTree(ctx, q, c))
	if err != nil {
		return record.Proof{}, fmt.Errorf("prove: %w", err)
	}
	var line record.Line
	err = lines(ctx, q, index, index+1, true, func(l record.Line) error { line = l; return nil })
	return record.Proof{Line: line, Size: c.Size, Proof: bytesOf(proof), Checkpoint: text}, err
}

// WriteProof writes the proof of an entry as the file that audit prove writes and
// touchstone-audit reads.
func WriteProof(ctx context.Context, q postgres.Querier, w io.Writer, id string) error {
	proof, err := Prove(ctx, q, id)
	if err != nil {
		return err
	}
	_, err = w.Write(proof.Encode())
	return err
}

// ProveConsistency returns the proof that the log of an older size is a prefix
// of that of a newer one.
func ProveConsistency(ctx context.Context, q postgres.Querier, older, newer int64) ([][]byte, error) {
	if older == 0 || older == newer {
		return nil, nil
	}
	c, err := head(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("prove consistency: %w", err)
	}
	if older < 0 || newer > c.Size || older > newer {
		return nil, fmt.Errorf("prove consistency: %d and %d are not sizes of the log", older, newer)
	}
	proof, err := tlog.ProveTree(newer, older, newTree(ctx, q, c))
	if err != nil {
		return nil, fmt.Errorf("prove consistency: %w", err)
	}
	return bytesOf(proof), nil
}

func bytesOf(hashes []tlog.Hash) [][]byte {
	out := make([][]byte, len(hashes))
	for i, h := range hashes {
		out[i] = append([]byte(nil), h[:]...)
	}
	return out
}

// lineBatch bounds how many entries are in memory at a time.
const lineBatch = 1000

// lines shows the entries of the log from one index to before another.
func lines(ctx context.Context, q postgres.Querier, from, to int64, personal bool, show func(record.Line) error) error {
	for from < to {
		rows, err := q.Query(ctx, `
			select l.index, l.hash, l.personal, e.id::text, e.at, e.action, e.outcome, e.reason, e.user_id, e.actor, e.client_id, e.credential, e.session, e.grant_id, e.address, e.correlation, e.details, e.salt, e.erased_at is not null
			 from audit_leaf l join audit_entry e on e.id = l.entry_id
			where l.index >= $1 and l.index < $2 order by l.index limit $3`, from, to, lineBatch)
		if err != nil {
			return fmt.Errorf("read the record: %w", err)
		}
		batch, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (record.Line, error) {
			var line record.Line
			var e stored
			var commitment []byte
			if err := r.Scan(append([]any{&line.Index, &line.Hash, &commitment}, e.targets()...)...); err != nil {
				return line, err
			}
			leaf, part := e.leaf()
			leaf.Personal = commitment
			if personal && !e.erased {
				line.Salt, line.Personal = e.salt, &part
			}
			line.Leaf = leaf.Bytes()
			return line, nil
		})
		if err != nil {
			return fmt.Errorf("read the record: %w", err)
		}
		if len(batch) == 0 {
			return nil
		}
		for _, line := range batch {
			if err := show(line); err != nil {
				return err
			}
		}
		from = batch[len(batch)-1].Index + 1
	}
	return nil
}

// Export writes the log as JSON Lines, from its beginning to its newest
// checkpoint, with or without the personal parts.
func Export(ctx context.Context, q postgres.Querier, w io.Writer, personal bool) error {
	c, err := head(ctx, q)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return lines(ctx, q, 0, c.Size, personal, func(l record.Line) error { return encoder.Encode(l) })
}

// Checkpoints writes every checkpoint, oldest first, each as a JSON string on a line.
func Checkpoints(ctx context.Context, q postgres.Querier, w io.Writer) error {
	rows, err := q.Query(ctx, `select note from audit_checkpoint order by size`)
	if err != nil {
		return fmt.Errorf("read checkpoints: %w", err)
	}
	notes, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("read checkpoints: %w", err)
	}
	encoder := json.NewEncoder(w)
	for _, text := range notes {
		if err := encoder.Encode(text); err != nil {
			return err
		}
	}
	return nil
}

// Erase takes the personal part out of every entry about a person. What stays
// tells nothing about them, and every proof still holds. It returns how many
// entries there were. The caller records that it was done. What the person did to
// others as an administrator stays: it is about those.
func Erase(ctx context.Context, tx pgx.Tx, userID string) (int, error) {
	tag, err := tx.Exec(ctx, `
		update audit_entry set user_id = '', actor = '', credential = '', session = '', address = '', salt = null, erased_at = now()
		where user_id = $1 and erased_at is null and exists (select from audit_leaf where entry_id = audit_entry.id)`, userID)
	if err != nil {
		return 0, fmt.Errorf("erase: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

// EraseBefore takes the personal part out of every entry from before an instant:
// retention that keeps the tree whole. It returns how many entries there were.
func EraseBefore(ctx context.Context, tx pgx.Tx, before time.Time) (int, error) {
	tag, err := tx.Exec(ctx, `
		update audit_entry set user_id = '', actor = '', credential = '', session = '', address = '', salt = null, erased_at = now()
		where at < $1 and erased_at is null and exists (select from audit_leaf where entry_id = audit_entry.id)`, before)
	if err != nil {
		return 0, fmt.Errorf("erase: %w", err)
	}
	return int(tag.RowsAffected()), nil
}
