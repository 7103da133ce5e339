package fleet

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/claim"
	"github.com/touchstone-id/touchstone/pkg/grant"
	"github.com/touchstone-id/touchstone/pkg/passkey"
)

// apply runs one act for each change and returns how many changed something. The
// acts run beside each other, because each waits for the disk.
func (j *Judge) apply(ctx context.Context, b Basis, changes []change, now time.Time) (int, error) {
	var done atomic.Int64
	faults := make([]error, writers)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := w; i < len(changes) && faults[w] == nil; i += writers {
				changed, err := j.consequence(ctx, b, changes[i], now)
				if faults[w] = err; changed {
					done.Add(1)
				}
			}
		})
	}
	all.Wait()
	return int(done.Load()), errors.Join(faults...)
}

// consequence states what a credential is worth now and draws the consequences,
// in one act. It reports false when somebody else stated something meanwhile.
func (j *Judge) consequence(ctx context.Context, b Basis, c change, now time.Time) (bool, error) {
	lost, gained := difference(c.Facts, c.verdict.Facts), difference(c.verdict.Facts, c.Facts)
	err := j.options.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		stated, err := passkey.Restate(ctx, tx, now, c.Kept, c.verdict, c.levels, c.suspend)
		if err != nil {
			return audit.Event{}, err
		}
		if !stated {
			return audit.Event{}, errUnchanged
		}
		var ended int
		if c.suspend {
			ended, err = grant.RevokeCredential(ctx, tx, now, c.ID, string(audit.CredentialRejudged))
		} else {
			ended, err = grant.RevokeUnfounded(ctx, tx, now, c.ID, c.verdict.Facts, c.levels)
		}
		if err != nil {
			return audit.Event{}, err
		}
		if err := c.tell(ctx, tx, now, lost, gained); err != nil {
			return audit.Event{}, err
		}
		return audit.Event{Action: audit.CredentialRejudged, UserID: string(c.UserID), Credential: c.AuthenticatorID, Details: map[string]string{
			"metadata": b.MetadataVersion, "trust_version": b.Trust.Version, "model": c.AAGUID, "lost": lost, "gained": gained,
			"levels": strings.Join(c.levels, " "), "because": strings.Join(c.verdict.Because, "; "), "suspended": strconv.FormatBool(c.suspend), "grants_ended": strconv.Itoa(ended)}}, nil
	})
	if errors.Is(err, errUnchanged) {
		return false, nil
	}
	if err == nil && (lost != "" || c.suspend) {
		j.options.Logger.Warn().Str("person", string(c.UserID)).Str("authenticator", c.AuthenticatorID).Str("model", c.AAGUID).Str("lost", lost).
			Bool("suspended", c.suspend).Strs("because", c.verdict.Because).Msg("a passkey lost standing")
	}
	return err == nil, err
}

// tell leaves the owner a notice when something that they can notice changed.
func (c change) tell(ctx context.Context, tx pgx.Tx, now time.Time, lost, gained string) error {
	kind := account.NoticeGainedStanding
	switch {
	case c.suspend:
		kind = account.NoticeSuspended
	case lost != "" || c.lostLevel():
		kind = account.NoticeLostStanding
	case gained == "":
		return nil
	}
	return account.Notify(ctx, tx, now, c.UserID, kind, c.Nickname, strings.Join(c.verdict.Because, "; "))
}

// lostLevel reports whether a level was there that is not met any more.
func (c change) lostLevel() bool {
	return slices.ContainsFunc(c.Levels, func(l string) bool { return !slices.Contains(c.levels, l) })
}

// difference lists the facts of one set that another lacks, in words of a record.
func difference(of, from claim.Facts) string {
	var missing []string
	for _, f := range from.Missing(of...) {
		missing = append(missing, string(f))
	}
	return strings.Join(missing, " ")
}
