package codec

import "time"

// Time is a time as it stands on the wire (2016 table 5): year - 2000, month, day, hour, minute,
// second in Beijing time. It may be one that no calendar has.
type Time [TimeSize]byte

// MakeTime returns t in wire form; see [AppendTime] for times outside 2000 to 2099.
func MakeTime(t time.Time) Time { return Time(AppendTime(make([]byte, 0, TimeSize), t)) }

// Time returns the time in the zone [Beijing]. It reports false for one that no calendar has.
func (t Time) Time() (time.Time, bool) { return ParseTime(t) }

// Valid reports whether a calendar has the time.
func (t Time) Valid() bool {
	return t[0] <= 99 && t[1] >= 1 && t[1] <= 12 && t[2] >= 1 && t[3] <= 23 && t[4] <= 59 && t[5] <= 59 &&
		(t[2] <= 28 || int(t[2]) <= daysIn(2000+int(t[0]), time.Month(t[1])))
}

// TimeOnly is a data unit of six bytes of time, and perhaps a rest: what answers hold, and what
// heartbeats and time syncs hold in practice.
type TimeOnly struct {
	Time Time
}

func (u *TimeOnly) decode(b []byte, _ *decoding) (n, keys int) {
	if len(b) < TimeSize {
		return 0, 0
	}
	u.Time = Time(b[:TimeSize])
	return TimeSize, 1
}

func (u *TimeOnly) keyCount() int { return 1 }

func (u *TimeOnly) keyAt(int) string { return "time" }

func (u *TimeOnly) appendUnit(dst []byte, _ Edition, keys int) ([]byte, error) {
	if keys < 1 {
		return dst, nil
	}
	return append(dst, u.Time[:]...), nil
}

func (u *TimeOnly) appendKeys(b []byte, w *jsonWriter, keys int) []byte {
	if keys < 1 {
		return b
	}
	return w.time(append(b, `,"time":`...), "time", u.Time)
}

func (u *TimeOnly) parseKeys(o *object) (keys int) {
	if !o.next("time", "timeHex") {
		return 0
	}
	u.Time = o.time("time")
	return 1
}

func (u *TimeOnly) clone() Body {
	c := *u
	return &c
}
