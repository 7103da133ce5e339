package server

import (
	"context"
	"net/http"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/keyring"
)

// openRing opens the signing keys under the rules of the trust file in force.
func (s *Server) openRing(ctx context.Context) error {
	o := s.options
	sealer := o.Sealer
	if sealer == nil {
		var err error
		if sealer, err = keyring.NewLocalSealer(o.SealingKey); err != nil {
			return err
		}
	}
	var err error
	for name, into := range map[string]*[]byte{"cookies": &s.cookieKey, "pairwise subjects": &s.pairwiseKey, audit.SecretName: &s.auditSeed} {
		if *into, err = keyring.Secret(ctx, s.Pool, sealer, o.PreviousSealers, name); err != nil {
			return err
		}
	}
	s.Ring, err = keyring.Open(ctx, keyring.Options{Pool: s.Pool, Log: s.Log, Sealer: sealer, Previous: o.PreviousSealers, Development: o.Development,
		EdDSA: func() bool { return s.Clients.WantsIDTokens(string(keyring.EdDSA)) },
		Rules: func() keyring.Rules {
			k := s.Trust.Current().Keys
			return keyring.Rules{PublishAhead: k.PublishAhead, RotateEvery: k.RotateEvery}
		}})
	return err
}

// onCompromise lets happen to the signing keys what the trust file says, and
// returns it.
func (s *Server) onCompromise(ctx context.Context, tx pgx.Tx, models []string, metadata string) (string, error) {
	follows := s.Trust.Current().Keys.OnCompromise
	return follows, s.Ring.OnCompromise(ctx, tx, keyring.Consequence(follows), "compromised in use under "+metadata+": "+strings.Join(models, ", "))
}

// Metrics serves the state of the signing keys in the Prometheus text format. It
// is for a listener that only operators reach.
func (s *Server) Metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		if err := s.Ring.WriteMetrics(w); err != nil {
			s.options.Log.Debug().Err(err).Msg("metrics could not be written")
		}
	})
}
