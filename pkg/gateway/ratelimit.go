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

const (
	// maxRenewal is the longest window of rate-limit-by-key.
	maxRenewal = 300 * time.Second
	// sweepAt is how many counters make the limiter look for idle ones.
	sweepAt = 10_000
)

// limiter counts calls in sliding windows, one counter per key for all APIs.
type limiter struct {
	mu       sync.Mutex // guards counters
	counters map[string][]call
	sweep    int
}

// call is one increment.
type call struct {
	at    time.Time
	count int
}

func newLimiter() *limiter { return &limiter{counters: map[string][]call{}, sweep: sweepAt} }

// used returns how much of the window is used and when its first call leaves it.
func (l *limiter) used(key string, now time.Time, window time.Duration) (int, time.Time) {
	used, first := 0, now
	for _, c := range l.counters[key] {
		if c.at.After(now.Add(-window)) {
			if used == 0 {
				first = c.at
			}
			used += c.count
		}
	}
	return used, first.Add(window)
}

// add counts a call and forgets calls that left every window.
func (l *limiter) add(key string, now time.Time, count int) {
	calls := l.counters[key]
	for len(calls) > 0 && !calls[0].at.After(now.Add(-maxRenewal)) {
		calls = calls[1:]
	}
	l.counters[key] = append(calls, call{now, count})
	if len(l.counters) < l.sweep {
		return
	}
	for k, calls := range l.counters {
		if !calls[len(calls)-1].at.After(now.Add(-maxRenewal)) {
			delete(l.counters, k)
		}
	}
	l.sweep = max(sweepAt, 2*len(l.counters))
}

// rateLimit is a compiled rate-limit-by-key.
type rateLimit struct {
	policy                                          policy
	calls, period, key, condition, count            value
	retryHeader, retryVariable                      string
	remainingHeader, remainingVariable, totalHeader string
}

// compileRateLimitByKey compiles rate-limit-by-key.
func compileRateLimitByKey(c *compiler, e apim.Element, p *policy) {
	c.unimplemented(e, "increment-after-response", "flexible-retry-window")
	names := map[string]string{}
	for _, name := range []string{"retry-after-header-name", "retry-after-variable-name", "remaining-calls-header-name", "remaining-calls-variable-name", "total-calls-header-name"} {
		v := c.attribute(e, name, "")
		if !v.isLiteral() {
			c.fault(e, "an expression in %s is not implemented by this gateway", name)
		}
		names[name] = v.literal
	}
	if names["retry-after-header-name"] == "" {
		names["retry-after-header-name"] = "Retry-After"
	}
	for _, name := range []string{"retry-after-header-name", "remaining-calls-header-name", "total-calls-header-name"} {
		if names[name] != "" && headerName(names[name]) != nil {
			c.fault(e, "%s=%q is not the name of a header", name, names[name])
		}
	}
	l := &rateLimit{policy: *p, calls: c.attribute(e, "calls", ""), period: c.attribute(e, "renewal-period", ""), key: c.attribute(e, "counter-key", ""),
		condition: c.attribute(e, "increment-condition", "true"), count: c.attribute(e, "increment-count", "1"),
		retryHeader: names["retry-after-header-name"], retryVariable: names["retry-after-variable-name"],
		remainingHeader: names["remaining-calls-header-name"], remainingVariable: names["remaining-calls-variable-name"], totalHeader: names["total-calls-header-name"]}
	p.act = l.act
}

// act refuses the call when the window is full. An increment whose condition or
// count is an expression waits for the response, so the refusal comes one call
// late, as the reference says.
func (l *rateLimit) act(r *run) error {
	calls, err := l.calls.integer(r)
	if err != nil {
		return err
	}
	seconds, err := l.period.integer(r)
	if err != nil {
		return err
	}
	window := time.Duration(seconds) * time.Second
	if calls < 1 || window < time.Second || window > maxRenewal {
		return fmt.Errorf("calls must be at least 1 and renewal-period 1 to 300 seconds")
	}
	key, err := l.key.text(r)
	if err != nil {
		return err
	}
	limiter := r.gateway.limits
	limiter.mu.Lock()
	used, free := limiter.used(key, r.now, window)
	full := used >= calls
	if !full && l.condition.isLiteral() && l.count.isLiteral() {
		if n := l.increment(r); n > 0 {
			limiter.add(key, r.now, n)
			used += n
		}
	}
	limiter.mu.Unlock()
	if !full && !(l.condition.isLiteral() && l.count.isLiteral()) {
		r.after = append(r.after, func() {
			if n := l.increment(r); n > 0 {
				limiter.mu.Lock()
				limiter.add(key, r.now, n)
				limiter.mu.Unlock()
			}
		})
	}
	l.tell(r, calls, max(0, calls-used))
	if !full {
		l.policy.note(r, resultPassed, fmt.Sprintf("%d of %d calls in %d seconds", used, calls, seconds))
		return nil
	}
	wait := strconv.Itoa(int(math.Ceil(free.Sub(r.now).Seconds())))
	message := "Rate limit is exceeded. Try again in " + wait + " seconds."
	l.policy.note(r, resultFailed, message)
	f := refused(http.StatusTooManyRequests, "RateLimitExceeded", message, message)
	f.header = http.Header{http.CanonicalHeaderKey(l.retryHeader): {wait}}
	if l.retryVariable != "" {
		r.variables[l.retryVariable] = wait
	}
	return f
}

// increment evaluates how much this call counts; one that cannot be evaluated counts once.
func (l *rateLimit) increment(r *run) int {
	counts, err := l.condition.boolean(r)
	if err != nil {
		return 1
	}
	n, err := l.count.integer(r)
	if err != nil {
		return 1
	}
	if !counts {
		return 0
	}
	return n
}

// tell puts the numbers where the policy wants them.
func (l *rateLimit) tell(r *run, calls, remaining int) {
	if l.remainingHeader != "" {
		r.added.Set(l.remainingHeader, strconv.Itoa(remaining))
	}
	if l.totalHeader != "" {
		r.added.Set(l.totalHeader, strconv.Itoa(calls))
	}
	if l.remainingVariable != "" {
		r.variables[l.remainingVariable] = int64(remaining)
	}
}
