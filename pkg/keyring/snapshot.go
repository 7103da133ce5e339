package keyring

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/touchstone-id/touchstone/pkg/claim"
)

// Document is a JSON body ready to be served.
type Document struct {
	Body []byte
	// ETag is a strong validator, quotes included (RFC 9110 section 8.8.3).
	ETag string
}

// parts are what of a key is kept in memory: read and unsealed once.
type parts struct {
	public  jose.JSONWebKey
	signers map[string]jose.Signer
}

// snapshot is everything signing, publishing and health need, built after each
// look at the database. It is immutable.
type snapshot struct {
	// jwks is the key set that gateways read, jwksWithEdDSA has more.
	jwks          Document
	jwksWithEdDSA Document
	public        map[string]jose.JSONWebKey
	signing       map[Algorithm]active
	parts         map[string]parts
	// next is when the clock alone may change something; zero when it will not.
	next time.Time
	// read is what it was built from.
	read read
	// sealed says that some key cannot be unsealed here.
	sealed bool
	// problems and plans are what an operator is told.
	problems []Problem
	plans    map[Algorithm]Plan
}

// active is the key that signs for an algorithm, with a signer per typ header.
type active struct {
	kid     string
	signers map[string]jose.Signer
}

// tokenTypes are the typ headers for which signers are ready-made.
var tokenTypes = []string{claim.TypeAccessToken, claim.TypeIDToken, claim.TypeLogoutToken, claim.TypeIntrospection}

// build makes a snapshot of the keys as they stood when they were read. Only
// keys that are not known yet are unsealed; the first time each must be.
func build(ctx context.Context, l read, rules Rules, algs []Algorithm, known map[string]parts, unseal func(context.Context, Key) (parts, error)) (*snapshot, error) {
	s := &snapshot{public: map[string]jose.JSONWebKey{}, signing: map[Algorithm]active{}, parts: map[string]parts{}, plans: map[Algorithm]Plan{}, read: l}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	newest := map[Algorithm]Key{}
	wake := func(t *time.Time) {
		if t != nil && t.After(l.now) && (s.next.IsZero() || t.Before(s.next)) {
			s.next = *t
		}
	}
	for _, k := range l.keys {
		for _, t := range []*time.Time{k.ActivatesAt, k.HonouredAt, k.RetiresAt} {
			wake(t)
		}
		if k.standsBy() {
			ready := k.CreatedAt.Add(rules.PublishAhead)
			wake(&k.ReadyAt)
			wake(&ready)
		}
		state := k.StateAt(l.now)
		if state == Retired {
			continue
		}
		p := known[k.ID]
		if p.signers == nil {
			var err error
			if p, err = unseal(ctx, k); errors.Is(err, errSealed) && len(known) > 0 {
				// While the sealing key changes from replica to replica, what others
				// sealed is published here all the same.
				s.sealed = true
				s.problems = append(s.problems, Problem{ProblemSealed, "This replica cannot use a key: " + err.Error() + "."})
			} else if err != nil {
				return nil, err
			}
		}
		s.parts[k.ID], s.public[k.ID] = p, p.public
		set.Keys = append(set.Keys, p.public)
		if last, found := newest[k.Algorithm]; state == Active && (!found || !k.ActivatesAt.Before(*last.ActivatesAt)) {
			newest[k.Algorithm] = k
		}
	}
	for alg, k := range newest {
		if signers := s.parts[k.ID].signers; signers != nil {
			s.signing[alg] = active{k.ID, signers}
		} else {
			s.problems = append(s.problems, Problem{ProblemNoSigner, "No " + string(alg) + " key signs at this replica."})
		}
	}
	slices.SortFunc(set.Keys, func(a, b jose.JSONWebKey) int { return strings.Compare(a.KeyID, b.KeyID) })
	var err error
	if s.jwksWithEdDSA, err = documentOf(set); err != nil {
		return nil, err
	}
	set.Keys = slices.DeleteFunc(set.Keys, func(k jose.JSONWebKey) bool { return k.Algorithm == string(EdDSA) })
	if s.jwks, err = documentOf(set); err != nil {
		return nil, err
	}
	for _, alg := range algs {
		v := viewOf(l.look, alg, rules)
		if v.current != nil {
			plan := v.plan()
			s.plans[alg] = plan
			wake(&plan.Due)
		}
		s.problems = append(s.problems, problemsOf(v, alg)...)
	}
	s.problems = append(s.problems, problemsAround(l)...)
	return s, nil
}

// documentOf makes a key set ready to be served.
func documentOf(set jose.JSONWebKeySet) (Document, error) {
	body, err := json.Marshal(set)
	if err != nil {
		return Document{}, fmt.Errorf("encode key set: %w", err)
	}
	sum := sha256.Sum256(body)
	return Document{body, `"` + b64(sum[:16]) + `"`}, nil
}

// signersOf makes the signers of a private key.
func signersOf(k Key, private any) (map[string]jose.Signer, error) {
	signers := map[string]jose.Signer{}
	for _, typ := range tokenTypes {
		options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", k.ID)
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(k.Algorithm), Key: private}, options)
		if err != nil {
			return nil, fmt.Errorf("make signer for key %s: %w", k.ID, err)
		}
		signers[typ] = signer
	}
	return signers, nil
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
