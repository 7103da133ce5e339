package gateway

import (
	"fmt"
	"sync"
	"time"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/apim/expr"
)

const (
	// maxCached bounds how many values are kept, maxCachedText how long a text may be.
	maxCached     = 10_000
	maxCachedText = 256 << 10
)

// cache is the internal cache of API Management: volatile, one for all APIs.
type cache struct {
	mu     sync.Mutex // guards values
	values map[string]cached
}

type cached struct {
	value any
	until time.Time
}

func newCache() *cache { return &cache{values: map[string]cached{}} }

func (k *cache) get(key string, now time.Time) (any, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, ok := k.values[key]
	if ok && !now.Before(found.until) {
		delete(k.values, key)
		return nil, false
	}
	return found.value, ok
}

// put stores a value; when the cache is full it drops what is over, and then
// anything.
func (k *cache) put(key string, v any, now, until time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.values[key]; !known && len(k.values) >= maxCached {
		for old, c := range k.values {
			if !now.Before(c.until) {
				delete(k.values, old)
			}
		}
		for old := range k.values {
			if len(k.values) < maxCached {
				break
			}
			delete(k.values, old)
		}
	}
	k.values[key] = cached{v, until}
}

func (k *cache) remove(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.values, key)
}

// internal refuses caches that this gateway lacks.
func (c *compiler) internal(e apim.Element) {
	if e.Value("caching-type") == "external" {
		c.fault(e, "an external cache is not implemented by this gateway")
	}
}

// compileCacheLookup compiles cache-lookup-value: without a hit and a default
// the variable stays absent.
func compileCacheLookup(c *compiler, e apim.Element, p *policy) {
	c.internal(e)
	key, variable := c.attribute(e, "key", ""), e.Value("variable-name")
	_, hasDefault := e.Attribute("default-value")
	fallback, note := c.attribute(e, "default-value", ""), *p
	p.act = func(r *run) error {
		name, err := key.text(r)
		if err != nil {
			return err
		}
		if v, ok := r.gateway.cache.get(name, r.now); ok {
			r.variables[variable] = expr.Copy(v)
			note.note(r, resultPassed, "found")
			return nil
		}
		note.note(r, resultSkipped, "not found")
		if hasDefault {
			r.variables[variable], err = fallback.eval(r)
		}
		return err
	}
}

// compileCacheStore compiles cache-store-value.
func compileCacheStore(c *compiler, e apim.Element, p *policy) {
	c.internal(e)
	key, content, seconds := c.attribute(e, "key", ""), c.attribute(e, "value", ""), c.attribute(e, "duration", "")
	p.act = func(r *run) error {
		name, err := key.text(r)
		if err != nil {
			return err
		}
		v, err := content.eval(r)
		if err != nil {
			return err
		}
		n, err := seconds.integer(r)
		if err != nil {
			return err
		}
		if !expr.Storable(v) {
			return fmt.Errorf("cache-store-value keeps texts, numbers, truths, times, Guids and JSON tokens only")
		}
		if text, ok := v.(string); ok && len(text) > maxCachedText || len(name) > maxCachedText {
			return fmt.Errorf("the value is too large to be cached")
		}
		if n > 0 {
			r.gateway.cache.put(name, expr.Copy(v), r.now, r.now.Add(time.Duration(n)*time.Second))
		}
		return nil
	}
}

// compileCacheRemove compiles cache-remove-value.
func compileCacheRemove(c *compiler, e apim.Element, p *policy) {
	c.internal(e)
	key := c.attribute(e, "key", "")
	p.act = func(r *run) error {
		name, err := key.text(r)
		if err == nil {
			r.gateway.cache.remove(name)
		}
		return err
	}
}
