package signin

import (
	"net/http"

	"github.com/gorilla/sessions"

	"github.com/touchstone-id/touchstone/pkg/secret"
)

// maxBindingLength bounds a binding cookie we are willing to hash, in bytes.
const maxBindingLength = 128

// Browser returns the SHA-256 of the browser's binding cookie, and sets the
// cookie when the browser has none.
func (f *Flow) Browser(w http.ResponseWriter, r *http.Request) []byte {
	if digest := f.BrowserOf(r); digest != nil {
		return digest
	}
	binding := secret.New()
	options := f.store.options
	options.MaxAge = int(bindingLife.Seconds())
	http.SetCookie(w, sessions.NewCookie(f.browserCookie, binding.Reveal(), &options))
	return binding.Digest()
}

// BrowserOf returns the SHA-256 of the browser's binding cookie, or nil when it
// has none. It never sets one.
func (f *Flow) BrowserOf(r *http.Request) []byte {
	cookie, err := r.Cookie(f.browserCookie)
	if err != nil || cookie.Value == "" || len(cookie.Value) > maxBindingLength {
		return nil
	}
	return secret.Of(cookie.Value).Digest()
}
