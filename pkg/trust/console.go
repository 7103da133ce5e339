package trust

import (
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/touchstone-id/touchstone/pkg/claim"
)

// Console says who may use the administration console.
type Console struct {
	// Group names the people who may.
	Group string
	// Level is what the passkey must have with which they signed in.
	Level string
	// MaxAge is how long a sign-in counts there.
	MaxAge time.Duration
}

const (
	defaultConsoleAge = 15 * time.Minute
	// minConsoleAge is what acts with consequences ask for anyway.
	minConsoleAge = 5 * time.Minute
	// maxConsoleAge is the life of a session: no sign-in is older.
	maxConsoleAge = 24 * time.Hour
	// maxGroupName is that of an account's group, in characters.
	maxGroupName = 100
)

// console reads who may administer. Without the section nobody may, and there is
// no console.
func (r *reader) console(t *Trust) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) {
		c := &Console{Level: claim.LevelPhishingResistantHardware, MaxAge: defaultConsoleAge}
		r.mapping(n, at, map[string]func(*yaml.Node, string){
			"group":   r.text(&c.Group, groupName),
			"level":   r.text(&c.Level, identifier),
			"max_age": r.duration(&c.MaxAge, minConsoleAge, maxConsoleAge),
		}, "group")
		r.levelUses = append(r.levelUses, use{n, at + ".level", c.Level})
		t.Console = c
	}
}

// groupName accepts what an account's group may be called.
func groupName(text string) string {
	if wrong := anything(text); wrong != "" {
		return wrong
	}
	if utf8.RuneCountInString(text) > maxGroupName {
		return "is too long for a group"
	}
	return ""
}
