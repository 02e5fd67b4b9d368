package codec

import (
	"encoding/binary"
	"slices"
	"strconv"
)

// jsonWriter is the state of one walk over a message that writes its JSON and, on the way, finds
// its problems. It lives in the Message so that its buffers are reused.
//
// A place in a message has at most three parts, for example info[2].subsystems[0].cellVoltages:
// outer[outerIndex].inner[innerIndex].key.
type jsonWriter struct {
	edition Edition
	set     bool // the message sets parameters
	mask    bool // leave secrets out

	outer      string // "info", "params", or "" for the keys of the unit itself
	outerIndex int
	inner      string // the list or object inside, or ""
	innerIndex int    // -1 when inner is no list

	abnormal, invalid []byte // the JSON arrays of the current item, without the brackets

	found []found // the first MaxProblems problems
	paths []byte  // their paths
	more  int     // how many there were beyond

	scratch []byte // for JSON or units that nobody asked for
}

// found is a problem whose path ends at paths[end] and begins where the one before ends.
type found struct {
	end  int
	code Code
}

// maxScratch is the size above which a buffer is not kept between two messages.
const maxScratch = 64 << 10

// keep returns the buffer, empty, for the next message.
func keep(b []byte) []byte {
	if cap(b) > maxScratch {
		return nil
	}
	return b[:0]
}

// reset starts a walk.
func (w *jsonWriter) reset(e Edition) {
	*w = jsonWriter{edition: e, abnormal: keep(w.abnormal), invalid: keep(w.invalid), found: w.found[:0], paths: keep(w.paths), scratch: w.scratch}
}

// at moves the walk to entry i of the outer list; key "" leaves it.
func (w *jsonWriter) at(outer string, i int) { w.outer, w.outerIndex, w.inner = outer, i, "" }

// in moves the walk to entry i of a list inside the current place, -1 for an object.
func (w *jsonWriter) in(inner string, i int) { w.inner, w.innerIndex = inner, i }

// out leaves the inner list or object.
func (w *jsonWriter) out() { w.inner = "" }

// problem notes a problem at key, "" for the current place itself.
func (w *jsonWriter) problem(key string, code Code) { w.problemAt(key, -1, code) }

// problemAt notes a problem at entry i of the list key, or at key itself when i is negative.
func (w *jsonWriter) problemAt(key string, i int, code Code) {
	if len(w.found) == MaxProblems {
		w.more++
		return
	}
	start := len(w.paths)
	if w.outer != "" {
		w.paths = appendPathIndex(append(w.paths, w.outer...), w.outerIndex)
	}
	if w.inner != "" {
		if len(w.paths) > start {
			w.paths = append(w.paths, '.')
		}
		w.paths = appendPathIndex(append(w.paths, w.inner...), w.innerIndex)
	}
	if key != "" {
		if len(w.paths) > start {
			w.paths = append(w.paths, '.')
		}
		w.paths = appendPathIndex(append(w.paths, key...), i)
	}
	w.found = append(w.found, found{end: len(w.paths), code: code})
}

// appendPathIndex appends "[i]", nothing when i is negative.
func appendPathIndex(b []byte, i int) []byte {
	if i < 0 {
		return b
	}
	b = append(b, '[')
	b = strconv.AppendInt(b, int64(i), 10)
	return append(b, ']')
}

// marked notes that the measurement key holds a mark; from and to are the entries of a run in a
// list, negative for a measurement that stands alone.
func (w *jsonWriter) marked(key string, from, to int, state State) {
	list := &w.abnormal
	if state == StateInvalid {
		list = &w.invalid
	}
	b := *list
	if len(b) > 0 {
		b = append(b, ',')
	}
	b = append(b, '"')
	if w.inner != "" {
		b = appendPathIndex(append(b, w.inner...), w.innerIndex)
		b = append(b, '.')
	}
	b = append(b, key...)
	if from >= 0 {
		b = append(b, '[')
		b = strconv.AppendInt(b, int64(from), 10)
		if to > from {
			b = append(b, '.', '.')
			b = strconv.AppendInt(b, int64(to), 10)
		}
		b = append(b, ']')
	}
	*list = append(b, '"')
}

// end closes the object of an info item or parameter: its marks, if any, and the brace.
func (w *jsonWriter) end(b []byte) []byte {
	if len(w.abnormal) > 0 {
		b = append(b, `,"abnormal":[`...)
		b = append(append(b, w.abnormal...), ']')
		w.abnormal = w.abnormal[:0]
	}
	if len(w.invalid) > 0 {
		b = append(b, `,"invalid":[`...)
		b = append(append(b, w.invalid...), ']')
		w.invalid = w.invalid[:0]
	}
	return append(b, '}')
}

// odd appends a measurement that is outside its range: null for a mark, else the value, which is
// then a problem. mark is the abnormal mark of the field's width.
func (w *jsonWriter) odd(b []byte, key string, raw, mark uint32, step, offset int64, decimals int) []byte {
	if raw >= mark {
		w.marked(key, -1, -1, StateAbnormal+State(raw-mark))
		return append(b, "null"...)
	}
	w.problem(key, CodeOutOfRange)
	return appendFixed(b, int64(raw)*step+offset, decimals)
}

// count appends `,"keyCount":n` when the count that goes on the wire is not the list's length n,
// and notes what is odd about it. A count that holds a mark is a problem unless it is one that
// always counts.
func (w *jsonWriter) count(b []byte, key string, c Count, n int, lo, hi, mark int) []byte {
	wire := n
	if c.given {
		wire = int(c.n)
	}
	switch {
	case wire >= mark:
		w.countProblem(key, CodeCountMark)
	case wire < lo || wire > hi:
		w.countProblem(key, CodeOutOfRange)
	}
	if wire == n {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, key...)
	b = append(b, `Count":`...)
	return strconv.AppendInt(b, int64(wire), 10)
}

// countProblem notes a problem at the key of a list's count.
func (w *jsonWriter) countProblem(key string, code Code) {
	w.problem(key, code)
	if w.more > 0 {
		return
	}
	last := &w.found[len(w.found)-1]
	w.paths = append(w.paths, "Count"...)
	last.end = len(w.paths)
}

// time appends `"2018-10-30T20:36:00+08:00"`, or null and `,"keyHex":"…"` for a time that no
// calendar has.
func (w *jsonWriter) time(b []byte, key string, t Time) []byte {
	if !t.Valid() {
		w.problem(key, CodeBadTime)
		b = append(b, "null"...)
		return appendHexKey(b, key, t[:])
	}
	y, mo, d, h, mi, s := 2*int(t[0]), 2*int(t[1]), 2*int(t[2]), 2*int(t[3]), 2*int(t[4]), 2*int(t[5])
	return append(b, '"', '2', '0', digits[y], digits[y+1], '-', digits[mo], digits[mo+1], '-', digits[d], digits[d+1],
		'T', digits[h], digits[h+1], ':', digits[mi], digits[mi+1], ':', digits[s], digits[s+1], '+', '0', '8', ':', '0', '0', '"')
}

// temperatureOffset is the offset of every list of one-byte measurements: all are temperatures.
const temperatureOffset = -40

// temperatures appends the array of a list of temperatures with the raw range 0..hi.
func (w *jsonWriter) temperatures(b []byte, key string, list List8, hi uint8) []byte {
	b = append(b, '[')
	n := len(list)
	if n == 0 {
		return append(b, ']')
	}
	for i := 0; i < n; i++ {
		raw := list[i]
		if word := temperatureWords[raw]; raw <= hi && word != 0 {
			b = append(b, byte(word), byte(word>>8), ',')
			continue
		}
		b, i = w.oddTemperature(b, key, list, i, hi)
	}
	b[len(b)-1] = ']' // in place of the last comma
	return b
}

// temperatureWords holds the characters of the temperatures of two digits, 0 for the others.
var temperatureWords = func() (t [256]uint16) {
	for v := 10; v < 100; v++ {
		t[v-temperatureOffset] = uint16(digits[2*v]) | uint16(digits[2*v+1])<<8
	}
	return t
}()

// oddTemperature appends entry i, whatever it is, or the run of marks that begins with it, each with a
// comma behind it. It returns the last entry written.
func (w *jsonWriter) oddTemperature(b []byte, key string, list List8, i int, hi uint8) ([]byte, int) {
	raw := list[i]
	if raw < mark8 {
		if raw > hi {
			w.problemAt(key, i, CodeOutOfRange)
		}
		return append(appendInt(b, int32(raw)+temperatureOffset), ','), i
	}
	from := i
	b = append(b, "null,"...)
	for i+1 < len(list) && list[i+1] == raw {
		i++
		b = append(b, "null,"...)
	}
	w.marked(key, from, i, StateAbnormal+State(raw-mark8))
	return b, i
}

// cellVoltages appends the array of a list of voltages in thousandths, raw range 0..hi. Cell voltages are most of a
// frame's numbers, so those below eight volts have a loop of their own.
func (w *jsonWriter) cellVoltages(b []byte, key string, list List16, hi uint16) []byte {
	b = append(b, '[')
	n := list.Len()
	if n == 0 {
		return append(b, ']')
	}
	for i := 0; i < n; i++ {
		b = slices.Grow(b, voltageSize*(n-i)+8)
		run := putVoltages(b[len(b):cap(b)], list[2*i:], hi)
		b = b[:len(b)+voltageSize*run]
		if i += run; i < n {
			b, i = w.oddVoltage(b, key, list, i, hi)
		}
	}
	b[len(b)-1] = ']' // in place of the last comma
	return b
}

// putVoltages writes the voltages at the start of list that are in the range and in the table, each with a comma
// behind it, and returns how many. dst holds eight bytes more than they take.
func putVoltages(dst []byte, list List16, hi uint16) (n int) {
	most := uint64(min(hi, uint16(len(voltages)-1)))
	for len(list) >= 8 && len(dst) >= 3*voltageSize+8 { // four at a time
		four := binary.BigEndian.Uint64(list)
		a, b, c, d := four>>48, four>>32&0xFFFF, four>>16&0xFFFF, four&0xFFFF
		if a > most || b > most || c > most || d > most {
			break
		}
		binary.LittleEndian.PutUint64(dst, voltages[a])
		binary.LittleEndian.PutUint64(dst[voltageSize:], voltages[b])
		binary.LittleEndian.PutUint64(dst[2*voltageSize:], voltages[c])
		binary.LittleEndian.PutUint64(dst[3*voltageSize:], voltages[d])
		list, dst = list[8:], dst[4*voltageSize:]
		n += 4
	}
	for len(list) >= 2 && len(dst) >= 8 {
		raw := uint64(binary.BigEndian.Uint16(list))
		if raw > most {
			break
		}
		binary.LittleEndian.PutUint64(dst, voltages[raw])
		list, dst = list[2:], dst[voltageSize:]
		n++
	}
	return n
}

// voltageSize is the length of a voltage with its comma: "3.672,".
const voltageSize = 6

// voltages holds the characters of the voltages below 8.192 V, the first in the lowest byte. The values of real cells
// lie close together, so what is used of it stays in the fastest cache.
var voltages = func() (t [8192]uint64) {
	for raw := range t {
		copy8 := [8]byte{'0' + byte(raw/1000), '.', '0' + byte(raw/100%10), '0' + byte(raw/10%10), '0' + byte(raw%10), ','}
		t[raw] = binary.LittleEndian.Uint64(copy8[:])
	}
	return t
}()

// oddVoltage appends entry i, whatever it is, or the run of marks that begins with it, each with a
// comma behind it. It returns the last entry written.
func (w *jsonWriter) oddVoltage(b []byte, key string, list List16, i int, hi uint16) ([]byte, int) {
	raw := list.At(i)
	if raw < mark16 {
		if raw > hi {
			w.problemAt(key, i, CodeOutOfRange)
		}
		return append(appendDec3(b, int32(raw)), ','), i
	}
	from := i
	b = append(b, "null,"...)
	for i+1 < list.Len() && list.At(i+1) == raw {
		i++
		b = append(b, "null,"...)
	}
	w.marked(key, from, i, StateAbnormal+State(raw-mark16))
	return b, i
}

// appendRaw8 and appendRaw32 append the array of a list of raw numbers.
func appendRaw8(b []byte, list List8) []byte {
	b = append(b, '[')
	for i, raw := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendUint(b, uint32(raw))
	}
	return append(b, ']')
}

func appendRaw32(b []byte, list List32) []byte {
	b = append(b, '[')
	for i := range list.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendUint(b, list.At(i))
	}
	return append(b, ']')
}

// appendGear appends `,"_gear":"D"` for a gear byte that names a gear. 0xFE and 0xFF, which no
// table defines, and bit 7, in the 2025 edition the mark of an invalid gear, name none.
func appendGear(b []byte, gear uint8) []byte {
	if gear&0x80 != 0 {
		return b
	}
	b = append(b, `,"_gear":"`...)
	switch g := gear & 0x0F; g {
	case 0:
		b = append(b, 'N')
	case 13:
		b = append(b, 'R')
	case 14:
		b = append(b, 'D')
	case 15:
		b = append(b, 'P')
	default:
		b = appendUint(b, uint32(g))
	}
	return append(b, '"')
}

// appendValid appends `,"_valid":true` when bit 0 of a position's status says so.
func appendValid(b []byte, status uint8) []byte {
	if status&1 == 0 {
		return append(b, `,"_valid":true`...)
	}
	return append(b, `,"_valid":false`...)
}

// appendAlarms appends `,"_alarms":["socLow"]`, the names of the set bits.
func appendAlarms(b []byte, e Edition, flags uint32) []byte {
	b = append(b, `,"_alarms":[`...)
	first := true
	for bit := 0; flags != 0; bit, flags = bit+1, flags>>1 {
		name := ""
		if flags&1 != 0 {
			name = AlarmName(e, bit)
		}
		if name == "" {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(append(append(b, '"'), name...), '"')
	}
	return append(b, ']')
}
