package signin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"

	"github.com/touchstone-id/touchstone/pkg/secret"
)

const (
	// IdleLife ends a session that was not seen for this long.
	IdleLife = 8 * time.Hour
	// absoluteLife ends every session: a working week never passes on one touch.
	absoluteLife = 24 * time.Hour
	// bindingLife is how long the browser binding cookie lasts; it outlives
	// every ceremony and authorization request.
	bindingLife = 24 * time.Hour
	// identifierKey is where the session's random identifier stands in the cookie's values.
	identifierKey = "identifier"
)

// store is a sessions.Store whose cookie holds only a random identifier; what
// the session means is in the table session. The cookie is authenticated by
// securecookie so that invented identifiers do not reach the database.
type store struct {
	codec   *securecookie.SecureCookie
	options sessions.Options
}

// newStore returns a store whose cookies are authenticated under the key.
func newStore(key []byte, secure bool) *store {
	codec := securecookie.New(key, nil)
	codec.SetSerializer(securecookie.JSONEncoder{})
	codec.MaxAge(int(absoluteLife.Seconds()))
	return &store{codec, sessions.Options{Path: "/", MaxAge: int(absoluteLife.Seconds()), HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode}}
}

// Get returns the request's session, read once per request by the caller's registry.
func (s *store) Get(r *http.Request, name string) (*sessions.Session, error) { return s.New(r, name) }

// New returns the session in the request's cookie, or a fresh one without an identifier.
func (s *store) New(r *http.Request, name string) (*sessions.Session, error) {
	session := sessions.NewSession(s, name)
	options := s.options
	session.Options = &options
	session.IsNew = true
	cookie, err := r.Cookie(name)
	if err != nil {
		return session, nil
	}
	var identifier string
	if err := s.codec.Decode(name, cookie.Value, &identifier); err != nil {
		return session, nil // forged, altered or too old: as good as none
	}
	session.Values[identifierKey] = identifier
	session.IsNew = false
	return session, nil
}

// Save writes the identifier to the cookie, or removes the cookie when MaxAge is negative.
func (s *store) Save(_ *http.Request, w http.ResponseWriter, session *sessions.Session) error {
	if session.Options.MaxAge < 0 {
		http.SetCookie(w, sessions.NewCookie(session.Name(), "", session.Options))
		return nil
	}
	identifier, _ := session.Values[identifierKey].(string)
	value, err := s.codec.Encode(session.Name(), identifier)
	if err != nil {
		return fmt.Errorf("write session cookie: %w", err)
	}
	http.SetCookie(w, sessions.NewCookie(session.Name(), value, session.Options))
	return nil
}

// identifier returns the secret identifier in the request's session cookie, or an empty one.
func (f *Flow) identifier(r *http.Request) secret.Value {
	session, err := f.store.Get(r, f.sessionCookie)
	if err != nil {
		return secret.Value{}
	}
	text, _ := session.Values[identifierKey].(string)
	return secret.Of(text)
}

// remember puts a session's identifier into the browser's cookie.
func (f *Flow) remember(w http.ResponseWriter, r *http.Request, identifier secret.Value) error {
	session, err := f.store.New(r, f.sessionCookie)
	if err != nil {
		return err
	}
	session.Values[identifierKey] = identifier.Reveal()
	return session.Save(r, w)
}

// forget removes the session cookie.
func (f *Flow) forget(w http.ResponseWriter, r *http.Request) error {
	session, err := f.store.New(r, f.sessionCookie)
	if err != nil {
		return err
	}
	session.Options.MaxAge = -1
	return session.Save(r, w)
}
