// Package web carries the pages, styles and scripts inside the binary. It
// decides nothing; packages frontend and admin draw the pages.
package web

import "embed"

// Files holds pages/*.tmpl, the console's in pages/admin, and static/*.
//
//go:embed pages/*.tmpl pages/admin/*.tmpl static/*
var Files embed.FS
