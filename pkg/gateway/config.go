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
	"slices"
	"strings"
	"time"

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
	// FragmentsFolder holds further fragments: ID.xml or ID.policy.xml.
	FragmentsFolder string `yaml:"fragments_folder"`
	// Certificates maps the ids that policies use to PEM files with a
	// certificate and, for decryption, its private key.
	Certificates map[string]string `yaml:"certificates"`
	// TLS serves https instead of http.
	TLS TLS `yaml:"tls"`
	// Clock lets tests stand still or elsewhere in time.
	Clock Clock `yaml:"clock"`
	// NamedValues replace {{name}} in policies and fragments.
	NamedValues map[string]string `yaml:"named_values"`
	// SubscriptionKeys open every API.
	SubscriptionKeys []secret.Value `yaml:"subscription_keys"`
	// Subscriptions are keys that open one product, one API or all.
	Subscriptions []Subscription `yaml:"subscriptions"`
	Products      []Product      `yaml:"products"`
	APIs          []API          `yaml:"apis"`
	// OpenIDConfig maps an openid-config URL in a policy, or the jwks_uri it
	// leads to, to the URL that is really fetched, so that a policy for
	// production runs against a local issuer. A jwks_uri on the host of a mapped
	// URL moves with it. The operator vouches for these addresses: http is
	// allowed.
	OpenIDConfig map[string]string `yaml:"openid_config"`
}

// TLS is how the gateway serves https.
type TLS struct {
	// Certificate and Key are PEM files.
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	// RequestClientCertificate asks clients for a certificate; policies judge it.
	RequestClientCertificate bool `yaml:"request_client_certificate"`
	// ClientAuthorities is a PEM file with the roots that client certificates
	// are checked against; without one the system's are used.
	ClientAuthorities string `yaml:"client_authorities"`
}

// Clock is the gateway's time: At a fixed instant, or an Offset from the real one.
type Clock struct {
	At     time.Time     `yaml:"at"`
	Offset time.Duration `yaml:"offset"`
}

// Product is a set of APIs with a policy of its own.
type Product struct {
	Name string   `yaml:"name"`
	APIs []string `yaml:"apis"`
	// Policy is the file of the policy at product scope, or empty. It runs for
	// calls that come through the product: with its key, or when it is open.
	Policy string `yaml:"policy"`
	// Open products need no subscription.
	Open bool `yaml:"open"`
}

// Subscription is one holder's keys. It is for a product, an API, or, without
// either, for all APIs.
type Subscription struct {
	Name    string         `yaml:"name"`
	Keys    []secret.Value `yaml:"keys"`
	Product string         `yaml:"product"`
	API     string         `yaml:"api"`
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
	// SubscriptionHeader and SubscriptionQuery name the key's header and query
	// parameter when they are not Ocp-Apim-Subscription-Key and subscription-key.
	SubscriptionHeader string `yaml:"subscription_header"`
	SubscriptionQuery  string `yaml:"subscription_query"`
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
	for _, file := range []*string{&c.FragmentsFolder, &c.TLS.Certificate, &c.TLS.Key, &c.TLS.ClientAuthorities} {
		*file = beside(*file)
	}
	for _, files := range []map[string]string{c.Fragments, c.Certificates} {
		for id, name := range files {
			files[id] = beside(name)
		}
	}
	for i := range c.Products {
		c.Products[i].Policy = beside(c.Products[i].Policy)
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
		if !templateForm.MatchString(a.Path) || a.Path != "/" && strings.HasSuffix(a.Path, "/") || strings.ContainsAny(a.Path, "{*") {
			fault("api %s: path %q must start with a slash and not end with one", a.Name, a.Path)
		}
		if a.Policy == "" {
			fault("api %s: no policy; an API without one would be open to everybody", a.Name)
		}
		if a.SubscriptionRequired && len(c.SubscriptionKeys) == 0 && len(c.Subscriptions) == 0 && !slices.ContainsFunc(c.Products, func(p Product) bool { return p.Open && slices.Contains(p.APIs, a.Name) }) {
			fault("api %s: subscription_required without subscriptions lets nobody in", a.Name)
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
	return errors.Join(append(faults, c.checkProducts(names)...)...)
}

// checkProducts names what is wrong with products, subscriptions, TLS and clock.
func (c Config) checkProducts(apis map[string]bool) []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	products := map[string]bool{}
	for _, p := range c.Products {
		if p.Name == "" || products[p.Name] {
			fault("product %q: every product needs a name of its own", p.Name)
		}
		products[p.Name] = true
		for _, a := range p.APIs {
			if !apis[a] {
				fault("product %s: there is no API %q", p.Name, a)
			}
		}
	}
	for _, s := range c.Subscriptions {
		if len(s.Keys) == 0 || slices.ContainsFunc(s.Keys, secret.Value.Empty) {
			fault("subscription %q: has no key, or an empty one", s.Name)
		}
		if s.Product != "" && !products[s.Product] || s.API != "" && !apis[s.API] || s.Product != "" && s.API != "" {
			fault("subscription %q: names one product or one API that there is", s.Name)
		}
	}
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") || c.TLS.RequestClientCertificate && c.TLS.Certificate == "" {
		fault("tls: certificate and key belong together, and a client's certificate needs both")
	}
	if !c.Clock.At.IsZero() && c.Clock.Offset != 0 {
		fault("clock: at and offset exclude each other")
	}
	return faults
}

// loopback reports whether only this machine can reach the address. An empty
// address is not listened on.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return address == "" || err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}
