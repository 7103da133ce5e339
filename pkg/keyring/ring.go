package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// Options say how a ring is opened.
type Options struct {
	Pool   *pgxpool.Pool
	Log    *audit.Log
	Sealer Sealer
	// Algorithms are those for which a key must exist.
	Algorithms []Algorithm
	// PublishAhead is how long a key is published before it signs; at least the
	// hour that gateways cache a key set, 24 hours by default.
	PublishAhead time.Duration
	// HonourFor is how long a key stays published after it stopped signing: the
	// longest token life plus the gateways' cache time, 2 hours by default.
	HonourFor time.Duration
}

// Default waits: see Options.
const (
	DefaultPublishAhead = 24 * time.Hour
	DefaultHonourFor    = 2 * time.Hour
)

// channel is the notification that tells replicas of a change.
const channel = "signing_key_changed"

// lock is the advisory lock under which keys are created, so that two replicas
// starting together make one key.
const lock = 0x746f756368 // "touch"

// Ring holds the keys ready for use. It is safe for concurrent use.
type Ring struct {
	options Options
	current atomic.Pointer[snapshot]
}

// Open loads the keys and creates the first one of each algorithm that has
// none. It fails when a stored key cannot be unsealed: a lost sealing key is
// never answered with a silent new signing key.
func Open(ctx context.Context, o Options) (*Ring, error) {
	if o.PublishAhead == 0 {
		o.PublishAhead = DefaultPublishAhead
	}
	if o.HonourFor == 0 {
		o.HonourFor = DefaultHonourFor
	}
	r := &Ring{options: o}
	if err := r.Reload(ctx); err != nil {
		return nil, err
	}
	for _, alg := range o.Algorithms {
		if _, ok := r.current.Load().signing[alg]; ok {
			continue
		}
		if err := r.createFirst(ctx, alg); err != nil {
			return nil, err
		}
		if err := r.Reload(ctx); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Reload rebuilds the snapshot from the database. Until it succeeds the old one stays.
func (r *Ring) Reload(ctx context.Context) error {
	var now time.Time
	if err := r.options.Pool.QueryRow(ctx, `select clock_timestamp()`).Scan(&now); err != nil {
		return fmt.Errorf("read database clock: %w", err)
	}
	rows, err := r.load(ctx, now)
	if err != nil {
		return err
	}
	s, err := build(rows, now)
	if err != nil {
		return err
	}
	r.current.Store(s)
	return nil
}

// load reads and unseals every key that is not retired.
func (r *Ring) load(ctx context.Context, now time.Time) ([]row, error) {
	found, err := r.options.Pool.Query(ctx, `
		select kid, algorithm, created_at, activates_at, honoured_at, retires_at, public_jwk, sealed, sealed_under
		from signing_key where retires_at is null or retires_at > $1 order by created_at, kid`, now)
	if err != nil {
		return nil, fmt.Errorf("read signing keys: %w", err)
	}
	return pgx.CollectRows(found, func(c pgx.CollectableRow) (row, error) {
		var k row
		var public, sealed []byte
		var under string
		if err := c.Scan(&k.ID, &k.Algorithm, &k.CreatedAt, &k.ActivatesAt, &k.HonouredAt, &k.RetiresAt, &public, &sealed, &under); err != nil {
			return k, fmt.Errorf("read signing key: %w", err)
		}
		if under != r.options.Sealer.Name() {
			return k, fmt.Errorf("signing key %s is sealed under %q, but the sealing key given is %q: start with the sealing key that was used when it was created", k.ID, under, r.options.Sealer.Name())
		}
		der, err := r.options.Sealer.Open(sealed, k.ID)
		if err != nil {
			return k, err
		}
		if k.private, err = parsePrivate(der); err != nil {
			return k, err
		}
		if err := json.Unmarshal(public, &k.public); err != nil {
			return k, fmt.Errorf("read public key %s: %w", k.ID, err)
		}
		return k, nil
	})
}

// createFirst makes the first key of an algorithm, active at once, unless
// another replica did so meanwhile.
func (r *Ring) createFirst(ctx context.Context, alg Algorithm) error {
	m, err := generate(alg)
	if err != nil {
		return err
	}
	errExists := errors.New("exists")
	err = r.options.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, lock); err != nil {
			return audit.Event{}, fmt.Errorf("lock key ring: %w", err)
		}
		var exists bool
		err := tx.QueryRow(ctx, `select exists (select from signing_key where algorithm = $1 and honoured_at is null)`, alg).Scan(&exists)
		if err != nil {
			return audit.Event{}, fmt.Errorf("look for a %s key: %w", alg, err)
		}
		if exists {
			return audit.Event{}, errExists
		}
		return r.insert(ctx, tx, alg, m, 0)
	})
	if errors.Is(err, errExists) {
		return nil
	}
	return err
}

// insert stores a key that activates after the wait, and tells the replicas.
func (r *Ring) insert(ctx context.Context, tx pgx.Tx, alg Algorithm, m material, wait time.Duration) (audit.Event, error) {
	sealed, err := r.options.Sealer.Seal(m.private, m.kid)
	if err != nil {
		return audit.Event{}, fmt.Errorf("seal key: %w", err)
	}
	_, err = tx.Exec(ctx, `
		insert into signing_key (kid, algorithm, public_jwk, sealed, sealed_under, activates_at)
		values ($1, $2, $3, $4, $5, clock_timestamp() + $6)`, m.kid, alg, m.public, sealed, r.options.Sealer.Name(), wait)
	if err != nil {
		return audit.Event{}, fmt.Errorf("store key: %w", err)
	}
	if err := notify(ctx, tx); err != nil {
		return audit.Event{}, err
	}
	return audit.Event{Action: audit.KeyCreated, Details: map[string]string{"kid": m.kid, "algorithm": string(alg)}}, nil
}

// Rotate creates the successor of the algorithm's active key. The successor is
// published now and signs after PublishAhead; the keys before it are honoured
// from that moment and retire HonourFor later. A rotation already under way is
// an error.
func (r *Ring) Rotate(ctx context.Context, alg Algorithm) error {
	m, err := generate(alg)
	if err != nil {
		return err
	}
	err = r.options.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock($1)`, lock); err != nil {
			return audit.Event{}, fmt.Errorf("lock key ring: %w", err)
		}
		var underway bool
		err := tx.QueryRow(ctx, `select exists (select from signing_key where algorithm = $1 and activates_at > clock_timestamp())`, alg).Scan(&underway)
		if err != nil {
			return audit.Event{}, fmt.Errorf("look for a pending key: %w", err)
		}
		if underway {
			return audit.Event{}, fmt.Errorf("a rotation of %s is already under way", alg)
		}
		_, err = tx.Exec(ctx, `
			update signing_key set honoured_at = clock_timestamp() + $2, retires_at = clock_timestamp() + $3
			where algorithm = $1 and honoured_at is null`, alg, r.options.PublishAhead, r.options.PublishAhead+r.options.HonourFor)
		if err != nil {
			return audit.Event{}, fmt.Errorf("plan the end of the active key: %w", err)
		}
		return r.insert(ctx, tx, alg, m, r.options.PublishAhead)
	})
	if err != nil {
		return err
	}
	return r.Reload(ctx)
}

// notify tells every replica to reload once the transaction commits.
func notify(ctx context.Context, q postgres.Querier) error {
	if _, err := q.Exec(ctx, `select pg_notify($1, '')`, channel); err != nil {
		return fmt.Errorf("announce key change: %w", err)
	}
	return nil
}

// Keys lists every key that is not retired, oldest first.
func (r *Ring) Keys(ctx context.Context) ([]Key, error) {
	rows, err := r.options.Pool.Query(ctx, `select kid, algorithm, created_at, activates_at, honoured_at, retires_at
		from signing_key where retires_at is null or retires_at > clock_timestamp() order by created_at, kid`)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return pgx.CollectRows(rows, func(c pgx.CollectableRow) (Key, error) {
		var k Key
		err := c.Scan(&k.ID, &k.Algorithm, &k.CreatedAt, &k.ActivatesAt, &k.HonouredAt, &k.RetiresAt)
		return k, err
	})
}

// Algorithms returns the algorithms that can sign now, sorted.
func (r *Ring) Algorithms() []Algorithm {
	var algs []Algorithm
	for alg := range r.current.Load().signing {
		algs = append(algs, alg)
	}
	slices.Sort(algs)
	return algs
}

// JWKS returns the published key set (RFC 7517 section 5): pending, active and
// honoured keys. The caller must not change the body.
func (r *Ring) JWKS() Document { return r.current.Load().jwks }

// Sign returns the claims as a compact JWS (RFC 7515 section 7.1) with headers
// alg, kid and typ. The typ must be one of at+jwt, JWT and logout+jwt. It does
// no input or output.
func (r *Ring) Sign(alg Algorithm, typ string, claims any) (string, error) {
	a, ok := r.current.Load().signing[alg]
	if !ok {
		return "", fmt.Errorf("no active %s key", alg)
	}
	signer, ok := a.signers[typ]
	if !ok {
		return "", fmt.Errorf("no signer for typ %q", typ)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return jws.CompactSerialize()
}

// maxTokenLength bounds what Verify parses, in bytes; our own tokens are far shorter.
const maxTokenLength = 16 << 10

// Verify returns the payload of a token that one of the published keys signed
// with its own algorithm and that carries this typ. It checks nothing else: the
// caller judges issuer, audience and time. Every failure is the denial
// TokenInvalid.
func (r *Ring) Verify(token, typ string) ([]byte, error) {
	if len(token) > maxTokenLength {
		return nil, denial.New(denial.TokenInvalid, "longer than %d bytes", maxTokenLength)
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256})
	if err != nil {
		return nil, denial.New(denial.TokenInvalid, "not a signed token")
	}
	header := jws.Signatures[0].Protected
	key, ok := r.current.Load().public[header.KeyID]
	if !ok || key.Algorithm != header.Algorithm {
		return nil, denial.New(denial.TokenInvalid, "no such key")
	}
	if got, _ := header.ExtraHeaders[jose.HeaderType].(string); got != typ {
		return nil, denial.New(denial.TokenInvalid, "typ is not %s", typ)
	}
	payload, err := jws.Verify(key.Key)
	if err != nil {
		return nil, denial.New(denial.TokenInvalid, "signature does not verify")
	}
	return payload, nil
}
