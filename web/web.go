// Package web carries the pages, styles and scripts inside the binary. It
// decides nothing; package frontend draws the pages.
package web

import "embed"

// Files holds pages/*.tmpl and static/*.
//
//go:embed pages/*.tmpl static/*
var Files embed.FS
