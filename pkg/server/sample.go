package server

import (
	"encoding/json"
	"net/http"
	"strings"
)

// SampleAPI is the API behind the gateway in development: it answers JSON and
// echoes the identity headers that the policy set, and nothing else.
func SampleAPI() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		identity := map[string]string{}
		for name, values := range r.Header {
			if strings.HasPrefix(name, "X-Touchstone-") {
				identity[name] = strings.Join(values, ",")
			}
		}
		answer := map[string]any{"you_are": identity, "method": r.Method, "path": r.URL.Path}
		if r.Method == http.MethodGet {
			answer["orders"] = []map[string]any{{"id": 1001, "item": "Touchstone, black", "total": "42.00"}, {"id": 1002, "item": "Gold, one gram", "total": "117.50"}}
		} else {
			answer["done"] = true
		}
		w.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		encoder.Encode(answer)
	})
}
