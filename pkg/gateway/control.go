package gateway

import (
	"fmt"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/apim"
	"github.com/touchstone-id/touchstone/pkg/apim/expr"
)

// compileChoose compiles choose: the first branch whose condition holds runs.
func compileChoose(c *compiler, e apim.Element, p *policy) {
	type branch struct {
		condition value
		always    bool
		policies  []policy
	}
	var branches []branch
	for i, child := range e.Children {
		b := branch{always: child.Name == "otherwise"}
		if !b.always {
			b.condition = c.attribute(child, "condition", "")
		}
		place := child.Name
		if !b.always {
			place = fmt.Sprintf("when[%d]", i+1)
		}
		c.path = append(c.path, place)
		b.policies = c.policies(child.Children)
		c.path = c.path[:len(c.path)-1]
		branches = append(branches, b)
	}
	note := *p
	p.act = func(r *run) error {
		for i, b := range branches {
			if !b.always {
				holds, err := b.condition.boolean(r)
				if err != nil {
					return err
				}
				if !holds {
					continue
				}
			}
			if b.always {
				note.note(r, resultPassed, "no condition holds: otherwise")
			} else {
				note.note(r, resultPassed, fmt.Sprintf("condition %d holds", i+1))
			}
			return r.execute(b.policies)
		}
		note.note(r, resultSkipped, "no condition holds")
		return nil
	}
}

// include compiles the policies of a fragment in the place of its inclusion.
func (c *compiler) include(e apim.Element) policy {
	p := policy{name: e.Name, id: e.Value("id"), scope: c.scope, section: c.section, path: strings.Join(c.path, "/"), act: func(*run) error { return nil }}
	id := e.Value("fragment-id")
	file, ok := c.fragments[id]
	switch {
	case c.including:
		c.fault(e, "a fragment cannot include another")
		return p
	case !ok:
		c.fault(e, "there is no fragment %q in the configuration", id)
		return p
	}
	d, ok := c.read(file)
	if !ok {
		return p
	}
	if d.Fragment == nil {
		c.fault(e, "%s is not a fragment: its root must be <fragment>", file)
		return p
	}
	if sound := c.check(file, inSection(c.section, d.Fragment)); !sound {
		return p
	}
	outer := c.file
	c.file, c.including = file, true
	inner := c.policies(d.Fragment)
	c.file, c.including = outer, false
	for _, q := range inner {
		if q.cors != nil && p.cors == nil {
			p.cors = q.cors
		}
	}
	p.act = func(r *run) error { return r.execute(inner) }
	return p
}

// inSection puts a fragment's policies where they are included, for apim.Check:
// only there is it known which policies are allowed. The <base/> keeps the
// check of inheritance quiet.
func inSection(s apim.Section, policies []apim.Element) *apim.Document {
	elements := append([]apim.Element{{Name: "base"}}, policies...)
	d := &apim.Document{}
	switch s {
	case apim.Inbound:
		d.Inbound = elements
	case apim.Backend:
		d.Backend = elements
	case apim.Outbound:
		d.Outbound = elements
	case apim.OnError:
		d.OnError = elements
	}
	return d
}

// compileSetVariable compiles set-variable.
func compileSetVariable(c *compiler, e apim.Element, p *policy) {
	name, content := c.attribute(e, "name", ""), c.attribute(e, "value", "")
	if !name.isLiteral() {
		c.fault(e, "a name that is an expression is not implemented by this gateway")
	}
	p.act = func(r *run) error {
		x, err := content.eval(r)
		if err != nil {
			return err
		}
		if !expr.Storable(x) {
			return fmt.Errorf("set-variable stores texts, numbers, truths, times, Guids and JSON tokens only")
		}
		r.variables[name.literal] = x
		return nil
	}
}

// compileTrace compiles trace: the message goes to the request's trace.
func compileTrace(c *compiler, e apim.Element, p *policy) {
	message := value{literal: strings.TrimSpace(e.Text)}
	if child, ok := e.Child("message"); ok {
		message = c.value(child, strings.TrimSpace(child.Text))
	} else if apim.IsExpression(e.Text) {
		message = c.value(e, strings.TrimSpace(e.Text))
	}
	type pair struct{ name, value value }
	var metadata []pair
	for _, child := range e.Children {
		if child.Name == "metadata" {
			metadata = append(metadata, pair{c.attribute(child, "name", ""), c.attribute(child, "value", "")})
		}
	}
	note := *p
	p.act = func(r *run) error {
		text, err := message.text(r)
		if err != nil {
			return err
		}
		for _, m := range metadata {
			parts, err := all(r, []value{m.name, m.value})
			if err != nil {
				return err
			}
			text += ", " + parts[0] + "=" + parts[1]
		}
		note.note(r, resultPassed, e.Value("source")+": "+text)
		return nil
	}
}
