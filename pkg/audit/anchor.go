package audit

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"golang.org/x/mod/sumdb/note"
)

const (
	// anchorEvery is the pause between looks for checkpoints to anchor.
	anchorEvery = 5 * time.Second
	// anchorBound is how long one anchor may take.
	anchorBound = 10 * time.Second
	// maxCosignature bounds a witness's answer, in bytes.
	maxCosignature = 8 << 10
)

// Anchor puts checkpoints where the log's operator cannot take them back.
type Anchor interface {
	// Name tells anchors apart in the database and in logs.
	Name() string
	// Put anchors a signed checkpoint; size says of how many entries. It returns
	// lines to add to the note, such as a cosignature. It may be called again
	// with the same checkpoint.
	Put(ctx context.Context, size int64, signed string) (string, error)
}

// Anchors brings the newest checkpoint to every anchor, one replica at a time. A
// checkpoint that a newer one replaced meanwhile is passed over: the newer
// vouches for it.
type Anchors struct {
	pool    *pgxpool.Pool
	anchors []Anchor
	logger  zerolog.Logger
}

// NewAnchors returns anchors that do nothing yet.
func NewAnchors(pool *pgxpool.Pool, logger zerolog.Logger, anchors ...Anchor) *Anchors {
	return &Anchors{pool, anchors, logger}
}

// Run anchors until the context ends. What fails is tried again.
func (a *Anchors) Run(ctx context.Context) {
	for ctx.Err() == nil && len(a.anchors) > 0 {
		if err := a.Step(ctx); err != nil && ctx.Err() == nil {
			a.logger.Warn().Err(err).Msg("a checkpoint could not be anchored; it is tried again")
		}
		select {
		case <-ctx.Done():
		case <-time.After(anchorEvery):
		}
	}
}

// Step anchors the newest checkpoint wherever it is not yet.
func (a *Anchors) Step(ctx context.Context) error {
	var faults []error
	for _, anchor := range a.anchors {
		var size int64
		var signed string
		err := a.pool.QueryRow(ctx, `select size, note from audit_checkpoint where size = (select max(size) from audit_checkpoint) and not anchored ? $1`, anchor.Name()).Scan(&size, &signed)
		if errors.Is(err, pgx.ErrNoRows) {
			continue
		}
		if err != nil {
			return fmt.Errorf("anchor: %w", err)
		}
		bound, cancel := context.WithTimeout(ctx, anchorBound)
		lines, err := anchor.Put(bound, size, signed)
		cancel()
		if err != nil {
			faults = append(faults, fmt.Errorf("anchor %s: %w", anchor.Name(), err))
			continue
		}
		_, err = a.pool.Exec(ctx, `
			update audit_checkpoint set anchored = anchored || jsonb_build_object($2::text, now()), note = note || $3
			where size = $1 and not anchored ? $2`, size, anchor.Name(), lines)
		if err != nil {
			faults = append(faults, fmt.Errorf("note the anchor: %w", err))
		}
	}
	return errors.Join(faults...)
}

// FileAnchor appends checkpoints to a file, on another machine or medium.
type FileAnchor struct{ Path string }

// Name is the file's path.
func (f FileAnchor) Name() string { return "file " + f.Path }

// Put appends the checkpoint and waits until the disk has it.
func (f FileAnchor) Put(_ context.Context, _ int64, signed string) (string, error) {
	file, err := os.OpenFile(f.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return "", err
	}
	_, err = file.WriteString(signed + "\n")
	return "", errors.Join(err, file.Sync(), file.Close())
}

// HTTPAnchor posts checkpoints to an endpoint, or puts each under a name of its
// own in an object store, whose lock keeps it (a pre-authorized URL that ends in
// a slash).
type HTTPAnchor struct {
	URL    string
	Client *http.Client
}

// Name is the endpoint without its query, which may hold a credential.
func (h HTTPAnchor) Name() string {
	name, _, _ := strings.Cut(h.URL, "?")
	return "http " + name
}

// Put sends the checkpoint; any answer of the class 2xx means that it was taken.
func (h HTTPAnchor) Put(ctx context.Context, size int64, signed string) (string, error) {
	method, at := http.MethodPost, h.URL
	if place, query, _ := strings.Cut(h.URL, "?"); strings.HasSuffix(place, "/") {
		method, at = http.MethodPut, place+"checkpoint-"+fmt.Sprintf("%012d", size)
		if query != "" {
			at += "?" + query
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(signed))
	if err != nil {
		return "", errors.New("not a URL")
	}
	r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	answer, err := h.Client.Do(r)
	if err != nil {
		return "", fmt.Errorf("%s %s failed", method, h.Name())
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, io.LimitReader(answer.Body, maxCosignature))
	if answer.StatusCode/100 != 2 {
		return "", fmt.Errorf("answered %d", answer.StatusCode)
	}
	return "", nil
}

// WitnessAnchor has a witness cosign checkpoints (C2SP tlog-witness).
type WitnessAnchor struct {
	// URL is the witness's address, to which /add-checkpoint is added.
	URL string
	// Key verifies its cosignatures.
	Key    note.Verifier
	Pool   *pgxpool.Pool
	Client *http.Client
}

// Name is the witness's.
func (w WitnessAnchor) Name() string { return "witness " + w.Key.Name() }

// Put asks for a cosignature, and verifies it. A witness that knows another size
// is asked once more, with the proof from there.
func (w WitnessAnchor) Put(ctx context.Context, size int64, signed string) (string, error) {
	body, _, _ := strings.Cut(signed, "\n\n")
	old := int64(0)
	for range 2 {
		proof, err := ProveConsistency(ctx, w.Pool, old, size)
		if err != nil {
			return "", err
		}
		request := "old " + strconv.FormatInt(old, 10) + "\n"
		for _, h := range proof {
			request += base64.StdEncoding.EncodeToString(h) + "\n"
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(w.URL, "/")+"/add-checkpoint", strings.NewReader(request+"\n"+signed))
		if err != nil {
			return "", errors.New("not a URL")
		}
		answer, err := w.Client.Do(r)
		if err != nil {
			return "", err
		}
		text, err := io.ReadAll(io.LimitReader(answer.Body, maxCosignature))
		answer.Body.Close()
		if err != nil {
			return "", err
		}
		switch answer.StatusCode {
		case http.StatusOK:
			cosigned := body + "\n\n" + string(text)
			opened, err := note.Open([]byte(cosigned), note.VerifierList(w.Key))
			if err != nil {
				return "", fmt.Errorf("the cosignature does not verify: %w", err)
			}
			// Lines of keys that are not the witness's stay out of the note.
			return "\u2014 " + opened.Sigs[0].Name + " " + opened.Sigs[0].Base64 + "\n", nil
		case http.StatusConflict:
			known, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
			if err != nil || known == old || known > size {
				return "", fmt.Errorf("the witness answers %.60q, our log has %d entries: one of them was forked or cut", strings.TrimSpace(string(text)), size)
			}
			old = known
		default:
			return "", fmt.Errorf("the witness answered %d: %.200s", answer.StatusCode, text)
		}
	}
	return "", errors.New("the witness changes its mind")
}

// Cosigners returns the names of those whose cosignatures of a note verify.
func Cosigners(signed string, keys []note.Verifier) []string {
	var names []string
	for _, key := range keys {
		if _, err := note.Open([]byte(signed), note.VerifierList(key)); err == nil {
			names = append(names, key.Name())
		}
	}
	return names
}

var _ Anchor = WitnessAnchor{}
