package apim

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/touchstone-id/touchstone/pkg/apim/expr"
	"github.com/touchstone-id/touchstone/pkg/trust"
)

var update = flag.Bool("update", false, "write the golden files anew")

// files are trust files, by the name of their folder of golden policies.
var files = map[string]string{
	"plain": `
apis:
  - name: orders
    audience: https://api.example/orders
    path: /orders
    require: {level: phr}
`,
	"levels": `
levels:
  - {name: gold, facts: [uv, device_bound, attested, fido_l2]}
apis:
  - name: orders
    title: Orders & "more" <now>
    audience: https://api.example/orders
    path: /orders
    origins: ["https://portal.example"]
    scopes: [{name: orders.read, title: See}, {name: orders.write, title: Change}]
    automation: [batch, report]
    require: {level: gold, scopes: [orders.read]}
    operations:
      - {name: list, method: GET, url: /}
      - {name: refund, method: POST, url: "/{id}/refund", require: {facts: [hardware], scopes: [orders.write], roles: [clerk], max_age: 5m}}
clients:
  - {id: batch, name: Batch, kind: workload, grant_types: [client_credentials], scopes: [orders.read], apis: [orders]}
  - {id: report, name: Report, kind: workload, grant_types: [client_credentials], scopes: [orders.read], apis: [orders]}
`,
}

// rendered returns the policies of a trust file.
func rendered(t *testing.T, name string) []File {
	t.Helper()
	declared, err := trust.Parse(name, []byte(files[name]))
	if err != nil {
		t.Fatal(err)
	}
	return Render(declared, Target{Issuer: "https://login.example"})
}

func TestRenderedPoliciesAreTheGoldenOnes(t *testing.T) {
	for name := range files {
		for _, f := range rendered(t, name) {
			golden := filepath.Join("testdata", "golden", name, f.Name)
			if *update {
				if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, f.Body, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(f.Body)); diff != "" {
				t.Errorf("%s (run with -update when the change is meant):\n%s", golden, diff)
			}
		}
	}
}

func TestRenderedPoliciesFitMicrosoftsSchema(t *testing.T) {
	for name := range files {
		for _, f := range rendered(t, name) {
			path := filepath.Join(t.TempDir(), f.Name)
			if err := os.WriteFile(path, f.Body, 0o644); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("xmllint", "--noout", "--schema", "testdata/xsd/policies.xsd", path).CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v\n%s", f.Name, err, out)
			}
		}
	}
}

func TestSchemaFindsAWrongOrder(t *testing.T) {
	body := strings.Replace(string(rendered(t, "plain")[0].Body), "<required-claims>", "<audiences/><required-claims>", 1)
	path := filepath.Join(t.TempDir(), "wrong.xml")
	if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("xmllint", "--noout", "--schema", "testdata/xsd/policies.xsd", path).Run(); err == nil {
		t.Error("the schema accepts audiences after issuers: the check checks nothing")
	}
}

func TestRenderedPoliciesHaveNoFindings(t *testing.T) {
	for name := range files {
		for _, f := range rendered(t, name) {
			d, err := Read(f.Body)
			if err != nil {
				t.Fatal(err)
			}
			for _, finding := range Check(d) {
				t.Errorf("%s: %s", f.Name, finding)
			}
		}
	}
}

func TestRenderedPoliciesMeanTheSameRaw(t *testing.T) {
	for name := range files {
		for _, f := range rendered(t, name) {
			escaped, err := readAs(string(f.Body), FormatXML)
			if err != nil {
				t.Fatalf("%s is not well-formed: %v", f.Name, err)
			}
			raw, err := readAs(string(f.Body), FormatRawXML)
			if err != nil {
				t.Fatalf("%s is not readable as rawxml: %v", f.Name, err)
			}
			raw.Format = FormatXML
			if diff := cmp.Diff(escaped, raw); diff != "" {
				t.Errorf("%s means something else as rawxml:\n%s", f.Name, diff)
			}
		}
	}
}

func TestTitlesCannotEndTheComment(t *testing.T) {
	declared, err := trust.Parse("hostile", []byte(`apis: [{name: a, title: "x --><policies/><!-- -", audience: "https://a.example/a", path: /a}]`))
	if err != nil {
		t.Fatal(err)
	}
	d, err := Read(Render(declared, Target{Issuer: "https://login.example"})[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Inbound) == 0 {
		t.Error("the title replaced the policy")
	}
}

func TestRenderedPoliciesReadBackAndCompile(t *testing.T) {
	for name := range files {
		for _, f := range rendered(t, name) {
			d, err := Read(f.Body)
			if err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
			var walk func(Element)
			walk = func(e Element) {
				texts := []string{strings.TrimSpace(e.Text)}
				for _, a := range e.Attributes {
					texts = append(texts, a.Value)
				}
				for _, text := range texts {
					if IsExpression(text) {
						if _, err := expr.Compile(text); err != nil {
							t.Errorf("%s: %s: %v", f.Name, text, err)
						}
					}
				}
				for _, c := range e.Children {
					walk(c)
				}
			}
			for _, s := range Sections() {
				for _, e := range d.Section(s) {
					walk(e)
				}
			}
		}
	}
}
