package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

type policyCommand struct {
	Render  renderCommand      `cmd:"" help:"Write the policies that the trust file means."`
	Check   checkPolicyCommand `cmd:"" help:"Find mistakes in policy documents, ours or not."`
	Diff    diffPolicyCommand  `cmd:"" help:"Say where deployed policies depart from what the trust file means."`
	Explain explainCommand     `cmd:"" help:"Say what policies do with a token, and why."`
}

// meaning is what decides which policies are meant.
type meaning struct {
	Trust       string `required:"" help:"Trust file." placeholder:"FILE"`
	Issuer      string `help:"Issuer identifier, when no environment is given." placeholder:"URL"`
	Environment string `help:"Environment of the trust file: policies are written with named values." placeholder:"NAME"`
	Fragments   bool   `help:"Put what each policy holds into a reusable fragment."`
	Global      bool   `help:"Write the policies of the global and the product scope, too."`
}

// render returns the policies and the named values that they refer to.
func (m *meaning) render() (files []apim.File, values map[string]string, err error) {
	t, err := readTrust(m.Trust)
	if err != nil {
		return nil, nil, err
	}
	target := apim.Target{Issuer: m.Issuer, Fragments: m.Fragments, Surroundings: m.Global}
	switch {
	case m.Environment != "":
		e, ok := t.Environment(m.Environment)
		if !ok {
			return nil, nil, fmt.Errorf("%s: there is no environment %q; there are: %s", m.Trust, m.Environment, environmentNames(t))
		}
		target.NamedValues, values = true, apim.NamedValues(t, e)
	case m.Issuer == "":
		return nil, nil, errors.New("give --issuer or --environment")
	}
	return apim.Render(t, target), values, nil
}

func environmentNames(t *trust.Trust) string {
	names := make([]string, len(t.Environments))
	for i, e := range t.Environments {
		names[i] = e.Name
	}
	return strings.Join(names, ", ")
}

type renderCommand struct {
	meaning `embed:""`
	Out     string `default:"policies" help:"Directory to write to."`
	As      string `default:"files" enum:"files,bicep,terraform,apiops" help:"Form of deployment: files, bicep, terraform or apiops."`
}

// Run writes the files and prints their names.
func (c *renderCommand) Run(out io.Writer) error {
	files, values, err := c.render()
	if err != nil {
		return err
	}
	for _, f := range apim.Deploy(files, values, apim.Layout(c.As)) {
		path := filepath.Join(c.Out, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("policies: %w", err)
		}
		if err := os.WriteFile(path, f.Body, 0o644); err != nil {
			return fmt.Errorf("policies: %w", err)
		}
		fmt.Fprintln(out, path)
	}
	return nil
}

type checkPolicyCommand struct {
	Files []string `arg:"" help:"Policy documents or fragments, as xml or as the portal shows them." placeholder:"FILE"`
}

// Run prints every finding with its place, cause and fix; an error among them
// is this command's.
func (c *checkPolicyCommand) Run(out io.Writer) error {
	mistakes := 0
	for _, file := range c.Files {
		d, err := readPolicy(file, nil)
		if err != nil {
			fmt.Fprintln(out, err)
			mistakes++
			continue
		}
		findings := apim.Check(d)
		for _, f := range findings {
			fmt.Fprintf(out, "%s:%d:%d: %s: %s (%s)\n    %s\n    %s\n", file, f.Line, f.Column, f.Severity, f.Message, f.Rule, f.Cause, f.Fix)
			if f.Severity == apim.SeverityError {
				mistakes++
			}
		}
		if len(findings) == 0 {
			fmt.Fprintf(out, "%s: nothing found, read as %s\n", file, d.Format)
		}
	}
	if mistakes > 0 {
		return fmt.Errorf("%d mistakes", mistakes)
	}
	return nil
}

// readPolicy reads a document; named values, when given, are put in first.
func readPolicy(file string, values map[string]string) (*apim.Document, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if values != nil {
		if text, err = apim.Substitute(text, values); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	d, err := apim.Read(text)
	var syntax *apim.SyntaxError
	if errors.As(err, &syntax) {
		return nil, fmt.Errorf("%s:%d:%d: error: %s", file, syntax.Line, syntax.Column, syntax.Message)
	}
	return d, err
}

type diffPolicyCommand struct {
	Live        string `arg:"" help:"Directory of what is deployed: an APIOps extract, or the files of render." type:"existingdir" placeholder:"DIR"`
	meaning     `embed:""`
	NamedValues string `help:"JSON file with the named values of what is deployed, in place of the environment's." type:"existingfile" placeholder:"FILE"`
}

// Run prints every difference; one is this command's error.
func (c *diffPolicyCommand) Run(out io.Writer) error {
	files, values, err := c.render()
	if err != nil {
		return err
	}
	live := values
	if c.NamedValues != "" {
		if live, err = readNamedValues(c.NamedValues); err != nil {
			return err
		}
	}
	total := 0
	for _, f := range files {
		path, err := c.find(f)
		if err != nil {
			return err
		}
		if path == "" {
			fmt.Fprintf(out, "%s: is not deployed\n", f.Place())
			total++
			continue
		}
		deployed, err := readPolicy(path, live)
		if err != nil {
			return err
		}
		body := f.Body
		if values != nil {
			if body, err = apim.Substitute(body, values); err != nil {
				return err
			}
		}
		meant, err := apim.Read(body)
		if err != nil {
			return err
		}
		for _, d := range apim.Diff(deployed, meant) {
			fmt.Fprintf(out, "%s: %s\n", path, d)
			total++
		}
	}
	if total > 0 {
		return fmt.Errorf("%d differences", total)
	}
	fmt.Fprintf(out, "%d documents are deployed as the trust file means\n", len(files))
	return nil
}

// find returns the deployed file of a document, "" when there is none.
func (c *diffPolicyCommand) find(f apim.File) (string, error) {
	for _, name := range []string{f.Place(), f.Name} {
		path := filepath.Join(c.Live, filepath.FromSlash(name))
		_, err := os.Stat(path)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("policy: %w", err)
		}
	}
	return "", nil
}

func readNamedValues(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("named values: %w", err)
	}
	var values map[string]string
	if err := json.Unmarshal(text, &values); err != nil {
		return nil, fmt.Errorf("named values: %s: %w", file, err)
	}
	return values, nil
}
