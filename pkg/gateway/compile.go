package gateway

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/apim"
)

// compiler turns documents into policies and refuses what it does not implement.
type compiler struct {
	metadata  *metadata
	sources   map[string]*keySource
	fragments map[string]string // id to file
	named     map[string]string
	// certificates are those that policies name by id.
	certificates map[string]uploaded
	products     map[string]*document
	faults       []error
	warnings     []string
	// Where the compiler is: file, scope, section and place in it.
	file      string
	scope     string
	section   apim.Section
	path      []string
	including bool
}

// The scopes around those that are rendered.
const (
	scopeGlobal  = "global"
	scopeProduct = "product"
)

func newCompiler(c Config, o Options) *compiler {
	k := &compiler{metadata: newMetadata(o, c.OpenIDConfig), sources: map[string]*keySource{}, fragments: map[string]string{}, named: c.NamedValues, certificates: map[string]uploaded{}}
	k.findFragments(c)
	for id, file := range c.Certificates {
		read, err := readCertificate(file)
		if err != nil {
			k.faults = append(k.faults, err)
		}
		k.certificates[id] = read
	}
	return k
}

// findFragments lists the fragments of the folder and those given one by one.
func (c *compiler) findFragments(config Config) {
	if config.FragmentsFolder != "" {
		entries, err := os.ReadDir(config.FragmentsFolder)
		if err != nil {
			c.faults = append(c.faults, fmt.Errorf("fragments: %w", err))
		}
		for _, e := range entries {
			if id, ok := strings.CutSuffix(e.Name(), ".xml"); ok && !e.IsDir() {
				c.fragments[strings.TrimSuffix(id, ".policy")] = filepath.Join(config.FragmentsFolder, e.Name())
			}
		}
	}
	maps.Copy(c.fragments, config.Fragments)
}

// fault notes why an element cannot be run.
func (c *compiler) fault(e apim.Element, format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf("%s:%d:%d: <%s>: %s", c.file, e.Line, e.Column, e.Name, fmt.Sprintf(format, args...)))
}

// unimplemented notes an attribute or element that API Management knows and
// this gateway does not run.
func (c *compiler) unimplemented(e apim.Element, attributes ...string) {
	for _, name := range attributes {
		if _, present := e.Attribute(name); present {
			c.fault(e, "attribute %s is not implemented by this gateway", name)
		}
	}
}

// read reads a policy file, puts named values in and checks the document.
func (c *compiler) read(file string) (*apim.Document, bool) {
	body, err := os.ReadFile(file)
	if err != nil {
		c.faults = append(c.faults, fmt.Errorf("policy: %w", err))
		return nil, false
	}
	if body, err = apim.Substitute(body, c.named); err == nil {
		var d *apim.Document
		if d, err = apim.Read(body); err == nil {
			// A fragment is checked where it is included.
			return d, d.Fragment != nil || c.check(file, d)
		}
	}
	var syntax *apim.SyntaxError
	if errors.As(err, &syntax) {
		err = fmt.Errorf("%d:%d: %s", syntax.Line, syntax.Column, syntax.Message)
	}
	c.faults = append(c.faults, fmt.Errorf("%s:%w", file, err))
	return nil, false
}

// check notes what apim.Check finds. It reports false when there is an error,
// since what is misshapen cannot be compiled.
func (c *compiler) check(file string, d *apim.Document) bool {
	sound := true
	for _, f := range apim.Check(d) {
		if f.Rule == apim.RuleMissingBase && c.scope == scopeGlobal {
			continue // there is no wider scope
		}
		line := fmt.Sprintf("%s:%d:%d: %s (%s). %s %s", file, f.Line, f.Column, f.Message, f.Rule, f.Cause, f.Fix)
		if f.Severity == apim.SeverityError {
			c.faults = append(c.faults, errors.New(line))
			sound = false
			continue
		}
		c.warnings = append(c.warnings, line)
	}
	return sound
}

// document is one scope's document, compiled.
type document struct{ sections map[apim.Section]*section }

// section is one section of a document: the policies before and after <base/>.
type section struct {
	before, after []policy
	based         bool
}

// load reads and compiles a policy file.
func (c *compiler) load(file, scope string) *document {
	c.file, c.scope = file, scope
	d, ok := c.read(file)
	if !ok {
		return &document{}
	}
	if d.Fragment != nil {
		c.faults = append(c.faults, fmt.Errorf("%s: a fragment is not a policy document", file))
		return &document{}
	}
	compiled := &document{sections: map[apim.Section]*section{}}
	for _, name := range apim.Sections() {
		if elements := d.Section(name); elements != nil {
			compiled.sections[name] = c.compileSection(name, elements)
		}
	}
	return compiled
}

// global compiles the policy around all APIs, or the one that API Management
// starts with.
func (c *compiler) global(file string) *document {
	if file != "" {
		return c.load(file, scopeGlobal)
	}
	c.file, c.scope, c.section = "built-in global policy", scopeGlobal, apim.Backend
	forward := c.policies([]apim.Element{{Name: "forward-request"}})
	return &document{sections: map[apim.Section]*section{apim.Backend: {before: forward}}}
}

func (c *compiler) compileSection(name apim.Section, elements []apim.Element) *section {
	c.section, c.path = name, nil
	base := slices.IndexFunc(elements, func(e apim.Element) bool { return e.Name == "base" })
	if base < 0 {
		return &section{before: c.policies(elements)}
	}
	all := c.policies(elements)
	// <base/> compiles to nothing, and no other policy does.
	before := len(all) - len(elements) + 1 + base
	return &section{before: all[:before], after: all[before:], based: true}
}

// pipeline puts the sections of nested scopes together, the widest first: each
// stands where the next narrower says <base/>. A section that is absent from a
// document leaves the wider scope's as it is; one without <base/> drops it.
func (c *compiler) pipeline(scopes []*document) pipeline {
	p := pipeline{}
	for _, name := range apim.Sections() {
		var inherited []policy
		for _, d := range scopes {
			s := d.sections[name]
			switch {
			case s == nil:
			case s.based:
				inherited = slices.Concat(s.before, inherited, s.after)
			default:
				inherited = s.before
			}
		}
		p[name] = inherited
	}
	return p
}

// origins lists the origins that cors policies of these scopes name.
func origins(scopes []*document) []string {
	var names []string
	for _, d := range scopes {
		if s := d.sections[apim.Inbound]; s != nil {
			for _, p := range slices.Concat(s.before, s.after) {
				if p.cors != nil {
					names = append(names, p.cors.named()...)
				}
			}
		}
	}
	return names
}

// policies compiles a list of policies. The path counts policies of one name
// from 1, as context.LastError.Path does.
func (c *compiler) policies(elements []apim.Element) []policy {
	var out []policy
	count := map[string]int{}
	for _, e := range elements {
		count[e.Name]++
		if e.Name == "base" {
			continue
		}
		c.path = append(c.path, fmt.Sprintf("%s[%d]", e.Name, count[e.Name]))
		if e.Name == "include-fragment" {
			out = append(out, c.include(e))
		} else {
			out = append(out, c.compile(e))
		}
		c.path = c.path[:len(c.path)-1]
	}
	return out
}

// compile compiles one policy.
func (c *compiler) compile(e apim.Element) policy {
	p := policy{name: e.Name, id: e.Value("id"), scope: c.scope, section: c.section, path: strings.Join(c.path, "/")}
	implementation, ok := implementations[e.Name]
	if !ok {
		c.fault(e, "is not implemented by this gateway")
		return p
	}
	implementation(c, e, &p)
	return p
}

// implementations are the policies that this gateway runs.
var implementations map[string]func(*compiler, apim.Element, *policy)

func init() {
	// Here, since choose compiles policies itself.
	implementations = map[string]func(*compiler, apim.Element, *policy){
		"cache-lookup-value":          compileCacheLookup,
		"cache-remove-value":          compileCacheRemove,
		"cache-store-value":           compileCacheStore,
		"check-header":                compileCheckHeader,
		"choose":                      compileChoose,
		"cors":                        compileCors,
		"emit-metric":                 compileEmitMetric,
		"find-and-replace":            compileFindAndReplace,
		"forward-request":             compileForwardRequest,
		"ip-filter":                   compileIPFilter,
		"limit-concurrency":           compileLimitConcurrency,
		"quota-by-key":                compileQuotaByKey,
		"rate-limit-by-key":           compileRateLimitByKey,
		"retry":                       compileRetry,
		"return-response":             compileReturnResponse,
		"rewrite-uri":                 compileRewriteURI,
		"send-request":                compileSendRequest,
		"set-backend-service":         compileSetBackendService,
		"set-body":                    compileSetBody,
		"set-header":                  compileSetHeader,
		"set-method":                  compileSetMethod,
		"set-query-parameter":         compileSetQueryParameter,
		"set-status":                  compileSetStatus,
		"set-variable":                compileSetVariable,
		"trace":                       compileTrace,
		"validate-client-certificate": compileClientCertificate,
		"validate-jwt":                compileValidateJWT,
		"wait":                        compileWait,
	}
}
