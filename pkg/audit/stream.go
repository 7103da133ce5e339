package audit

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/audit/record"
)

const (
	// streamLock, with the number of the sink, is the advisory lock of the replica that streams.
	streamLock = 0x7473_7374
	// streamEvery is the pause between looks for entries to stream.
	streamEvery = 2 * time.Second
	// streamBatch bounds how many entries go out together.
	streamBatch = 500
	// streamBound is how long one batch may take.
	streamBound = 15 * time.Second
)

// Sink takes entries in the order of the log. An error means that none of the
// batch counts as taken: all of it comes again.
type Sink interface {
	// Name tells sinks apart; a sink under another name begins at the start of the log.
	Name() string
	Send(ctx context.Context, lines []record.Line) error
}

// Stream brings the log to sinks, such as a SIEM, at least once: how far a sink
// has got is kept in the database after it has taken a batch, so that a restart
// repeats entries at worst. Each carries its index, by which repetitions show.
type Stream struct {
	pool   *pgxpool.Pool
	sinks  []Sink
	logger zerolog.Logger
}

// NewStream returns a stream that does nothing yet.
func NewStream(pool *pgxpool.Pool, logger zerolog.Logger, sinks ...Sink) *Stream {
	return &Stream{pool, sinks, logger}
}

// Run streams until the context ends. What fails is tried again.
func (s *Stream) Run(ctx context.Context) {
	for ctx.Err() == nil && len(s.sinks) > 0 {
		n, err := s.Step(ctx)
		if err != nil && ctx.Err() == nil {
			s.logger.Warn().Err(err).Msg("the record could not be streamed; it is tried again")
		}
		if n > 0 && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(streamEvery):
		}
	}
}

// Step sends each sink its next batch and returns how many entries went out.
func (s *Stream) Step(ctx context.Context) (int, error) {
	var faults []error
	sent := 0
	for i, sink := range s.sinks {
		n, err := s.one(ctx, i, sink)
		sent += n
		if err != nil {
			faults = append(faults, fmt.Errorf("stream to %s: %w", sink.Name(), err))
		}
	}
	return sent, errors.Join(faults...)
}

func (s *Stream) one(ctx context.Context, i int, sink Sink) (int, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Release()
	var mine bool
	if err := conn.QueryRow(ctx, `select pg_try_advisory_lock($1, $2)`, streamLock, i).Scan(&mine); err != nil || !mine {
		return 0, err
	}
	defer conn.Exec(context.WithoutCancel(ctx), `select pg_advisory_unlock($1, $2)`, streamLock, i)
	if _, err := conn.Exec(ctx, `insert into audit_stream (sink, next) values ($1, 0) on conflict do nothing`, sink.Name()); err != nil {
		return 0, err
	}
	var next int64
	if err := conn.QueryRow(ctx, `select next from audit_stream where sink = $1`, sink.Name()).Scan(&next); err != nil {
		return 0, err
	}
	var batch []record.Line
	if err := lines(ctx, conn, next, next+streamBatch, true, func(l record.Line) error { batch = append(batch, l); return nil }); err != nil || len(batch) == 0 {
		return 0, err
	}
	bound, cancel := context.WithTimeout(ctx, streamBound)
	defer cancel()
	if err := sink.Send(bound, batch); err != nil {
		return 0, err
	}
	_, err = conn.Exec(ctx, `update audit_stream set next = $2 where sink = $1 and next < $2`, sink.Name(), batch[len(batch)-1].Index+1)
	return len(batch), err
}

// streamed is an entry as a SIEM reads it.
type streamed struct {
	Index int64 `json:"index"`
	record.Leaf
	record.Personal
}

func open(l record.Line) (streamed, error) {
	leaf, err := record.ParseLeaf(l.Leaf)
	e := streamed{Index: l.Index, Leaf: leaf}
	if l.Personal != nil {
		e.Personal = *l.Personal
	}
	return e, err
}

// Webhook posts batches as JSON Lines.
type Webhook struct {
	URL string
	// Authorization, when not empty, is sent as that header.
	Authorization string
	Client        *http.Client
}

// Name is the address without its query, which may hold a credential.
func (h Webhook) Name() string {
	name, _, _ := strings.Cut(h.URL, "?")
	return "webhook " + name
}

// Send posts a batch; any answer of the class 2xx means that it was taken.
func (h Webhook) Send(ctx context.Context, batch []record.Line) error {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	for _, l := range batch {
		e, err := open(l)
		if err == nil {
			err = encoder.Encode(e)
		}
		if err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, &body)
	if err != nil {
		return errors.New("not a URL")
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	if h.Authorization != "" {
		r.Header.Set("Authorization", h.Authorization)
	}
	answer, err := h.Client.Do(r)
	if err != nil {
		return errors.New("the request failed")
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, io.LimitReader(answer.Body, maxCosignature))
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("answered %d", answer.StatusCode)
	}
	return nil
}

// Syslog sends entries as CEF over TLS (RFC 5425) or TCP, framed by their length
// (RFC 6587 section 3.4.1), with the header of RFC 5424.
type Syslog struct {
	Address string
	// TLS, when not nil, says whom to trust; nil is plain TCP, for a receiver on
	// the same machine.
	TLS *tls.Config
}

// Name is the receiver's address.
func (s Syslog) Name() string { return "syslog " + s.Address }

// Send writes a batch on a connection of its own. TCP tells nothing about what
// the receiver kept; closing without an error is the best it has.
func (s Syslog) Send(ctx context.Context, batch []record.Line) error {
	var d net.Dialer
	dial := d.DialContext
	if s.TLS != nil {
		dial = (&tls.Dialer{Config: s.TLS}).DialContext
	}
	conn, err := dial(ctx, "tcp", s.Address)
	if err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	for _, l := range batch {
		e, err := open(l)
		if err != nil {
			conn.Close()
			return err
		}
		message := fmt.Sprintf("<110>1 %s - touchstone - %d - %s", e.At.UTC().Format("2006-01-02T15:04:05.000000Z"), e.Index, cef(e))
		if _, err := fmt.Fprintf(conn, "%d %s", len(message), message); err != nil {
			conn.Close()
			return err
		}
	}
	return conn.Close()
}

// cef formats an entry in the Common Event Format, version 0.
func cef(e streamed) string {
	header := strings.NewReplacer(`\`, `\\`, `|`, `\|`, "\n", " ", "\r", " ")
	value := strings.NewReplacer(`\`, `\\`, `=`, `\=`, "\n", `\n`, "\r", `\r`)
	severity := "3"
	if e.Outcome == "refused" {
		severity = "6"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "CEF:0|Touchstone|Touchstone|%d|%s|%s|%s|", record.Version, header.Replace(e.Action), header.Replace(e.Action), severity)
	add := func(key, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%s=%s ", key, value.Replace(text))
		}
	}
	add("externalId", e.ID)
	add("rt", fmt.Sprint(e.At.UnixMilli()))
	add("outcome", e.Outcome)
	add("reason", e.Reason)
	add("suid", e.UserID)
	add("src", e.Address)
	add("requestClientApplication", e.ClientID)
	for i, field := range [][2]string{{"authenticator", e.Credential}, {"session", e.Session}, {"grant", e.GrantID}, {"correlation", e.Correlation}} {
		if field[1] != "" {
			add(fmt.Sprintf("cs%dLabel", i+1), field[0])
			add(fmt.Sprintf("cs%d", i+1), field[1])
		}
	}
	var details []string
	for name, text := range e.Details {
		details = append(details, name+": "+text)
	}
	add("msg", strings.Join(sorted(details), "; "))
	return strings.TrimSpace(b.String())
}
