// Package migrations carries the schema's steps inside the binary.
//
// It decides the order of the steps and nothing else; package postgres applies
// them. Steps go forward only: an installation is rolled back by restoring a
// backup, never by a down step that drops what people stored.
package migrations

import "embed"

// Files holds the steps, NNNN_noun_change.sql, applied in the order of their numbers.
//
//go:embed 0*.sql
var Files embed.FS
