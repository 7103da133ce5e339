package apim

import "strings"

// MaxDocumentSize is the largest policy document that API Management accepts
// (256 KiB; 16 KiB in the Consumption tier).
const MaxDocumentSize = 256 << 10

// Section names one of the four sections of a policy document.
type Section string

// The sections, in the order a request passes them.
const (
	Inbound  Section = "inbound"
	Backend  Section = "backend"
	Outbound Section = "outbound"
	OnError  Section = "on-error"
)

// Sections lists the four sections in the order a request passes them.
func Sections() []Section { return []Section{Inbound, Backend, Outbound, OnError} }

// Format says how a document writes its expressions.
type Format string

const (
	// FormatXML is well-formed XML: entities in expressions are decoded.
	FormatXML Format = "xml"
	// FormatRawXML is what the portal shows: expressions stand as they are,
	// quotes and angle brackets included, so the document is not XML.
	FormatRawXML Format = "rawxml"
)

// Document is one policy document. A section that is absent from the document
// is nil; one that is present and empty is not nil, and drops the section of
// the scope above it.
type Document struct {
	Inbound, Backend, Outbound, OnError []Element
	// Fragment holds the policies of a document whose root is <fragment>, and
	// is nil for any other: a fragment has no sections.
	Fragment []Element
	// Format is how the document was read.
	Format Format
}

// Section returns the elements of a section: nil when the document lacks it.
func (d *Document) Section(s Section) []Element {
	switch s {
	case Inbound:
		return d.Inbound
	case Backend:
		return d.Backend
	case Outbound:
		return d.Outbound
	case OnError:
		return d.OnError
	}
	return nil
}

// Position is a place in a document, counted from 1; columns count bytes.
type Position struct{ Line, Column int }

// Element is one element of a document, with what it says decoded.
type Element struct {
	Name       string
	Attributes []Attribute
	Children   []Element
	// Text is the character data directly inside the element. TextAt is where
	// it starts.
	Text   string
	TextAt Position
	Position
}

// Attribute is one attribute of an element. ValueAt is where the value starts.
type Attribute struct {
	Name, Value string
	ValueAt     Position
	Position
}

// Attribute returns the named attribute.
func (e Element) Attribute(name string) (Attribute, bool) {
	for _, a := range e.Attributes {
		if a.Name == name {
			return a, true
		}
	}
	return Attribute{}, false
}

// Value returns the value of the named attribute, or "" when it is absent.
func (e Element) Value(name string) string {
	a, _ := e.Attribute(name)
	return a.Value
}

// Child returns the first child element of that name.
func (e Element) Child(name string) (Element, bool) {
	for _, c := range e.Children {
		if c.Name == name {
			return c, true
		}
	}
	return Element{}, false
}

// IsExpression reports whether a value is a policy expression, @(…) or @{…}. A
// value is wholly an expression or wholly literal.
func IsExpression(value string) bool {
	v := strings.TrimLeft(value, " \t\r\n")
	return strings.HasPrefix(v, "@(") || strings.HasPrefix(v, "@{")
}
