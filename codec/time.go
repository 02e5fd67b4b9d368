package codec

import "time"

// TimeSize is the width of a time on the wire, in bytes.
const TimeSize = 6

// Beijing is the zone of every time on the wire: +08:00 without daylight saving, whatever the
// machine's zone is (2016 §6.4, B.3.4).
var Beijing = time.FixedZone("UTC+8", 8*60*60)

// AppendTime appends t as the six bytes of 2016 table 5: year - 2000, month, day, hour, minute,
// second in Beijing time, plain binary. The year byte holds 2000 to 2099; a time outside becomes
// the nearest second inside.
func AppendTime(dst []byte, t time.Time) []byte {
	t = t.In(Beijing)
	year, month, day := t.Date()
	switch {
	case year < 2000:
		return append(dst, 0, 1, 1, 0, 0, 0)
	case year > 2099:
		return append(dst, 99, 12, 31, 23, 59, 59)
	}
	hour, minute, second := t.Clock()
	return append(dst, byte(year-2000), byte(month), byte(day), byte(hour), byte(minute), byte(second))
}

// ParseTime reads six bytes of wire time. It reports false, and a zero time, for one that no
// calendar has: a year byte above 99, February 30, an hour 24, a second 60.
func ParseTime(b [TimeSize]byte) (time.Time, bool) {
	year, month, day := 2000+int(b[0]), time.Month(b[1]), int(b[2])
	if b[0] > 99 || month < time.January || month > time.December || day < 1 || day > daysIn(year, month) ||
		b[3] > 23 || b[4] > 59 || b[5] > 59 {
		return time.Time{}, false
	}
	return time.Date(year, month, day, int(b[3]), int(b[4]), int(b[5]), 0, Beijing), true
}

// daysIn returns the number of days of a month between 2000 and 2099, where every fourth year is
// a leap year.
func daysIn(year int, month time.Month) int {
	switch month {
	case time.February:
		if year%4 == 0 {
			return 29
		}
		return 28
	case time.April, time.June, time.September, time.November:
		return 30
	}
	return 31
}
