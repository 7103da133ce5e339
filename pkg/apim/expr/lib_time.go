package expr

import "time"

// units of TimeSpan, in ticks.
var spanUnits = []struct {
	name  string
	ticks int64
	turn  int64 // how many make the next unit
}{
	{"Milliseconds", ticksPerSecond / 1000, 1000}, {"Seconds", ticksPerSecond, 60}, {"Minutes", 60 * ticksPerSecond, 60}, {"Hours", 3600 * ticksPerSecond, 24}, {"Days", 86400 * ticksPerSecond, 1 << 40},
}

func addTime() {
	addSpan()
	addInstants("DateTime", func(v Value) time.Time { return v.(DateTime).Time }, func(t time.Time) Value { return DateTime{t.UTC()} })
	addInstants("DateTimeOffset", func(v Value) time.Time { return v.(DateTimeOffset).Time }, func(t time.Time) Value { return DateTimeOffset{t} })
	addDateTime()
	addOffset()
	enumeration("DateTimeKind", "Unspecified", "Utc", "Local")
	enumeration("DayOfWeek", "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
}

func addSpan() {
	k := define("TimeSpan")
	for _, u := range spanUnits {
		k.static["From"+u.name] = method(1, 1, "TimeSpan", func(c call) Value { return spanOf(toDouble(c.args[0]), u.ticks) })
		k.instance["Total"+u.name] = prop("double", func(c call) Value { return float64(c.on.(TimeSpan)) / float64(u.ticks) })
		k.instance[u.name] = prop("int", func(c call) Value { return int32(int64(c.on.(TimeSpan)) / u.ticks % u.turn) })
	}
	k.static["FromTicks"] = method(1, 1, "TimeSpan", func(c call) Value { return TimeSpan(c.int(0)) })
	k.static["Zero"] = prop("TimeSpan", func(call) Value { return TimeSpan(0) })
	k.static["Parse"] = method(1, 2, "TimeSpan", func(c call) Value {
		t, ok := parseSpan(c.str(0))
		if !ok {
			throwFormat()
		}
		return t
	})
	k.instance["Ticks"] = prop("long", func(c call) Value { return int64(c.on.(TimeSpan)) })
	k.instance["Add"] = method(1, 1, "TimeSpan", func(c call) Value { return arithmetic(c.m, "+", c.on, c.args[0]) })
	k.instance["Subtract"] = method(1, 1, "TimeSpan", func(c call) Value { return arithmetic(c.m, "-", c.on, c.args[0]) })
	k.instance["Negate"] = method(0, 0, "TimeSpan", func(c call) Value { return -c.on.(TimeSpan) })
	create := method(1, 5, "TimeSpan", func(c call) Value {
		n := make([]int64, len(c.args))
		for i := range c.args {
			n[i] = int64(c.int(i))
		}
		switch len(n) {
		case 1:
			return TimeSpan(n[0])
		case 2:
			throwInvalid("TimeSpan takes ticks, or hours, minutes and seconds.")
		case 3:
			n = append([]int64{0}, n...)
		}
		total := spanOf(float64(n[0])*86400+float64(n[1])*3600+float64(n[2])*60+float64(n[3]), ticksPerSecond)
		if len(n) == 5 {
			total += TimeSpan(n[4] * ticksPerSecond / 1000)
		}
		return total
	})
	k.create = &create
}

// parseSpan reads [d.]hh:mm[:ss].
func parseSpan(s string) (TimeSpan, bool) {
	for _, layout := range []string{"15:04:05.9999999", "15:04:05", "15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			return between(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), t), true
		}
	}
	if days, ok := parseInt(s, 24); ok {
		return TimeSpan(days * 86400 * ticksPerSecond), true
	}
	return 0, false
}

// addInstants adds what DateTime and DateTimeOffset share.
func addInstants(name string, at func(Value) time.Time, make func(time.Time) Value) {
	k := define(name)
	k.static["UtcNow"] = prop(name, func(c call) Value { return make(c.m.env.now().UTC()) })
	k.static["Now"] = k.static["UtcNow"]
	k.static["MinValue"] = prop(name, func(call) Value { return make(time.Time{}) })
	k.static["MaxValue"] = prop(name, func(call) Value { return make(time.Date(9999, 12, 31, 23, 59, 59, 999_999_900, time.UTC)) })
	k.static["Parse"] = method(1, 3, name, func(c call) Value {
		t, ok := parseTime(c.str(0))
		if !ok {
			throw("System.FormatException", "String was not recognized as a valid %s.", name)
		}
		return make(t)
	})
	k.static["TryParse"] = method(2, 2, "bool", func(c call) Value {
		text, _ := c.args[0].(string)
		t, ok := parseTime(text)
		c.out(1)(make(t))
		return ok
	})
	for unit, ticks := range map[string]int64{"Days": 86400 * ticksPerSecond, "Hours": 3600 * ticksPerSecond, "Minutes": 60 * ticksPerSecond, "Seconds": ticksPerSecond, "Milliseconds": ticksPerSecond / 1000, "Ticks": 1} {
		k.instance["Add"+unit] = method(1, 1, name, func(c call) Value { return make(after(at(c.on), spanOf(toDouble(c.args[0]), ticks))) })
	}
	k.instance["AddMonths"] = method(1, 1, name, func(c call) Value { return make(months(at(c.on), c.int(0))) })
	k.instance["AddYears"] = method(1, 1, name, func(c call) Value { return make(months(at(c.on), 12*min(max(c.int(0), -20000), 20000))) })
	k.instance["Add"] = method(1, 1, name, func(c call) Value { return arithmetic(c.m, "+", c.on, c.args[0]) })
	k.instance["Subtract"] = method(1, 1, "", func(c call) Value { return arithmetic(c.m, "-", c.on, c.args[0]) })
	k.instance["CompareTo"] = method(1, 1, "int", func(c call) Value { return int32(compare(c.on, c.args[0])) })
	for part, read := range map[string]func(time.Time) int{"Year": time.Time.Year, "Day": time.Time.Day, "Hour": time.Time.Hour, "Minute": time.Time.Minute, "Second": time.Time.Second,
		"DayOfYear": time.Time.YearDay, "Month": func(t time.Time) int { return int(t.Month()) }, "Millisecond": func(t time.Time) int { return t.Nanosecond() / 1e6 }} {
		k.instance[part] = prop("int", func(c call) Value { return int32(read(at(c.on))) })
	}
	k.instance["DayOfWeek"] = prop("DayOfWeek", func(c call) Value {
		day := at(c.on).Weekday()
		return enum{"DayOfWeek", day.String(), int(day)}
	})
	k.instance["Date"] = prop("DateTime", func(c call) Value {
		y, mo, d := at(c.on).Date()
		return DateTime{time.Date(y, mo, d, 0, 0, 0, 0, time.UTC)}
	})
	k.instance["TimeOfDay"] = prop("TimeSpan", func(c call) Value {
		t := at(c.on)
		y, mo, d := t.Date()
		return between(time.Date(y, mo, d, 0, 0, 0, 0, t.Location()), t)
	})
	k.instance["Ticks"] = prop("long", func(c call) Value { return int64(between(time.Time{}, at(c.on))) })
	k.instance["ToUniversalTime"] = method(0, 0, name, func(c call) Value { return make(at(c.on).UTC()) })
	k.instance["ToLocalTime"] = k.instance["ToUniversalTime"]
}

// months adds months; a day that the month lacks becomes its last.
func months(t time.Time, n int) time.Time {
	n = min(max(n, -240_000), 240_000)
	y, mo, d := t.Date()
	first := time.Date(y, mo+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
	last := first.AddDate(0, 1, -1).Day()
	return within(first.AddDate(0, 0, min(d, last)-1))
}

func addDateTime() {
	k := define("DateTime")
	k.static["Today"] = prop("DateTime", func(c call) Value { return DateTime{c.m.env.now().UTC().Truncate(24 * time.Hour)} })
	k.static["IsLeapYear"] = method(1, 1, "bool", func(c call) Value { return time.Date(c.int(0), 12, 31, 0, 0, 0, 0, time.UTC).YearDay() == 366 })
	k.static["DaysInMonth"] = method(2, 2, "int", func(c call) Value {
		return int32(time.Date(c.int(0), time.Month(c.int(1)+1), 0, 0, 0, 0, 0, time.UTC).Day())
	})
	k.static["SpecifyKind"] = method(2, 2, "DateTime", func(c call) Value { return c.args[0] })
	create := method(1, 8, "DateTime", func(c call) Value {
		if len(c.args) < 3 {
			return DateTime{after(time.Time{}, TimeSpan(c.int(0)))}
		}
		part := []int{1, 1, 1, 0, 0, 0, 0}
		for i := range min(len(c.args), len(part)) {
			if _, ok := c.args[i].(enum); ok {
				break
			}
			part[i] = c.int(i)
		}
		t := time.Date(part[0], time.Month(part[1]), part[2], part[3], part[4], part[5], part[6]*1e6, time.UTC)
		if t.Year() != part[0] || int(t.Month()) != part[1] || t.Day() != part[2] || t.Hour() != part[3] || t.Minute() != part[4] || t.Second() != part[5] {
			throwRange("")
		}
		return DateTime{within(t)}
	})
	k.create = &create
}

func addOffset() {
	k := define("DateTimeOffset")
	k.static["FromUnixTimeSeconds"] = method(1, 1, "DateTimeOffset", func(c call) Value { return DateTimeOffset{within(time.Unix(int64(c.int(0)), 0).UTC())} })
	k.static["FromUnixTimeMilliseconds"] = method(1, 1, "DateTimeOffset", func(c call) Value {
		return DateTimeOffset{within(time.UnixMilli(int64(c.int(0))).UTC())}
	})
	k.instance["ToUnixTimeSeconds"] = method(0, 0, "long", func(c call) Value { return c.on.(DateTimeOffset).Unix() })
	k.instance["ToUnixTimeMilliseconds"] = method(0, 0, "long", func(c call) Value { return c.on.(DateTimeOffset).UnixMilli() })
	utc := prop("DateTime", func(c call) Value { return DateTime{c.on.(DateTimeOffset).UTC()} })
	k.instance["UtcDateTime"], k.instance["DateTime"], k.instance["LocalDateTime"] = utc, utc, utc
	k.instance["Offset"] = prop("TimeSpan", func(c call) Value {
		_, seconds := c.on.(DateTimeOffset).Zone()
		return TimeSpan(int64(seconds) * ticksPerSecond)
	})
	create := method(1, 2, "DateTimeOffset", func(c call) Value {
		d, ok := c.args[0].(DateTime)
		if !ok {
			throwCast(kind(c.args[0]), "System.DateTime")
		}
		t := d.Time
		if c.has(1) {
			offset, ok := c.args[1].(TimeSpan)
			if !ok {
				throwCast(kind(c.args[1]), "System.TimeSpan")
			}
			if offset > 14*3600*ticksPerSecond || offset < -14*3600*ticksPerSecond {
				throwRange("offset")
			}
			seconds := int(int64(offset) / ticksPerSecond)
			t = after(t, -offset).In(time.FixedZone("", seconds))
		}
		return DateTimeOffset{t}
	})
	k.create = &create
}
