package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
)

const (
	// tracePath is where traces are served.
	tracePath = "/.touchstone/traces/"
	// maxTraces bounds how many are kept.
	maxTraces = 200
)

// step is what one policy did.
type step struct {
	Policy  string `json:"policy"`
	ID      string `json:"id,omitempty"`
	Scope   string `json:"scope,omitempty"`
	Result  string `json:"result"`
	Message string `json:"message"`
	IDX     string `json:"idx,omitempty"`
	Found   string `json:"found,omitempty"`
	Wanted  string `json:"wanted,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// note adds a step to the run's trace. Tokens never stand in one.
func (r *run) note(s step) { r.steps = append(r.steps, s) }

// trace is what the policies did with one request.
type trace struct {
	ID        string `json:"id"`
	Decision  string `json:"decision"`
	Status    int    `json:"status"`
	API       string `json:"api"`
	Operation string `json:"operation"`
	Steps     []step `json:"steps"`
}

// traces keeps the last ones, in memory.
type traces struct {
	mu    sync.Mutex
	byID  map[string]trace
	order []string
}

func newTraces() *traces { return &traces{byID: map[string]trace{}} }

// keep stores the run's trace before its answer is written, so that whoever
// reads the answer finds it. The status of a passed request is the backend's
// and stays 0 here.
func (r *run) keep(status int) {
	t := r.gateway.traces
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byID[r.id] = trace{r.id, r.decision, status, r.api.Name, r.operationName(), r.steps}
	if t.order = append(t.order, r.id); len(t.order) > maxTraces {
		delete(t.byID, t.order[0])
		t.order = t.order[1:]
	}
}

// serve answers with one trace. Its id is random and was told to the caller
// alone, so any origin that knows it may read it.
func (t *traces) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	t.mu.Lock()
	found, ok := t.byID[strings.TrimPrefix(r.URL.Path, tracePath)]
	t.mu.Unlock()
	if !ok {
		writeBody(w, http.StatusNotFound, "Resource not found")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(found)
}
