package keyring

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/audit"
)

// apimRetry is how often API Management fetches again for a kid that it does not know.
const apimRetry = 5 * time.Minute

// What gateways and caches do does not follow from our constants: the hour is API
// Management's, and the five minutes are the max-age that the provider sends.
const (
	apimCache   = time.Hour
	sharedCache = 5 * time.Minute
)

// gateway caches key sets by API Management's rules: a fetch an hour, and one
// more for an unknown kid at most every five minutes.
type gateway struct {
	keys    map[string]jose.JSONWebKey
	fetched time.Time
	retried time.Time
	// flooded gateways have their retry taken by a stranger who sends unknown kids.
	flooded bool
	// cached gateways fetch through a cache that keeps what it has for sharedCache.
	cached bool
}

// replica is one that runs without the database until an instant, with a clock
// that is off.
type replica struct {
	*Ring
	cut time.Time
	off time.Duration
}

// simulation is an installation over years.
type simulation struct {
	*world
	random   *rand.Rand
	replicas []*replica
	gateways []*gateway
	cache    []byte
	cachedAt time.Time
	// tokens are the good ones that still live: the newest of each key.
	tokens map[string]token
	// withdrawn keys with the end of their window.
	withdrawn map[string]time.Time
	// until is when the next quiet time begins.
	until      time.Time
	nextUpdate time.Time
	openSince  time.Time
	judgedAt   time.Time
	changes    int
	count      map[string]int
}

type token struct {
	alg     Algorithm
	kid     string
	text    string
	expires time.Time
}

// answering picks a replica that a load balancer would.
func (s *simulation) answering() *replica {
	for _, i := range s.random.Perm(len(s.replicas)) {
		if _, err := s.replicas[i].fresh(); err == nil {
			return s.replicas[i]
		}
	}
	return nil
}

// fetch gets the key set as the gateway does; it keeps what it has when nobody answers.
func (s *simulation) fetch(g *gateway) {
	var body []byte
	if g.cached && s.now.Sub(s.cachedAt) < sharedCache {
		body = s.cache
	} else if r := s.answering(); r != nil {
		d, err := r.JWKS()
		s.must(err)
		body = d.Body
		if g.cached {
			s.cache, s.cachedAt = body, s.now
		}
	} else {
		s.count["fetches in vain"]++
		return
	}
	var set jose.JSONWebKeySet
	s.must(json.Unmarshal(body, &set))
	g.keys, g.fetched = map[string]jose.JSONWebKey{}, s.now
	for _, k := range set.Keys {
		g.keys[k.KeyID] = k
	}
}

// accepts reports whether the gateway lets a kid pass, fetching by its rules.
func (s *simulation) accepts(g *gateway, kid string) bool {
	if _, known := g.keys[kid]; !known && !g.flooded && s.now.Sub(g.retried) >= apimRetry {
		g.retried = s.now
		s.fetch(g)
	}
	_, known := g.keys[kid]
	return known
}

// events lets the world happen: metadata, judgements, restarts, partitions,
// clocks, operators and compromised models.
func (s *simulation) events(quiet time.Duration) {
	often := func(every time.Duration) bool { return s.random.Float64() < float64(quiet)/float64(every) }
	busy := func(d time.Duration) {
		if end := s.now.Add(d); end.After(s.until) {
			s.until = end
		}
	}
	if !s.now.Before(s.nextUpdate) {
		// The service promises a day and is up to three days late, sometimes ten.
		promised := s.now.AddDate(0, 1, s.random.IntN(4)-2)
		s.publish(promised)
		s.nextUpdate = promised.Add(time.Duration(s.random.IntN(72)) * time.Hour)
		if often(10 * quiet) {
			s.nextUpdate = s.nextUpdate.Add(7 * day)
		}
		s.openSince = s.now
		s.judgedAt = s.now.Add(time.Duration(5+s.random.IntN(300)) * time.Minute)
		s.count["metadata updates"]++
	}
	if !s.judgedAt.IsZero() && !s.now.Before(s.judgedAt) {
		var between int
		s.must(s.pool.QueryRow(s.Context(), `
			select count(*) from signing_key k join audit_entry e on e.action = 'key.activated' and e.details->>'kid' = k.kid
			where k.activates_at >= $1 and k.activates_at <= $2`, s.openSince, s.now).Scan(&between))
		s.count["rotations between update and judgement"] += between
		s.judge()
		s.judgedAt = time.Time{}
		busy(20 * time.Minute)
		if s.random.IntN(2) == 0 {
			follows := []Consequence{FollowRotate, FollowEmergency}[s.count["metadata updates"]%2]
			s.must(audit.New(s.pool).Do(s.Context(), func(tx pgx.Tx) (audit.Event, error) {
				return audit.Event{Action: audit.FleetRejudged}, s.replicas[0].OnCompromise(s.Context(), tx, follows, "compromise")
			}))
			s.count["compromises: "+string(follows)]++
		}
	}
	if often(20 * day) {
		i := s.random.IntN(len(s.replicas))
		s.replicas[i] = s.start()
		s.count["restarts"]++
	}
	if often(20 * day) {
		s.replicas[s.random.IntN(len(s.replicas))].cut = s.now.Add(time.Duration(s.random.IntN(120)) * time.Minute)
		busy(2 * time.Hour)
		s.count["partitions"]++
	}
	if often(40 * day) {
		s.replicas[s.random.IntN(len(s.replicas))].off = time.Duration(s.random.IntN(60)-30) * time.Second
		s.count["clocks moved"]++
	}
	if often(30 * day) {
		alg := Algorithms()[s.random.IntN(len(Algorithms()))]
		// A partition just before an emergency is the attacker's best case.
		if s.random.IntN(2) == 0 {
			s.replicas[0].cut = s.now.Add(30 * time.Minute)
		}
		if _, err := s.replicas[1].Emergency(s.Context(), alg, "operator", false); err == nil {
			s.count["operator's emergencies"]++
		}
		busy(30 * time.Minute)
	}
	if often(60 * day) {
		_, err := s.replicas[1].Rotate(s.Context(), Algorithms()[s.random.IntN(len(Algorithms()))], "operator")
		s.must(err)
		s.count["operator's rotations"]++
	}
}

// start starts a replica.
func (s *simulation) start() *replica {
	r := &replica{}
	var err error
	r.Ring, err = open(s.Context(), Options{Pool: s.pool, Log: audit.New(s.pool), Sealer: testSealer(s, 1), EdDSA: func() bool { return true }}, s.seams(&r.off))
	s.must(err)
	return r
}

// step lets time pass: replicas turn, gateways fetch, tokens are made and shown.
func (s *simulation) step(busy bool) {
	for _, r := range s.replicas {
		if !s.now.Before(r.cut) {
			s.turn(r.Ring)
		}
	}
	var changes int
	err := s.pool.QueryRow(s.Context(), `select count(*) + count(honoured_at) + count(withdrawn_at) from signing_key`).Scan(&changes)
	s.must(err)
	var keys []Key
	if changes != s.changes {
		s.changes = changes
		keys, err = AllKeys(s.Context(), s.pool)
		s.must(err)
	}
	for _, k := range keys {
		if _, known := s.withdrawn[k.ID]; k.WithdrawnAt != nil && !known {
			s.withdrawn[k.ID] = k.AcceptedUntil()
			s.count["keys withdrawn"]++
			s.until = slices.MaxFunc([]time.Time{s.until, k.AcceptedUntil().Add(10 * time.Minute)}, time.Time.Compare)
		}
		if k.HonouredAt != nil && k.WithdrawnAt == nil {
			if end := k.HonouredAt.Add(LongestTokenLife + 10*time.Minute); end.After(s.until) && s.now.Before(end) {
				s.until = end
			}
		}
	}
	for _, g := range s.gateways {
		if s.now.Sub(g.fetched) >= apimCache {
			s.fetch(g)
		}
	}
	for _, alg := range Algorithms() {
		r := s.answering()
		if r == nil {
			s.count["instants without a replica"]++
			continue
		}
		// The key is what decides; a real signature is made and checked now and then.
		made := token{alg, signer(r.Ring, alg), "", s.now.Add(LongestTokenLife)}
		if s.random.IntN(20) == 0 {
			made.text, err = r.Sign(alg, "at+jwt", map[string]string{"alg": string(alg)})
			s.must(err)
		}
		s.tokens[made.kid] = made
		s.count["tokens"]++
	}
	s.agree()
	s.show()
	// Panic breeds panic: a second emergency while gateways still learn of the first change.
	if busy && s.random.IntN(60) == 0 {
		if _, err := s.replicas[1].Emergency(s.Context(), Algorithms()[s.random.IntN(len(Algorithms()))], "again", false); err == nil {
			s.count["emergencies in a row"]++
		} else {
			s.count["emergencies that had to wait"]++
		}
	}
}

// agree checks that no replica signs with a key that another does not publish.
func (s *simulation) agree() {
	for i, signs := range s.replicas {
		for _, alg := range Algorithms() {
			kid := signer(signs.Ring, alg)
			if _, gone := s.withdrawn[kid]; gone || kid == "" {
				continue
			}
			for j, other := range s.replicas {
				if _, err := other.fresh(); err == nil && !publishes(other.Ring, kid) {
					s.Errorf("%s: replica %d signs with %s, which replica %d does not publish", s.now, i, kid, j)
				}
			}
		}
	}
	s.count["agreements checked"]++
}

// show presents every living good token, and forgeries under withdrawn keys, to every gateway.
func (s *simulation) show() {
	for kid, made := range s.tokens {
		if !s.now.Before(made.expires) {
			delete(s.tokens, kid)
			continue
		}
		if _, gone := s.withdrawn[kid]; gone {
			continue // not good any more: the emergency meant it
		}
		for i, g := range s.gateways {
			s.count["shown "+string(made.alg)]++
			if !s.accepts(g, kid) {
				s.count["refused good tokens"]++
				s.Errorf("%s: gateway %d refuses a good %s token of %s", s.now, i, made.alg, kid)
			} else if made.text != "" {
				s.verify(g, made)
			}
		}
	}
	for kid, until := range s.withdrawn {
		if s.now.Before(until) || s.now.Sub(until) > 2*day {
			continue
		}
		for i, g := range s.gateways {
			s.count["forgeries shown"]++
			if s.accepts(g, kid) {
				s.count["accepted past the window"]++
				s.Errorf("%s: gateway %d accepts withdrawn %s past %s", s.now, i, kid, until)
			}
		}
	}
}

// verify checks a real signature with the key that the gateway has.
func (s *simulation) verify(g *gateway, made token) {
	s.Helper()
	jws, err := jose.ParseSignedCompact(made.text, []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA})
	s.must(err)
	if _, err := jws.Verify(g.keys[made.kid].Key); err != nil || jws.Signatures[0].Header.Algorithm != string(made.alg) {
		s.Errorf("%s: the signature under %s does not verify: %v", s.now, made.kid, err)
	}
	s.count["signatures verified"]++
}

// rest lets time pass in which nothing changes: each gateway, and the cache,
// last fetched what there is now at some instant before the time is over.
func (s *simulation) rest(d time.Duration) {
	s.cachedAt = time.Time{}
	for _, g := range s.gateways {
		s.fetch(g)
	}
	s.now = s.now.Add(d)
	s.cachedAt = s.now.Add(-time.Duration(s.random.Int64N(int64(sharedCache))))
	for _, g := range s.gateways {
		g.fetched = s.now.Add(-time.Duration(s.random.Int64N(int64(apimCache))))
	}
}

// TestTwoYears runs three replicas and six gateways for two years of metadata
// updates, rotations, emergencies, restarts, partitions and wrong clocks. No
// good token may be refused, and nothing accepted past its key's window.
func TestTwoYears(t *testing.T) {
	t.Parallel()
	s := &simulation{world: newWorld(t), random: rand.New(rand.NewPCG(2027, 6)), tokens: map[string]token{}, withdrawn: map[string]time.Time{}, count: map[string]int{}}
	s.nextUpdate = s.now.Add(3 * day)
	for range 3 {
		s.replicas = append(s.replicas, s.start())
	}
	for i := range 6 {
		s.gateways = append(s.gateways, &gateway{flooded: i == 0 || i == 3, cached: i >= 3})
	}
	for end := s.now.AddDate(2, 0, 0); s.now.Before(end); {
		busy := s.now.Before(s.until)
		s.step(busy)
		if s.now.Before(s.until) {
			s.now = s.now.Add(time.Minute + time.Duration(s.random.Int64N(int64(3*time.Minute))))
		} else {
			s.rest(6 * time.Hour)
			s.events(6 * time.Hour)
		}
	}
	s.hold()
	for _, alg := range Algorithms() {
		counts := s.states(alg)
		t.Logf("%s: %v", alg, counts)
		if counts[Retired] < 20 || s.count["shown "+string(alg)] < 1000 {
			t.Errorf("%s: %d rotations, %d tokens shown: the simulation shows too little", alg, counts[Retired], s.count["shown "+string(alg)])
		}
	}
	for what, least := range map[string]int{"keys withdrawn": 15, "emergencies in a row": 5, "emergencies that had to wait": 5, "forgeries shown": 500, "restarts": 10, "partitions": 10, "metadata updates": 20, "clocks moved": 5, "signatures verified": 1000} {
		if s.count[what] < least {
			t.Errorf("%d %s: the simulation shows too little", s.count[what], what)
		}
	}
	if n := s.count["rotations between update and judgement"]; n != 0 {
		t.Errorf("%d rotations between a metadata update and the end of its judgement", n)
	}
	if s.count["refused good tokens"] != 0 || s.count["accepted past the window"] != 0 {
		t.Errorf("%d good tokens refused, %d accepted past the window", s.count["refused good tokens"], s.count["accepted past the window"])
	}
	t.Log(s.count)
}

// TestTheSimulatedGatewaysNoticeMistakes shows that the simulation can fail: a
// key that signs without having been published is refused, and a key set that
// is kept too long is accepted.
func TestTheSimulatedGatewaysNoticeMistakes(t *testing.T) {
	s := &simulation{world: newWorld(t), random: rand.New(rand.NewPCG(1, 1)), count: map[string]int{}}
	s.replicas = []*replica{s.start()}
	g := &gateway{flooded: true}
	s.fetch(g)
	old := signer(s.replicas[0].Ring, RS256)
	_, err := s.replicas[0].Emergency(t.Context(), RS256, "test", true)
	s.must(err)
	s.now = s.now.Add(Lease)
	s.turn(s.replicas[0].Ring)
	fresh := signer(s.replicas[0].Ring, RS256)
	if s.accepts(g, fresh) || !s.accepts(g, old) {
		t.Error("a gateway within its hour knows of the change")
	}
	g.flooded = false
	if !s.accepts(g, fresh) || s.accepts(g, old) {
		t.Error("a gateway that fetched does not")
	}
}
