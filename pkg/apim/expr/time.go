package expr

import (
	"fmt"
	"strings"
	"time"
)

// DateTime is a System.DateTime. Local time is UTC here.
type DateTime struct{ time.Time }

// DateTimeOffset is a System.DateTimeOffset.
type DateTimeOffset struct{ time.Time }

// TimeSpan is a System.TimeSpan, in ticks of 100 ns.
type TimeSpan int64

func (DateTime) kind() string       { return "DateTime" }
func (DateTimeOffset) kind() string { return "DateTimeOffset" }
func (TimeSpan) kind() string       { return "TimeSpan" }

// String writes the invariant culture's general format.
func (d DateTime) String() string { return d.UTC().Format("01/02/2006 15:04:05") }

// String writes the invariant culture's general format.
func (d DateTimeOffset) String() string { return d.Format("01/02/2006 15:04:05 -07:00") }

const ticksPerSecond = 10_000_000

// String writes [-][d.]hh:mm:ss[.fffffff].
func (t TimeSpan) String() string {
	sign := ""
	if t < 0 {
		sign, t = "-", -t
	}
	seconds, fraction := int64(t)/ticksPerSecond, int64(t)%ticksPerSecond
	text := fmt.Sprintf("%02d:%02d:%02d", seconds/3600%24, seconds/60%60, seconds%60)
	if days := seconds / 86400; days > 0 {
		text = fmt.Sprintf("%d.%s", days, text)
	}
	if fraction > 0 {
		text += fmt.Sprintf(".%07d", fraction)
	}
	return sign + text
}

// spanOf makes a span of a number of units, in ticks.
func spanOf(n float64, unit int64) TimeSpan {
	ticks := n * float64(unit)
	if ticks != ticks || ticks > 9.2e18 || ticks < -9.2e18 {
		throwOverflow("a TimeSpan")
	}
	return TimeSpan(ticks)
}

// within refuses instants outside the years 1 to 9999.
func within(t time.Time) time.Time {
	if y := t.UTC().Year(); y < 1 || y > 9999 {
		throwRange("value")
	}
	return t
}

// after adds ticks, which may be more than a time.Duration holds.
func after(t time.Time, s TimeSpan) time.Time {
	seconds, rest := int64(s)/ticksPerSecond, int64(s)%ticksPerSecond
	return within(time.Unix(t.Unix()+seconds, int64(t.Nanosecond())+rest*100).In(t.Location()))
}

// between returns the ticks from one instant to another.
func between(from, to time.Time) TimeSpan {
	return TimeSpan((to.Unix()-from.Unix())*ticksPerSecond + int64(to.Nanosecond()-from.Nanosecond())/100)
}

func (d DateTime) operate(op string, y Value) Value {
	switch y := y.(type) {
	case TimeSpan:
		if op == "-" {
			y = -y
		}
		return DateTime{after(d.Time, y)}
	case DateTime:
		return between(y.Time, d.Time)
	}
	throw("Microsoft.CSharp.RuntimeBinder.RuntimeBinderException", "Operator '%s' cannot be applied to operands of type 'DateTime' and '%s'.", op, kind(y))
	return nil
}

func (d DateTimeOffset) operate(op string, y Value) Value {
	switch y := y.(type) {
	case TimeSpan:
		if op == "-" {
			y = -y
		}
		return DateTimeOffset{after(d.Time, y)}
	case DateTimeOffset:
		return between(y.Time, d.Time)
	case DateTime:
		return between(y.Time, d.Time)
	}
	throw("Microsoft.CSharp.RuntimeBinder.RuntimeBinderException", "Operator '%s' cannot be applied to operands of type 'DateTimeOffset' and '%s'.", op, kind(y))
	return nil
}

// layouts are the forms that Parse reads, in the invariant culture.
var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02",
	"01/02/2006 15:04:05 -07:00", "01/02/2006 15:04:05", "1/2/2006 3:04:05 PM", "1/2/2006 15:04:05", "01/02/2006", "1/2/2006", time.RFC1123, "Mon, 2 Jan 2006 15:04:05 GMT", "Mon, 02 Jan 2006 15:04:05 -0700"}

func parseTime(s string) (time.Time, bool) {
	s = strings.TrimSpace(s)
	if len(s) > 64 {
		return time.Time{}, false
	}
	for _, l := range layouts {
		if t, err := time.Parse(l, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// standardFormats are the formats of one letter.
var standardFormats = map[string]string{
	"d": "MM/dd/yyyy", "D": "dddd, dd MMMM yyyy", "f": "dddd, dd MMMM yyyy HH:mm", "F": "dddd, dd MMMM yyyy HH:mm:ss", "g": "MM/dd/yyyy HH:mm", "G": "MM/dd/yyyy HH:mm:ss",
	"m": "MMMM dd", "M": "MMMM dd", "o": "yyyy-MM-ddTHH:mm:ss.fffffffK", "O": "yyyy-MM-ddTHH:mm:ss.fffffffK", "r": "ddd, dd MMM yyyy HH:mm:ss 'GMT'", "R": "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
	"s": "yyyy-MM-ddTHH:mm:ss", "t": "HH:mm", "T": "HH:mm:ss", "u": "yyyy-MM-dd HH:mm:ss'Z'", "U": "dddd, dd MMMM yyyy HH:mm:ss", "y": "yyyy MMMM", "Y": "yyyy MMMM",
}

// formatTime writes a custom or standard format. offset is what K gives.
func formatTime(t time.Time, format, offset string) string {
	if len(format) == 1 {
		standard, ok := standardFormats[format]
		if !ok {
			throwFormat()
		}
		if strings.ContainsAny(format, "rRuU") {
			t = t.UTC()
		}
		format = standard
	}
	var b strings.Builder
	for i := 0; i < len(format); {
		c := format[i]
		n := 1
		for i+n < len(format) && format[i+n] == c {
			n++
		}
		switch c {
		case '\'', '"':
			end := strings.IndexByte(format[i+1:], c)
			if end < 0 {
				throwFormat()
			}
			b.WriteString(format[i+1 : i+1+end])
			n = end + 2
		case '\\':
			if i+1 >= len(format) {
				throwFormat()
			}
			b.WriteByte(format[i+1])
			n = 2
		case '%':
			n = 1
		default:
			if part, ok := timePart(t, c, n, offset); ok {
				b.WriteString(part)
			} else {
				b.WriteString(format[i : i+n])
			}
		}
		i += n
	}
	return b.String()
}

// timePart writes n letters of a custom format.
func timePart(t time.Time, c byte, n int, offset string) (string, bool) {
	digits := func(v int) string { return fmt.Sprintf("%0*d", min(n, 2), v) }
	switch c {
	case 'y':
		if n <= 2 {
			return fmt.Sprintf("%0*d", n, t.Year()%100), true
		}
		return fmt.Sprintf("%0*d", n, t.Year()), true
	case 'M':
		switch n {
		case 3:
			return t.Format("Jan"), true
		case 1, 2:
			return digits(int(t.Month())), true
		}
		return t.Format("January"), true
	case 'd':
		switch n {
		case 3:
			return t.Format("Mon"), true
		case 1, 2:
			return digits(t.Day()), true
		}
		return t.Format("Monday"), true
	case 'H':
		return digits(t.Hour()), true
	case 'h':
		return digits((t.Hour()+11)%12 + 1), true
	case 'm':
		return digits(t.Minute()), true
	case 's':
		return digits(t.Second()), true
	case 't':
		return t.Format("PM")[:min(n, 2)], true
	case 'f', 'F':
		fraction := fmt.Sprintf("%09d", t.Nanosecond())[:min(n, 7)]
		if c == 'F' {
			fraction = strings.TrimRight(fraction, "0")
		}
		return fraction, true
	case 'K':
		return offset, true
	case 'z':
		full := t.Format("-07:00")
		if n == 1 {
			return full[:1] + strings.TrimPrefix(full[1:3], "0"), true
		}
		if n == 2 {
			return full[:3], true
		}
		return full, true
	}
	return "", false
}
