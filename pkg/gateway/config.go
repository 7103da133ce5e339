// Package gateway runs policy documents in front of an API, as API Management
// does, on a laptop and in tests.
//
// It decides what happens to a request from the policy files alone: the file
// that ships is the file under test. What it does not implement it refuses when
// the policies are loaded, with file, line and reason; nothing is ignored. It
// refuses to know the issuer's database, keys and people: it sees discovery and
// tokens, like any gateway. docs/apim-compatibility.md says what it proves and
// what it cannot.
package gateway

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Config describes a gateway.
type Config struct {
	// Listen is the address to listen on, host:port.
	Listen string `yaml:"listen"`
	// Trace keeps what the policies did with the last requests and serves it at
	// /.touchstone/traces/ID: for development only, since claim values are shown.
	Trace bool  `yaml:"trace"`
	APIs  []API `yaml:"apis"`
	// OpenIDConfig maps an openid-config URL in a policy, or the jwks_uri it
	// leads to, to the URL that is really fetched, so that a policy for
	// production runs against a local issuer.
	OpenIDConfig map[string]string `yaml:"openid_config"`
}

// API is an API behind the gateway.
type API struct {
	Name    string `yaml:"name"`
	Path    string `yaml:"path"`
	Backend string `yaml:"backend"`
	// Policy is the file of the policy at API scope.
	Policy     string      `yaml:"policy"`
	Operations []Operation `yaml:"operations"`
}

// Operation is one operation of an API.
type Operation struct {
	Name   string `yaml:"name"`
	Method string `yaml:"method"`
	// URLTemplate is the path below the API's, with {parameters} for whole segments.
	URLTemplate string `yaml:"url_template"`
	// Policy is the file of the policy at operation scope, or empty.
	Policy string `yaml:"policy"`
}

// Load reads a configuration file. File names in it are relative to it.
func Load(path string) (Config, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("gateway configuration: %w", err)
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(body)))
	decoder.KnownFields(true)
	var c Config
	if err := decoder.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	here := filepath.Dir(path)
	beside := func(name *string) {
		if *name != "" && !filepath.IsAbs(*name) {
			*name = filepath.Join(here, *name)
		}
	}
	for i := range c.APIs {
		beside(&c.APIs[i].Policy)
		for j := range c.APIs[i].Operations {
			beside(&c.APIs[i].Operations[j].Policy)
		}
	}
	return c, nil
}

// check holds what must be there.
func (c Config) check() error {
	var faults []error
	for _, a := range c.APIs {
		if u, err := url.Parse(a.Backend); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			faults = append(faults, fmt.Errorf("api %s: backend %q is not a URL", a.Name, a.Backend))
		}
		if !strings.HasPrefix(a.Path, "/") || strings.HasSuffix(a.Path, "/") {
			faults = append(faults, fmt.Errorf("api %s: path %q must start with a slash and not end with one", a.Name, a.Path))
		}
		if a.Policy == "" {
			faults = append(faults, fmt.Errorf("api %s: no policy; an API without one would be open to everybody", a.Name))
		}
	}
	if len(c.APIs) == 0 {
		faults = append(faults, errors.New("no APIs"))
	}
	return errors.Join(faults...)
}
