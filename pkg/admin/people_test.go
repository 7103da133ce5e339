package admin

import (
	"testing"
	"time"

	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// crowd is a console of a hundred thousand people with two passkeys each.
func crowd(b *testing.B) *Console {
	b.Helper()
	pool := pgtest.New(b)
	for _, sql := range []string{
		`insert into account (id, handle, name, display_name) select lpad(i::text, 26, 'a'), decode(lpad(i::text, 8, '0'), 'hex'), 'person' || i, 'Person ' || i from generate_series(1, 100000) i`,
		`insert into account_group (user_id, group_name) select id, 'administrators' from account where name like '%777'`,
		`insert into credential (id, user_id, rp_id, credential_id, public_key, algorithm, authenticator_id, nickname, aaguid, format, attestation_type, attestation_object, client_data, chain, transports, attachment, flags, backup_eligible, backup_state, uv_initialised, sign_count, facts)
			select gen_random_uuid(), a.id, 'x', decode(md5(a.id || n), 'hex'), '\x', -7, md5(a.id || n), 'Key', gen_random_uuid(), 'none', '', '\x', '\x', '{}', '{}', '', 0, false, false, true, 0, '{}' from account a, generate_series(1, 2) n`,
		`analyze`,
	} {
		if _, err := pool.Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
	return &Console{options: Options{Pool: pool}}
}

func BenchmarkFindPeople(b *testing.B) {
	c := crowd(b)
	for _, bb := range []struct{ name, search, show, afterName, afterID string }{
		{"first page", "", "", "", ""},
		{"a page in the middle", "", "", "person5", "x"},
		{"by a part of a name", "99123", "", "", ""},
		{"administrators", "", "administrators", "", ""},
		{"nobody is without a passkey", "", "none", "", ""},
	} {
		b.Run(bb.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := c.findPeople(b.Context(), found{search: bb.search, show: bb.show, administrators: "administrators", afterName: bb.afterName, afterID: bb.afterID}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOverview(b *testing.B) {
	c := crowd(b)
	for b.Loop() {
		if _, err := c.count(b.Context(), time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWhomASettingConcerns(b *testing.B) {
	c := crowd(b)
	for b.Loop() {
		m := &measure{c: c, ctx: b.Context(), t: trust.Empty(), known: map[string][2]int{}}
		if m.people([]string{"administrators"}, nil, []string{"phrh"}); m.err != nil {
			b.Fatal(m.err)
		}
		if m.people(nil, nil, []string{"phrh"}); m.err != nil {
			b.Fatal(m.err)
		}
	}
}
