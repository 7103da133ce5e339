package fleet

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/attest"
	"github.com/touchstone-id/touchstone/pkg/attest/mds"
	"github.com/touchstone-id/touchstone/pkg/audit"
	"github.com/touchstone-id/touchstone/pkg/passkey"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

const (
	// judgeLock is the advisory lock of the replica that judges.
	judgeLock = 0x7473_6a75_6467
	// batch is how many credentials are in memory at a time.
	batch = 500
	// writers is how many acts run at once: commits wait for the disk together.
	writers = 4
	// wakeEvery is how often a replica looks whether there is something to judge
	// though nobody kicked it: a new day, or a replica that stopped half way.
	wakeEvery = 5 * time.Minute
)

// Basis is what credentials are judged by at an instant.
type Basis struct {
	Metadata attest.Metadata
	// MetadataVersion names the BLOBs exactly; the number alone names one source's.
	MetadataVersion string
	Trust           *trust.Trust
}

// NewBasis puts metadata and a trust file together: the file's private models
// stand beside the metadata's.
func NewBasis(set *mds.Set, t *trust.Trust) Basis {
	return Basis{Metadata: set.With(t.PrivateModels), MetadataVersion: set.Version(), Trust: t}
}

// key changes when a judgement may come out otherwise: the BLOBs, the trust
// file, the day (statuses begin and end by date) and whether the metadata is
// still current.
func (b Basis) key(now time.Time) string {
	return fmt.Sprintf("%s / %s / %s / current %t", b.MetadataVersion, b.Trust.Version, now.UTC().Format(time.DateOnly), attest.TermsOf(b.Trust).Current(b.Metadata, now))
}

// Options are the parts a judge is made of.
type Options struct {
	Pool *pgxpool.Pool
	Log  *audit.Log
	// Basis returns what is in force.
	Basis  func() Basis
	Logger zerolog.Logger
	// Now is the clock.
	Now func() time.Time
	// OnCompromise, when not nil, takes part in the act that ends a run in which
	// models lost their good standing by a status. It returns in a word what
	// follows, for the record.
	OnCompromise func(ctx context.Context, tx pgx.Tx, models []string, metadata string) (string, error)
}

// Judge judges every stored credential again when the world has changed.
type Judge struct {
	options Options
	kick    chan struct{}
}

// NewJudge returns a judge that does nothing yet.
func NewJudge(o Options) *Judge { return &Judge{o, make(chan struct{}, 1)} }

// Kick tells a running judge that something changed. It never blocks.
func (j *Judge) Kick() {
	select {
	case j.kick <- struct{}{}:
	default: // it is told already
	}
}

// Run judges when kicked, and looks by itself from time to time, until the context ends.
func (j *Judge) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if _, err := j.Pass(ctx); err != nil && ctx.Err() == nil {
			j.options.Logger.Error().Err(err).Msg("credentials could not be judged again; it is tried again")
		}
		select {
		case <-ctx.Done():
		case <-j.kick:
		case <-time.After(wakeEvery):
		}
	}
}

// Outcome is what a pass did.
type Outcome struct {
	// Judged and Changed count credentials, those of an interrupted pass before included.
	Judged, Changed int
	// Models are in use and have an undesired status, which none that the pass
	// before met had.
	Models []string
}

// Pass judges every credential that the basis in force has not judged yet, and
// goes on where another replica stopped. It does nothing when all are judged,
// or while another replica is at it.
func (j *Judge) Pass(ctx context.Context) (Outcome, error) {
	conn, err := j.options.Pool.Acquire(ctx)
	if err != nil {
		return Outcome{}, fmt.Errorf("judge again: %w", err)
	}
	defer conn.Release()
	var mine bool
	if err := conn.QueryRow(ctx, `select pg_try_advisory_lock($1)`, judgeLock).Scan(&mine); err != nil || !mine {
		return Outcome{}, err
	}
	defer conn.Exec(context.WithoutCancel(ctx), `select pg_advisory_unlock($1)`, judgeLock)
	for {
		basis, now := j.options.Basis(), j.options.Now()
		p, err := j.begin(ctx, basis.key(now), now)
		if err != nil || p.finished {
			return Outcome{}, err
		}
		outcome, whole, err := j.walk(ctx, basis, p)
		if err != nil {
			return Outcome{}, err
		}
		if whole {
			return outcome, j.finish(ctx, basis, outcome)
		}
	}
}

// position is how far a pass came.
type position struct {
	basis, after    string
	judged, changed int
	// models with an undesired status were met so far; compromised were met by
	// the last pass that finished.
	models, compromised []string
	finished            bool
}

// begin returns where to go on: at the start for another basis than the last.
func (j *Judge) begin(ctx context.Context, key string, now time.Time) (position, error) {
	p := position{basis: key}
	err := j.options.Pool.QueryRow(ctx, `
		insert into judgement (basis, after, judged, changed, started_at) values ($1, $2, 0, 0, $3)
		on conflict (one) do update set
			after = case when judgement.basis = $1 then judgement.after else $2 end,
			judged = case when judgement.basis = $1 then judgement.judged else 0 end,
			changed = case when judgement.basis = $1 then judgement.changed else 0 end,
			started_at = case when judgement.basis = $1 then judgement.started_at else $3 end,
			finished_at = case when judgement.basis = $1 then judgement.finished_at end,
			models = case when judgement.basis = $1 then judgement.models else '{}' end,
			basis = $1
		returning after::text, judged, changed, models, compromised, finished_at is not null`, key, passkey.First, now).
		Scan(&p.after, &p.judged, &p.changed, &p.models, &p.compromised, &p.finished)
	if err != nil {
		return p, fmt.Errorf("begin to judge again: %w", err)
	}
	return p, nil
}

// walk judges batch after batch. It reports false when the basis changed meanwhile.
func (j *Judge) walk(ctx context.Context, b Basis, p position) (Outcome, bool, error) {
	o := Outcome{Judged: p.judged, Changed: p.changed}
	for {
		now := j.options.Now()
		if j.options.Basis().key(now) != p.basis {
			return o, false, nil
		}
		kept, err := passkey.Stored(ctx, j.options.Pool, p.after, batch)
		if err != nil {
			return o, false, err
		}
		if len(kept) == 0 {
			for _, m := range p.models {
				if !slices.Contains(p.compromised, m) {
					o.Models = append(o.Models, m)
				}
			}
			return o, true, nil
		}
		changes, models := b.judge(kept, now)
		done, err := j.apply(ctx, b, changes, now)
		if err != nil {
			return o, false, err
		}
		o.Judged, o.Changed = o.Judged+len(kept), o.Changed+done
		p.models = append(p.models, models...)
		slices.Sort(p.models)
		p.models = slices.Compact(p.models)
		p.after = kept[len(kept)-1].ID
		if _, err := j.options.Pool.Exec(ctx, `update judgement set after = $1, judged = $2, changed = $3, models = $5 where basis = $4`, p.after, o.Judged, o.Changed, p.basis, p.models); err != nil {
			return o, false, fmt.Errorf("note how far was judged: %w", err)
		}
	}
}

// finish notes the end of a pass in the record.
func (j *Judge) finish(ctx context.Context, b Basis, o Outcome) error {
	err := j.options.Log.Do(ctx, func(tx pgx.Tx) (audit.Event, error) {
		_, err := tx.Exec(ctx, `update judgement set finished_at = $1, compromised = models`, j.options.Now())
		if err != nil {
			return audit.Event{}, fmt.Errorf("finish judging again: %w", err)
		}
		details := map[string]string{"metadata": b.MetadataVersion, "trust_version": b.Trust.Version,
			"judged": strconv.Itoa(o.Judged), "changed": strconv.Itoa(o.Changed), "models": strings.Join(o.Models, ", ")}
		if len(o.Models) > 0 && j.options.OnCompromise != nil {
			if details["keys"], err = j.options.OnCompromise(ctx, tx, o.Models, b.MetadataVersion); err != nil {
				return audit.Event{}, err
			}
		}
		return audit.Event{Action: audit.FleetRejudged, Details: details}, nil
	})
	return err
}

// change is a credential whose worth is no longer what was last stated.
type change struct {
	passkey.Kept
	verdict attest.Verdict
	levels  []string
	suspend bool
}

// judge returns what changes among the credentials, and the models among them
// that have an undesired status, judged on all cores. A model counts though
// nothing changes: its owner may have signed in since, and was judged then.
func (b Basis) judge(kept []passkey.Kept, now time.Time) ([]change, []string) {
	judged := make([]change, len(kept))
	changed := make([]bool, len(kept))
	terms, workers := attest.TermsOf(b.Trust), runtime.GOMAXPROCS(0)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := w; i < len(kept); i += workers {
				judged[i], changed[i] = b.judgeOne(kept[i], terms, now)
			}
		})
	}
	all.Wait()
	var out []change
	var models []string
	for i, c := range judged {
		if changed[i] {
			out = append(out, c)
		}
		if len(c.verdict.Undesired) > 0 && !slices.Contains(models, c.verdict.Model) {
			models = append(models, c.verdict.Model)
		}
	}
	return out, models
}

// judgeOne reports false when nothing changes.
func (b Basis) judgeOne(k passkey.Kept, terms attest.Terms, now time.Time) (change, bool) {
	v := attest.Judge(k.Evidence, b.Metadata, terms, now)
	levels, _ := b.Trust.LevelsOf(v.Authenticator())
	c := change{k, v, levels, !k.Quarantined && k.Suspended(b.Trust, v.Undesired)}
	return c, !slices.Equal(k.Facts, v.Facts) || !slices.Equal(k.Levels, levels) || k.Levels == nil || c.suspend
}
