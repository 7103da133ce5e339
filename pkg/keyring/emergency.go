package keyring

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
)

// Consequence is what follows for the keys when a compromised model is in use.
type Consequence string

// The consequences. Rotate separates what was signed before from what is signed
// after; Emergency also ends every token that was signed before.
const (
	FollowNothing   Consequence = "nothing"
	FollowRotate    Consequence = demandRotate
	FollowEmergency Consequence = demandEmergency
)

// OnCompromise takes part in the act that found a compromised model in use. What
// follows is written down there and done by the next turn of any replica, as
// soon as a successor is ready that every gateway knows.
func (r *Ring) OnCompromise(ctx context.Context, tx pgx.Tx, follows Consequence, cause string) error {
	if follows == FollowNothing {
		return nil
	}
	now, err := r.database(ctx, tx)
	if err != nil {
		return err
	}
	for _, alg := range r.options.Algorithms {
		if err := insist(ctx, tx, now, alg, string(follows), cause); err != nil {
			return err
		}
	}
	return notify(ctx, tx)
}

// insist stores a demand unless the same is open already.
func insist(ctx context.Context, tx pgx.Tx, now time.Time, alg Algorithm, kind, cause string) error {
	_, err := tx.Exec(ctx, `
		insert into key_demand (algorithm, kind, cause, demanded_at) values ($1, $2, $3, $4)
		on conflict (algorithm, kind) where done_at is null do nothing`, alg, kind, cause, now)
	if err != nil {
		return fmt.Errorf("demand %s: %w", kind, err)
	}
	return nil
}

// Withdrawal is what an emergency did.
type Withdrawal struct {
	Algorithm Algorithm
	// Withdrawn are the keys that left the key set, Successor the one that signs.
	Withdrawn []string
	Successor string
	// SignsFrom is when the successor signs.
	SignsFrom time.Time
	// AcceptedUntil is when the last gateway forgets the withdrawn keys.
	AcceptedUntil time.Time
	// RefusedUntil is until when gateways may refuse tokens of the successor; the
	// zero time when every gateway knows it already.
	RefusedUntil time.Time
}

// Emergency takes every key of an algorithm that has signed out of the key set
// now and lets the standby sign, in one act. Fresh distrusts the standby as
// well, for when the sealing key or a replica's memory leaked: a new key signs
// after Lease, and gateways may refuse its tokens until they have fetched it.
// Without fresh, a standby that is not ready is an error.
func (r *Ring) Emergency(ctx context.Context, alg Algorithm, cause string, fresh bool) (w Withdrawal, err error) {
	var m material
	if fresh {
		if m, err = r.generate(alg); err != nil {
			return w, err
		}
	}
	_, err = r.act(ctx, func(tx pgx.Tx, l look) (event audit.Event, err error) {
		v := viewOf(l, alg, r.rules())
		if fresh {
			event, w, err = r.replace(ctx, tx, l, v, alg, m, cause)
			return event, err
		}
		if v.standby == nil {
			return event, fmt.Errorf("no successor of %s is published: start a server and wait %s, or distrust everything with --fresh", alg, r.readyAfter())
		}
		if l.now.Before(v.standby.ReadyAt) {
			return event, fmt.Errorf("gateways may not know the successor of %s until %s: wait, or distrust everything with --fresh", alg, v.standby.ReadyAt.UTC().Format(time.RFC3339))
		}
		event, w, err = r.withdraw(ctx, tx, l, v, cause)
		return event, err
	})
	if err != nil {
		return Withdrawal{}, err
	}
	return w, r.Reload(ctx)
}

// withdraw retires what has signed and lets the standby sign.
func (r *Ring) withdraw(ctx context.Context, tx pgx.Tx, l look, v view, cause string) (audit.Event, Withdrawal, error) {
	alg := v.standby.Algorithm
	w := Withdrawal{Algorithm: alg, Successor: v.standby.ID, SignsFrom: l.now}
	event, err := r.withdrawn(ctx, tx, l, &w, cause)
	if err == nil {
		err = r.activate(ctx, tx, l, v.standby.ID, l.now)
	}
	return event, w, err
}

// replace retires what has signed and the standby, and lets a new key sign once
// every replica that still answers publishes it.
func (r *Ring) replace(ctx context.Context, tx pgx.Tx, l look, v view, alg Algorithm, m material, cause string) (audit.Event, Withdrawal, error) {
	w := Withdrawal{Algorithm: alg, Successor: m.kid, SignsFrom: l.now.Add(Lease), RefusedUntil: l.now.Add(GatewayWindow)}
	event, err := r.withdrawn(ctx, tx, l, &w, cause)
	if err != nil {
		return event, w, err
	}
	if v.standby != nil {
		if err := drop(ctx, tx, l.now, v.standby.ID); err != nil {
			return event, w, err
		}
	}
	if err := r.insert(ctx, tx, alg, m, l.now, Lease, cause); err != nil {
		return event, w, err
	}
	return event, w, r.activate(ctx, tx, l, m.kid, w.SignsFrom)
}

// withdrawn takes what has signed, or has a date to, out of the key set, closes
// every demand, and tells the record.
func (r *Ring) withdrawn(ctx context.Context, tx pgx.Tx, l look, w *Withdrawal, cause string) (audit.Event, error) {
	rows, err := tx.Query(ctx, `
		update signing_key set honoured_at = least(coalesce(honoured_at, $2), $2), retires_at = $2, withdrawn_at = $2
		where algorithm = $1 and activates_at is not null and (retires_at is null or retires_at > $2) returning kid`, w.Algorithm, l.now)
	if err == nil {
		w.Withdrawn, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err == nil {
		err = closeDemands(ctx, tx, l.now, w.Algorithm, demandRotate, demandEmergency)
	}
	if err != nil {
		return audit.Event{}, fmt.Errorf("withdraw keys: %w", err)
	}
	w.AcceptedUntil = l.now.Add(GatewayWindow)
	return audit.Event{Action: audit.KeyWithdrawn, Details: map[string]string{"kid": strings.Join(w.Withdrawn, " "), "algorithm": string(w.Algorithm), "cause": cause,
		"successor": w.Successor, "accepted_until": w.AcceptedUntil.UTC().Format(time.RFC3339), "metadata": l.basis.metadata, "trust_version": l.basis.trust}}, nil
}

// drop retires a standby that never signed.
func drop(ctx context.Context, tx pgx.Tx, now time.Time, kid string) error {
	tag, err := tx.Exec(ctx, `update signing_key set honoured_at = $2, retires_at = $2 where kid = $1 and activates_at is null and retires_at is null`, kid, now)
	if err == nil && tag.RowsAffected() != 1 {
		err = fmt.Errorf("key %s does not stand by", kid)
	}
	if err != nil {
		return fmt.Errorf("retire standby: %w", err)
	}
	return nil
}
