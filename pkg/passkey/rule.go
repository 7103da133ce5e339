package passkey

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

// judge applies the metadata and the trust file in force.
func (rp *RelyingParty) judge(e attest.Evidence, now time.Time) attest.Verdict {
	return attest.Judge(e, rp.options.Metadata(), attest.TermsOf(rp.options.Trust()), now)
}

// levels returns the levels that a verdict earns; never nil.
func (rp *RelyingParty) levels(v attest.Verdict) []string {
	met, _ := rp.options.Trust().LevelsOf(v.Authenticator())
	return nonNil(met)
}

// Findings returns the rules for sign-in that a stored passkey does not meet,
// by what it was last worth.
func (rp *RelyingParty) Findings(u account.User, c Credential, now time.Time) []trust.Finding {
	a := trust.Authenticator{Facts: claim.NewFacts(append([]claim.Fact{claim.FactUV}, c.Facts...)...), Synced: c.BackupEligible}
	if entry, ok := rp.options.Metadata().Lookup(c.AAGUID); ok && c.Facts.Has(claim.FactAttested) {
		a.AAGUID, a.Model, a.Vendors = c.AAGUID, c.Model, entry.Vendors()
	}
	return rp.options.Trust().Findings(trust.AtSignIn, u.Groups, a, now)
}

// suspend quarantines a passkey whose model lost its good standing after the
// fleet was last judged, and refuses it.
func (rp *RelyingParty) suspend(ctx context.Context, tx pgx.Tx, now time.Time, s stored, v attest.Verdict) error {
	_, err := tx.Exec(ctx, `
		update credential set facts = $2, levels = $3, quarantined_at = $4, quarantined_why = $5, quarantined_for = $6 where id = $1 and quarantined_at is null`,
		s.ID, nonNil(v.Facts), rp.levels(v), now, QuarantineMetadata, v.Undesired)
	if err != nil {
		return fmt.Errorf("suspend credential: %w", err)
	}
	if err := account.Notify(ctx, tx, now, s.UserID, account.NoticeSuspended, s.Nickname, strings.Join(v.Because, "; ")); err != nil {
		return err
	}
	return denial.New(denial.CredentialSuspended, "%s", strings.Join(v.Because, "; "))
}

// permit asks the rules for this person on an occasion. It returns what was not
// met; a rule that is enforced makes that a denial, which names the rule to
// operators and the model to the person.
func (rp *RelyingParty) permit(occasion string, u account.User, v attest.Verdict, now time.Time) ([]trust.Finding, error) {
	a := v.Authenticator()
	findings := rp.options.Trust().Findings(occasion, u.Groups, a, now)
	f := trust.Enforced(findings)
	if f == nil {
		return findings, nil
	}
	d := denial.New(denial.ModelNotAccepted, "rule %s: %s", f.Rule.Name, f.Shortfall)
	switch {
	case slices.Contains(f.Missing, claim.FactDeviceBound):
		d.Reason = denial.SyncedNotAccepted
	case slices.Contains(f.Missing, claim.FactAttested):
		d.Reason = denial.AttestationRequired
	default:
		d.Told = "We found: " + a.Model + "."
	}
	return findings, d
}

// conveyance asks for enterprise attestation only where there is an inventory
// to compare serial numbers with: they identify a person's device (WebAuthn L3
// section 14.4.1).
func (rp *RelyingParty) conveyance() protocol.ConveyancePreference {
	if len(rp.options.Trust().Inventory) > 0 {
		return protocol.PreferEnterpriseAttestation
	}
	return protocol.PreferDirectAttestation
}
