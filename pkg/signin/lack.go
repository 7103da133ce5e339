package signin

import (
	"slices"
	"time"
)

// Lack says what a session does not show that somebody asks of it.
type Lack string

// The lacks; the empty one means that nothing is.
const (
	// LackLevel: its passkey did not have the level, or has it no more.
	LackLevel Lack = "level"
	// LackAge: the sign-in is too old.
	LackAge Lack = "age"
)

// Lacks compares a session with a level and an age. The level must have been met
// when the person signed in, and by what the passkey was last worth.
func (s Session) Lacks(level string, age time.Duration, now time.Time) Lack {
	switch {
	case !s.Authentication.Meets([]string{level}) || s.Levels != nil && !slices.Contains(s.Levels, level):
		return LackLevel
	case now.Sub(s.Authentication.AuthTime) > age:
		return LackAge
	}
	return ""
}
