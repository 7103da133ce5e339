package expr

import (
	"fmt"
	"strconv"
	"strings"
)

// formatArgs is ToString() with its optional format.
func formatArgs(c call) string {
	if c.on == nil {
		throwNull()
	}
	if c.has(0) {
		if f, ok := c.args[0].(string); ok {
			return formatValue(c.on, f)
		}
		if f, ok := c.args[0].(enum); ok && f.of == "Formatting" {
			if j, ok := c.on.(*jtoken); ok {
				return j.write(f.n == 1)
			}
		}
	}
	return Text(c.on)
}

// formatValue writes a value in a format of its type, in the invariant culture.
func formatValue(v Value, format string) string {
	if format == "" {
		return Text(v)
	}
	switch x := plain(v).(type) {
	case DateTime:
		return formatTime(x.UTC(), format, "Z")
	case DateTimeOffset:
		if strings.EqualFold(format, "u") || strings.EqualFold(format, "r") {
			return formatTime(x.UTC(), format, "Z")
		}
		return formatTime(x.Time, format, x.Format("-07:00"))
	case int32, int64, uint8:
		n, _ := integer(x)
		return formatInteger(n, format)
	case float64:
		return formatDouble(x, format)
	case Guid:
		return x.format(format)
	}
	return Text(v)
}

func formatInteger(n int64, format string) string {
	precision, err := strconv.Atoi(format[1:])
	if len(format) > 1 && (err != nil || precision < 0 || precision > 99) || len(format) == 1 {
		precision = -1
	}
	switch {
	case format == "X" || format == "x" || precision >= 0 && (format[0] == 'X' || format[0] == 'x'):
		text := strconv.FormatUint(uint64(n), 16)
		if n < 0 {
			text = strconv.FormatUint(uint64(uint32(n)), 16)
		}
		if format[0] == 'X' {
			text = strings.ToUpper(text)
		}
		return strings.Repeat("0", max(0, precision-len(text))) + text
	case format[0] == 'D' || format[0] == 'd':
		return fmt.Sprintf("%0*d", max(precision, 1), n)
	case strings.Trim(format, "0") == "":
		return fmt.Sprintf("%0*d", len(format), n)
	}
	return formatDouble(float64(n), format)
}

func formatDouble(f float64, format string) string {
	precision, err := strconv.Atoi(format[1:])
	if len(format) == 1 {
		precision = 2
	}
	if err == nil || len(format) == 1 {
		switch format[0] {
		case 'F', 'f':
			return strconv.FormatFloat(f, 'f', min(max(precision, 0), 99), 64)
		case 'N', 'n':
			return thousands(strconv.FormatFloat(f, 'f', min(max(precision, 0), 99), 64))
		case 'G', 'g', 'R', 'r':
			return doubleText(f)
		}
	}
	whole, fraction, _ := strings.Cut(format, ".")
	if strings.Trim(whole+fraction, "0#") != "" {
		throwFormat()
	}
	text := strconv.FormatFloat(f, 'f', len(fraction), 64)
	digits, rest, _ := strings.Cut(text, ".")
	for len(rest) > strings.Count(fraction, "0") && strings.HasSuffix(rest, "0") {
		rest = rest[:len(rest)-1]
	}
	if least := strings.Count(whole, "0"); len(digits) < least {
		digits = strings.Repeat("0", least-len(digits)) + digits
	}
	if rest != "" {
		digits += "." + rest
	}
	return digits
}

func thousands(text string) string {
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	}
	whole, fraction, has := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if has {
		whole += "." + fraction
	}
	return sign + whole
}

// compose is string.Format: {index[,width][:format]}.
func compose(m *machine, format string, args []Value) string {
	var parts []string
	for {
		at := strings.IndexAny(format, "{}")
		if at < 0 {
			break
		}
		parts = append(parts, format[:at])
		if strings.HasPrefix(format[at:], "{{") || strings.HasPrefix(format[at:], "}}") {
			parts, format = append(parts, format[at:at+1]), format[at+2:]
			continue
		}
		end := strings.IndexByte(format[at:], '}')
		if format[at] == '}' || end < 0 {
			throwFormat()
		}
		hole, style, _ := strings.Cut(format[at+1:at+end], ":")
		index, width, aligned := strings.Cut(hole, ",")
		i, err := strconv.Atoi(strings.TrimSpace(index))
		if err != nil || i < 0 || i >= len(args) {
			throw("System.FormatException", "Index (zero based) must be greater than or equal to zero and less than the size of the argument list.")
		}
		text := formatValue(args[i], style)
		if aligned {
			w, err := strconv.Atoi(strings.TrimSpace(width))
			if err != nil || w > 1_000_000 || w < -1_000_000 {
				throwFormat()
			}
			text = pad(m, text, w)
		}
		parts, format = append(parts, text), format[at+end+1:]
		m.step(1)
	}
	return m.joined(append(parts, format)...)
}
