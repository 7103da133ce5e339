package sandbox

import (
	"encoding/json"
	"mime"
	"net/http"

	"github.com/go-jose/go-jose/v4"

	"github.com/touchstone-id/touchstone/pkg/secret"
)

// maxRequest bounds what the bench reads: a token of 250 KB, as the gateway does.
const maxRequest = 256 << 10

// Handler serves the sandbox below the prefix that its issuer's path is. Who can
// reach it can have any token of the sandbox: it is for loopback.
//
//	GET  /.well-known/openid-configuration, GET /jwks    what gateways fetch
//	POST /token    {api, operation, flaws}  → {token, method, url}
//	POST /explain  {token}                  → [judgement]
func (s *Sandbox) Handler(prefix string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+prefix+"/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"issuer": s.issuer, "jwks_uri": s.issuer + "/jwks"})
	})
	mux.HandleFunc("GET "+prefix+"/jwks", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: keyID, Use: "sig", Algorithm: string(jose.ES256)}}})
	})
	mux.HandleFunc("POST "+prefix+"/token", s.serveToken)
	mux.HandleFunc("POST "+prefix+"/explain", s.serveExplain)
	return mux
}

func (s *Sandbox) serveToken(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		API, Operation string
		Flaws          []string
	}
	if !read(w, r, &asked) {
		return
	}
	made, err := s.Make(asked.API, asked.Operation, asked.Flaws)
	if err != nil {
		refuse(w, err.Error())
		return
	}
	answer(w, http.StatusOK, map[string]string{"token": made.Value.Reveal(), "method": made.Method, "url": made.URL})
}

func (s *Sandbox) serveExplain(w http.ResponseWriter, r *http.Request) {
	var asked struct{ Token secret.Value }
	if !read(w, r, &asked) {
		return
	}
	if asked.Token.Empty() {
		refuse(w, "there is no token")
		return
	}
	judgements, err := s.Judge(r.Context(), asked.Token)
	if err != nil {
		refuse(w, err.Error())
		return
	}
	answer(w, http.StatusOK, judgements)
}

// read reads a script's JSON. A form of another site cannot send that kind.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		refuse(w, "the request is not JSON")
		return false
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(into); err != nil {
		refuse(w, "the request cannot be read; a token has at most 250 KB")
		return false
	}
	return true
}

func refuse(w http.ResponseWriter, why string) {
	answer(w, http.StatusBadRequest, map[string]string{"error": why})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}
