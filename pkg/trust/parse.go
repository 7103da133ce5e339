package trust

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/touchstone-id/touchstone/pkg/claim"
)

// MaxFileSize bounds a trust file: the largest plausible file is far below, and
// YAML aliases cannot multiply what they refer to because they are refused.
const MaxFileSize = 1 << 20

// versionLength is the number of hexadecimal digits of a version: 48 bits tell
// the few files of an installation apart and fit on a line of a log.
const versionLength = 12

// Parse reads a trust file and checks it. The name appears in errors, which
// list every fault as "name:line: key: what is wrong".
func Parse(name string, data []byte) (*Trust, error) {
	if len(data) > MaxFileSize {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, MaxFileSize)
	}
	var root yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s: the file is empty", name)
		}
		return nil, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: only one document is allowed", name)
	}
	r := &reader{name: name}
	file := r.file(root.Content[0])
	if len(r.faults) > 0 {
		return nil, errors.Join(r.faults...)
	}
	// What was written decides the version, not how this program keeps it: the
	// same file has the same version in the next release.
	var meaning any
	if err := root.Decode(&meaning); err != nil {
		return nil, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	canonical, err := json.Marshal(meaning)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	sum := sha256.Sum256(canonical)
	file.Version = hex.EncodeToString(sum[:])[:versionLength]
	return file, nil
}

// file reads the top of the document.
func (r *reader) file(n *yaml.Node) *Trust {
	t := &Trust{Levels: builtInLevels(), Consequences: map[string]string{}, MetadataGrace: defaultMetadataGrace, Keys: defaultKeys()}
	rules := map[string]Requirement{}
	r.mapping(n, "", map[string]func(*yaml.Node, string){
		"surfaces": r.surfaceRules(rules),
		"environments": func(n *yaml.Node, at string) {
			r.each(n, at, func(n *yaml.Node, at string) { r.environment(n, at, t) })
		},
		"levels":   func(n *yaml.Node, at string) { r.each(n, at, func(n *yaml.Node, at string) { r.level(n, at, t) }) },
		"rules":    func(n *yaml.Node, at string) { r.each(n, at, func(n *yaml.Node, at string) { r.rule(n, at, t) }) },
		"metadata": r.metadata(t),
		"keys":     r.keys(t),
		"console":  r.console(t),
		"apis":     func(n *yaml.Node, at string) { r.each(n, at, func(n *yaml.Node, at string) { r.api(n, at, t) }) },
		"clients":  func(n *yaml.Node, at string) { r.each(n, at, func(n *yaml.Node, at string) { r.client(n, at, t) }) },
	})
	for i := range t.APIs {
		r.inherit(n, t, &t.APIs[i], rules[t.APIs[i].Surface])
	}
	r.crossCheck(n, t)
	return t
}

// api reads one API with its defaults.
func (r *reader) api(n *yaml.Node, at string, t *Trust) {
	a := API{Surface: "self-service", TokenLifetime: defaultTokenLifetime, SigningAlgorithm: "RS256"}
	r.mapping(n, at, map[string]func(*yaml.Node, string){
		"name":              r.text(&a.Name, identifier),
		"title":             r.text(&a.Title, anything),
		"audience":          r.text(&a.Audience, audience),
		"path":              r.text(&a.Path, mountPath),
		"backend":           r.text(&a.Backend, httpURL),
		"surface":           r.text(&a.Surface, oneOf(surfaces...)),
		"token_lifetime":    r.duration(&a.TokenLifetime, minTokenLifetime, maxTokenLifetime),
		"signing_algorithm": r.text(&a.SigningAlgorithm, oneOf("RS256", "PS256", "ES256")),
		"origins":           r.texts(&a.Origins, origin),
		"automation":        r.texts(&a.Automation, identifier),
		"require":           r.requirement(&a.Require),
		"scopes": func(n *yaml.Node, at string) {
			r.each(n, at, func(n *yaml.Node, at string) {
				var s Scope
				r.mapping(n, at, map[string]func(*yaml.Node, string){
					"name": r.text(&s.Name, scopeToken), "title": r.text(&s.Title, anything)}, "name", "title")
				a.Scopes = append(a.Scopes, s)
			})
		},
		"operations": func(n *yaml.Node, at string) {
			r.each(n, at, func(n *yaml.Node, at string) {
				var o Operation
				r.mapping(n, at, map[string]func(*yaml.Node, string){
					"name":    r.text(&o.Name, identifier),
					"title":   r.text(&o.Title, anything),
					"method":  r.text(&o.Method, oneOf("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")),
					"url":     r.text(&o.URLTemplate, mountPath),
					"require": r.requirement(&o.Require),
				}, "name", "method", "url")
				a.Operations = append(a.Operations, o)
			})
		},
	}, "name", "audience", "path")
	if a.Title == "" {
		a.Title = a.Name
	}
	t.APIs = append(t.APIs, a)
}

// requirement reads a require block.
func (r *reader) requirement(into *Requirement) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) {
		r.mapping(n, at, map[string]func(*yaml.Node, string){
			"level":   r.text(&into.Level, identifier),
			"facts":   r.facts(&into.Facts),
			"scopes":  r.texts(&into.Scopes, scopeToken),
			"roles":   r.texts(&into.Roles, scopeToken),
			"max_age": r.duration(&into.MaxAge, 0, maxMaxAge),

			"rate_limit":        r.rateLimit(&into.RateLimit),
			"certificate_bound": r.truth(&into.CertificateBound),
			"single_use":        r.truth(&into.SingleUse),
			"approval":          r.truth(&into.Approval),
		})
		if into.Level != "" {
			r.levelUses = append(r.levelUses, use{n, at + ".level", into.Level})
		}
	}
}

// facts reads a list of known facts.
func (r *reader) facts(into *[]claim.Fact) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) {
		r.each(n, at, func(n *yaml.Node, at string) {
			var text string
			r.text(&text, anything)(n, at)
			if f := claim.Fact(text); f.Known() {
				*into = append(*into, f)
			} else if text != "" {
				var words []string
				for _, known := range claim.AllFacts() {
					words = append(words, string(known))
				}
				r.fault(n, at, "unknown fact %q%s", text, suggestion(text, words))
			}
		})
	}
}
