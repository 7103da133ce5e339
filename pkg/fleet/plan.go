package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// Impact is what another trust file or BLOB would do. Nothing has been changed.
type Impact struct {
	// Credentials and People count what was looked at.
	Credentials, People int
	// Changes are the credentials that would be worth something else.
	Changes []Change
	// LockedOut are people who can sign in now and could not any more.
	LockedOut []Person
	// NoSpare are people who would be left with one passkey to sign in with,
	// and have more now.
	NoSpare []Person
	// APIs lists what would lose callers.
	APIs []Loss
	// Console are administrators who could not open the console any more;
	// ConsoleShut says that nobody could.
	Console     []Person
	ConsoleShut bool
	// Grants is how many refresh families would end.
	Grants int
}

// Change is one credential's.
type Change struct {
	Owner                     Person
	AuthenticatorID, Nickname string
	AAGUID, Model             string
	Lost, Gained              []claim.Fact
	LevelsLost, LevelsGained  []string
	Suspended                 bool
	// Rule names the enforced rule that would refuse it at sign-in, and did not before.
	Rule string
	// Because says why in words.
	Because []string
}

// Person is somebody as operators know them.
type Person struct {
	ID   account.ID
	Name string
}

// Loss is an API, or one operation of it, and the people none of whose passkeys
// would meet its requirement any more.
type Loss struct {
	API, Operation string
	People         []Person
}

// state is what one credential is worth on one basis.
type state struct {
	verdict attest.Verdict
	a       trust.Authenticator
	levels  []string
	usable  bool
	suspend bool
	rule    string
}

func (b Basis) state(k passkey.Kept, now time.Time) state {
	s := state{verdict: attest.Judge(k.Evidence, b.Metadata, attest.TermsOf(b.Trust), now)}
	s.a = s.verdict.Authenticator()
	s.levels, _ = b.Trust.LevelsOf(s.a)
	s.suspend = k.Suspended(b.Trust, s.verdict.Undesired)
	if f := trust.Enforced(b.Trust.Findings(trust.AtSignIn, k.Groups, s.a, now)); f != nil {
		s.rule = f.Rule.Name
	}
	s.usable = k.UserStatus == account.StatusActive && !k.Quarantined && !s.suspend && s.rule == ""
	return s
}

// requirement is what one place of an API asks for.
type requirement struct {
	api, operation string
	facts          []claim.Fact
	level          string
}

// requirements lists what a trust file's APIs and operations ask for.
func requirements(t *trust.Trust) []requirement {
	var all []requirement
	for _, a := range t.APIs {
		base := t.Wanted(a.Require)
		if len(base) > 0 {
			all = append(all, requirement{a.Name, "", base, a.Require.Level})
		}
		for _, o := range a.Operations {
			if wanted := t.Wanted(o.Require); len(wanted) > 0 {
				all = append(all, requirement{a.Name, o.Name, append(wanted, base...), o.Require.Level})
			}
		}
	}
	return all
}

func (r requirement) met(b Basis, s state) bool {
	return s.usable && len(s.a.Facts.Missing(r.facts...)) == 0 && (r.level == "" || b.Trust.HasLevel(s.a, r.level))
}

// owner is what one person can do before and after.
type owner struct {
	person              Person
	usedBefore, usedNow int
	canBefore, canAfter map[string]bool
	// openedBefore and opensAfter say whether they may open the console.
	openedBefore, opensAfter bool
}

// Plan compares what every stored credential is worth on two bases at an
// instant. It reads the database in batches and changes nothing.
func Plan(ctx context.Context, q postgres.Querier, before, after Basis, now time.Time) (Impact, error) {
	var impact Impact
	owners := map[account.ID]*owner{}
	asks, asked := requirements(after.Trust), requirements(before.Trust)
	for from := passkey.First; ; {
		kept, err := passkey.Stored(ctx, q, from, batch)
		if err != nil {
			return Impact{}, err
		}
		if len(kept) == 0 {
			break
		}
		from = kept[len(kept)-1].ID
		var unfounded []string
		for _, k := range kept {
			impact.Credentials++
			o := owners[k.UserID]
			if o == nil {
				o = &owner{person: Person{k.UserID, k.UserName}, canBefore: map[string]bool{}, canAfter: map[string]bool{}}
				owners[k.UserID] = o
			}
			then, next := before.state(k, now), after.state(k, now)
			o.note(before, after, then, next, asked, asks)
			o.openedBefore, o.opensAfter = o.openedBefore || before.opens(k, then), o.opensAfter || after.opens(k, next)
			if c, changes := compare(o.person, k, then, next); changes {
				impact.Changes = append(impact.Changes, c)
				if len(c.Lost) > 0 || len(c.LevelsLost) > 0 || c.Suspended {
					unfounded = append(unfounded, k.ID)
				}
			}
		}
		if impact.Grants, err = countGrants(ctx, q, unfounded, impact.Grants); err != nil {
			return Impact{}, err
		}
	}
	impact.People = len(owners)
	impact.collect(owners, asks)
	impact.collectConsole(owners)
	return impact, nil
}

// note adds one credential to what its owner can do.
func (o *owner) note(before, after Basis, then, next state, asked, asks []requirement) {
	if then.usable {
		o.usedBefore++
	}
	if next.usable {
		o.usedNow++
	}
	for _, r := range asked {
		if r.met(before, then) {
			o.canBefore[r.place()] = true
		}
	}
	for _, r := range asks {
		if r.met(after, next) {
			o.canAfter[r.place()] = true
		}
	}
	// A place that asked for nothing before was open to whoever could sign in.
	for _, r := range asks {
		if then.usable && !slices.ContainsFunc(asked, func(other requirement) bool { return other.place() == r.place() }) {
			o.canBefore[r.place()] = true
		}
	}
}

func (r requirement) place() string { return r.api + "/" + r.operation }

// compare tells what changes about one credential.
func compare(p Person, k passkey.Kept, then, next state) (Change, bool) {
	c := Change{Owner: p, AuthenticatorID: k.AuthenticatorID, Nickname: k.Nickname, AAGUID: k.AAGUID, Model: k.Model,
		Lost: next.verdict.Facts.Missing(then.verdict.Facts...), Gained: then.verdict.Facts.Missing(next.verdict.Facts...),
		LevelsLost: without(then.levels, next.levels), LevelsGained: without(next.levels, then.levels),
		Suspended: next.suspend && !then.suspend && !k.Quarantined, Because: next.verdict.Because}
	if next.rule != then.rule {
		c.Rule = next.rule
	}
	return c, len(c.Lost)+len(c.Gained)+len(c.LevelsLost)+len(c.LevelsGained) > 0 || c.Suspended || c.Rule != ""
}

func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

// collect sums up what people lose.
func (i *Impact) collect(owners map[account.ID]*owner, asks []requirement) {
	losses := map[string]*Loss{}
	for _, o := range owners {
		switch {
		case o.usedBefore > 0 && o.usedNow == 0:
			i.LockedOut = append(i.LockedOut, o.person)
		case o.usedBefore > 1 && o.usedNow == 1:
			i.NoSpare = append(i.NoSpare, o.person)
		}
		for _, r := range asks {
			if !o.canBefore[r.place()] || o.canAfter[r.place()] {
				continue
			}
			if losses[r.place()] == nil {
				losses[r.place()] = &Loss{API: r.api, Operation: r.operation}
			}
			losses[r.place()].People = append(losses[r.place()].People, o.person)
		}
	}
	for _, r := range asks {
		if l := losses[r.place()]; l != nil {
			sortPeople(l.People)
			i.APIs = append(i.APIs, *l)
			delete(losses, r.place())
		}
	}
	sortPeople(i.LockedOut)
	sortPeople(i.NoSpare)
}

func sortPeople(people []Person) {
	slices.SortFunc(people, func(a, b Person) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
}

// countGrants adds the live refresh families of these credentials.
func countGrants(ctx context.Context, q postgres.Querier, credentials []string, so int) (int, error) {
	if len(credentials) == 0 {
		return so, nil
	}
	var n int
	err := q.QueryRow(ctx, `select count(*) from access_grant where credential = any($1::uuid[]) and revoked_at is null and expires_at > now()`, credentials).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count grants: %w", err)
	}
	return so + n, nil
}

// Hit is how many people are locked out or lose an API or the console.
func (i Impact) Hit() int {
	hit := map[account.ID]bool{}
	for _, p := range slices.Concat(i.LockedOut, i.Console) {
		hit[p.ID] = true
	}
	for _, l := range i.APIs {
		for _, p := range l.People {
			hit[p.ID] = true
		}
	}
	return len(hit)
}
