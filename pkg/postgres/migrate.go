package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/tern/v2/migrate"

	"github.com/touchstone-id/touchstone/migrations"
)

// versionTable is where tern counts the applied steps.
const versionTable = "public.schema_version"

// Migrate brings the database at url to the schema of this binary. It is safe
// with many replicas at once: one holds an advisory lock and the others wait.
// It needs a session of its own, so url must not lead through a
// transaction-pooling proxy.
func Migrate(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect to migrate: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	migrator, err := migrate.NewMigrator(ctx, conn, versionTable)
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	if err := migrator.LoadMigrations(migrations.Files); err != nil {
		return fmt.Errorf("load migrations: %w", err)
	}
	version, err := migrator.GetCurrentVersion(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if int(version) > len(migrator.Migrations) {
		return fmt.Errorf("the database is at schema version %d, this binary knows %d: run a newer binary", version, len(migrator.Migrations))
	}
	if err := migrator.Migrate(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	_, err = conn.Exec(ctx, "comment on table schema_version is 'owner: postgres; the number of applied migrations'")
	if err != nil {
		return fmt.Errorf("comment schema version: %w", err)
	}
	return nil
}
