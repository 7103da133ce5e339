package server

import (
	"context"

	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/attest/mds"
	"github.com/touchstone-id/touchstone/pkg/fleet"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// openBasis takes the trust file and the metadata into force.
func (s *Server) openBasis(ctx context.Context) (err error) {
	o := s.options
	if s.Trust, err = fleet.OpenTrustFile(ctx, s.Pool); err != nil {
		return err
	}
	if len(o.Trust) > 0 {
		applied, err := fleet.Applied(ctx, s.Pool)
		if err != nil {
			return err
		}
		if o.ApplyTrust || !applied {
			if _, err := s.Trust.Apply(ctx, s.Log, o.Now(), o.TrustName, o.Trust, "server start"); err != nil {
				return err
			}
		} else if given, err := trust.Parse(o.TrustName, o.Trust); err != nil {
			return err
		} else if in := s.Trust.Current().Version; given.Version != in {
			o.Log.Warn().Str("given", given.Version).Str("in_force", in).Msg("the trust file given is not the one in force; see touchstone trust plan and trust apply")
		}
	}
	if s.Metadata, err = mds.Open(ctx, mds.Options{Pool: s.Pool, Log: s.Log, Sources: o.Metadata, Logger: o.Log, Now: o.Now}); err != nil {
		return err
	}
	s.renew()
	s.Judge = fleet.NewJudge(fleet.Options{Pool: s.Pool, Log: s.Log, Basis: s.Basis, Logger: o.Log, Now: o.Now, OnCompromise: s.onCompromise})
	return nil
}

// Basis returns what authenticators are judged by now.
func (s *Server) Basis() fleet.Basis { return *s.basis.Load() }

func (s *Server) metadata() attest.Metadata { return s.basis.Load().Metadata }

// renew puts the metadata in force and the trust file in force together.
func (s *Server) renew() {
	b := fleet.NewBasis(s.Metadata.Current(), s.Trust.Current())
	s.basis.Store(&b)
}

// basisChanged has the fleet judged again.
func (s *Server) basisChanged() {
	s.renew()
	s.Judge.Kick()
}

// trustChanged does so as well, and takes the file's clients over.
func (s *Server) trustChanged(ctx context.Context) {
	s.basisChanged()
	if err := s.Clients.DeclareClients(ctx, s.Log, s.options.Now(), s.Trust.Current()); err != nil && ctx.Err() == nil {
		s.options.Log.Error().Err(err).Msg("the trust file's clients could not be declared")
	}
}
