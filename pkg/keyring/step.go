package keyring

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// createFirst makes the first key of every algorithm in one act, active at
// once, unless another replica did so meanwhile.
func (r *Ring) createFirst(ctx context.Context) error {
	var first []material
	for _, alg := range r.options.Algorithms {
		m, err := r.generate(alg)
		if err != nil {
			return err
		}
		first = append(first, m)
	}
	_, err := r.act(ctx, func(tx pgx.Tx, l look) (audit.Event, error) {
		if !l.empty {
			return audit.Event{}, errNothing
		}
		var kids []string
		for i, alg := range r.options.Algorithms {
			if err := r.insert(ctx, tx, alg, first[i], l.now, 0, "first"); err != nil {
				return audit.Event{}, err
			}
			if err := r.activate(ctx, tx, l, first[i].kid, l.now); err != nil {
				return audit.Event{}, err
			}
			kids = append(kids, first[i].kid)
		}
		return audit.Event{Action: audit.KeyCreated, Details: map[string]string{"kid": strings.Join(kids, " "), "algorithm": joined(r.options.Algorithms), "cause": "first"}}, nil
	})
	return err
}

// step makes one move if it is still due once the lock is held.
func (r *Ring) step(ctx context.Context, alg Algorithm, m move) (bool, error) {
	var fresh material
	if m == moveStandby {
		var err error
		if fresh, err = r.generate(alg); err != nil { // outside of the lock: it takes long
			return false, err
		}
	}
	return r.act(ctx, func(tx pgx.Tx, l look) (audit.Event, error) {
		v := viewOf(l, alg, r.rules())
		due, cause := decide(v)
		if due != m {
			return audit.Event{}, errNothing
		}
		switch m {
		case moveStandby:
			details := map[string]string{"kid": fresh.kid, "algorithm": string(alg), "cause": cause}
			return audit.Event{Action: audit.KeyCreated, Details: details}, r.insert(ctx, tx, alg, fresh, l.now, r.readyAfter(), cause)
		case movePromote:
			return r.promote(ctx, tx, l, v, cause)
		default:
			event, _, err := r.withdraw(ctx, tx, l, v, cause)
			return event, err
		}
	})
}

// insert publishes a key that may sign after the wait.
func (r *Ring) insert(ctx context.Context, tx pgx.Tx, alg Algorithm, m material, now time.Time, wait time.Duration, cause string) error {
	sealed, err := r.options.Sealer.Seal(m.private, m.kid)
	if err != nil {
		return fmt.Errorf("seal key: %w", err)
	}
	_, err = tx.Exec(ctx, `
		insert into signing_key (kid, algorithm, public_jwk, sealed, sealed_under, created_at, ready_at, cause)
		values ($1, $2, $3, $4, $5, $6, $7, $8)`, m.kid, alg, m.public, sealed, r.options.Sealer.Name(), now, now.Add(wait), cause)
	if err != nil {
		return fmt.Errorf("store key: %w", err)
	}
	return nil
}

// activate lets a standby sign from an instant on, and notes under what.
func (r *Ring) activate(ctx context.Context, tx pgx.Tx, l look, kid string, at time.Time) error {
	tag, err := tx.Exec(ctx, `update signing_key set activates_at = $2 where kid = $1 and activates_at is null and retires_at is null`, kid, at)
	if err == nil && tag.RowsAffected() != 1 {
		err = fmt.Errorf("key %s does not stand by", kid)
	}
	if err == nil {
		_, err = tx.Exec(ctx, `insert into signing_key_basis (kid, since, metadata, trust_version) values ($1, $2, $3, $4)`, kid, at, l.basis.metadata, l.basis.trust)
	}
	if err != nil {
		return fmt.Errorf("activate key: %w", err)
	}
	return nil
}

// promote lets the standby sign, honours the key before it, and closes the
// demand that asked for it.
func (r *Ring) promote(ctx context.Context, tx pgx.Tx, l look, v view, cause string) (audit.Event, error) {
	details := map[string]string{"kid": v.standby.ID, "algorithm": string(v.standby.Algorithm), "cause": cause, "metadata": l.basis.metadata, "trust_version": l.basis.trust}
	if v.current != nil {
		_, err := tx.Exec(ctx, `update signing_key set honoured_at = $2, retires_at = $3 where kid = $1 and honoured_at is null`, v.current.ID, l.now, l.now.Add(HonourFor))
		if err != nil {
			return audit.Event{}, fmt.Errorf("honour key: %w", err)
		}
		details["succeeds"] = v.current.ID
	}
	if err := r.activate(ctx, tx, l, v.standby.ID, l.now); err != nil {
		return audit.Event{}, err
	}
	return audit.Event{Action: audit.KeyActivated, Details: details}, closeDemands(ctx, tx, l.now, v.standby.Algorithm, demandRotate)
}

// closeDemands marks an algorithm's open demands of some kinds as done.
func closeDemands(ctx context.Context, tx pgx.Tx, now time.Time, alg Algorithm, kinds ...string) error {
	if _, err := tx.Exec(ctx, `update key_demand set done_at = $3 where algorithm = $1 and kind = any($2) and done_at is null`, alg, kinds, now); err != nil {
		return fmt.Errorf("close demand: %w", err)
	}
	return nil
}

// tidy erases the private parts of retired keys, and notes under what metadata
// and trust file the active keys sign now. It looks first, because there is
// nothing to do almost always.
func (r *Ring) tidy(ctx context.Context, l look) (bool, error) {
	retired := false
	for _, k := range l.keys {
		retired = retired || k.StateAt(l.now) == Retired
	}
	if retired {
		if _, err := r.act(ctx, func(tx pgx.Tx, l look) (audit.Event, error) { return r.erase(ctx, tx, l) }); err != nil {
			return false, err
		}
	}
	return retired, r.note(ctx, l)
}

// erase destroys the private parts of retired keys.
func (r *Ring) erase(ctx context.Context, tx pgx.Tx, l look) (audit.Event, error) {
	rows, err := tx.Query(ctx, `update signing_key set sealed = '', destroyed_at = $1 where retires_at <= $1 and destroyed_at is null returning kid`, l.now)
	if err != nil {
		return audit.Event{}, fmt.Errorf("erase retired keys: %w", err)
	}
	kids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return audit.Event{}, fmt.Errorf("erase retired keys: %w", err)
	}
	if len(kids) == 0 {
		return audit.Event{}, errNothing
	}
	return audit.Event{Action: audit.KeyRetired, Details: map[string]string{"kid": strings.Join(kids, " ")}}, nil
}

// note writes down what the active keys sign under since now, when it is not
// what was written last. The tie of a key to the metadata is housekeeping: the
// change itself is in the record already.
func (r *Ring) note(ctx context.Context, l look) error {
	const stale = `
		select k.kid from signing_key k
		where k.activates_at <= $1 and (k.honoured_at is null or k.honoured_at > $1)
		and not exists (
			select from (select b.metadata, b.trust_version from signing_key_basis b where b.kid = k.kid order by b.since desc limit 1) last
			where last.metadata = $2 and last.trust_version = $3)`
	find := func(q postgres.Querier, l look) ([]string, error) {
		rows, err := q.Query(ctx, stale, l.now, l.basis.metadata, l.basis.trust)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if kids, err := find(r.options.Pool, l); err != nil || len(kids) == 0 {
		return err
	}
	return postgres.InTx(ctx, r.options.Pool, func(tx pgx.Tx) error {
		l, err := r.lookLocked(ctx, tx)
		if err != nil {
			return err
		}
		kids, err := find(tx, l)
		if err != nil {
			return fmt.Errorf("note what keys sign under: %w", err)
		}
		for _, kid := range kids {
			if _, err := tx.Exec(ctx, `insert into signing_key_basis (kid, since, metadata, trust_version) values ($1, $2, $3, $4)`, kid, l.now, l.basis.metadata, l.basis.trust); err != nil {
				return fmt.Errorf("note what keys sign under: %w", err)
			}
		}
		return nil
	})
}

// joined lists algorithms in words of the record.
func joined(algs []Algorithm) string {
	words := make([]string, len(algs))
	for i, a := range algs {
		words[i] = string(a)
	}
	return strings.Join(words, " ")
}
