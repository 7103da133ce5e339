package admin

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/touchstone-id/touchstone/pkg/denial"
	"github.com/touchstone-id/touchstone/pkg/keyring"
)

// keyRules are the rules of rotation in force.
func (c *Console) keyRules() keyring.Rules {
	k := c.options.Trust().Keys
	return keyring.Rules{PublishAhead: k.PublishAhead, RotateEvery: k.RotateEvery}
}

type keyLine struct {
	keyring.Key
	State badge
	// Says tells the key's dates in a sentence.
	Says string
	// Under is what it signed under last.
	Under string
}

type ring struct {
	Algorithm keyring.Algorithm
	Planned   string
	// Waits says what was demanded and is not done.
	Waits string
	Keys  []keyLine
}

// pastKeys is for how long a retired key stays on the page.
const pastKeys = 90 * 24 * time.Hour

// keys shows the signing keys, what is planned for them, and how long gateways
// may still accept what was withdrawn.
func (c *Console) keys(v *visit) error {
	t, err := keyring.ReadTimeline(v.r.Context(), c.options.Pool, c.keyRules())
	if err != nil {
		return err
	}
	var data struct {
		Problems []keyring.Problem
		Windows  []string
		Rings    []ring
	}
	data.Problems = c.options.Ring.Problems()
	for _, alg := range keyring.Algorithms() {
		r := ring{Algorithm: alg}
		for _, p := range t.Planned {
			if p.Algorithm != alg {
				continue
			}
			r.Planned = "The next planned rotation is on " + exact(p.Due)
			if p.Follows {
				r.Planned += ", after a metadata update"
			}
			if p.Demanded != "" {
				r.Waits = "Asked for and not done yet: " + p.Demanded + "."
				if !p.ReadyAt.IsZero() {
					r.Waits = fmt.Sprintf("Asked for and not done yet: %s. The successor may sign from %s.", p.Demanded, exact(p.ReadyAt))
				}
			}
		}
		for _, k := range slices.Backward(t.Keys) {
			if k.Algorithm != alg || k.RetiresAt != nil && t.Now.Sub(*k.RetiresAt) > pastKeys {
				continue
			}
			line := keyLine{Key: k, State: stateWord(k, t.Now), Says: says(k, t.Now)}
			if k.ActivatesAt != nil {
				line.Under = t.Under(k.ID)
			}
			r.Keys = append(r.Keys, line)
			if until := k.AcceptedUntil(); until.After(t.Now) {
				data.Windows = append(data.Windows, fmt.Sprintf("Key %s (%s) was withdrawn %s. Gateways may still accept it until exactly %s.", k.ID, alg, apart(*k.WithdrawnAt, t.Now), until.UTC().Format("2 January 2006, 15:04:05 UTC")))
			}
		}
		if len(r.Keys) > 0 {
			data.Rings = append(data.Rings, r)
		}
	}
	return v.draw(c, http.StatusOK, "keys", frame{Title: "Signing keys", Section: "keys", Data: data})
}

func stateWord(k keyring.Key, now time.Time) badge {
	if k.WithdrawnAt != nil {
		return badge{"bad", "Withdrawn"}
	}
	switch k.StateAt(now) {
	case keyring.Active:
		return badge{"good", "Signs"}
	case keyring.Pending:
		return badge{"", "Stands by"}
	case keyring.Honoured:
		return badge{"", "Honoured"}
	}
	return badge{"", "Retired"}
}

// says tells a key's dates in the words of its state.
func says(k keyring.Key, now time.Time) string {
	switch {
	case k.WithdrawnAt != nil:
		return "Withdrawn " + exact(*k.WithdrawnAt) + ". No gateway that can reach us accepts it after " + exact(k.AcceptedUntil()) + "."
	case k.StateAt(now) == keyring.Active:
		return "Signs since " + exact(*k.ActivatesAt) + "."
	case k.StateAt(now) == keyring.Pending && now.Before(k.ReadyAt):
		return "Published since " + exact(k.CreatedAt) + ". May sign from " + exact(k.ReadyAt) + ", when every gateway knows it."
	case k.StateAt(now) == keyring.Pending:
		return "Published since " + exact(k.CreatedAt) + ". Every gateway knows it; it may sign at any time."
	case k.StateAt(now) == keyring.Honoured:
		return "Signs no more since " + exact(*k.HonouredAt) + ". Published until " + exact(*k.RetiresAt) + ", while its tokens live."
	case k.RetiresAt != nil:
		return "Retired " + exact(*k.RetiresAt) + ". Its private part is erased."
	}
	return ""
}

// timeline draws the keys' past, present and plan.
func (c *Console) timeline(v *visit) error {
	t, err := keyring.ReadTimeline(v.r.Context(), c.options.Pool, c.keyRules())
	if err != nil {
		return err
	}
	h := v.w.Header()
	// The picture colours itself; as a document of its own it may do nothing else.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'")
	h.Set("Content-Type", "image/svg+xml")
	v.w.Write(t.SVG())
	return nil
}

// algorithm is that of the address, when there is a ring of it.
func (c *Console) algorithm(v *visit) (keyring.Algorithm, error) {
	alg := keyring.Algorithm(v.r.PathValue("algorithm"))
	if !slices.Contains(keyring.Algorithms(), alg) {
		return "", denial.New(denial.PageNotFound, "no ring for %q", alg)
	}
	return alg, nil
}

func (c *Console) askRotate(v *visit) (question, error) {
	alg, err := c.algorithm(v)
	if err != nil {
		return question{}, err
	}
	return question{Section: "keys", Back: "/keys", Title: "Rotate " + string(alg) + " now?", Button: "Rotate " + string(alg),
		Lead:   "The published successor signs from now on, or as soon as every gateway knows it. Nothing stops working.",
		Impact: []string{"The key in use stays published while tokens that it signed live."},
		Fields: []field{{Name: "cause", Label: "Why, for the record", Hint: "For example: yearly audit."}}}, nil
}

// causeOf is what the administrator gave as the reason, in a length that fits a
// line of the record.
func (v *visit) causeOf() (string, error) {
	cause := v.r.PostForm.Get("cause")
	if !printable(cause) {
		return "", problem("Say why in up to 200 printable characters. It goes into the record.")
	}
	return cause, nil
}

func (c *Console) rotate(v *visit) error {
	cause, err := v.causeOf()
	if err != nil {
		return err
	}
	_, err = c.options.Ring.Rotate(v.r.Context(), keyring.Algorithm(v.r.PathValue("algorithm")), cause)
	return err
}

func (c *Console) askEmergency(v *visit) (question, error) {
	alg, err := c.algorithm(v)
	if err != nil {
		return question{}, err
	}
	t, err := keyring.ReadTimeline(v.r.Context(), c.options.Pool, c.keyRules())
	if err != nil {
		return question{}, err
	}
	q := question{Section: "keys", Back: "/keys", Title: "Withdraw the keys of " + string(alg) + "?", Button: "Withdraw the keys of " + string(alg), Grave: true,
		Lead: "For a key that was stolen, or may have been. Every key of " + string(alg) + " that has signed leaves the key set now, and the standby signs.",
		Impact: []string{
			"Every token that they signed ends, as gateways learn of it. People sign in again, or their applications refresh.",
			fmt.Sprintf("Gateways may still accept them until %s at the latest, %s from now.", exact(t.Now.Add(keyring.GatewayWindow)), span(keyring.GatewayWindow)),
		},
		Fields: []field{{Name: "cause", Label: "Why, for the record", Hint: "For example: replica 3 was broken into."},
			{Name: "fresh", Label: "Distrust the standby as well", Check: true, Hint: fmt.Sprintf("When the sealing key or a server's memory leaked too. A new key signs after %s, and gateways may refuse its tokens until they have fetched it: up to %s.", span(keyring.Lease), span(keyring.GatewayWindow))}}}
	if !ready(t, alg) {
		q.Problem = "The standby is not known to every gateway yet. Wait, or distrust it as well: then a new key takes over at once."
	}
	return q, nil
}

// ready reports whether the standby of an algorithm may sign.
func ready(t keyring.Timeline, alg keyring.Algorithm) bool {
	return slices.ContainsFunc(t.Keys, func(k keyring.Key) bool {
		return k.Algorithm == alg && k.StateAt(t.Now) == keyring.Pending && !t.Now.Before(k.ReadyAt)
	})
}

func (c *Console) emergency(v *visit) error {
	cause, err := v.causeOf()
	if err != nil {
		return err
	}
	alg, fresh := keyring.Algorithm(v.r.PathValue("algorithm")), v.r.PostForm.Get("fresh") != ""
	if !fresh {
		t, err := keyring.ReadTimeline(v.r.Context(), c.options.Pool, c.keyRules())
		if err != nil {
			return err
		}
		if !ready(t, alg) {
			return problem("The standby is not known to every gateway yet. Wait, or distrust it as well: then a new key takes over at once.")
		}
	}
	_, err = c.options.Ring.Emergency(v.r.Context(), alg, cause, fresh)
	return err
}
