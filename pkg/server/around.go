package server

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/keyring"
	"github.com/touchstone-id/touchstone/pkg/signin"
)

// requestBound is how long a request may work on the database.
const requestBound = 20 * time.Second

// around gives every request its correlation id and origin, logs one line for
// it (the path alone: queries hold codes and state), and answers health checks.
func (s *Server) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		origin := audit.Origin{Address: signin.AddressOf(r), Correlation: newCorrelation()}
		ctx, cancel := context.WithTimeout(audit.WithOrigin(r.Context(), origin), requestBound)
		defer cancel()
		r = r.WithContext(ctx)
		w.Header().Set("X-Request-Id", origin.Correlation)
		recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			if fault := recover(); fault != nil {
				s.options.Log.Error().Str("correlation", origin.Correlation).Str("panic", fmt.Sprint(fault)).Bytes("stack", debug.Stack()).Msg("request panicked")
				http.Error(recorder, "something went wrong here; correlation "+origin.Correlation, http.StatusInternalServerError)
			}
			s.options.Log.Debug().Str("method", r.Method).Str("path", r.URL.Path).Int("status", recorder.status).
				Dur("took", time.Since(began)).Str("address", origin.Address).Str("correlation", origin.Correlation).Msg("request")
		}()
		if r.URL.Path == "/healthz" {
			s.health(recorder, r)
			return
		}
		next.ServeHTTP(recorder, r)
	})
}

// health answers 200 when the database does and the key set is known to be in
// force, and lists what an operator should look at.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	if err := s.Pool.Ping(r.Context()); err != nil {
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	problems := s.Ring.Problems()
	if slices.ContainsFunc(problems, func(p keyring.Problem) bool {
		return p.Code == keyring.ProblemStale || p.Code == keyring.ProblemNoSigner
	}) {
		w.WriteHeader(http.StatusServiceUnavailable)
	} else {
		fmt.Fprintln(w, "ok")
	}
	for _, p := range problems {
		fmt.Fprintf(w, "%s: %s\n", p.Code, p.Text)
	}
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// newCorrelation returns a short id that a person can read out.
func newCorrelation() string {
	b := make([]byte, 10)
	rand.Read(b)
	return base32.StdEncoding.EncodeToString(b)
}
