package keyring

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// Timeline is the past, present and plan of every ring.
type Timeline struct {
	// Now is the database's clock when it was read.
	Now time.Time
	// Keys are all that ever were, oldest first.
	Keys []Key
	// Bases tie active keys to what they signed under, oldest first.
	Bases []Basis
	// Planned are the next rotations, one for each ring.
	Planned []PlannedRotation
	// NextUpdate is when the metadata's next update is promised; zero when nothing is.
	NextUpdate time.Time
}

// Basis says what was in force from an instant on while a key was active.
type Basis struct {
	KeyID string
	Since time.Time
	// Metadata names the BLOBs with their numbers, as in fido:122:0a1b2c3d.
	Metadata     string
	TrustVersion string
}

// PlannedRotation is the next rotation of a ring.
type PlannedRotation struct {
	Algorithm Algorithm
	Plan
	// Demanded is rotate or emergency when one was asked for and is not done, and
	// ReadyAt the earliest that it may be; the zero time without a successor.
	Demanded string
	ReadyAt  time.Time
}

// ReadTimeline reads the timeline. It needs no sealing key.
func ReadTimeline(ctx context.Context, q postgres.Querier, rules Rules) (Timeline, error) {
	now, err := clock(ctx, q)
	if err != nil {
		return Timeline{}, err
	}
	return readTimeline(ctx, q, rules, now)
}

func readTimeline(ctx context.Context, q postgres.Querier, rules Rules, now time.Time) (Timeline, error) {
	t := Timeline{Now: now}
	l, err := lookAt(ctx, q, now)
	if err != nil {
		return t, err
	}
	if t.Keys, err = AllKeys(ctx, q); err != nil {
		return t, err
	}
	rows, err := q.Query(ctx, `select kid as key_id, since, metadata, trust_version from signing_key_basis order by since, kid`)
	if err == nil {
		t.Bases, err = pgx.CollectRows(rows, pgx.RowToStructByName[Basis])
	}
	if err != nil {
		return t, fmt.Errorf("read what keys signed under: %w", err)
	}
	t.NextUpdate = l.basis.next
	for _, alg := range Algorithms() {
		if v := viewOf(l, alg, rules); v.current != nil {
			p := PlannedRotation{Algorithm: alg, Plan: v.plan()}
			for _, kind := range []string{demandRotate, demandEmergency} {
				if _, open := v.wants(kind); open {
					p.Demanded = kind
				}
			}
			if v.standby != nil {
				p.ReadyAt = v.standby.CreatedAt.Add(rules.PublishAhead)
				if p.Demanded == demandEmergency {
					p.ReadyAt = v.standby.ReadyAt
				}
			}
			t.Planned = append(t.Planned, p)
		}
	}
	return t, nil
}

// Under returns what a key signed under last, in a word: its BLOBs and trust
// version, or "-".
func (t Timeline) Under(kid string) string {
	for _, b := range slices.Backward(t.Bases) {
		if b.KeyID != kid {
			continue
		}
		metadata := b.Metadata
		if metadata == "" {
			metadata = "no metadata"
		}
		return metadata + " / " + b.TrustVersion
	}
	return "-"
}

// Updates returns the instants at which keys began to sign under other metadata.
func (t Timeline) Updates() []Basis {
	var updates []Basis
	last := ""
	for _, b := range t.Bases {
		if b.Metadata != last && b.Metadata != "" {
			updates = append(updates, b)
		}
		last = b.Metadata
	}
	return updates
}
