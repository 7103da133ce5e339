package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/attest/mds"
	"github.com/touchstone-id/touchstone/pkg/keyring"
	"github.com/touchstone-id/touchstone/pkg/signin"
)

// numbers counts what the overview speaks of.
type numbers struct {
	People, Suspended, NoPasskey, OnePasskey, Paused, Passkeys, Sessions int
	Retrying, GivenUp                                                    int
}

// overview tells the state of the installation in sentences.
func (c *Console) overview(v *visit) error {
	ctx := v.r.Context()
	n, err := c.count(ctx, v.now)
	if err != nil {
		return err
	}
	var data struct {
		Numbers   numbers
		Clients   int
		Sentences []sentence
		Issuer    string
		Trust     string
	}
	data.Numbers, data.Clients, data.Issuer, data.Trust = n, len(c.options.Clients.All()), c.options.Issuer, c.options.Trust().Version
	for _, tell := range []func(context.Context, *visit) ([]sentence, error){c.tellMetadata, c.tellJudgement, c.tellKeys, c.tellRecord} {
		told, err := tell(ctx, v)
		if err != nil {
			return err
		}
		data.Sentences = append(data.Sentences, told...)
	}
	data.Sentences = append(data.Sentences, tellPeople(n)...)
	return v.draw(c, http.StatusOK, "overview", frame{Title: "Overview", Section: "overview", Data: data})
}

func (c *Console) count(ctx context.Context, now time.Time) (numbers, error) {
	rows, err := c.options.Pool.Query(ctx, `
		with person as (
			select a.status, count(c.id) filter (where c.quarantined_at is null) as usable, count(c.id) as all_of_them, count(c.id) filter (where c.quarantined_at is not null) as paused
			from account a left join credential c on c.user_id = a.id and c.removed_at is null where a.status <> 'deleted' group by a.id
		)
		select count(*)::int as people, count(*) filter (where status = 'suspended')::int as suspended,
			count(*) filter (where status = 'active' and usable = 0)::int as no_passkey, count(*) filter (where status = 'active' and usable = 1)::int as one_passkey,
			coalesce(sum(paused), 0)::int as paused, coalesce(sum(all_of_them), 0)::int as passkeys,
			(select count(*)::int from session where revoked_at is null and expires_at > $1 and seen_at > $2) as sessions,
			(select count(*)::int from logout_delivery where done_at is null and failed_at is null and attempts > 0) as retrying,
			(select count(*)::int from logout_delivery where failed_at is not null) as given_up
		from person`, now, now.Add(-signin.IdleLife))
	if err == nil {
		var n numbers
		if n, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[numbers]); err == nil {
			return n, nil
		}
	}
	return numbers{}, fmt.Errorf("count for the overview: %w", err)
}

func (c *Console) tellMetadata(ctx context.Context, v *visit) ([]sentence, error) {
	copies, err := mds.Copies(ctx, c.options.Pool)
	if err != nil {
		return nil, err
	}
	if len(copies) == 0 {
		return []sentence{{"bad", "No metadata was ever loaded, so no passkey can prove its make and model. Start the server with --metadata=fido.", "/metadata", "Metadata"}}, nil
	}
	var told []sentence
	for _, m := range copies {
		s := sentence{"good", fmt.Sprintf("Metadata %s is at no. %d; the next update is promised for %s (%s).", m.Source, m.Number, m.NextUpdate.UTC().Format("2 January"), apart(m.NextUpdate, v.now)), "/metadata", "Metadata"}
		if v.now.After(m.NextUpdate) {
			grace := m.NextUpdate.Add(c.options.Trust().MetadataGrace)
			s.Kind, s.Text = "bad", fmt.Sprintf("Metadata %s is at no. %d, and its update was due %s. It counts as current until %s.", m.Source, m.Number, apart(m.NextUpdate, v.now), exact(grace))
			if v.now.After(grace) {
				s.Text = fmt.Sprintf("Metadata %s is at no. %d, and its update was due %s. Passkeys have lost the fact metadata_current.", m.Source, m.Number, apart(m.NextUpdate, v.now))
			}
		}
		if m.Failures > 0 {
			s.Kind, s.Text = "bad", s.Text+fmt.Sprintf(" The last %s to read it failed.", count(m.Failures, "attempt"))
		}
		told = append(told, s)
	}
	return told, nil
}

// tellJudgement says whether every passkey was judged on what is in force.
func (c *Console) tellJudgement(ctx context.Context, v *visit) ([]sentence, error) {
	var judged int64
	var started time.Time
	var finished *time.Time
	err := c.options.Pool.QueryRow(ctx, `select judged, started_at, finished_at from judgement`).Scan(&judged, &started, &finished)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read how far passkeys are judged: %w", err)
	case finished == nil:
		return []sentence{{"", fmt.Sprintf("Passkeys are being judged again since %s; %s so far.", apart(started, v.now), count(int(judged), "passkey")), "/trust", "Trust file"}}, nil
	}
	return []sentence{{"good", fmt.Sprintf("All passkeys were last judged again %s.", apart(*finished, v.now)), "/trust", "Trust file"}}, nil
}

func (c *Console) tellKeys(ctx context.Context, v *visit) ([]sentence, error) {
	t, err := keyring.ReadTimeline(ctx, c.options.Pool, c.keyRules())
	if err != nil {
		return nil, err
	}
	var told []sentence
	for _, p := range c.options.Ring.Problems() {
		told = append(told, sentence{"bad", p.Text, "/keys", "Keys"})
	}
	if len(told) == 0 {
		text := fmt.Sprintf("%s sign, each with a published successor, and this replica's clock agrees with the database's to %s.", count(len(t.Planned), "key"), span(keyring.MaxSkew))
		told = append(told, sentence{"good", text, "/keys", "Keys"})
	}
	for _, k := range t.Keys {
		if until := k.AcceptedUntil(); until.After(t.Now) {
			told = append(told, sentence{"bad", fmt.Sprintf("Key %s was withdrawn in an emergency. Gateways may still accept it until %s.", k.ID, exact(until)), "/keys", "Keys"})
		}
	}
	return told, nil
}

// checkpoint is the newest of the record, and where it was put.
type checkpoint struct {
	Size     int64
	Note     string
	SignedAt time.Time
	Anchors  []string
}

// newestCheckpoint returns nil before the first.
func (c *Console) newestCheckpoint(ctx context.Context) (*checkpoint, error) {
	var p checkpoint
	err := c.options.Pool.QueryRow(ctx, `
		select size, note, signed_at, array(select jsonb_object_keys(anchored) order by 1) from audit_checkpoint order by size desc limit 1`).
		Scan(&p.Size, &p.Note, &p.SignedAt, &p.Anchors)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the newest checkpoint: %w", err)
	}
	return &p, nil
}

func (c *Console) tellRecord(ctx context.Context, v *visit) ([]sentence, error) {
	p, err := c.newestCheckpoint(ctx)
	if err != nil || p == nil {
		return nil, err
	}
	text, kind := fmt.Sprintf("The record's last checkpoint is over %d entries, signed %s", p.Size, apart(p.SignedAt, v.now)), "good"
	if len(p.Anchors) > 0 {
		text += fmt.Sprintf(", and put in %s that we cannot change.", count(len(p.Anchors), "place"))
	} else {
		kind, text = "", text+". It is nowhere but here: with --audit-file, --audit-url or --audit-witness nobody, we included, can rewrite it unseen."
	}
	return []sentence{{kind, text, "/record", "Record"}}, nil
}

func tellPeople(n numbers) []sentence {
	var told []sentence
	add := func(kind string, count int, text, to string) {
		if count > 0 {
			told = append(told, sentence{kind, text, to, "Show them"})
		}
	}
	add("bad", n.GivenUp, count(n.GivenUp, "logout")+" could not be delivered to applications and was given up.", "/clients")
	add("", n.Retrying, count(n.Retrying, "logout")+" could not be delivered to applications yet and is tried again.", "/clients")
	add("bad", n.Paused, count(n.Paused, "passkey")+" paused: a copy may exist, or a problem with the model was reported.", "/people?show=paused")
	add("", n.OnePasskey, count(n.OnePasskey, "person")+" with a single passkey: a lost key locks them out.", "/people?show=one")
	add("", n.NoPasskey, count(n.NoPasskey, "person")+" without a usable passkey.", "/people?show=none")
	return told
}
