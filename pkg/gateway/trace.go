package gateway

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
)

const (
	// tracePath is where traces are served, and traceHeader names one.
	tracePath   = "/.touchstone/traces/"
	traceHeader = "Apim-Trace-Id"
	// maxTraces bounds how many are kept, in memory.
	maxTraces = 200
)

// The results of a step.
const (
	resultPassed  = "passed"
	resultFailed  = "failed"
	resultSkipped = "skipped"
)

// step is what one policy did. No token ever stands in one; found and wanted
// hold only the claim values that were compared.
type step struct {
	Policy  string `json:"policy"`
	ID      string `json:"id,omitempty"`
	Scope   string `json:"scope,omitempty"`
	Section string `json:"section,omitempty"`
	Result  string `json:"result"`
	Message string `json:"message"`
	IDX     string `json:"idx,omitempty"`
	Found   string `json:"found,omitempty"`
	Wanted  string `json:"wanted,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// note adds a step to the run's trace.
func (r *run) note(s step) {
	if r.gateway.traces != nil {
		r.steps = append(r.steps, s)
	}
}

// trace is what the policies did with one request.
type trace struct {
	ID        string `json:"id"`
	Decision  string `json:"decision"`
	Status    int    `json:"status"`
	API       string `json:"api"`
	Operation string `json:"operation"`
	Steps     []step `json:"steps"`
	// origins may read the trace from a browser.
	origins []string
}

// traces keeps the last ones.
type traces struct {
	mu    sync.Mutex // guards what follows
	byID  map[string]trace
	order []string
}

func newTraces() *traces { return &traces{byID: map[string]trace{}} }

// keep stores a run's trace and forgets the oldest.
func (t *traces) keep(r *run) {
	kept := trace{ID: r.id, Decision: r.decision, Status: r.response.status, Steps: append([]step{}, r.steps...)}
	if r.api != nil {
		kept.API, kept.origins = r.api.Name, r.api.origins
	}
	if r.operation != nil {
		kept.Operation, kept.origins = r.operation.Name, r.operation.origins
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byID[r.id] = kept
	if t.order = append(t.order, r.id); len(t.order) > maxTraces {
		delete(t.byID, t.order[0])
		t.order = t.order[1:]
	}
}

// serve answers with one trace. Its id is random, was told to the caller
// alone, and the origins of the API's cors policy may read it.
func (t *traces) serve(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	found, ok := t.byID[strings.TrimPrefix(r.URL.Path, tracePath)]
	t.mu.Unlock()
	answer := jsonResponse(http.StatusNotFound, "Resource not found")
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Origin")
	if ok && r.Method == http.MethodGet {
		if origin := r.Header.Get("Origin"); slices.Contains(found.origins, origin) || slices.Contains(found.origins, "*") {
			h.Set("Access-Control-Allow-Origin", origin)
		}
		body, err := json.Marshal(found)
		if err != nil {
			panic(err) // texts and numbers always marshal
		}
		answer.status, answer.body = http.StatusOK, body
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(answer.status)
	w.Write(answer.body)
}
