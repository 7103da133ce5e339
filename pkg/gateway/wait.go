package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/touchstone-id/touchstone/pkg/apim"
)

// waitable are the policies that wait may hold.
var waitable = []string{"send-request", "cache-lookup-value", "choose"}

// errAbandoned ends a branch of a wait that is decided without it.
var errAbandoned = errors.New("the wait was decided without it")

// compileWait compiles wait: all of its policies have to succeed, or for any the
// first that does is enough.
func compileWait(c *compiler, e apim.Element, p *policy) {
	how := c.attribute(e, "for", "all")
	for _, child := range e.Children {
		if !slices.Contains(waitable, child.Name) {
			c.fault(child, "cannot stand in <wait>; %s can", strings.Join(waitable, ", "))
		}
	}
	inner := c.policies(e.Children)
	p.act = func(r *run) error {
		text, err := how.text(r)
		if err != nil {
			return err
		}
		if text != "all" && text != "any" {
			return errors.New("for is neither all nor any")
		}
		if r.turn != nil {
			return r.oneByOne(inner, text == "any")
		}
		return r.together(inner, text == "any")
	}
}

// oneByOne runs a wait inside of a wait.
func (r *run) oneByOne(branches []policy, anyOf bool) error {
	if !anyOf {
		return r.execute(branches)
	}
	var err error
	for _, p := range branches {
		if err = r.execute([]policy{p}); err == nil || errors.Is(err, errAnswered) || errors.Is(err, errAbandoned) {
			return err
		}
	}
	return err
}

// together runs the branches at the same time: while one waits for a service,
// others go on, and one at a time evaluates and changes what belongs to the
// request. When the wait is decided the calls under way are broken off, and it
// ends when every branch has.
func (r *run) together(branches []policy, anyOf bool) error {
	ctx, decide := context.WithCancel(r.client.Context())
	defer decide()
	r.turn, r.calls = &sync.Mutex{}, ctx
	var all sync.WaitGroup
	var broken any
	var decision, failed error
	decided := false
	for _, p := range branches {
		all.Go(func() {
			r.turn.Lock()
			defer r.turn.Unlock()
			defer func() {
				if fault := recover(); fault != nil { // goes on in the request's own goroutine
					broken = fault
					decide()
				}
			}()
			if ctx.Err() != nil {
				return
			}
			err := r.execute([]policy{p})
			switch {
			case errors.Is(err, errAbandoned) || decided:
			case errors.Is(err, errAnswered), (err == nil) == anyOf:
				decided, decision = true, err
				decide()
			case err != nil:
				failed = err
			}
		})
	}
	all.Wait()
	r.turn, r.calls = nil, nil
	if broken != nil {
		panic(broken)
	}
	if decided {
		return decision
	}
	return errors.Join(failed, r.client.Context().Err())
}

// yield lets other branches of a wait go on until the function that it returns is
// called. Outside of a wait it does nothing.
func (r *run) yield() (back func()) {
	turn := r.turn
	if turn == nil {
		return func() {}
	}
	turn.Unlock()
	return turn.Lock
}
