package sandbox

import (
	"slices"
	"strings"
	"time"

	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// Flaw is one thing that is wrong with a token.
type Flaw struct {
	// Name is what requests use, Title and Meaning are for people.
	Name, Title, Meaning string
	apply                func(*draft)
}

// draft is a token that is being made.
type draft struct {
	now    time.Time
	issuer string
	claims map[string]any
	kind   string
	kid    string
	// foreign signs with a key that is not published, unsigned not at all.
	foreign, unsigned bool
}

func (d *draft) set(name claim.Name, value any) { d.claims[string(name)] = value }

func (d *draft) drop(names ...claim.Name) {
	for _, n := range names {
		delete(d.claims, string(n))
	}
}

// keep leaves only those facts that pass, and the level that is left then.
func (d *draft) keep(pass func(claim.Fact) bool) {
	facts, _ := d.claims[string(claim.Attestation)].([]claim.Fact)
	facts = slices.DeleteFunc(slices.Clone(facts), func(f claim.Fact) bool { return !pass(f) })
	d.set(claim.Attestation, facts)
	if d.drop(claim.ACR); slices.Contains(facts, claim.FactUV) {
		d.set(claim.ACR, claim.LevelPhishingResistant)
	}
}

// flaws are all there are, in the order in which they are offered.
var flaws = []Flaw{
	{"unattested", "Unattested", "the passkey came without proof of its model", func(d *draft) {
		d.keep(func(f claim.Fact) bool { return f == claim.FactUV || f == claim.FactDeviceBound })
		d.drop(claim.AAGUID, claim.Model, claim.Metadata)
	}},
	{"synced", "Synced", "the passkey lives in a cloud account", func(d *draft) {
		d.keep(func(f claim.Fact) bool { return f == claim.FactUV })
		d.drop(claim.AAGUID, claim.Model, claim.Metadata)
	}},
	{"unverified", "No PIN", "the key was touched, the person was not verified", func(d *draft) {
		d.keep(func(f claim.Fact) bool { return f != claim.FactUV })
	}},
	{"revoked", "Revoked model", "the metadata reports the model as compromised", func(d *draft) {
		d.keep(func(f claim.Fact) bool { return f != claim.FactMetadataCurrent })
	}},
	{"old", "Old sign-in", "the person signed in yesterday", func(d *draft) { d.set(claim.AuthTime, d.now.Add(-24*time.Hour).Unix()) }},
	{"scopeless", "No scope", "the client asked for no scope of the API", func(d *draft) { d.set(claim.Scope, "openid") }},
	{"roleless", "No role", "the person has no role at the API", func(d *draft) { d.drop(claim.Roles) }},
	{"expired", "Expired", "the token ended an hour ago", func(d *draft) {
		d.set(claim.IssuedAt, d.now.Add(-2*time.Hour).Unix())
		d.set(claim.Expiry, d.now.Add(-time.Hour).Unix())
	}},
	{"early", "Not yet valid", "the issuer's clock is an hour ahead", func(d *draft) {
		d.claims["nbf"] = d.now.Add(time.Hour).Unix()
		d.set(claim.Expiry, d.now.Add(2*time.Hour).Unix())
	}},
	{"audience", "Wrong audience", "the audience is the client, not the API", func(d *draft) { d.set(claim.Audience, d.claims[string(claim.ClientID)]) }},
	{"issuer", "Issuer with a slash", "the issuer ends with a slash more", func(d *draft) { d.set(claim.Issuer, d.issuer+"/") }},
	{"id-token", "ID token", "the ID token was sent in place of the access token", func(d *draft) {
		d.kind, d.claims["nonce"] = claim.TypeIDToken, "sandbox"
		d.set(claim.Audience, d.claims[string(claim.ClientID)])
		d.drop(claim.ClientID, claim.Scope, claim.Roles, claim.IdentityType, claim.TokenID)
	}},
	{"forged", "Forged signature", "another key signed under the published key's name", func(d *draft) { d.foreign = true }},
	{"unknown-key", "Unknown key", "the key is not in the key set", func(d *draft) { d.foreign, d.kid = true, "not-published" }},
	{"unsigned", "Unsigned", "the algorithm is none", func(d *draft) { d.unsigned = true }},
}

// Flaws lists what can be wrong with a token.
func Flaws() []Flaw { return slices.Clone(flaws) }

// flawed looks a flaw up.
func flawed(name string) (Flaw, bool) {
	i := slices.IndexFunc(flaws, func(f Flaw) bool { return f.Name == name })
	if i < 0 {
		return Flaw{}, false
	}
	return flaws[i], true
}

// sound are the claims of a token that passes the operation: what the trust file
// asks for, and the facts of the best authenticator there could be.
func (s *Sandbox) sound(a trust.API, o trust.Operation, now time.Time) *draft {
	var scopes []string
	for _, scope := range a.Scopes {
		scopes = append(scopes, scope.Name)
	}
	for _, scope := range slices.Concat(a.Require.Scopes, o.Require.Scopes) {
		if !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	level := claim.LevelPhishingResistantHardware
	for _, q := range []trust.Requirement{a.Require, o.Require} {
		if s.trust.ListsModels(q.Level) {
			level = q.Level // a list of models is the one thing that facts cannot say
		}
	}
	d := &draft{now: now, issuer: s.issuer, kind: claim.TypeAccessToken, kid: keyID, claims: map[string]any{}}
	for name, value := range map[claim.Name]any{
		claim.Issuer: s.issuer, claim.Subject: "sandbox-person", claim.Audience: a.Audience, claim.ClientID: "sandbox-client",
		claim.IssuedAt: now.Unix(), claim.Expiry: now.Add(tokenLife).Unix(), claim.TokenID: identifier(), claim.Scope: strings.Join(scopes, " "),
		claim.IdentityType: claim.IdentityUser, claim.AuthTime: now.Unix(), claim.ACR: level, claim.Attestation: claim.AllFacts(),
		claim.AAGUID: "00000000-0000-4000-8000-000000000001", claim.Model: "Sandbox Security Key", claim.AuthenticatorID: "sandbox-passkey",
		claim.AMR: []string{claim.AMRProofOfPossession, claim.AMRUserPresence, claim.AMRHardwareKey, claim.AMRMultiFactor}, claim.TrustVersion: s.trust.Version,
	} {
		d.set(name, value)
	}
	if roles := slices.Concat(a.Require.Roles, o.Require.Roles); len(roles) > 0 {
		slices.Sort(roles)
		d.set(claim.Roles, slices.Compact(roles))
	}
	if a.Require.Approval || o.Require.Approval {
		d.claims["approved_method"], d.claims["approved_path"] = o.Method, PathPrefix+a.Path+Example(o.URLTemplate)
	}
	return d
}
