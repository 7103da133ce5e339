package apim

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadValues(t *testing.T) {
	for _, tt := range []struct {
		name, attribute, want string
		format                Format
	}{
		{"literal", `value="a b"`, "a b", FormatXML},
		{"single quotes", `value='a "b"'`, `a "b"`, FormatXML},
		{"entities", `value="&lt;&amp;&#65;&#x42;&apos;"`, "<&AB'", FormatXML},
		{"escaped expression", `value="@(x == &quot;a&quot; &amp;&amp; y &lt; 1)"`, `@(x == "a" && y < 1)`, FormatXML},
		{"expression in single quotes", `value='@(x == "a")'`, `@(x == "a")`, FormatXML},
		{"raw quotes", `value="@(x == "a" && y < 1)"`, `@(x == "a" && y < 1)`, FormatRawXML},
		{"raw entity stays", `value="@(x == "&quot;")"`, `@(x == "&quot;")`, FormatRawXML},
		{"raw block", "value=\"@{ if (a > \"}\".Length) { return '\\''; } /* ) */ // }\n return @\"c:\\\"\"x\"; }\"", "@{ if (a > \"}\".Length) { return '\\''; } /* ) */ // }\n return @\"c:\\\"\"x\"; }", FormatRawXML},
		{"raw interpolation", `value="@($"{a["}"]}{{")"`, `@($"{a["}"]}{{")`, FormatRawXML},
		{"raw generic", `value="@(context.Request.Body.As<JObject>()["a"])"`, `@(context.Request.Body.As<JObject>()["a"])`, FormatRawXML},
		{"pair of quotes that looks like an attribute", `value="@(f(" x="))"`, `@(f(" x="))`, FormatRawXML},
		{"raw white space around", "value=\"\n @(a[\"b\"]) \"", "\n @(a[\"b\"])", FormatRawXML},
		{"expression elsewhere is literal", `value="a @(b)"`, "a @(b)", FormatXML},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc, err := Read([]byte("<policies><inbound><set-variable name=\"v\" " + tt.attribute + " /></inbound></policies>"))
			if err != nil {
				t.Fatal(err)
			}
			if got := doc.Inbound[0].Value("value"); got != tt.want {
				t.Errorf("value = %q, want %q", got, tt.want)
			}
			if doc.Format != tt.format {
				t.Errorf("format = %s, want %s", doc.Format, tt.format)
			}
		})
	}
}

func TestReadText(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"literal", "a &amp; b", "a & b"},
		{"cdata", "<![CDATA[a < b & c]]>", "a < b & c"},
		{"comment between", "a<!-- b -->c", "ac"},
		{"raw expression", `@(a < b && c["d"] == "</value>")`, `@(a < b && c["d"] == "</value>")`},
		{"raw generic", "@{ return x.As<string>(); }", "@{ return x.As<string>(); }"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc, err := Read([]byte("<fragment><x>" + tt.body + "</x></fragment>"))
			if err != nil {
				t.Fatal(err)
			}
			if got := doc.Fragment[0].Text; got != tt.want {
				t.Errorf("text = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestReadPositions(t *testing.T) {
	doc, err := Read([]byte("\xEF\xBB\xBF<?xml version=\"1.0\"?>\r\n<!-- x\n-->\n<policies>\n  <inbound>\n    <a b=\"1\"\n       c='2'>t</a>\n  </inbound>\n</policies>\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Element{{Name: "a", Position: Position{6, 5}, Text: "t", TextAt: Position{7, 14},
		Attributes: []Attribute{
			{Name: "b", Value: "1", Position: Position{6, 8}, ValueAt: Position{6, 11}},
			{Name: "c", Value: "2", Position: Position{7, 8}, ValueAt: Position{7, 11}}}}}
	if diff := cmp.Diff(want, doc.Inbound); diff != "" {
		t.Error(diff)
	}
	if doc.Backend != nil {
		t.Error("an absent section is not nil")
	}
}

func TestReadRefuses(t *testing.T) {
	for _, tt := range []struct{ name, source, want string }{
		{"empty", "", "line 1, column 1"},
		{"other root", "<policy/>", "root element"},
		{"two roots", "<policies/><policies/>", "only one root"},
		{"section twice", "<policies><inbound/><inbound/></policies>", "appears twice"},
		{"unknown section", "<policies><inward/></policies>", "not a section"},
		{"attribute on a section", "<policies><inbound a='1'/></policies>", "takes no attributes"},
		{"text in a section", "<policies><inbound>x</inbound></policies>", "text is not allowed"},
		{"not closed", "<policies><inbound>", "not closed"},
		{"wrong end tag", "<policies>\n<inbound>\n</outbound></policies>", "line 3, column 1"},
		{"unquoted attribute", "<policies><inbound><a b=1/></inbound></policies>", "not quoted"},
		{"attribute twice", "<policies><inbound><a b='1' b='2'/></inbound></policies>", "appears twice"},
		{"doctype", "<!DOCTYPE x [<!ENTITY y 'z'>]><policies/>", "not allowed"},
		{"unknown entity", "<policies><inbound><a b='&nbsp;'/></inbound></policies>", "entity"},
		{"control character", "<policies><inbound><a b='&#0;'/></inbound></policies>", "entity"},
		{"open expression", `<policies><inbound><a b="@(x"/></inbound></policies>`, "does not end"},
		{"text behind an expression", `<policies><inbound><a b="@(x["a"]) y"/></inbound></policies>`, "quote that closes"},
		{"invalid UTF-8", "<policies>\xff</policies>", "UTF-8"},
		{"too deep", strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100), "nested deeper"},
		{"too large", "<policies>" + strings.Repeat(" ", MaxDocumentSize) + "</policies>", "larger than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read([]byte(tt.source))
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("err = %v, want a *SyntaxError", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %q, want it to contain %q", err, tt.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`<policies><inbound><base /><set-variable name="a" value="@($"{b["c"]}")" /></inbound></policies>`))
	f.Add([]byte(`<fragment><a b='&lt;'>@{ return @"x""y"; }<![CDATA[z]]></a></fragment>`))
	f.Add([]byte(`<policies><on-error/><backend><!-- - --></backend></policies>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := Read(data)
		if (doc == nil) != (err != nil) {
			t.Fatalf("doc = %v and err = %v", doc, err)
		}
		if doc == nil {
			return
		}
		again, err := Read(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(doc, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
