package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/touchstone-id/touchstone/pkg/apim"
)

// maxRetries is how often retry may repeat, as in API Management.
const maxRetries = 50

// compileRetry compiles retry: its policies run, and again while the condition
// holds. What a policy threw is in context.LastError when the condition is
// evaluated; when it does not hold, the error goes on.
func compileRetry(c *compiler, e apim.Element, p *policy) {
	condition, count := c.attribute(e, "condition", ""), c.attribute(e, "count", "")
	interval, longest, delta := c.attribute(e, "interval", "0"), c.attribute(e, "max-interval", "0"), c.attribute(e, "delta", "0")
	fast := c.attribute(e, "first-fast-retry", "false")
	if n, ok := apim.Int(count.literal); count.isLiteral() && (!ok || n < 1 || n > maxRetries) {
		c.fault(e, "count must be 1 to %d", maxRetries)
	}
	inner, note := c.policies(e.Children), *p
	p.act = func(r *run) error {
		n, err := count.integer(r)
		if err != nil {
			return err
		}
		pauses, err := backoff(r, interval, longest, delta, fast)
		if err != nil {
			return err
		}
		for attempt := 0; ; attempt++ {
			fault := r.execute(inner)
			if errors.Is(fault, errAnswered) || errors.Is(fault, errAbandoned) {
				return fault
			}
			var f *failure
			if errors.As(fault, &f) {
				r.lastError = &f.LastError
			}
			again, err := condition.boolean(r)
			if fault != nil && (err != nil || !again) {
				return fault
			}
			if err != nil || !again {
				return err
			}
			if attempt >= min(n, maxRetries) {
				return fault
			}
			note.note(r, resultPassed, fmt.Sprintf("retry %d", attempt+1))
			if err := r.gateway.options.Wait(r.client.Context(), pauses(attempt)); err != nil {
				return err
			}
		}
	}
}

// backoff returns how long to wait before a retry: the interval, with a delta
// growing exponentially or linearly, up to the longest.
func backoff(r *run, interval, longest, delta, fast value) (func(int) time.Duration, error) {
	n := make([]int, 3)
	for i, v := range []value{interval, longest, delta} {
		var err error
		if n[i], err = v.integer(r); err != nil {
			return nil, err
		}
	}
	first, err := fast.boolean(r)
	return func(attempt int) time.Duration {
		if attempt == 0 && first {
			return 0
		}
		seconds := n[0]
		if n[2] > 0 && n[1] > 0 {
			seconds += n[2] * (1<<min(attempt, 20) - 1)
		} else if n[2] > 0 {
			seconds += n[2] * attempt
		}
		if n[1] > 0 {
			seconds = min(seconds, n[1])
		}
		return time.Duration(seconds) * time.Second
	}, err
}

// slots count what runs at a time, by key.
type slots struct {
	mu   sync.Mutex // guards busy
	busy map[string]int
}

func newSlots() *slots { return &slots{busy: map[string]int{}} }

func (s *slots) enter(key string, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[key] >= limit {
		return false
	}
	s.busy[key]++
	return true
}

func (s *slots) leave(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[key]--; s.busy[key] == 0 {
		delete(s.busy, key)
	}
}

// compileLimitConcurrency compiles limit-concurrency.
func compileLimitConcurrency(c *compiler, e apim.Element, p *policy) {
	key := c.attribute(e, "key", "")
	limit, ok := apim.Int(e.Value("max-count"))
	if !ok || limit < 1 {
		c.fault(e, "max-count must be at least 1")
	}
	inner, note := c.policies(e.Children), *p
	p.act = func(r *run) error {
		name, err := key.text(r)
		if err != nil {
			return err
		}
		if !r.gateway.slots.enter(name, limit) {
			message := "The number of concurrent requests is exceeded."
			note.note(r, resultFailed, message)
			return refused(http.StatusTooManyRequests, "ConcurrencyLimitExceeded", message, message)
		}
		defer r.gateway.slots.leave(name)
		return r.execute(inner)
	}
}

// compileFindAndReplace compiles find-and-replace over the message's body.
func compileFindAndReplace(c *compiler, e apim.Element, p *policy) {
	from, to, section := c.attribute(e, "from", ""), c.attribute(e, "to", ""), c.section
	p.act = func(r *run) error {
		texts, err := all(r, []value{from, to})
		if err != nil || texts[0] == "" {
			return err
		}
		if section == apim.Inbound || section == apim.Backend && r.response == nil {
			r.request.settle()
			content, err := r.request.load()
			if err != nil {
				return err
			}
			text := strings.ReplaceAll(string(content), texts[0], texts[1])
			r.request.body, r.request.length, r.request.payload = strings.NewReader(text), int64(len(text)), nil
			return nil
		}
		if r.response == nil {
			return fmt.Errorf("there is no response to change")
		}
		r.response.settle()
		content, err := r.response.load()
		if err != nil {
			return err
		}
		r.response.body, r.response.payload = []byte(strings.ReplaceAll(string(content), texts[0], texts[1])), nil
		r.response.header.Del("Content-Length")
		return nil
	}
}

// maxDimensions is how many dimensions of its own a metric may have.
const maxDimensions = 5

// compileEmitMetric compiles emit-metric: the metric goes to the log and the
// trace, its dimensions to the trace alone.
func compileEmitMetric(c *compiler, e apim.Element, p *policy) {
	name, amount := c.attribute(e, "name", ""), c.attribute(e, "value", "1")
	var dimensions []change
	for _, child := range e.Children {
		dimensions = append(dimensions, change{name: c.attribute(child, "name", ""), action: c.attribute(child, "value", "")})
	}
	if len(dimensions) > maxDimensions {
		c.fault(e, "a metric has at most %d dimensions", maxDimensions)
	}
	note := *p
	p.act = func(r *run) error {
		parts, err := all(r, []value{name, amount})
		if err != nil {
			return err
		}
		text := parts[0] + "=" + parts[1]
		for _, d := range dimensions {
			pair, err := all(r, []value{d.name, d.action})
			if err != nil {
				return err
			}
			text += ", " + pair[0] + "=" + pair[1]
		}
		r.gateway.options.Log.Info().Str("metric", parts[0]).Str("value", parts[1]).Str("id", r.id).Msg("metric")
		note.note(r, resultPassed, text)
		return nil
	}
}

// buffered reads the request's body, so that it can be sent again.
func (r *run) buffered() error { return r.requestSeen().Body.Keep() }
