package pkg_test

import (
	"context"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
)

var updateSchema = flag.Bool("update", false, "write migrations/schema.sql anew")

// TestSchemaIsTheOneCheckedIn compares the migrated database with
// migrations/schema.sql, which reviewers read. It is written from the catalogue
// and not by pg_dump, whose form changes between versions.
func TestSchemaIsTheOneCheckedIn(t *testing.T) {
	rows, err := pgtest.New(t).Query(context.Background(), `
		select line from (
			select c.relname, 0 as part, a.attnum::int as nth,
				'  ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end
				|| coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') as line
			from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
			left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
			where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
			union all
			select c.relname, 1, row_number() over (partition by c.relname order by k.conname)::int, '  constraint ' || k.conname || ' ' || pg_get_constraintdef(k.oid)
			from pg_class c join pg_constraint k on k.conrelid = c.oid and k.contype <> 'n' where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
			union all
			select i.tablename::text, 2, row_number() over (partition by i.tablename order by i.indexname)::int, '  ' || i.indexdef from pg_indexes i where i.schemaname = 'public'
			union all
			select c.relname, 3, 0, '  trigger ' || g.tgname from pg_class c join pg_trigger g on g.tgrelid = c.oid and not g.tgisinternal
			union all
			select c.relname, -1, 0, 'table ' || c.relname || ' -- ' || coalesce(obj_description(c.oid), '') from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
		) lines order by relname collate "C", part, nth, line`)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	got := "-- The schema after all migrations, written from the catalogue; go test ./pkg -update writes it anew.\n" + strings.Join(lines, "\n") + "\n"
	if *updateSchema {
		if err := os.WriteFile("../migrations/schema.sql", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("../migrations/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("migrations/schema.sql differs (run with -update when the change is meant):\n%s", diff)
	}
}
