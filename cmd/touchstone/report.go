package main

import (
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/touchstone-id/touchstone/pkg/audit"
)

type reportCommand struct {
	From   string `required:"" help:"First day of the period." placeholder:"2026-01-01"`
	To     string `required:"" help:"Last day of the period." placeholder:"2026-12-31"`
	Format string `default:"html" enum:"html,json" help:"html or json."`
	databaseFlags
}

// Run prints the report.
func (c *reportCommand) Run(ctx context.Context, out io.Writer) error {
	from, err := time.Parse(time.DateOnly, c.From)
	if err != nil {
		return fmt.Errorf("--from: %q is not a date such as 2026-01-31", c.From)
	}
	to, err := time.Parse(time.DateOnly, c.To)
	if err != nil {
		return fmt.Errorf("--to: %q is not a date such as 2026-01-31", c.To)
	}
	pool, _, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	r, err := audit.NewReport(ctx, pool, from, to.AddDate(0, 0, 1), time.Now().UTC())
	if err != nil {
		return err
	}
	if c.Format == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	return reportPage.Execute(out, r)
}

var reportPage = template.Must(template.New("report").Funcs(template.FuncMap{
	"day":     func(t time.Time) string { return t.UTC().Format(time.DateOnly) },
	"lastDay": func(t time.Time) string { return t.UTC().AddDate(0, 0, -1).Format(time.DateOnly) },
	"instant": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
}).Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Record of access, {{day .From}} to {{lastDay .To}}</title>
<style>
body { font: 11pt/1.45 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1c1e21; background: #fff; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 2px solid #b07d00; padding-bottom: .2rem; break-after: avoid; }
table { border-collapse: collapse; width: 100%; font-size: 9.5pt; } th, td { text-align: left; vertical-align: top; padding: .3rem .5rem; border-bottom: 1px solid #ddd; overflow-wrap: break-word; } th, td:nth-child(1), td:nth-child(2) { white-space: nowrap; } td:nth-child(n+3) { overflow-wrap: anywhere; } .id { font-size: 7.5pt; } p { overflow-wrap: anywhere; }
tr { break-inside: avoid; } thead { display: table-header-group; } pre { background: #f4f3f0; padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 9pt; }
.bad { color: #9b2525; font-weight: 600; } .quiet { color: #5c6068; }
@page { size: A4 landscape; margin: 14mm; }
@media screen and (max-width: 48rem) { table { display: block; overflow-x: auto; } }
</style></head><body>
<h1>Record of access</h1>
<p>{{day .From}} to {{lastDay .To}}. Made {{instant .MadeAt}}. All times are UTC.</p>
<h2>Integrity</h2>
{{with .Integrity}}{{if .Fault}}<p class="bad">The record is not what was logged: {{.Fault}}</p>{{else}}<p>All {{.Entries}} entries of the record are as they were logged, by their hashes and every signed checkpoint.</p>{{end}}
{{if .Anchors}}<p>Checkpoints were put out of the operator's reach: {{range $i, $a := .Anchors}}{{if $i}}; {{end}}{{$a.Action}} ({{$a.Times}}){{end}}.</p>{{else}}<p class="bad">No checkpoint was anchored outside: what was cut off at the end would not show.</p>{{end}}
<pre>{{.Checkpoint}}</pre><p class="quiet">Key: {{.Key}}</p>{{end}}
<h2>Who has access, by which authenticator</h2>
<table><thead><tr><th>Person</th><th>Status</th><th>Groups</th><th>Authenticators</th></tr></thead><tbody>
{{range .Access}}<tr><td>{{.Person}}</td><td>{{.Status}}</td><td>{{range $i, $g := .Groups}}{{if $i}}, {{end}}{{$g}}{{end}}</td><td>{{range $i, $g := .Authenticators}}{{if $i}}; {{end}}{{$g}}{{else}}none{{end}}</td></tr>
{{end}}</tbody></table>
{{range .Chapters}}<h2>{{.Title}}</h2>
{{if .Entries}}<table><thead><tr><th>When</th><th>Action</th><th>Outcome</th><th>Person</th><th>Client</th><th>Details</th><th>Entry</th></tr></thead><tbody>
{{range .Entries}}<tr><td>{{instant .At}}</td><td>{{.Action}}</td><td>{{.Outcome}}{{if .Reason}} ({{.Reason}}){{end}}</td><td>{{with index $.People .UserID}}{{.}}{{else}}{{.UserID}}{{end}}{{if .Actor}}{{if .UserID}}<br>{{end}}by {{with index $.People .Actor}}{{.}}{{else}}{{.Actor}}{{end}}{{end}}</td><td>{{.ClientID}}</td><td>{{range $k, $v := .Details}}{{$k}}: {{$v}}<br>{{end}}</td><td class="quiet id">{{.ID}}</td></tr>
{{end}}</tbody></table>{{else}}<p class="quiet">Nothing in this period.</p>{{end}}
{{end}}<h2>Failed and refused</h2>
{{if .Refusals}}<table><thead><tr><th>Action</th><th>Reason</th><th>Times</th></tr></thead><tbody>
{{range .Refusals}}<tr><td>{{.Action}}</td><td>{{.Reason}}</td><td>{{.Times}}</td></tr>
{{end}}</tbody></table>{{else}}<p class="quiet">Nothing in this period.</p>{{end}}
<p class="quiet">Each entry can be proved with <code>touchstone audit prove ENTRY</code> and checked offline with <code>touchstone-audit</code>.</p>
</body></html>
`))
