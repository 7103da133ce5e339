package frontend

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/claim"
)

// Playground describes the client that the playground is and the API it calls.
type Playground struct {
	ClientID string
	// Gateway is the gateway's origin.
	Gateway string
	// Resource is the API's audience.
	Resource   string
	Scopes     []string
	Operations []PlaygroundOperation
	// Bench, when not nil, makes flawed tokens and explains what policies do with
	// any; it is served below BenchPath.
	Bench http.Handler
	// Flaws and Targets are what the bench can make: wrong in what, and for what.
	Flaws   []PlaygroundFlaw
	Targets []PlaygroundTarget
}

// BenchPath is where the bench is, below the issuer.
const BenchPath = "/playground/sandbox"

// PlaygroundOperation is a button of the playground.
type PlaygroundOperation struct{ Title, Method, Path, Needs string }

// PlaygroundFlaw is one thing that can be wrong with a token.
type PlaygroundFlaw struct{ Name, Title, Meaning string }

// PlaygroundTarget is an operation that the bench makes tokens for.
type PlaygroundTarget struct{ API, Operation, Title string }

// tour is what the playground's page reads.
type tour struct {
	Issuer, ClientID, Gateway, Resource, Scope, Meanings string
	Operations                                           []PlaygroundOperation
	Flaws                                                []PlaygroundFlaw
	Targets                                              []PlaygroundTarget
}

// bench serves what the token bench asks for.
func (f *Frontend) bench(w http.ResponseWriter, r *http.Request) error {
	f.options.Playground.Bench.ServeHTTP(w, r)
	return nil
}

// playground serves the page of an ordinary public client; its script does the rest.
func (f *Frontend) playground(w http.ResponseWriter, _ *http.Request) error {
	o := f.options.Playground
	meanings := struct {
		Claims map[string]string     `json:"claims"`
		Facts  map[claim.Fact]string `json:"facts"`
	}{claim.Meanings(), map[claim.Fact]string{}}
	for _, fact := range claim.AllFacts() {
		meanings.Facts[fact] = fact.Meaning()
	}
	text, err := json.Marshal(meanings)
	if err != nil {
		return err
	}
	return f.draw(w, http.StatusOK, "playground", page{Title: "Playground", Script: "playground.js", Tour: &tour{
		Issuer: f.options.Issuer, ClientID: o.ClientID, Gateway: o.Gateway, Resource: o.Resource, Scope: strings.Join(o.Scopes, " "),
		Meanings: string(text), Operations: o.Operations, Flaws: o.Flaws, Targets: o.Targets}})
}
