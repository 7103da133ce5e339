package apim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/touchstone-id/touchstone/pkg/trust"
)

// TestTerraformIsReadAsMeant parses what is rendered with Terraform's own parser:
// addresses are unique, what resources depend on is there, files are those beside
// it, and a hostile value comes out as it went in.
func TestTerraformIsReadAsMeant(t *testing.T) {
	for _, name := range []string{"scopes-and-roles", "signed-in", "approval"} {
		for _, fragments := range []bool{false, true} {
			text, err := os.ReadFile(filepath.Join("templates", name+".trust.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			declared, err := trust.Parse(name, text)
			if err != nil {
				t.Fatal(err)
			}
			values := map[string]string{IssuerValue: "https://login.example", "hostile": "a\"b\\c\n${file(\"/etc/passwd\")} %{ if true }$${x}"}
			files := Deploy(Render(declared, Target{NamedValues: true, Fragments: fragments, Surroundings: true}), values, LayoutTerraform)
			read := readTerraform(t, files[len(files)-1].Body)
			there := map[string]bool{}
			for _, f := range files {
				there[f.Name] = true
			}
			if got := read.values["azurerm_api_management_named_value.hostile"]; got != values["hostile"] {
				t.Errorf("%s: the value became %q", name, got)
			}
			for _, on := range read.depends {
				if !read.addresses[on] {
					t.Errorf("%s: something depends on %s, which is not there", name, on)
				}
			}
			if len(read.files) == 0 {
				t.Errorf("%s: no document is deployed", name)
			}
			for _, file := range read.files {
				if !there[file] {
					t.Errorf("%s: the file %s is not rendered", name, file)
				}
			}
		}
	}
}

// terraformText is what a rendered file declares.
type terraformText struct {
	addresses map[string]bool
	values    map[string]string
	depends   []string
	files     []string
}

func readTerraform(t *testing.T, text []byte) terraformText {
	t.Helper()
	parsed, problems := hclsyntax.ParseConfig(text, "policies.tf", hcl.InitialPos)
	if problems.HasErrors() {
		t.Fatalf("%s\n%s", problems, text)
	}
	out := terraformText{addresses: map[string]bool{}, values: map[string]string{}}
	for _, block := range parsed.Body.(*hclsyntax.Body).Blocks {
		address := strings.Join(block.Labels, ".")
		if block.Type == "data" || block.Type == "variable" {
			address = block.Type + "." + address
		}
		if out.addresses[address] {
			t.Errorf("%s is declared twice", address)
		}
		out.addresses[address] = true
		for name, attribute := range block.Body.Attributes {
			for _, used := range attribute.Expr.Variables() {
				if name == "depends_on" {
					out.depends = append(out.depends, used.RootName()+"."+used[1].(hcl.TraverseAttr).Name)
				}
			}
			if name == "value" && block.Labels[0] == "azurerm_api_management_named_value" {
				value, problems := attribute.Expr.Value(nil)
				if problems.HasErrors() {
					t.Fatal(problems)
				}
				out.values[address] = value.AsString()
			}
			if call, ok := attribute.Expr.(*hclsyntax.FunctionCallExpr); ok && call.Name == "file" {
				parts := call.Args[0].(*hclsyntax.TemplateExpr).Parts
				last, _ := parts[len(parts)-1].Value(nil)
				out.files = append(out.files, strings.TrimPrefix(last.AsString(), "/"))
			}
		}
	}
	return out
}
