package trust

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestConsole(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       *Console
		fault      string
	}{
		{"nothing said: nobody administers", "apis: []", nil, ""},
		{"the group alone", "console: {group: administrators}", &Console{"administrators", "phrh", 15 * time.Minute}, ""},
		{"all said", "console: {group: admins, level: phr, max_age: 1h}", &Console{"admins", "phr", time.Hour}, ""},
		{"a level of the file's own", "console: {group: admins, level: company}\nlevels: [{name: company, facts: [uv]}]", &Console{"admins", "company", 15 * time.Minute}, ""},
		{"no group", "console: {level: phr}", nil, "console.group: is required"},
		{"an empty group, which everybody without one might seem to be in", `console: {group: " "}`, nil, `console.group: " " is empty`},
		{"a group too long to be one", "console: {group: " + strings.Repeat("a", 101) + "}", nil, "is too long for a group"},
		{"a level that is none", "console: {group: admins, level: phrx}", nil, `console.level: unknown level "phrx"; did you mean "phr`},
		{"shorter than acts ask for anyway", "console: {group: admins, max_age: 1m}", nil, "console.max_age: 1m0s is outside 5m0s"},
		{"longer than a session lives", "console: {group: admins, max_age: 48h}", nil, "console.max_age: 48h0m0s is outside"},
		{"misspelt", "console: {groups: admins}", nil, `console.groups: unknown key; did you mean "group"?`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse("trust.yaml", []byte(tt.text))
			if tt.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fault) {
					t.Fatalf("error %v, want %q", err, tt.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Console); diff != "" {
				t.Error(diff)
			}
		})
	}
	if Empty().Console != nil {
		t.Error("a file that says nothing opens a console")
	}
}
