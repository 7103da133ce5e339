package apim

import (
	"fmt"
	"slices"
	"strings"
)

// Severity says what a finding costs.
type Severity string

const (
	// SeverityError: API Management refuses the document, or it cannot work.
	SeverityError Severity = "error"
	// SeverityWarning: the document is accepted and does something its author
	// hardly means.
	SeverityWarning Severity = "warning"
)

// RuleMissingBase is the rule that does not hold for the policy around all APIs:
// a document does not say at which scope it will stand.
const RuleMissingBase = "missing-base"

// Finding is one mistake in a document.
type Finding struct {
	Line, Column int
	Severity     Severity
	// Rule names the kind of mistake; it is stable.
	Rule string
	// Message says what is wrong, Cause why it matters, Fix what to write.
	Message, Cause, Fix string
}

// String returns "line 3, column 7: error: … (rule)".
func (f Finding) String() string {
	return fmt.Sprintf("line %d, column %d: %s: %s (%s); %s", f.Line, f.Column, f.Severity, f.Message, f.Rule, f.Fix)
}

// Check finds mistakes in a document, in the order of its lines. It knows the
// shape of the policies that package gateway runs, the sections of all others,
// their expressions, and what people get wrong about validate-jwt. An empty result does not mean
// that API Management accepts the document: named values, certificates and the
// types of expressions are only known there.
func Check(d *Document) []Finding {
	c := &checker{}
	if d.Fragment != nil {
		// A fragment may be included anywhere, so its sections are not known.
		c.policies("", d.Fragment)
	}
	for _, s := range Sections() {
		elements := d.Section(s)
		c.policies(s, elements)
		c.base(d, s, elements)
	}
	c.inbound(d.Inbound)
	c.together(d)
	validated := false
	all := slices.Concat(d.Inbound, d.Backend, d.Outbound, d.OnError, d.Fragment)
	for _, e := range all {
		walk(e, func(e Element) {
			validated = validated || e.Name == "validate-jwt" || e.Name == "validate-azure-ad-token" || e.Name == "include-fragment"
			c.period(e)
		})
	}
	c.expressions(all, validated)
	slices.SortStableFunc(c.findings, func(a, b Finding) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return c.findings
}

type checker struct{ findings []Finding }

// rule is the part of a finding that does not depend on the document.
type rule struct {
	name     string
	severity Severity
	cause    string
	fix      string
}

func (c *checker) report(at Position, r rule, format string, args ...any) {
	c.findings = append(c.findings, Finding{at.Line, at.Column, r.severity, r.name, fmt.Sprintf(format, args...), r.cause, r.fix})
}

// The rules about shape.
var (
	ruleUnknownElement   = rule{"unknown-element", SeverityError, "API Management refuses elements it does not know.", "Correct the name or remove the element."}
	ruleSection          = rule{"wrong-section", SeverityError, "Each policy is allowed in some sections only.", "Move the policy."}
	ruleUnknownAttribute = rule{"unknown-attribute", SeverityError, "API Management refuses attributes it does not know.", "Correct the name or remove the attribute."}
	ruleMissingAttribute = rule{"missing-attribute", SeverityError, "The schema requires the attribute.", "Add the attribute."}
	ruleAttributeValue   = rule{"attribute-value", SeverityError, "The schema types its attributes; booleans are lower case, durations whole seconds.", "Correct the value."}
	ruleLiteralOnly      = rule{"literal-only", SeverityError, "This attribute takes no policy expression.", "Write the value itself, or a named value."}
	ruleChildOrder       = rule{"child-order", SeverityError, "The schema is a sequence, and the service refuses another order when the policy is saved.", "Put the elements in the order given."}
	ruleChildCount       = rule{"child-count", SeverityError, "The schema bounds how often the element may stand here.", "Correct the number of elements."}
	ruleText             = rule{"unexpected-text", SeverityError, "The schema allows no text here.", "Remove the text."}
	ruleBase             = rule{RuleMissingBase, SeverityWarning, "A section without <base /> drops the policies of the wider scope, validate-jwt included.", "Add <base /> where the wider scope's policies belong."}
	ruleBaseTwice        = rule{"base-twice", SeverityError, "The wider scope's policies would run twice.", "Keep one <base />."}
	ruleBasePlace        = rule{"base-place", SeverityError, "<base /> stands directly in a section; fragments and branches have no wider scope.", "Move it into the section."}
)

// policies checks a list of policies. The section is empty inside a fragment.
func (c *checker) policies(section Section, elements []Element) {
	for _, e := range elements {
		d, modelled := definitions[e.Name]
		sections, other := otherPolicies[e.Name]
		switch {
		case e.Name == "base" && section == "":
			c.report(e.Position, ruleBasePlace, "a fragment cannot hold <base />")
		case modelled:
			sections = d.sections
		case !other:
			c.report(e.Position, ruleUnknownElement, "there is no policy <%s>", e.Name)
			continue
		}
		if section != "" && !slices.Contains(sections, section) {
			c.report(e.Position, ruleSection, "<%s> is not allowed in <%s>; it is in %s", e.Name, section, join(sections))
		}
		if modelled {
			d.schema.attributes = append(slices.Clip(d.schema.attributes), text("id").fixed())
			c.element(section, e, d.schema)
		}
	}
}

func join(sections []Section) string {
	words := make([]string, len(sections))
	for i, s := range sections {
		words[i] = "<" + string(s) + ">"
	}
	return strings.Join(words, ", ")
}

// element checks attributes, text and children against the schema.
func (c *checker) element(section Section, e Element, s schema) {
	for _, a := range e.Attributes {
		c.attribute(e, a, s)
	}
	for _, a := range s.attributes {
		if _, present := e.Attribute(a.name); a.required && !present {
			c.report(e.Position, ruleMissingAttribute, "<%s> needs the attribute %s", e.Name, a.name)
		}
	}
	if !s.text && strings.TrimSpace(e.Text) != "" {
		c.report(e.TextAt, ruleText, "<%s> holds text", e.Name)
	}
	if s.policies {
		for _, child := range e.Children {
			if child.Name == "base" {
				c.report(child.Position, ruleBasePlace, "<base /> stands inside <%s>", e.Name)
			}
		}
		c.policies(section, e.Children)
		return
	}
	c.children(section, e, s)
}

func (c *checker) attribute(e Element, a Attribute, s schema) {
	i := slices.IndexFunc(s.attributes, func(known attribute) bool { return known.name == a.Name })
	switch {
	case i < 0:
		c.report(a.Position, ruleUnknownAttribute, "<%s> has no attribute %s", e.Name, a.Name)
	case IsExpression(a.Value):
		if s.attributes[i].literal {
			c.report(a.ValueAt, ruleLiteralOnly, "%s of <%s> is an expression", a.Name, e.Name)
		}
	case s.attributes[i].form != nil && !s.attributes[i].form.MatchString(a.Value):
		c.report(a.ValueAt, ruleAttributeValue, "%s=%q of <%s> must be %s", a.Name, a.Value, e.Name, s.attributes[i].wants)
	case s.attributes[i].required && a.Value == "":
		c.report(a.ValueAt, ruleAttributeValue, "%s of <%s> is empty", a.Name, e.Name)
	}
}

func (c *checker) children(section Section, e Element, s schema) {
	count, last := map[string]int{}, 0
	for _, inner := range e.Children {
		known, place := s.childOf(inner.Name)
		if place < 0 {
			c.report(inner.Position, ruleUnknownElement, "<%s> cannot hold <%s>%s", e.Name, inner.Name, expected(s))
			continue
		}
		if s.ordered && place < last {
			c.report(inner.Position, ruleChildOrder, "<%s> must stand before <%s>; the order is %s", inner.Name, s.children[last].name, strings.Join(s.names(), ", "))
		}
		last = max(last, place)
		if count[inner.Name]++; known.once && count[inner.Name] == 2 {
			c.report(inner.Position, ruleChildCount, "<%s> may stand only once in <%s>", inner.Name, e.Name)
		}
		c.element(section, inner, known.schema)
	}
	for _, known := range s.children {
		if known.must && count[known.name] == 0 {
			c.report(e.Position, ruleChildCount, "<%s> needs a <%s>", e.Name, known.name)
		}
	}
}

func expected(s schema) string {
	if len(s.children) == 0 {
		return ""
	}
	return "; it holds " + strings.Join(s.names(), ", ")
}

// base checks that a present section inherits the wider scope's.
func (c *checker) base(d *Document, s Section, elements []Element) {
	if elements == nil {
		return
	}
	var bases []Element
	for _, e := range elements {
		if e.Name == "base" {
			bases = append(bases, e)
		}
	}
	switch {
	case len(bases) > 1:
		c.report(bases[1].Position, ruleBaseTwice, "<base /> stands twice in <%s>", s)
	case len(bases) == 0:
		at := Position{1, 1}
		if len(elements) > 0 {
			at = elements[0].Position
		}
		c.report(at, ruleBase, "<%s> has no <base />", s)
	}
}
