package apim

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds the nesting of elements and of interpolated strings: far
// beyond any real policy, and shallow enough for recursion.
const maxDepth = 64

// SyntaxError is a document that cannot be read.
type SyntaxError struct {
	Position
	Message string
}

// Error returns "line 3, column 7: …".
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
}

// Read reads a policy document or a policy fragment, of at most
// MaxDocumentSize bytes. Documents in XML are read as such; a document that is
// not XML is read as the portal writes it, with expressions unescaped. It
// checks no more than the syntax: see Check. Its error is a *SyntaxError.
func Read(data []byte) (*Document, error) {
	data = bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))
	if len(data) > MaxDocumentSize {
		return nil, &SyntaxError{Position{1, 1}, fmt.Sprintf("the document is larger than %d bytes", MaxDocumentSize)}
	}
	if !utf8.Valid(data) {
		return nil, &SyntaxError{Position{1, 1}, "the document is not UTF-8"}
	}
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	doc, fault := readAs(text, FormatXML)
	if fault == nil {
		return doc, nil
	}
	doc, rawFault := readAs(text, FormatRawXML)
	if rawFault == nil {
		return doc, nil
	}
	// The reading that came further understood the document better.
	if fault.Line > rawFault.Line || fault.Line == rawFault.Line && fault.Column > rawFault.Column {
		return nil, fault
	}
	return nil, rawFault
}

func readAs(text string, format Format) (*Document, *SyntaxError) {
	s := &scanner{text: text, format: format, line: 1, lineStart: 0}
	root, err := s.document()
	if err != nil {
		return nil, err
	}
	doc := &Document{Format: format}
	switch root.Name {
	case "fragment":
		doc.Fragment = append([]Element{}, root.Children...)
		return doc, textless(root)
	case "policies":
		return doc, doc.sections(root)
	}
	return nil, &SyntaxError{root.Position, fmt.Sprintf("the root element is <%s>, not <policies> or <fragment>", root.Name)}
}

// sections sorts the children of <policies>.
func (d *Document) sections(root Element) *SyntaxError {
	if len(root.Attributes) > 0 {
		return &SyntaxError{root.Attributes[0].Position, "<policies> takes no attributes"}
	}
	for _, child := range root.Children {
		into := map[Section]*[]Element{Inbound: &d.Inbound, Backend: &d.Backend, Outbound: &d.Outbound, OnError: &d.OnError}[Section(child.Name)]
		switch {
		case into == nil:
			return &SyntaxError{child.Position, fmt.Sprintf("<%s> is not a section: inbound, backend, outbound and on-error are", child.Name)}
		case *into != nil:
			return &SyntaxError{child.Position, fmt.Sprintf("the section <%s> appears twice", child.Name)}
		case len(child.Attributes) > 0:
			return &SyntaxError{child.Attributes[0].Position, fmt.Sprintf("<%s> takes no attributes", child.Name)}
		}
		if err := textless(child); err != nil {
			return err
		}
		*into = append([]Element{}, child.Children...)
	}
	return textless(root)
}

// textless refuses character data where only elements may stand.
func textless(e Element) *SyntaxError {
	if strings.TrimSpace(e.Text) != "" {
		return &SyntaxError{e.TextAt, fmt.Sprintf("text is not allowed directly inside <%s>", e.Name)}
	}
	return nil
}
