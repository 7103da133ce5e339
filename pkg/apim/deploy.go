package apim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Layout is a form in which rendered policies are deployed.
type Layout string

// The layouts.
const (
	LayoutFiles     Layout = "files"
	LayoutBicep     Layout = "bicep"
	LayoutTerraform Layout = "terraform"
	LayoutAPIOps    Layout = "apiops"
)

// Deploy arranges rendered documents for a tool: beside the documents there is
// what deploys them with these named values. The APIs and operations are those
// of the service, by the names of the trust file.
func Deploy(files []File, values map[string]string, layout Layout) []File {
	out := slices.Clone(files)
	names := slices.Sorted(maps.Keys(values))
	switch layout {
	case LayoutBicep:
		return append(out, File{Name: "policies.bicep", Body: bicep(files, names, values)})
	case LayoutTerraform:
		return append(out, File{Name: "policies.tf", Body: terraform(files, names, values)})
	case LayoutAPIOps:
		return apiops(files, names, values)
	}
	if len(values) > 0 {
		out = append(out, File{Name: "named-values.json", Body: pretty(values)})
	}
	return out
}

// pretty writes JSON with sorted names, so that two environments can be compared.
func pretty(v any) []byte {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // texts always marshal
	}
	return append(body, '\n')
}

// symbol makes an identifier of a name.
func symbol(parts ...string) string {
	name := strings.Join(parts, "_")
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, name)
}

// bicepText quotes a text for Bicep.
func bicepText(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, `${`, `\${`, "\n", `\n`).Replace(s) + "'"
}

// bicep writes a module. loadTextContent takes the document as it is; format
// xml makes the service decode entities in expressions.
func bicep(files []File, names []string, values map[string]string) []byte {
	var b strings.Builder
	b.WriteString("// Rendered; change the trust file, not this file.\n@description('The name of the API Management service.')\nparam serviceName string\n\n")
	b.WriteString("resource service 'Microsoft.ApiManagement/service@2024-05-01' existing = {\n  name: serviceName\n}\n")
	depends := ""
	for _, n := range names {
		fmt.Fprintf(&b, "\nresource %s 'Microsoft.ApiManagement/service/namedValues@2024-05-01' = {\n  parent: service\n  name: %s\n  properties: {\n    displayName: %s\n    value: %s\n  }\n}\n",
			symbol("value", n), bicepText(n), bicepText(n), bicepText(values[n]))
		depends += "    " + symbol("value", n) + "\n"
	}
	for _, f := range files {
		if f.Scope == ScopeFragment {
			id := strings.TrimSuffix(f.Name, ".fragment.xml")
			fmt.Fprintf(&b, "\nresource %s 'Microsoft.ApiManagement/service/policyFragments@2024-05-01' = {\n  parent: service\n  name: %s\n  properties: {\n    format: 'xml'\n    value: loadTextContent(%s)\n  }\n  dependsOn: [\n%s  ]\n}\n",
				symbol("fragment", id), bicepText(id), bicepText(f.Name), depends)
		}
	}
	for _, f := range files {
		if f.Scope == ScopeFragment {
			depends += "    " + symbol("fragment", strings.TrimSuffix(f.Name, ".fragment.xml")) + "\n"
		}
	}
	apis := map[string]bool{}
	for _, f := range files {
		parent := "service"
		kind := "Microsoft.ApiManagement/service/policies"
		switch f.Scope {
		case ScopeFragment, ScopeProduct:
			continue
		case ScopeAPI, ScopeOperation:
			if parent = symbol("api", f.API); !apis[f.API] {
				apis[f.API] = true
				fmt.Fprintf(&b, "\nresource %s 'Microsoft.ApiManagement/service/apis@2024-05-01' existing = {\n  parent: service\n  name: %s\n}\n", parent, bicepText(f.API))
			}
			kind = "Microsoft.ApiManagement/service/apis/policies"
			if f.Scope == ScopeOperation {
				kind = "Microsoft.ApiManagement/service/apis/operations/policies"
				operation := symbol("operation", f.API, f.Operation)
				fmt.Fprintf(&b, "\nresource %s 'Microsoft.ApiManagement/service/apis/operations@2024-05-01' existing = {\n  parent: %s\n  name: %s\n}\n", operation, parent, bicepText(f.Operation))
				parent = operation
			}
		}
		fmt.Fprintf(&b, "\nresource %s '%s@2024-05-01' = {\n  parent: %s\n  name: 'policy'\n  properties: {\n    format: 'xml'\n    value: loadTextContent(%s)\n  }\n  dependsOn: [\n%s  ]\n}\n",
			symbol("policy", f.API, f.Operation), kind, parent, bicepText(f.Name), depends)
	}
	return []byte(b.String())
}

// terraform writes resources of the azurerm provider, which sends documents as
// rawxml: they read the same that way, those with approvals excepted.
func terraform(files []File, names []string, values map[string]string) []byte {
	var b strings.Builder
	quote := func(s string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", "$${", "%{", "%%{", "\n", `\n`).Replace(s) + `"`
	}
	b.WriteString("# Rendered; change the trust file, not this file.\nvariable \"api_management_name\" { type = string }\nvariable \"resource_group_name\" { type = string }\n")
	where := "  api_management_name = var.api_management_name\n  resource_group_name = var.resource_group_name\n"
	var depends []string
	for _, n := range names {
		fmt.Fprintf(&b, "\nresource \"azurerm_api_management_named_value\" %s {\n%s  name                = %s\n  display_name        = %s\n  value               = %s\n}\n", quote(symbol(n)), where, quote(n), quote(n), quote(values[n]))
		depends = append(depends, "azurerm_api_management_named_value."+symbol(n))
	}
	for _, f := range files {
		if f.Scope == ScopeFragment {
			id := strings.TrimSuffix(f.Name, ".fragment.xml")
			fmt.Fprintf(&b, "\ndata \"azurerm_api_management\" %s {\n  name                = var.api_management_name\n  resource_group_name = var.resource_group_name\n}\n\nresource \"azurerm_api_management_policy_fragment\" %s {\n  api_management_id = data.azurerm_api_management.%s.id\n  name              = %s\n  format            = \"xml\"\n  value             = file(\"${path.module}/%s\")\n  depends_on        = [%s]\n}\n",
				quote(symbol(id)), quote(symbol(id)), symbol(id), quote(id), f.Name, strings.Join(depends, ", "))
		}
	}
	for _, f := range files {
		if f.Scope == ScopeFragment {
			depends = append(depends, "azurerm_api_management_policy_fragment."+symbol(strings.TrimSuffix(f.Name, ".fragment.xml")))
		}
	}
	for _, f := range files {
		content := fmt.Sprintf("  xml_content         = file(\"${path.module}/%s\")\n  depends_on          = [%s]\n}\n", f.Name, strings.Join(depends, ", "))
		switch f.Scope {
		case ScopeAPI:
			fmt.Fprintf(&b, "\nresource \"azurerm_api_management_api_policy\" %s {\n%s  api_name            = %s\n%s", quote(symbol(f.API)), where, quote(f.API), content)
		case ScopeOperation:
			fmt.Fprintf(&b, "\nresource \"azurerm_api_management_api_operation_policy\" %s {\n%s  api_name            = %s\n  operation_id        = %s\n%s", quote(symbol(f.API, f.Operation)), where, quote(f.API), quote(f.Operation), content)
		}
	}
	return []byte(b.String())
}

// Place is where APIOps keeps a document in its folder.
func (f File) Place() string {
	switch f.Scope {
	case ScopeGlobal:
		return "policy.xml"
	case ScopeProduct:
		return "products/touchstone/policy.xml"
	case ScopeOperation:
		return "apis/" + f.API + "/operations/" + f.Operation + "/policy.xml"
	case ScopeFragment:
		return "policy fragments/" + strings.TrimSuffix(f.Name, ".fragment.xml") + "/policy.xml"
	}
	return "apis/" + f.API + "/policy.xml"
}

// apiops writes the folder that APIOps publishes.
func apiops(files []File, names []string, values map[string]string) []File {
	var out []File
	for _, f := range files {
		f.Name = f.Place()
		out = append(out, f)
	}
	for _, n := range names {
		out = append(out, File{Name: "named values/" + n + "/namedValueInformation.json",
			Body: pretty(map[string]any{"properties": map[string]any{"displayName": n, "secret": false, "value": values[n]}})})
	}
	return out
}
