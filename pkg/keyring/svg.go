package keyring

import (
	"bytes"
	"fmt"
	"html"
	"time"
)

// The picture's measures, in pixels.
const (
	svgWidth  = 1200
	svgLeft   = 90
	svgRight  = 20
	svgTop    = 70
	svgRow    = 22
	svgBar    = 12
	svgGap    = 16
	svgLegend = 60
)

// svgStyle colours every state for light and dark pages.
const svgStyle = `<style>
text{font:12px system-ui,sans-serif;fill:#1b1f24}.small{font-size:10px;fill:#57606a}
.back{fill:#fff}.pending{fill:#b6c8e6}.active{fill:#1f7a4d}.honoured{fill:#9fd0b4}.planned{fill:none;stroke:#1f7a4d;stroke-dasharray:4 3}
.window{fill:#c4432b;fill-opacity:.55}.learn{fill:#d9a514;fill-opacity:.7}.update{stroke:#6f42c1;stroke-width:1}.next{stroke-dasharray:3 3}.now{stroke:#c4432b;stroke-width:1.5}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9da7b3}.back{fill:#0d1117}.active,.planned{stroke:#3fb97f}.active{fill:#3fb97f}.planned{fill:none}.honoured{fill:#27573f}.pending{fill:#34486b}.update{stroke:#b392f0}}
</style>`

// drawing maps instants to pixels.
type drawing struct {
	bytes.Buffer
	from, until time.Time
}

func (d *drawing) x(t time.Time) float64 {
	if t.Before(d.from) {
		t = d.from
	}
	if t.After(d.until) {
		t = d.until
	}
	return svgLeft + (svgWidth-svgLeft-svgRight)*t.Sub(d.from).Seconds()/d.until.Sub(d.from).Seconds()
}

// bar draws a span; one too short to see is two pixels wide.
func (d *drawing) bar(class string, from, until time.Time, y float64, title string) {
	if !until.After(from) || until.Before(d.from) || from.After(d.until) {
		return
	}
	fmt.Fprintf(d, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%d" rx="2"><title>%s</title></rect>`+"\n",
		class, d.x(from), y, max(d.x(until)-d.x(from), 2), svgBar, html.EscapeString(title))
}

func (d *drawing) line(class string, at time.Time, bottom float64, title string) {
	fmt.Fprintf(d, `<line class="%s" x1="%.1f" y1="%d" x2="%.1f" y2="%.1f"><title>%s</title></line>`+"\n", class, d.x(at), svgTop-18, d.x(at), bottom, html.EscapeString(title))
}

func (d *drawing) text(class string, x, y float64, text string) {
	fmt.Fprintf(d, `<text class="%s" x="%.1f" y="%.1f">%s</text>`+"\n", class, x, y, html.EscapeString(text))
}

// SVG draws the timeline: a row for each key of the last half year, with its
// states, what gateways may cache after each change of the key set, the
// metadata's updates, and the planned rotations.
func (t Timeline) SVG() []byte {
	d := &drawing{from: t.Now.AddDate(0, 0, -7), until: t.Now.AddDate(0, 0, 45)}
	for _, k := range t.Keys {
		if half := t.Now.AddDate(0, -6, 0); k.CreatedAt.Before(d.from) {
			d.from = k.CreatedAt
			if d.from.Before(half) {
				d.from = half
			}
		}
	}
	rows := 0
	var body drawing
	body.from, body.until = d.from, d.until
	y := float64(svgTop)
	for _, alg := range Algorithms() {
		body.text("", 10, y+svgBar, string(alg))
		for _, k := range t.Keys {
			if k.Algorithm != alg || k.RetiresAt != nil && k.RetiresAt.Before(d.from) {
				continue
			}
			t.key(&body, k, y)
			y += svgRow
			rows++
		}
		y += svgGap
	}
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %.0f" role="img" aria-label="Signing keys from %s to %s">`+"\n%s\n",
		svgWidth, y+svgLegend, d.from.UTC().Format(time.DateOnly), d.until.UTC().Format(time.DateOnly), svgStyle)
	fmt.Fprintf(d, `<rect class="back" width="%d" height="%.0f"/>`+"\n", svgWidth, y+svgLegend)
	d.text("", 10, 22, "Signing keys on "+stamp(t.Now))
	t.axis(d, y)
	d.Write(body.Bytes())
	legend(d, y+20)
	d.WriteString("</svg>\n")
	return d.Bytes()
}

// key draws one key's row.
func (t Timeline) key(d *drawing, k Key, y float64) {
	end := func(at *time.Time) time.Time {
		if at == nil {
			return d.until
		}
		return *at
	}
	title := func(what string) string { return fmt.Sprintf("%s %s: %s", k.Algorithm, k.ID, what) }
	activates := end(k.ActivatesAt)
	for _, p := range t.Planned {
		if k.standsBy() && p.Algorithm == k.Algorithm {
			activates = p.Due
			d.bar("planned", p.Due, d.until, y, title("planned to sign from "+stamp(p.Due)))
		}
	}
	if k.RetiresAt != nil && k.ActivatesAt == nil {
		activates = *k.RetiresAt
	}
	d.bar("pending", k.CreatedAt, activates, y, title("published from "+stamp(k.CreatedAt)))
	d.bar("learn", k.CreatedAt, k.CreatedAt.Add(GatewayWindow), y, title("gateways may not know it until "+stamp(k.CreatedAt.Add(GatewayWindow))))
	if k.ActivatesAt != nil {
		stop := end(k.HonouredAt)
		for _, p := range t.Planned {
			if k.current() && p.Algorithm == k.Algorithm {
				stop = p.Due
			}
		}
		d.bar("active", *k.ActivatesAt, stop, y, title("signs from "+stamp(*k.ActivatesAt)+" under "+t.Under(k.ID)))
		d.bar("honoured", stop, earlier(end(k.RetiresAt), stop.Add(HonourFor)), y, title("honoured until "+stamp(earlier(end(k.RetiresAt), stop.Add(HonourFor)))))
	}
	if k.RetiresAt != nil {
		d.bar("window", *k.RetiresAt, k.RetiresAt.Add(GatewayWindow), y, title("left the key set on "+stamp(*k.RetiresAt)+"; gateways may accept it until "+stamp(k.RetiresAt.Add(GatewayWindow))))
	}
	d.text("small", d.x(k.CreatedAt)+2, y+svgBar+8, k.ID[:min(8, len(k.ID))])
}

// axis draws months, metadata updates and now.
func (t Timeline) axis(d *drawing, bottom float64) {
	for m := time.Date(d.from.Year(), d.from.Month()+1, 1, 0, 0, 0, 0, time.UTC); m.Before(d.until); m = m.AddDate(0, 1, 0) {
		d.text("small", d.x(m), svgTop-24, m.Format("Jan 2006"))
	}
	for _, u := range t.Updates() {
		if u.Since.After(d.from) {
			d.line("update", u.Since, bottom, "keys sign under "+u.Metadata+" since "+stamp(u.Since))
		}
	}
	if !t.NextUpdate.IsZero() && t.NextUpdate.After(d.from) {
		d.line("update next", t.NextUpdate, bottom, "next metadata update, promised for "+t.NextUpdate.UTC().Format(time.DateOnly))
	}
	d.line("now", t.Now, bottom, "now")
}

// legend names the colours.
func legend(d *drawing, y float64) {
	x := 10.0
	for _, entry := range [][2]string{{"pending", "published"}, {"learn", "gateways may not know it yet"}, {"active", "signs"}, {"planned", "planned"}, {"honoured", "honoured"}, {"window", "gone, gateways may still cache it"}} {
		fmt.Fprintf(d, `<rect class="%s" x="%.0f" y="%.0f" width="14" height="%d" rx="2"/>`+"\n", entry[0], x, y, svgBar)
		d.text("small", x+20, y+10, entry[1])
		x += 40 + 6.2*float64(len(entry[1]))
	}
	d.text("small", 10, y+30, "Purple lines: metadata updates (dashed: promised). Red line: now. Point at anything for its dates.")
}

// earlier returns the first of two instants.
func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
