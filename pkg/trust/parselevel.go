package trust

import (
	"crypto/x509"
	"encoding/pem"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"github.com/touchstone-id/touchstone/pkg/claim"
)

const (
	// defaultMetadataGrace covers a holiday at either end of a next update.
	defaultMetadataGrace = 7 * 24 * time.Hour
	maxMetadataGrace     = 90 * 24 * time.Hour
)

// certifications are the facts that may be a level's minimum certification.
var certifications = []string{"fido_certified", "fido_l1", "fido_l1plus", "fido_l2", "fido_l2plus", "fido_l3", "fido_l3plus",
	"fips140_l1", "fips140_l2", "fips140_l3", "fips140_l4"}

// level reads one level of the operator; it must be named anew.
func (r *reader) level(n *yaml.Node, at string, t *Trust) {
	var l Level
	var least []string
	r.mapping(n, at, map[string]func(*yaml.Node, string){
		"name":          r.text(&l.Name, identifier),
		"facts":         r.facts(&l.Facts),
		"certification": r.texts(&least, oneOf(certifications...)),
		"models": func(n *yaml.Node, at string) {
			r.mapping(n, at, map[string]func(*yaml.Node, string){"allow": r.patterns(&l.Models.Allow), "deny": r.patterns(&l.Models.Deny)})
		},
	}, "name", "facts")
	for _, c := range least {
		l.Facts = append(l.Facts, claim.Fact(c))
	}
	if !l.Models.empty() && !slices.Contains(l.Facts, claim.FactAttested) {
		r.fault(n, at+".models", "needs the fact attested: a model that is not proved can be any")
	}
	for _, other := range t.Levels {
		if other.Name == l.Name {
			r.fault(n, at+".name", "level %q is already defined", l.Name)
		}
	}
	if l.Name == claim.LevelRecovery {
		r.fault(n, at+".name", "%q is what sessions opened by a recovery pass have", l.Name)
	}
	t.Levels = append(t.Levels, l)
}

// patterns reads a list that chooses models.
func (r *reader) patterns(into *[]Pattern) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) {
		r.each(n, at, func(n *yaml.Node, at string) {
			var p Pattern
			before := len(r.faults)
			r.mapping(n, at, map[string]func(*yaml.Node, string){
				"vendor": r.text(&p.Vendor, anything),
				"name":   r.text(&p.Name, wildcard),
				"aaguid": r.aaguid(&p.AAGUID),
			})
			if len(r.faults) == before && len(n.Content) != 2 {
				r.fault(n, at, "want exactly one of vendor, name and aaguid")
			}
			*into = append(*into, p)
		})
	}
}

func wildcard(text string) string {
	if _, err := path.Match(text, ""); err != nil || strings.TrimSpace(text) == "" {
		return "is not a name with * and ? as wildcards"
	}
	return ""
}

// aaguid reads the identifier of a model in its one form.
func (r *reader) aaguid(into *string) func(*yaml.Node, string) {
	return r.text(into, func(text string) string {
		id, err := uuid.Parse(text)
		if err != nil || id == uuid.Nil || id.String() != text {
			return "is not the AAGUID of a model: a lower-case UUID"
		}
		return ""
	})
}

// rule reads one rule.
func (r *reader) rule(n *yaml.Node, at string, t *Trust) {
	rule := Rule{At: []string{AtEnrolment, AtSignIn}}
	r.mapping(n, at, map[string]func(*yaml.Node, string){
		"name":   r.text(&rule.Name, identifier),
		"groups": r.texts(&rule.Groups, anything),
		"level":  r.text(&rule.Level, identifier),
		"at":     r.texts(&rule.At, oneOf(AtEnrolment, AtSignIn)),
		"mode":   r.text(&rule.Mode, oneOf(ModeMonitor, ModeWarn, ModeEnforce)),
		"from":   r.day(&rule.From),
	}, "name", "level", "mode")
	if rule.Level != "" {
		r.levelUses = append(r.levelUses, use{n, at + ".level", rule.Level})
	}
	if (rule.Mode == ModeWarn) == rule.From.IsZero() && rule.Mode != "" {
		r.fault(n, at+".from", "belongs to mode warn, and is required there: the day from which the rule is enforced")
	}
	if slices.ContainsFunc(t.Rules, func(other Rule) bool { return other.Name == rule.Name }) {
		r.fault(n, at+".name", "rule %q is already defined", rule.Name)
	}
	t.Rules = append(t.Rules, rule)
}

// day reads a date.
func (r *reader) day(into *time.Time) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) {
		day, err := time.Parse(time.DateOnly, n.Value)
		if n.Kind != yaml.ScalarNode || err != nil {
			r.fault(n, at, "%q is not a date such as 2027-01-31", n.Value)
			return
		}
		*into = day
	}
}

// metadata reads what follows from the metadata.
func (r *reader) metadata(t *Trust) func(*yaml.Node, string) {
	return func(n *yaml.Node, at string) {
		r.mapping(n, at, map[string]func(*yaml.Node, string){
			"grace": r.duration(&t.MetadataGrace, 0, maxMetadataGrace),
			"consequences": func(n *yaml.Node, at string) {
				keys := map[string]func(*yaml.Node, string){}
				for _, status := range statuses {
					keys[status] = func(n *yaml.Node, at string) {
						var consequence string
						r.text(&consequence, oneOf(ConsequenceDowngrade, ConsequenceSuspend))(n, at)
						t.Consequences[status] = consequence
					}
				}
				r.mapping(n, at, keys)
			},
			"models": func(n *yaml.Node, at string) {
				r.each(n, at, func(n *yaml.Node, at string) {
					var m PrivateModel
					r.mapping(n, at, map[string]func(*yaml.Node, string){"aaguid": r.aaguid(&m.AAGUID), "description": r.text(&m.Description, anything),
						"roots": r.texts(&m.Roots, certificates), "key_protection": r.texts(&m.KeyProtection, oneOf(keyProtections...))}, "aaguid", "description", "roots")
					t.PrivateModels = append(t.PrivateModels, m)
				})
			},
			"inventory": func(n *yaml.Node, at string) {
				r.each(n, at, func(n *yaml.Node, at string) {
					var o Owned
					r.mapping(n, at, map[string]func(*yaml.Node, string){"aaguid": r.aaguid(&o.AAGUID), "serials": r.texts(&o.Serials, serial)}, "aaguid", "serials")
					t.Inventory = append(t.Inventory, o)
				})
			},
		})
	}
}

// keyProtections are the values of the FIDO Registry section 3.2.
var keyProtections = []string{"software", "hardware", "tee", "secure_element", "remote_handle"}

func certificates(text string) string {
	rest := []byte(text)
	for n := 0; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if n == 0 {
				return "is not a certificate in PEM form"
			}
			return ""
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return "holds a certificate that cannot be read"
		}
	}
}

func serial(text string) string {
	if text == "" || len(text) > 64 || strings.Trim(text, "0123456789abcdef") != "" {
		return "is not a serial number in lower-case hexadecimal"
	}
	return ""
}
