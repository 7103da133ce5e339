package passkey

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/touchstone-id/touchstone/pkg/account"
	"github.com/touchstone-id/touchstone/pkg/postgres"
)

// browsers and systems are looked for in a user agent in this order: most carry
// the words of others too, for old pages that look for those.
var (
	browsers = []mark{{"Edg", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}}
	systems  = []mark{{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"CrOS", "ChromeOS"}, {"Mac OS", "Mac"}, {"Linux", "Linux"}}
)

// mark is a word in a user agent and what it tells.
type mark struct{ word, name string }

// nickname names a passkey after its proven model, else by how it is reached,
// else by the browser and system that it seems to live on.
func nickname(c Credential, userAgent string) string {
	if c.Model != "" {
		return c.Model
	}
	removable := func(t string) bool { return t == "usb" || t == "nfc" || t == "smart-card" }
	if slices.ContainsFunc(c.Transports, removable) || len(c.Transports) == 0 && c.Attachment == "cross-platform" {
		return "Security key"
	}
	var seen []string
	for _, marks := range [][]mark{browsers, systems} {
		if i := slices.IndexFunc(marks, func(m mark) bool { return strings.Contains(userAgent, m.word) }); i >= 0 {
			seen = append(seen, marks[i].name)
		}
	}
	if len(seen) == 0 {
		return "Passkey"
	}
	return "Passkey on " + strings.Join(seen, ", ")
}

// distinct adds a number to a nickname that is taken.
func distinct(name string, taken []string) string {
	candidate := name
	for n := 2; slices.Contains(taken, candidate); n++ {
		candidate = fmt.Sprintf("%s %d", name, n)
	}
	return candidate
}

// nicknames returns those of the person's passkeys.
func nicknames(ctx context.Context, q postgres.Querier, user account.ID) ([]string, error) {
	rows, err := q.Query(ctx, `select nickname from credential where user_id = $1 and removed_at is null`, user)
	if err != nil {
		return nil, fmt.Errorf("list nicknames: %w", err)
	}
	taken, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list nicknames: %w", err)
	}
	return taken, nil
}
