package apim

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/touchstone-id/touchstone/pkg/trust"
)

// templates calls visit with every template: its name and trust file.
func templates(t *testing.T, visit func(t *testing.T, name string, declared *trust.Trust)) {
	files, err := filepath.Glob("templates/*.trust.yaml")
	if err != nil || len(files) < 13 {
		t.Fatalf("%d templates, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".trust.yaml")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			declared, err := trust.Parse(file, text)
			if err != nil {
				t.Fatal(err)
			}
			visit(t, name, declared)
		})
	}
}

// lint validates a document against Microsoft's schema.
func lint(t *testing.T, f File, values map[string]string) error {
	t.Helper()
	body, err := Substitute(f.Body, values)
	if err != nil {
		t.Fatal(err)
	}
	if f.Scope == ScopeFragment {
		// The schema knows no fragments: their policies are checked where they go.
		section := "inbound"
		if strings.HasSuffix(f.Name, "-on-error.fragment.xml") {
			section = "on-error"
		}
		text := strings.Replace(string(body), "<fragment>", "<policies><"+section+">", 1)
		body = []byte(strings.Replace(text, "</fragment>", "</"+section+"></policies>", 1))
	}
	path := filepath.Join(t.TempDir(), "policy.xml")
	if err := os.WriteFile(path, body, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("xmllint", "--noout", "--schema", "testdata/xsd/policies.xsd", path).CombinedOutput()
	if err != nil {
		t.Logf("%s: %s", f.Name, out)
	}
	return err
}

func TestTemplatesAreWhatIsRendered(t *testing.T) {
	readme, err := os.ReadFile("templates/README.md")
	if err != nil {
		t.Fatal(err)
	}
	templates(t, func(t *testing.T, name string, declared *trust.Trust) {
		if !strings.Contains(string(readme), "["+name+"]("+name+".trust.yaml)") {
			t.Error("the template is not documented")
		}
		values := NamedValues(declared, trust.Environment{Issuer: "https://login.example", Audience: "https://api.example"})
		for _, f := range Render(declared, Target{NamedValues: true, Surroundings: name == "signed-in"}) {
			path := filepath.Join("templates", name, f.Name)
			if *update {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, f.Body, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			kept, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(kept), string(f.Body)); diff != "" {
				t.Errorf("%s (run with -update when the change is meant):\n%s", path, diff)
			}
			if err := lint(t, f, values); err != nil {
				t.Error(err)
			}
			d, err := Read(f.Body)
			if err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
			for _, finding := range Check(d) {
				if f.Scope != ScopeGlobal || finding.Rule != "missing-base" {
					t.Errorf("%s: %s", f.Name, finding)
				}
			}
		}
	})
}

func TestFragmentsSayTheSameAsDocuments(t *testing.T) {
	templates(t, func(t *testing.T, name string, declared *trust.Trust) {
		whole := Render(declared, Target{Issuer: "https://login.example"})
		fragments, documents := map[string]*Document{}, map[string]*Document{}
		for _, f := range Render(declared, Target{Issuer: "https://login.example", Fragments: true}) {
			if err := lint(t, f, nil); err != nil {
				t.Errorf("%s: %v", f.Name, err)
			}
			d, err := Read(f.Body)
			if err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
			if len(f.Body) > 32<<10 {
				t.Errorf("%s has %d bytes; a fragment has 32 KiB at most", f.Name, len(f.Body))
			}
			if f.Scope == ScopeFragment {
				fragments[strings.TrimSuffix(f.Name, ".fragment.xml")] = d
			} else {
				documents[f.Name] = d
			}
		}
		var names func(elements []Element) string
		names = func(elements []Element) string {
			text := ""
			for _, e := range elements {
				if e.Name == "include-fragment" {
					text += names(fragments[e.Value("fragment-id")].Fragment)
					continue
				}
				text += "\n" + e.Name
				for _, a := range e.Attributes {
					text += " " + a.Name + "=" + a.Value
				}
				text += " (" + strings.TrimSpace(e.Text) + names(e.Children) + ")"
			}
			return text
		}
		for _, f := range whole {
			d, err := Read(f.Body)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range Sections() {
				if diff := cmp.Diff(names(d.Section(s)), names(documents[f.Name].Section(s))); diff != "" {
					t.Errorf("%s, %s:\n%s", f.Name, s, diff)
				}
			}
		}
	})
}

func TestEnvironmentsDifferInNamedValuesOnly(t *testing.T) {
	declared, err := trust.Parse("trust.yaml", []byte(files["plain"]+`
environments:
  - {name: sandbox, issuer: "https://login.sandbox.example", audience: "https://api.sandbox.example", gateway: "https://api.sandbox.example"}
  - {name: production, issuer: "https://login.example", audience: "https://api.example", gateway: "https://api.example"}
`))
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]map[string]string{}
	for _, e := range declared.Environments {
		values[e.Name] = NamedValues(declared, e)
		for _, f := range Render(declared, Target{NamedValues: true}) {
			body, err := Substitute(f.Body, values[e.Name])
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(body), "<audience>"+e.Audience+"/orders</audience>") || !strings.Contains(string(body), e.Issuer+"/.well-known/openid-configuration") {
				t.Errorf("%s of %s names others", f.Name, e.Name)
			}
		}
	}
	want := map[string]map[string]string{
		"sandbox":    {"touchstone-issuer": "https://login.sandbox.example", "touchstone-audience-orders": "https://api.sandbox.example/orders"},
		"production": {"touchstone-issuer": "https://login.example", "touchstone-audience-orders": "https://api.example/orders"}}
	if diff := cmp.Diff(want, values); diff != "" {
		t.Error(diff)
	}
}

func TestExamplePoliciesAreWhatTheExampleMeans(t *testing.T) {
	text, err := os.ReadFile("../../docs/examples/trust.yaml")
	if err != nil {
		t.Fatal(err)
	}
	declared, err := trust.Parse("trust.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Render(declared, Target{Issuer: "http://localhost:8080"}) {
		path := filepath.Join("../../docs/examples/policies", f.Name)
		if *update {
			if err := os.WriteFile(path, f.Body, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(kept), string(f.Body)); diff != "" {
			t.Errorf("%s (run with -update when the change is meant):\n%s", path, diff)
		}
		if err := lint(t, f, nil); err != nil {
			t.Error(err)
		}
	}
}
