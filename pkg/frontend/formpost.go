package frontend

import (
	"net/http"
	"net/url"
	"strings"
)

// PostForm draws a page whose form the browser posts to a redirect URI that was
// validated (OAuth 2.0 Form Post Response Mode section 2). The page may post
// there and nowhere else; without scripts the person presses the button.
func (f *Frontend) PostForm(w http.ResponseWriter, r *http.Request, action string, values url.Values) {
	to, err := url.Parse(action)
	if err != nil {
		f.Fail(w, r, err)
		return
	}
	fields := map[string]string{}
	for name := range values {
		fields[name] = values.Get(name)
	}
	target := to.Scheme + ":"
	if to.Host != "" {
		target = to.Scheme + "://" + to.Host
	}
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action "+
		strings.NewReplacer(";", "", ",", "", " ", "").Replace(target)+"; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Cache-Control", "no-store")
	if err := f.draw(w, http.StatusOK, "formpost", page{Title: "One moment", Script: "formpost.js", Action: action, Fields: fields}); err != nil {
		f.Fail(w, r, err)
	}
}
