package fleet

import (
	"slices"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/passkey"
)

// opens reports whether a credential lets its owner into the console.
func (b Basis) opens(k passkey.Kept, s state) bool {
	c := b.Trust.Console
	return c != nil && s.usable && slices.Contains(k.Groups, c.Group) && b.Trust.HasLevel(s.a, c.Level)
}

// collectConsole sums up who loses the console, and whether it is shut for all.
func (i *Impact) collectConsole(owners map[account.ID]*owner) {
	before, after := 0, 0
	for _, o := range owners {
		if o.openedBefore {
			before++
		}
		if o.opensAfter {
			after++
		} else if o.openedBefore {
			i.Console = append(i.Console, o.person)
		}
	}
	i.ConsoleShut = before > 0 && after == 0
	sortPeople(i.Console)
}
