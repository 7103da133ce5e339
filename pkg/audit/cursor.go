package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/touchstone-id/touchstone/pkg/denial"
)

// position is a place between entries: beyond the one named, in one direction.
type position struct {
	older bool
	at    time.Time
	id    [16]byte
}

// positionOf is the place beyond an entry.
func positionOf(e Entry, older bool) position {
	return position{older, e.At, uuid.MustParse(e.ID)}
}

// cursorBody is the length of a position in bytes, cursorSize with its signature.
const (
	cursorBody = 1 + 8 + 16
	cursorSize = cursorBody + sha256.Size
)

// sign returns the cursor of a position in a query.
func (s *Search) sign(p position, q Query) string {
	body := make([]byte, 1, cursorSize)
	if p.older {
		body[0] = 1
	}
	body = binary.BigEndian.AppendUint64(body, uint64(p.at.UnixMicro()))
	body = append(body, p.id[:]...)
	return base64.RawURLEncoding.EncodeToString(append(body, s.mac(body, q)...))
}

// open returns the position that a cursor names. Whatever is wrong with it, the
// answer is the same.
func (s *Search) open(cursor string, q Query) (position, error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	// The decoder passes line breaks over, so both lengths are looked at.
	if err != nil || len(text) != cursorSize || len(cursor) != base64.RawURLEncoding.EncodedLen(cursorSize) || !hmac.Equal(text[cursorBody:], s.mac(text[:cursorBody], q)) {
		return position{}, denial.New(denial.CursorInvalid, "it was not made here for this query")
	}
	return position{text[0] == 1, time.UnixMicro(int64(binary.BigEndian.Uint64(text[1:]))), [16]byte(text[9:cursorBody])}, nil
}

// mac binds a position to what its query chooses, but for the size of a page.
func (s *Search) mac(body []byte, q Query) []byte {
	bound, err := json.Marshal([]any{body, q.UserID, q.ClientID, q.Credential, q.Actor, q.Action, q.Outcome, q.From.UnixMicro(), q.To.UnixMicro()})
	if err != nil {
		panic(err) // texts, bytes and numbers always encode
	}
	h := hmac.New(sha256.New, s.key)
	h.Write(bound)
	return h.Sum(nil)
}
