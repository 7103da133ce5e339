package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/touchstone-id/touchstone/pkg/secret"
)

// Config describes a gateway.
type Config struct {
	// Listen is the address to listen on, host:port.
	Listen string `yaml:"listen"`
	// Trace keeps what the policies did with the last requests and serves it at
	// /.touchstone/traces/ID: for development only, since claim values are
	// shown. It is refused on an address that others can reach.
	Trace bool `yaml:"trace"`
	// GlobalPolicy is the file of the policy around all APIs. Without one the
	// global policy is what API Management starts with: forward the request.
	GlobalPolicy string `yaml:"global_policy"`
	// Fragments maps fragment ids to files.
	Fragments map[string]string `yaml:"fragments"`
	// NamedValues replace {{name}} in policies and fragments.
	NamedValues map[string]string `yaml:"named_values"`
	// SubscriptionKeys are accepted by every API that requires one.
	SubscriptionKeys []secret.Value `yaml:"subscription_keys"`
	APIs             []API          `yaml:"apis"`
	// OpenIDConfig maps an openid-config URL in a policy, or the jwks_uri it
	// leads to, to the URL that is really fetched, so that a policy for
	// production runs against a local issuer. A jwks_uri on the host of a mapped
	// URL moves with it. The operator vouches for these addresses: http is
	// allowed.
	OpenIDConfig map[string]string `yaml:"openid_config"`
}

// API is an API behind the gateway.
type API struct {
	// Name identifies the API in logs and traces.
	Name string `yaml:"name"`
	// Path is where the API is mounted, such as /orders.
	Path string `yaml:"path"`
	// Backend is the URL behind the gateway; what follows Path is appended to it.
	Backend string `yaml:"backend"`
	// Policy is the file of the policy at API scope.
	Policy string `yaml:"policy"`
	// SubscriptionRequired asks for a subscription key before any policy runs.
	SubscriptionRequired bool `yaml:"subscription_required"`
	// Operations are all that can be called: what matches none is not found.
	Operations []Operation `yaml:"operations"`
}

// Operation is one operation of an API.
type Operation struct {
	Name   string `yaml:"name"`
	Method string `yaml:"method"`
	// URLTemplate is the path below the API's, with {parameters} for whole
	// segments; a last segment * stands for any number of them.
	URLTemplate string `yaml:"url_template"`
	// Policy is the file of the policy at operation scope, or empty.
	Policy string `yaml:"policy"`
}

// Load reads a configuration file. File names in it are relative to it. The
// policies are read by New.
func Load(path string) (Config, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("gateway configuration: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(body))
	decoder.KnownFields(true)
	var c Config
	if err := decoder.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	here := filepath.Dir(path)
	beside := func(name string) string {
		if name == "" || filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(here, name)
	}
	c.GlobalPolicy = beside(c.GlobalPolicy)
	for id, name := range c.Fragments {
		c.Fragments[id] = beside(name)
	}
	for i := range c.APIs {
		c.APIs[i].Policy = beside(c.APIs[i].Policy)
		for j := range c.APIs[i].Operations {
			o := &c.APIs[i].Operations[j]
			o.Policy = beside(o.Policy)
		}
	}
	return c, nil
}

// templateForm is a URL template: literal segments, whole-segment parameters,
// and * at the end.
var templateForm = regexp.MustCompile(`^/(([A-Za-z0-9._~-]+|\{[A-Za-z0-9_-]+\})(/([A-Za-z0-9._~-]+|\{[A-Za-z0-9_-]+\}))*(/\*)?/?|\*)?$`)

// check names everything that is wrong with the configuration.
func (c Config) check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Trace && !loopback(c.Listen) {
		fault("trace: listen address %q can be reached by others; traces show claim values", c.Listen)
	}
	if len(c.APIs) == 0 {
		fault("no APIs")
	}
	names, paths := map[string]bool{}, map[string]bool{}
	for _, a := range c.APIs {
		if a.Name == "" || names[a.Name] {
			fault("api %q: every API needs a name of its own", a.Name)
		}
		if mount := strings.ToLower(a.Path); paths[mount] {
			fault("api %s: path %q is taken", a.Name, a.Path)
		}
		names[a.Name], paths[strings.ToLower(a.Path)] = true, true
		if u, err := url.Parse(a.Backend); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
			fault("api %s: backend %q is not an http or https URL", a.Name, a.Backend)
		}
		if !templateForm.MatchString(a.Path) || strings.HasSuffix(a.Path, "/") || strings.ContainsAny(a.Path, "{*") {
			fault("api %s: path %q must start with a slash and not end with one", a.Name, a.Path)
		}
		if a.Policy == "" {
			fault("api %s: no policy; an API without one would be open to everybody", a.Name)
		}
		if a.SubscriptionRequired && len(c.SubscriptionKeys) == 0 {
			fault("api %s: subscription_required without subscription_keys lets nobody in", a.Name)
		}
		if len(a.Operations) == 0 {
			fault("api %s: no operations; what matches none is not found", a.Name)
		}
		for _, o := range a.Operations {
			if o.Name == "" || o.Method == "" || o.Method != strings.ToUpper(o.Method) || !templateForm.MatchString(o.URLTemplate) {
				fault("api %s: operation %q needs a name, a method in upper case and a url_template such as /{id}", a.Name, o.Name)
			}
		}
	}
	return errors.Join(faults...)
}

// loopback reports whether only this machine can reach the address. An empty
// address is not listened on.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return address == "" || err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}
