package audit_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
)

// uncovered are the columns that are notes beside the record.
var uncovered = map[string]string{
	"audit_checkpoint.signed_at": "the checkpoint says no time, cosignatures do",
	"audit_checkpoint.anchored":  "what an anchor has tells that it has it",
}

// together are columns that a constraint lets change only with another.
var together = map[string]string{
	"audit_entry.outcome": `outcome = 'refused', reason = 'code_replayed'`,
	"audit_entry.reason":  `outcome = 'refused', reason = 'x'`,
}

// changes says, for a column, all ways to change one byte of a value, or one of
// its kind's smallest changes.
func changes(table, column, kind string, length int) []string {
	if set, ok := together[table+"."+column]; ok {
		return []string{set}
	}
	switch kind {
	case "bytea":
		var sets []string
		for i := range length {
			sets = append(sets, fmt.Sprintf(`%s = set_byte(%s, %d, get_byte(%s, %d) # 1)`, column, column, i, column, i))
		}
		return sets
	case "text":
		sets := []string{column + ` = ` + column + ` || 'x'`}
		for i := range length {
			// 'x' and 'y', so that every place changes.
			sets = append(sets, fmt.Sprintf(`%s = overlay(%s placing case substr(%s, %d, 1) when 'x' then 'y' else 'x' end from %d)`, column, column, column, i+1, i+1))
		}
		return sets
	case "uuid":
		return []string{column + ` = gen_random_uuid()`}
	case "jsonb":
		return []string{column + ` = ` + column + ` || '{"acr":"2"}'`, column + ` = ` + column + ` - 'acr'`, column + ` = ` + column + ` || '{"new":""}'`}
	case "timestamp with time zone":
		return []string{column + ` = coalesce(` + column + `, now()) + interval '1 microsecond'`}
	case "bigint", "integer":
		return []string{column + ` = ` + column + ` + 1000`}
	}
	return nil
}

func TestNoByteOfTheRecordChangesUnseen(t *testing.T) {
	w := newWorld(t)
	w.act(4, "ada")
	w.step()
	w.act(4, "bob")
	w.step()
	ctx := t.Context()
	rows, err := w.pool.Query(ctx, `
		select table_name::text, column_name::text, data_type::text from information_schema.columns
		where table_name in ('audit_entry', 'audit_leaf', 'audit_tile', 'audit_checkpoint', 'audit_signer') and column_name <> 'one' order by 1, ordinal_position`)
	w.must(err)
	type column struct{ Table, Name, Kind string }
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[column])
	w.must(err)
	tried := 0
	for _, c := range columns {
		if uncovered[c.Table+"."+c.Name] != "" {
			continue
		}
		var row string
		var length int
		w.must(w.pool.QueryRow(ctx, fmt.Sprintf(`select ctid::text, coalesce(length(%s::text), 0) from %s order by 1 desc limit 1`, c.Name, c.Table)).Scan(&row, &length))
		if c.Kind == "bytea" {
			w.must(w.pool.QueryRow(ctx, fmt.Sprintf(`select length(%s) from %s where ctid = $1::tid`, c.Name, c.Table), row).Scan(&length))
		}
		sets := changes(c.Table, c.Name, c.Kind, length)
		if len(sets) == 0 {
			t.Errorf("%s.%s: nobody knows how to change a %s", c.Table, c.Name, c.Kind)
		}
		for _, set := range sets {
			tried++
			w.undone(func(tx pgx.Tx) {
				tag, err := tx.Exec(ctx, fmt.Sprintf(`update %s set %s where ctid = $1::tid`, c.Table, set), row)
				if err != nil || tag.RowsAffected() != 1 {
					t.Fatalf("%s: %s: %v", c.Table, set, err)
				}
				if n, err := audit.Check(ctx, tx); err == nil {
					t.Errorf("%s: %s is not found, %d entries", c.Table, set, n)
				}
			})
		}
	}
	if tried < 500 {
		t.Errorf("only %d changes were tried", tried)
	}
	if n, err := audit.Check(ctx, w.pool); err != nil || n != 8 {
		t.Errorf("unchanged: %d, %v", n, err)
	}
}

// undone runs a deed, triggers off, and takes it back.
func (w *world) undone(do func(pgx.Tx)) {
	w.Helper()
	tx, err := w.pool.Begin(context.Background())
	w.must(err)
	defer tx.Rollback(context.Background())
	_, err = tx.Exec(context.Background(), `set local session_replication_role = replica`)
	w.must(err)
	do(tx)
}

func TestTilesAreComparedWithTheirLeaves(t *testing.T) {
	w := newWorld(t)
	w.act(600, "ada")
	w.step()
	for _, tt := range []struct{ name, sql, want string }{
		{"a tile of leaves", `update audit_tile set data = set_byte(data, 40, get_byte(data, 40) # 1) where level = 0 and n = 1`, "leaves 256 to 511: tile 1 of level 0"},
		{"a tile of tiles", `update audit_tile set data = set_byte(data, 40, get_byte(data, 40) # 1) where level = 1`, "leaves 0 to 511: tile 0 of level 1"},
		{"one cut", `update audit_tile set data = substring(data from 1 for 32) where level = 0 and n = 2`, "leaves 512 to 599: tile 2 of level 0"},
		{"one removed", `delete from audit_tile where level = 0 and n = 0`, "leaves 0 to 255: tile 0 of level 0"},
		{"one too many", `insert into audit_tile values (3, 7, '\x00')`, "the log has 4 tiles, 5 are stored"},
	} {
		w.undone(func(tx pgx.Tx) {
			_, err := tx.Exec(t.Context(), tt.sql)
			w.must(err)
			if _, err := audit.Check(t.Context(), tx); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			}
		})
	}
}
