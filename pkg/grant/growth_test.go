package grant

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/postgres/pgtest"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// BenchmarkRefreshAmong refreshes among many people, old grants and spent
// tokens, and issues automation tokens there: the cost must not grow with them.
func BenchmarkRefreshAmong(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		pool, ctx, now := pgtest.New(b), context.Background(), time.Now()
		first := secret.New()
		for _, sql := range []string{
			`insert into account (id, handle, name, display_name) select 'p' || i, sha256(i::text::bytea), 'person ' || i, 'x' from generate_series(1, $1::int) i`,
			`insert into client (id, name, kind, origin, grant_types, scopes) select 'c' || i, 'x', 'public', 'operator', '{refresh_token}', '{openid}' from generate_series(0, greatest($1::int / 1000, 1)) i`,
			`insert into credential (id, user_id, rp_id, credential_id, public_key, algorithm, authenticator_id, nickname, aaguid, format, attestation_type, attestation_object, client_data,
				chain, transports, attachment, flags, backup_eligible, backup_state, uv_initialised, sign_count, facts, levels)
			select '00000000-0000-0000-0000-000000000001', 'p1', 'x', '\x01', '\x', -7, 'a', 'x', '00000000-0000-0000-0000-000000000000', 'none', 'none', '\x', '\x', '{}', '{}', '', 5, false, false, true, 0, '{}', '{phr}' where $1::int > 0`,
			`insert into access_grant (id, client_id, user_id, credential, scopes, audience, audiences, authentication, expires_at)
			select ('00000000-0000-0000-0000-' || lpad(i::text, 12, '0'))::uuid, 'c0', 'p1', '00000000-0000-0000-0000-000000000001', '{openid,offline_access}', 'x', '{x}', '{"acr":"phr"}', now() + interval '1 day' from generate_series(1, $1::int) i`,
			`insert into refresh_token (digest, grant_id, expires_at, spent_at)
			select sha256(i::text::bytea), ('00000000-0000-0000-0000-' || lpad(i::text, 12, '0'))::uuid, now() + interval '1 day', now() from generate_series(1, $1::int) i`,
		} {
			if _, err := pool.Exec(ctx, sql, n); err != nil {
				b.Fatal(err)
			}
		}
		_, err := pool.Exec(ctx, `insert into refresh_token (digest, grant_id, expires_at) values ($1, '00000000-0000-0000-0000-000000000001', $2)`, first.Digest(), now.Add(time.Hour))
		if err == nil {
			_, err = pool.Exec(ctx, `analyze`)
		}
		if err != nil {
			b.Fatal(err)
		}
		token := first
		b.Run(fmt.Sprintf("refresh/%d", n), func(b *testing.B) {
			for b.Loop() {
				if err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
					g, err := Refresh(ctx, tx, now, RefreshParams{Token: token, ClientID: "c0"})
					token = g.RefreshToken
					return err
				}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("workload/%d", n), func(b *testing.B) {
			for b.Loop() {
				if err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
					_, err := IssueToWorkload(ctx, tx, now, Client{ID: "c0"}, []string{"openid"}, "x")
					return err
				}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("standing/%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := Standing(ctx, pool, now, "00000000-0000-0000-0000-000000000001"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
