package trust

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/touchstone-id/touchstone/pkg/claim"
)

// Level is a named set of required facts, with the models that may have it.
type Level struct {
	Name string
	// Facts are required, the minimum certification among them.
	Facts []claim.Fact
	// Models narrows the level to some models; empty allows all.
	Models Models
}

// Models are lists of models. Deny wins over allow.
type Models struct {
	Allow, Deny []Pattern
}

// Pattern chooses models, by exactly one of its fields.
type Pattern struct {
	// Vendor is a word of the vendor's name in the model's trust anchors or
	// description, whatever its letter case.
	Vendor string
	// Name is a description with * and ? as wildcards, whatever its letter case.
	Name string
	// AAGUID is a lower-case UUID.
	AAGUID string
}

// Authenticator is what a level and a rule look at: the outcome of judging one.
type Authenticator struct {
	Facts claim.Facts
	// AAGUID, Model and Vendors are empty unless the fact attested is there:
	// lists of models are about proven models.
	AAGUID, Model string
	Vendors       []string
	// Synced says that the passkey is backup eligible.
	Synced bool
}

// String names the pattern as an operator wrote it.
func (p Pattern) String() string {
	switch {
	case p.Vendor != "":
		return "vendor " + p.Vendor
	case p.Name != "":
		return "name " + p.Name
	}
	return "aaguid " + p.AAGUID
}

// Matches reports whether the pattern chooses this proven model.
func (p Pattern) Matches(a Authenticator) bool {
	switch {
	case !a.Facts.Has(claim.FactAttested):
		return false
	case p.AAGUID != "":
		return p.AAGUID == a.AAGUID
	case p.Name != "":
		ok, _ := path.Match(strings.ToLower(p.Name), strings.ToLower(strings.ReplaceAll(a.Model, "/", " ")))
		return ok
	}
	return slices.ContainsFunc(append([]string{a.Model}, a.Vendors...), func(text string) bool { return hasWord(text, p.Vendor) })
}

// hasWord reports whether the words of a text contain those of another in a row.
func hasWord(text, word string) bool {
	apart := func(s string) string {
		return " " + strings.Join(strings.FieldsFunc(strings.ToLower(s), notWord), " ") + " "
	}
	return strings.Contains(apart(text), apart(word))
}

func notWord(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r > 127)
}

// Shortfall says why an authenticator does not have a level.
type Shortfall struct {
	Level string
	// Missing are the required facts that it lacks.
	Missing []claim.Fact
	// Rule names the entry of a model list that decided, such as "deny vendor
	// Acme"; empty when no list did.
	Rule string
}

// String tells the shortfall in words.
func (s Shortfall) String() string {
	var parts []string
	if len(s.Missing) > 0 {
		parts = append(parts, "lacks "+join(s.Missing))
	}
	if s.Rule != "" {
		parts = append(parts, s.Rule)
	}
	return s.Level + ": " + strings.Join(parts, "; ")
}

func join(facts []claim.Fact) string {
	texts := make([]string, len(facts))
	for i, f := range facts {
		texts[i] = string(f)
	}
	return strings.Join(texts, ", ")
}

// fits compares an authenticator with a level; nil means that it has it.
func (l Level) fits(a Authenticator) *Shortfall {
	s := Shortfall{Level: l.Name, Missing: a.Facts.Missing(l.Facts...), Rule: l.Models.refuse(a)}
	if len(s.Missing) == 0 && s.Rule == "" {
		return nil
	}
	return &s
}

// refuse names the entry that keeps a model out, or returns "".
func (m Models) refuse(a Authenticator) string {
	for _, p := range m.Deny {
		if p.Matches(a) {
			return "deny " + p.String()
		}
	}
	if len(m.Allow) == 0 || slices.ContainsFunc(m.Allow, func(p Pattern) bool { return p.Matches(a) }) {
		return ""
	}
	if a.Model == "" {
		return "allow lists models, and this one is not proved"
	}
	return fmt.Sprintf("allow does not list %s", a.Model)
}

// empty reports whether the lists say nothing.
func (m Models) empty() bool { return len(m.Allow) == 0 && len(m.Deny) == 0 }

// HasLevel reports whether the authenticator has the level; unknown levels nobody has.
func (t *Trust) HasLevel(a Authenticator, level string) bool { return t.Shortfall(a, level) == nil }

// Shortfall says what keeps the authenticator from the level, or nil when it
// has it. Nobody has a level that the file does not define.
func (t *Trust) Shortfall(a Authenticator, level string) *Shortfall {
	i := slices.IndexFunc(t.Levels, func(l Level) bool { return l.Name == level })
	if i < 0 {
		return &Shortfall{Level: level, Rule: "the trust file does not define it"}
	}
	return t.Levels[i].fits(a)
}

// LevelsOf returns the levels that an authenticator has, weakest first, and why
// it does not have the others.
func (t *Trust) LevelsOf(a Authenticator) (met []string, missed []Shortfall) {
	for _, l := range t.Levels {
		if s := l.fits(a); s != nil {
			missed = append(missed, *s)
			continue
		}
		met = append(met, l.Name)
	}
	return met, missed
}

// LevelOf returns the highest level that the authenticator has, or "" when it
// has not even the weakest.
func (t *Trust) LevelOf(a Authenticator) string {
	met, _ := t.LevelsOf(a)
	if len(met) == 0 {
		return ""
	}
	return met[len(met)-1]
}

// Accepting returns the levels that guarantee the given one: itself, and those
// after it that require all its facts and carry the same model lists. A policy
// that must hold the model lists compares acr with these.
func (t *Trust) Accepting(level string) []string {
	i := slices.IndexFunc(t.Levels, func(l Level) bool { return l.Name == level })
	if i < 0 {
		return nil
	}
	base := t.Levels[i]
	names := []string{level}
	for _, l := range t.Levels[i+1:] {
		if len(claim.NewFacts(l.Facts...).Missing(base.Facts...)) == 0 && (base.Models.empty() || l.Models.equal(base.Models)) {
			names = append(names, l.Name)
		}
	}
	return names
}

func (m Models) equal(other Models) bool {
	return slices.Equal(m.Allow, other.Allow) && slices.Equal(m.Deny, other.Deny)
}

// ListsModels reports whether the level has lists of models, which facts alone cannot hold.
func (t *Trust) ListsModels(level string) bool {
	return slices.ContainsFunc(t.Levels, func(l Level) bool { return l.Name == level && !l.Models.empty() })
}

// builtInLevels are present in every trust file.
func builtInLevels() []Level {
	return []Level{
		{Name: claim.LevelPhishingResistant, Facts: []claim.Fact{claim.FactUV}},
		{Name: claim.LevelPhishingResistantHardware, Facts: []claim.Fact{
			claim.FactUV, claim.FactDeviceBound, claim.FactAttested, claim.FactHardware, claim.FactMetadataCurrent}},
	}
}
