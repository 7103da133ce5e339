package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/touchstone-id/touchstone/pkg/gateway"
	"github.com/touchstone-id/touchstone/pkg/secret"
)

// maxTokenFile bounds what is read as a token.
const maxTokenFile = 1 << 20

type explainCommand struct {
	Policy      string            `required:"" help:"Policy document at API scope." type:"existingfile" placeholder:"FILE"`
	Operation   string            `help:"Policy document at operation scope." type:"existingfile" placeholder:"FILE"`
	Token       string            `required:"" help:"File with the access token, - for standard input." placeholder:"FILE"`
	Request     string            `default:"GET https://localhost/" help:"Method and URL." placeholder:"'METHOD URL'"`
	Header      []string          `help:"Header of the request, NAME: VALUE." placeholder:"HEADER" sep:"none"`
	Body        string            `help:"Body of the request."`
	NamedValue  map[string]string `help:"Named value, NAME=VALUE." placeholder:"NAME=VALUE" mapsep:"none"`
	NamedValues string            `help:"JSON file of named values." type:"existingfile" placeholder:"FILE"`
	Fragment    map[string]string `help:"Fragment, ID=FILE." placeholder:"ID=FILE" mapsep:"none"`
	Metadata    map[string]string `help:"Where an openid-config URL of the policy is really fetched, URL=URL." placeholder:"URL=URL" mapsep:"none"`
	At          time.Time         `help:"Instant to judge at, in place of now." placeholder:"TIME"`
	Keys        bool              `help:"Ask our database what gateways make of the token's key now."`
	databaseFlags
}

// Run decodes the token here, runs the policies over it and prints what each
// did. The token is neither printed nor kept.
func (c *explainCommand) Run(ctx context.Context, out io.Writer) error {
	token, err := readToken(c.Token)
	if err != nil {
		return err
	}
	q := gateway.Question{API: c.Policy, Operation: c.Operation, Fragments: c.Fragment, OpenIDConfig: c.Metadata, NamedValues: c.NamedValue,
		Call: gateway.Call{Token: secret.Of(token), Header: http.Header{}, Body: c.Body}}
	if c.NamedValues != "" {
		if q.NamedValues, err = readNamedValues(c.NamedValues); err != nil {
			return err
		}
	}
	method, target, _ := strings.Cut(c.Request, " ")
	if q.URL, err = url.Parse(target); err != nil || q.URL.Host == "" {
		return fmt.Errorf("request %q is no method and URL", c.Request)
	}
	q.Method = method
	for _, h := range c.Header {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return fmt.Errorf("header %q has no colon", h)
		}
		q.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	options := gateway.Options{Log: zerolog.Nop()}
	if !c.At.IsZero() {
		options.Now = func() time.Time { return c.At }
	}
	answer, err := gateway.Explain(ctx, q, options)
	if err != nil {
		return err
	}
	describeToken(out, token)
	if c.Keys {
		if err := c.describeKey(ctx, out, token); err != nil {
			return err
		}
	}
	for _, s := range answer.Steps {
		describeStep(out, s)
	}
	if answer.Passed {
		fmt.Fprintf(out, "\nThe request passes to the backend.\n")
		return nil
	}
	fmt.Fprintf(out, "\nThe request is refused: %d %s\n", answer.Status, answer.Body)
	if answer.Challenge != "" {
		fmt.Fprintf(out, "WWW-Authenticate: %s\n", answer.Challenge)
	}
	return fmt.Errorf("the request is refused")
}

// readToken reads a token from a file; on the command line it would stand in
// the process list and the shell's history.
func readToken(file string) (string, error) {
	in := io.Reader(os.Stdin)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("token: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxTokenFile))
	token := strings.TrimSpace(string(text))
	return strings.TrimPrefix(token, "Bearer "), err
}

// shown are the parts of a token that help to understand a refusal.
var shown = []string{"alg", "kid", "typ", "iss", "aud", "client_id", "idtyp", "iat", "nbf", "exp", "auth_time", "acr", "scope", "roles", "authenticator_attestation"}

// describeToken prints what the token says, without its signature.
func describeToken(out io.Writer, token string) {
	parts := strings.Split(token, ".")
	members := map[string]any{}
	for _, part := range parts[:min(2, len(parts))] {
		decoded, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || json.Unmarshal(decoded, &members) != nil {
			fmt.Fprintln(out, "The token is not a JWT that can be read here.")
			return
		}
	}
	for _, name := range shown {
		v, ok := members[name]
		if !ok {
			continue
		}
		text, err := json.Marshal(v)
		if err != nil {
			continue
		}
		if seconds, number := v.(float64); number && seconds < 1e11 {
			text = []byte(time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339))
		}
		fmt.Fprintf(out, "%-26s %s\n", name, text)
	}
}

func describeStep(out io.Writer, s gateway.Step) {
	place := strings.TrimSpace(s.Scope + " " + s.Section)
	name := s.Policy
	if s.ID != "" {
		name += " " + s.ID
	}
	fmt.Fprintf(out, "\n%s: %s (%s)\n    %s\n", s.Result, name, place, s.Message)
	for _, line := range []struct{ label, text string }{{"found", s.Found}, {"wanted", s.Wanted}, {"trace", s.Trace}, {"cause", s.Cause}, {"fix", s.Hint}} {
		if line.text != "" {
			fmt.Fprintf(out, "    %-7s %s\n", line.label, line.text)
		}
	}
}
