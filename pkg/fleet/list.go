package fleet

import (
	"context"
	"time"

	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/postgres"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// Member is one enrolled authenticator as operators see it.
type Member struct {
	Owner                     Person
	AuthenticatorID, Nickname string
	// AAGUID and Model are proven only when Proven says so.
	AAGUID, Model string
	Proven        bool
	Format        string
	// Status lists the metadata's reports in force about a proven model, in its order.
	Status []string
	// Source names the metadata that knows the model; Operator says that only the operator vouches for it.
	Source     string
	Operator   bool
	Facts      []string
	Levels     []string
	WhyNotNext string
	Enrolled   time.Time
	LastUsed   *time.Time
	// Quarantine is empty, clone or metadata.
	Quarantine string
	// Refused names the enforced rule that keeps it from signing in, or is empty.
	Refused string
}

// Walk shows every enrolled authenticator, judged on a basis at an instant, in
// no particular order. It reads the database in batches; an error of show ends it.
func Walk(ctx context.Context, q postgres.Querier, b Basis, now time.Time, show func(Member) error) error {
	for from := passkey.First; ; {
		kept, err := passkey.Stored(ctx, q, from, batch)
		if err != nil || len(kept) == 0 {
			return err
		}
		from = kept[len(kept)-1].ID
		for _, k := range kept {
			if err := show(b.member(k, now)); err != nil {
				return err
			}
		}
	}
}

func (b Basis) member(k passkey.Kept, now time.Time) Member {
	v := attest.Judge(k.Evidence, b.Metadata, attest.TermsOf(b.Trust), now)
	a := v.Authenticator()
	levels, missed := b.Trust.LevelsOf(a)
	m := Member{Owner: Person{k.UserID, k.UserName}, AuthenticatorID: k.AuthenticatorID, Nickname: k.Nickname, AAGUID: k.AAGUID, Model: v.Model,
		Proven: v.Model != "", Format: k.Format, Levels: levels, Enrolled: k.CreatedAt, LastUsed: k.LastUsedAt, Quarantine: k.QuarantinedWhy}
	for _, f := range v.Facts {
		m.Facts = append(m.Facts, string(f))
	}
	if entry, ok := b.Metadata.Lookup(k.AAGUID); ok {
		m.Source, m.Operator = entry.Source, entry.Operator
		for _, r := range entry.Status {
			if r.InForce(now) {
				m.Status = append(m.Status, r.Status)
			}
		}
		if m.Model == "" {
			m.Model = entry.Description
		}
	}
	if len(missed) > 0 {
		m.WhyNotNext = missed[0].String()
	}
	if f := trust.Enforced(b.Trust.Findings(trust.AtSignIn, k.Groups, a, now)); f != nil {
		m.Refused = f.Rule.Name
	}
	return m
}
