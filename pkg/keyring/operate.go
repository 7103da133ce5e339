package keyring

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// Rotate asks for a rotation and does it now if it may be done. It returns the
// key that signs now, and "" when the rotation has to wait: for the standby to
// have been published long enough, or for a judgement to end. Then any replica
// does it as soon as it may.
func (r *Ring) Rotate(ctx context.Context, alg Algorithm, cause string) (string, error) {
	if !slices.Contains(r.options.Algorithms, alg) {
		return "", fmt.Errorf("no ring for algorithm %q", alg)
	}
	var before string
	_, err := r.act(ctx, func(tx pgx.Tx, l look) (audit.Event, error) {
		if v := viewOf(l, alg, r.rules()); v.current != nil {
			before = v.current.ID
		}
		return audit.Event{Action: audit.KeyDemanded, Details: map[string]string{"algorithm": string(alg), "kind": demandRotate, "cause": cause}}, insist(ctx, tx, l.now, alg, demandRotate, cause)
	})
	if err == nil {
		err = r.Turn(ctx)
	}
	if err != nil {
		return "", err
	}
	if now := r.current.Load().signing[alg].kid; now != before {
		return now, nil
	}
	return "", nil
}

// Retire takes a key out of the key set before its time: a standby, which a new
// one replaces, or an honoured key once no token that it signed can be alive.
func (r *Ring) Retire(ctx context.Context, kid string) error {
	_, err := r.act(ctx, func(tx pgx.Tx, l look) (audit.Event, error) {
		i := slices.IndexFunc(l.keys, func(k Key) bool { return k.ID == kid })
		if i < 0 {
			return audit.Event{}, fmt.Errorf("no key %q", kid)
		}
		k := l.keys[i]
		event := audit.Event{Action: audit.KeyRetired, Details: map[string]string{"kid": kid, "algorithm": string(k.Algorithm), "cause": "operator"}}
		switch state := k.StateAt(l.now); {
		case k.standsBy():
			return event, drop(ctx, tx, l.now, kid)
		case state == Retired:
			return audit.Event{}, fmt.Errorf("key %s is retired already", kid)
		case state != Honoured:
			return audit.Event{}, fmt.Errorf("key %s signs: rotate first, or use emergency", kid)
		}
		if safe := k.HonouredAt.Add(LongestTokenLife + Lease); l.now.Before(safe) {
			return audit.Event{}, fmt.Errorf("tokens that key %s signed may live until %s: wait, or use emergency to end them", kid, safe.UTC().Format(time.RFC3339))
		}
		if _, err := tx.Exec(ctx, `update signing_key set retires_at = $2 where kid = $1 and retires_at > $2`, kid, l.now); err != nil {
			return audit.Event{}, fmt.Errorf("retire key: %w", err)
		}
		return event, nil
	})
	if err != nil {
		return err
	}
	return r.Reload(ctx)
}

// Import makes a private key, PKCS #8 in PEM, the standby of an algorithm, in
// place of the one there is. It is published from now on and waits as any
// other. The error never holds anything of the key.
func (r *Ring) Import(ctx context.Context, alg Algorithm, text []byte) (string, error) {
	if !slices.Contains(r.options.Algorithms, alg) {
		return "", fmt.Errorf("no ring for algorithm %q", alg)
	}
	m, err := readPrivate(alg, text)
	if err != nil {
		return "", err
	}
	_, err = r.act(ctx, func(tx pgx.Tx, l look) (audit.Event, error) {
		details := map[string]string{"kid": m.kid, "algorithm": string(alg), "cause": "import"}
		if v := viewOf(l, alg, r.rules()); v.standby != nil {
			if v.standby.ID == m.kid {
				return audit.Event{}, fmt.Errorf("key %s stands by already", m.kid)
			}
			if err := drop(ctx, tx, l.now, v.standby.ID); err != nil {
				return audit.Event{}, err
			}
			details["replaces"] = v.standby.ID
		}
		err := r.insert(ctx, tx, alg, m, l.now, r.readyAfter(), "import")
		if postgres.Violates(err, "signing_key_pkey") {
			err = fmt.Errorf("key %s was in this ring before: make a new one", m.kid)
		}
		return audit.Event{Action: audit.KeyCreated, Details: details}, err
	})
	if err != nil {
		return "", err
	}
	return m.kid, r.Reload(ctx)
}

// readPrivate reads a private key that fits the algorithm.
func readPrivate(alg Algorithm, text []byte) (material, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return material{}, errors.New("import: not a PKCS #8 private key in PEM form (BEGIN PRIVATE KEY)")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return material{}, errors.New("import: the private key cannot be read")
	}
	fits := false
	switch k := key.(type) {
	case *rsa.PrivateKey:
		fits = (alg == RS256 || alg == PS256) && k.N.BitLen() >= rsaBits && k.Validate() == nil
	case *ecdsa.PrivateKey:
		fits = alg == ES256 && k.Curve == elliptic.P256()
	case ed25519.PrivateKey:
		fits = alg == EdDSA
	}
	if !fits {
		return material{}, fmt.Errorf("import: %s needs %s", alg, map[Algorithm]string{RS256: "an RSA key of at least 2048 bits", PS256: "an RSA key of at least 2048 bits", ES256: "a P-256 key", EdDSA: "an Ed25519 key"}[alg])
	}
	return materialOf(alg, key.(crypto.Signer))
}

// ExportPublic returns the published key set as the database has it now (RFC
// 7517 section 5). It needs no sealing key.
func ExportPublic(ctx context.Context, q postgres.Querier) ([]byte, error) {
	rows, err := q.Query(ctx, `select public_jwk from signing_key where retires_at is null or retires_at > clock_timestamp() order by kid`)
	if err != nil {
		return nil, fmt.Errorf("export keys: %w", err)
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	_, err = pgx.CollectRows(rows, func(c pgx.CollectableRow) (k jose.JSONWebKey, err error) {
		var text []byte
		if err = c.Scan(&text); err == nil {
			err = json.Unmarshal(text, &k)
		}
		set.Keys = append(set.Keys, k)
		return k, err
	})
	if err != nil {
		return nil, fmt.Errorf("export keys: %w", err)
	}
	return json.MarshalIndent(set, "", "  ")
}
