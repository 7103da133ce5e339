package server

import (
	"errors"
	"net/http"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/touchstone-id/touchstone/pkg/audit"
)

// record serves the audit log's checkpoint and hash tiles (C2SP tlog-tiles) to
// anybody: hashes tell nothing. Entries are not served here.
func (s *Server) record() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		if strings.HasSuffix(r.URL.Path, "/checkpoint") {
			text, err := audit.Latest(r.Context(), s.Pool)
			if err != nil || text == "" {
				s.answerRecord(w, err)
				return
			}
			h.Set("Cache-Control", "no-store")
			h.Set("Content-Type", "text/plain; charset=utf-8")
			w.Write([]byte(text))
			return
		}
		// The library's paths name the height, C2SP's do not: it is always 8.
		t, err := tlog.ParseTilePath("tile/8/" + r.PathValue("path"))
		if err != nil || t.L < 0 {
			s.answerRecord(w, audit.ErrNoTile)
			return
		}
		data, err := audit.Tile(r.Context(), s.Pool, t.L, t.N, t.W)
		if err != nil {
			s.answerRecord(w, err)
			return
		}
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("Content-Type", "application/octet-stream")
		w.Write(data)
	})
}

// answerRecord answers a request for what is not there, or what could not be read.
func (s *Server) answerRecord(w http.ResponseWriter, err error) {
	if err == nil || errors.Is(err, audit.ErrNoTile) {
		http.Error(w, "the log has no such thing", http.StatusNotFound)
		return
	}
	s.options.Log.Error().Err(err).Msg("the record could not be read")
	http.Error(w, "something went wrong here", http.StatusInternalServerError)
}
