package fuzz

import (
	"encoding/json"
	"fmt"
	"strings"
)

// item is an info item or a params entry while it is read: its object, and the paths of the
// measurements in it that hold a mark or are out of range.
type item struct {
	object
	abnormal, invalid, outOfRange []string
}

// measure says how a measurement is coded: physical = (raw × factor + offset) / 10^decimals.
// lo and hi bound the raw value.
type measure struct {
	key      string
	width    int
	decimals int
	offset   int64
	lo, hi   uint64
	factor   int64 // 0 is 1
}

// physical returns the exact decimal number of a raw value.
func (m measure) physical(raw uint64) json.Number {
	v := int64(raw)*max(1, m.factor) + m.offset
	sign := ""
	if v < 0 {
		sign, v = "-", -v
	}
	digits := fmt.Sprintf("%0*d", m.decimals+1, v)
	split := len(digits) - m.decimals
	if m.decimals == 0 {
		return json.Number(sign + digits)
	}
	return json.Number(sign + digits[:split] + "." + digits[split:])
}

// value reads a measurement. kind is 0, or 'a' or 'i' for a mark, or 'o' for out of range.
func (m measure) value(c *cursor) (v any, kind byte) {
	raw := c.uint(m.width)
	switch {
	case raw == abnormalMark(m.width):
		return nil, 'a'
	case raw == invalidMark(m.width):
		return nil, 'i'
	case raw < m.lo || raw > m.hi:
		kind = 'o'
	}
	return m.physical(raw), kind
}

func (it *item) note(kind byte, path string) {
	switch kind {
	case 'a':
		it.abnormal = append(it.abnormal, path)
	case 'i':
		it.invalid = append(it.invalid, path)
	case 'o':
		it.outOfRange = append(it.outOfRange, path)
	}
}

// fields reads measurements and raw integers (hi == 0) into o, whose path in the item is prefix.
func (it *item) fields(c *cursor, o object, prefix string, all ...measure) {
	for _, m := range all {
		if m.hi == 0 {
			o[m.key] = whole(c.uint(m.width))
			continue
		}
		v, kind := m.value(c)
		o[m.key] = v
		it.note(kind, prefix+m.key)
	}
}

// list reads n measurements into one array; marks in a row are one path.
func (it *item) list(c *cursor, o object, prefix string, n int, m measure) {
	values := []any{}
	kinds := ""
	for range n {
		if c.short {
			return
		}
		v, kind := m.value(c)
		values = append(values, v)
		kinds += string(rune(kind))
	}
	o[m.key] = values
	for i := 0; i < n; {
		end := i + 1
		for end < n && kinds[end] == kinds[i] {
			end++
		}
		switch {
		case kinds[i] == 'o':
			for ; i < end; i++ {
				it.note('o', fmt.Sprintf("%s%s[%d]", prefix, m.key, i))
			}
		case end == i+1:
			it.note(kinds[i], fmt.Sprintf("%s%s[%d]", prefix, m.key, i))
		default:
			it.note(kinds[i], fmt.Sprintf("%s%s[%d..%d]", prefix, m.key, i, end-1))
		}
		i = end
	}
}

// rawList reads a counted list of raw integers.
func (it *item) rawList(c *cursor, key string, width int) {
	list := []any{}
	for range c.count(it.object, key, 1) {
		list = append(list, whole(c.uint(width)))
	}
	it.object[key] = list
}

// records reads a counted list of objects; read is told the object and its path.
func (it *item) records(c *cursor, key string, read func(o object, prefix string)) {
	list := []any{}
	for i := range c.count(it.object, key, 1) {
		if c.short {
			return
		}
		o := object{}
		read(o, fmt.Sprintf("%s[%d].", key, i))
		list = append(list, o)
	}
	it.object[key] = list
}

// finish adds the lists of marks.
func (it *item) finish() {
	add := func(key string, paths []string) {
		if len(paths) > 0 {
			list := []any{}
			for _, p := range paths {
				list = append(list, p)
			}
			it.object[key] = list
		}
	}
	add("abnormal", it.abnormal)
	add("invalid", it.invalid)
}

// info reads the info items of a realtime or reissue unit up to the first that is unknown or cut.
func (r *reference) info(c *cursor, o object) int {
	list := []any{}
	end := c.pos
	for c.pos < len(c.b) {
		it := &item{object: object{}}
		kind := byte(c.uint(1))
		var known bool
		if r.edition == 2016 {
			known = it.item2016(c, kind)
		} else {
			known = it.item2025(c, kind)
		}
		if !known || c.short {
			break
		}
		for _, p := range it.outOfRange {
			c.outOfRange = append(c.outOfRange, fmt.Sprintf("info[%d].%s", len(list), p))
		}
		it.finish()
		list = append(list, it.object)
		end = c.pos
	}
	o["info"] = list
	return end
}

// custom is a user-defined item: 2016 table 19, 2025 table 27.
func (it *item) custom(c *cursor, id byte) {
	it.object["type"], it.object["id"] = "custom", whole(uint64(id))
	it.object["data"] = hexOf(c)
}

// params reads the parameter items of 2016 table B.12, 2025 table B.8, behind the time. From the
// first item that cannot be decoded on everything is left.
func (r *reference) params(c *cursor, o object) int {
	start := c.pos
	counted := object{}
	n := c.count(counted, "params", 1)
	if c.short {
		return start
	}
	announced := uint64(c.b[start])
	list := []any{}
	end := c.pos
	var lengths = map[byte]int{} // of the domains, by the id that announces them
	for range n {
		it := &item{object: object{}}
		if !r.param(c, it, lengths) || c.short {
			c.inexact = true
			break
		}
		for _, p := range it.outOfRange {
			c.outOfRange = append(c.outOfRange, fmt.Sprintf("params[%d].%s", len(list), p))
		}
		it.finish()
		list = append(list, it.object)
		end = c.pos
	}
	o["params"] = list
	if uint64(len(list)) != announced {
		o["paramsCount"] = whole(announced)
	}
	return end
}

// param reads one parameter item and reports whether its id is known.
func (r *reference) param(c *cursor, it *item, lengths map[byte]int) bool {
	id := byte(c.uint(1))
	o := it.object
	o["id"] = whole(uint64(id))
	reportWidth, storageFactor := 2, int64(1)
	report, alarm := measure{key: "reportPeriod", lo: 1, hi: 600}, measure{key: "alarmReportPeriod", lo: 0, hi: 60000}
	if r.edition == 2025 {
		reportWidth, storageFactor = 1, 1000
		report.hi, alarm.hi = 30, 1
	}
	report.width, alarm.width, alarm.factor = reportWidth, reportWidth, storageFactor
	if r.edition == 2016 {
		alarm.factor = 1
	}
	switch id {
	case 0x01:
		it.fields(c, o, "", measure{key: "storagePeriod", width: 2, hi: 60000})
	case 0x02:
		it.fields(c, o, "", report)
	case 0x03:
		it.fields(c, o, "", alarm)
	case 0x04, 0x0D:
		length := c.uint(1)
		lengths[id] = int(length)
		o[map[byte]string{0x04: "platformDomainLength", 0x0D: "publicDomainLength"}[id]] = whole(length)
	case 0x05, 0x0E:
		n, ok := lengths[id-1]
		if !ok {
			return false
		}
		variableString(o, map[byte]string{0x05: "platformDomain", 0x0E: "publicDomain"}[id], c.take(n))
	case 0x06:
		it.fields(c, o, "", measure{key: "platformPort", width: 2, hi: 65531})
	case 0x07:
		fixedString(o, "hardwareVersion", c.take(5), 0)
	case 0x08:
		fixedString(o, "firmwareVersion", c.take(5), 0)
	case 0x09:
		it.fields(c, o, "", measure{key: "heartbeatPeriod", width: 1, lo: 1, hi: 240})
	case 0x0A:
		it.fields(c, o, "", measure{key: "terminalTimeout", width: 2, lo: 1, hi: 600})
	case 0x0B:
		it.fields(c, o, "", measure{key: "platformTimeout", width: 2, lo: 1, hi: 600})
	case 0x0C:
		it.fields(c, o, "", measure{key: "loginRetryInterval", width: 1, lo: 1, hi: 240})
	case 0x0F:
		it.fields(c, o, "", measure{key: "publicPort", width: 2, hi: 65531})
	case 0x10:
		o["sampling"] = whole(c.uint(1))
	default:
		return false
	}
	return true
}

// degrees is a coordinate: the status bit gives the sign, zero has none.
func (it *item) degrees(c *cursor, key string, negative bool, hi uint64) {
	m := measure{key: key, width: 4, decimals: 6, hi: hi}
	v, kind := m.value(c)
	it.note(kind, key)
	if n, ok := v.(json.Number); ok && negative && strings.Trim(string(n), "0.") != "" {
		v = "-" + n
	}
	it.object[key] = v
}
