package gateway

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/touchstone-id/touchstone/pkg/apim"
)

// minQuotaPeriod is the shortest period of quota-by-key; 0 is none at all.
const minQuotaPeriod = 300 * time.Second

// quotas count calls in fixed periods, one counter per key for all APIs.
type quotas struct {
	mu       sync.Mutex // guards counters
	counters map[string]quotaCount
}

type quotaCount struct {
	period int64 // which period since the first
	used   int
}

func newQuotas() *quotas { return &quotas{counters: map[string]quotaCount{}} }

// take counts n calls unless the quota is used up. It reports how many were used before.
func (q *quotas) take(key string, period int64, calls, n int) (used int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.counters[key]
	if c.period != period {
		c = quotaCount{period: period}
	}
	if c.used >= calls {
		return c.used, false
	}
	used = c.used
	c.used += n
	q.counters[key] = c
	return used, true
}

// compileQuotaByKey compiles quota-by-key over calls.
func compileQuotaByKey(c *compiler, e apim.Element, p *policy) {
	c.unimplemented(e, "bandwidth")
	if _, present := e.Attribute("calls"); !present {
		c.fault(e, "calls is missing")
	}
	first := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	if text := e.Value("first-period-start"); text != "" {
		var err error
		if first, err = time.Parse(time.RFC3339, text); err != nil {
			c.fault(e, "first-period-start=%q is not a time such as 2026-01-01T00:00:00Z", text)
		}
	}
	calls, seconds, key := c.attribute(e, "calls", "1"), c.attribute(e, "renewal-period", "0"), c.attribute(e, "counter-key", "")
	l := &rateLimit{policy: *p, condition: c.attribute(e, "increment-condition", "true"), count: c.attribute(e, "increment-count", "1")}
	p.act = func(r *run) error {
		limit, err := calls.integer(r)
		if err != nil {
			return err
		}
		n, err := seconds.integer(r)
		if err != nil {
			return err
		}
		length := time.Duration(n) * time.Second
		if limit < 1 || length != 0 && length < minQuotaPeriod {
			return fmt.Errorf("calls must be at least 1 and renewal-period 0 or at least 300 seconds")
		}
		name, err := key.text(r)
		if err != nil {
			return err
		}
		period, rest := periodOf(r.now, first, length)
		late := !l.condition.isLiteral() || !l.count.isLiteral()
		taken := 0
		if !late {
			taken = max(0, l.increment(r))
		}
		used, ok := r.gateway.quotas.take(name, period, limit, taken)
		if !ok {
			return l.usedUp(r, rest)
		}
		if late {
			r.after = append(r.after, func() { r.gateway.quotas.take(name, period, math.MaxInt, max(0, l.increment(r))) })
		}
		l.policy.note(r, resultPassed, fmt.Sprintf("%d of %d calls", used+taken, limit))
		return nil
	}
}

// periodOf returns which period an instant is in, and what is left of it. A
// length of 0 is one period without end.
func periodOf(now, first time.Time, length time.Duration) (int64, time.Duration) {
	if length == 0 {
		return 0, 0
	}
	seconds, each := now.Unix()-first.Unix(), int64(length/time.Second)
	period := seconds / each
	if seconds < 0 {
		period--
	}
	end := first.Unix() + (period+1)*each
	return period, time.Unix(end, 0).Sub(now)
}

// usedUp is the refusal of a quota.
func (l *rateLimit) usedUp(r *run, rest time.Duration) error {
	seconds := int(math.Ceil(rest.Seconds()))
	message := fmt.Sprintf("Out of call volume quota. Quota will be replenished in %02d:%02d:%02d.", seconds/3600, seconds/60%60, seconds%60)
	l.policy.note(r, resultFailed, message)
	f := refused(http.StatusForbidden, "QuotaExceeded", message, message)
	f.header = http.Header{"Retry-After": {strconv.Itoa(seconds)}}
	return f
}
