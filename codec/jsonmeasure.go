package codec

import (
	"math"
	"strconv"
	"strings"
)

// raw reads a raw integer of the number of bits given.
func (o *object) raw(key string, bits int) uint32 {
	n := o.take(key)
	if n == nil {
		return 0
	}
	return o.grid(key, -1, n, bits, scale{step: 1})
}

// scale says how a raw number becomes a measurement: (raw × step + offset) × 10^-decimals.
type scale struct {
	step, offset int64
	decimals     int
	abs          bool // the sign of the number says nothing (position)
}

// measure reads a measurement: a number on the field's grid, or null for a mark.
func (o *object) measure(key string, bits int, s scale) uint32 {
	n := o.take(key)
	if n == nil {
		return 0
	}
	return o.marked(key, -1, n, bits, s)
}

// marked reads one measurement, alone or entry i of the list key.
func (o *object) marked(key string, i int, n *node, bits int, s scale) uint32 {
	var run *markRun
	if o.item != nil && len(o.item.marks) > 0 {
		run = o.item.run(strings.TrimPrefix(o.at(key), o.item.path+"."), i)
	}
	switch {
	case n.kind == 'n' && run == nil:
		o.r.fail(o.entryAt(key, i), n.offset, "null, but in neither abnormal nor invalid")
		return 0
	case n.kind == 'n':
		run.met++
		return uint32(uint64(1)<<bits - 3 + uint64(run.state))
	case run != nil:
		o.r.fail(o.entryAt(key, i), n.offset, "a value, but listed as "+run.state.String())
		return 0
	}
	return o.grid(key, i, n, bits, s)
}

// entryAt returns the path of entry i of the list key, of key itself when i is negative.
func (o *object) entryAt(key string, i int) string {
	if i < 0 {
		return o.at(key)
	}
	return o.at(key) + "[" + strconv.Itoa(i) + "]"
}

// run returns the listed run that holds entry i of base, nil when none does.
func (it *item) run(base string, i int) *markRun {
	runs := it.marks[base]
	lo, hi := 0, len(runs) // runs are sorted and do not overlap
	for lo < hi {
		mid := (lo + hi) / 2
		switch r := &runs[mid]; {
		case i < r.from:
			hi = mid
		case i > r.to:
			lo = mid + 1
		default:
			return r
		}
	}
	return nil
}

// grid reads the number n, the value of key or entry i of it, as a raw value of the number of bits
// given.
func (o *object) grid(key string, i int, n *node, bits int, s scale) uint32 {
	if n.kind != '0' {
		o.r.fail(o.entryAt(key, i), n.offset, "a number is wanted")
		return 0
	}
	v, ok := parseScaled(n.text, s.decimals)
	if ok && s.abs && v < 0 {
		v = -v
	}
	if ok = ok && (v-s.offset)%s.step == 0; !ok {
		o.r.fail(o.entryAt(key, i), n.offset, n.text+" is not on the grid of "+string(appendFixed(nil, s.step, s.decimals)))
		return 0
	}
	raw, most := (v-s.offset)/s.step, int64(1)<<bits-1
	if raw < 0 || raw > most {
		lo, hi := s.offset, most*s.step+s.offset
		o.r.fail(o.entryAt(key, i), n.offset, n.text+" does not fit the field: "+
			string(appendFixed(nil, lo, s.decimals))+" to "+string(appendFixed(nil, hi, s.decimals)))
		return 0
	}
	return uint32(raw)
}

// parseScaled returns a JSON number times 10^decimals. It reports false when that is not a whole
// number. Numbers too large for any field become ±math.MaxInt64/4, which no field holds.
func parseScaled(text string, decimals int) (int64, bool) {
	digits, exponent := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		digits = text[:i]
		e, err := strconv.Atoi(text[i+1:])
		if err != nil || e > 1e6 || e < -1e6 { // an error can only be an overflow
			e = 1e6
			if text[i+1] == '-' {
				e = -1e6
			}
		}
		exponent = e
	}
	negative := strings.HasPrefix(digits, "-")
	digits = strings.TrimPrefix(digits, "-")
	if whole, fraction, ok := strings.Cut(digits, "."); ok {
		digits = whole + fraction
		exponent -= len(fraction)
	}
	digits = strings.TrimLeft(digits, "0")
	if digits == "" {
		return 0, true
	}
	trimmed := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(trimmed) + decimals
	if exponent < 0 {
		return 0, false
	}
	v := int64(math.MaxInt64 / 4)
	if len(trimmed)+exponent <= 18 {
		v, _ = strconv.ParseInt(trimmed, 10, 64) // at most 18 digits
		v *= pow10(exponent)
	}
	if negative {
		v = -v
	}
	return v, true
}

// count reads the count of the list key: the one given, or that of the list.
func (o *object) count(key string, bits int) Count {
	if !o.has(key + "Count") {
		return Count{}
	}
	return MakeCount(uint16(o.raw(key+"Count", bits)))
}

// temperatures, cellVoltages, raws8 and raws32 read the array of a list of numbers.
func (o *object) temperatures(key string) List8 {
	nodes := o.list(key)
	l := make(List8, len(nodes))
	for i := range nodes {
		l[i] = uint8(o.marked(key, i, &nodes[i], 8, scale{step: 1, offset: temperatureOffset}))
	}
	return l
}

func (o *object) cellVoltages(key string) List16 {
	nodes := o.list(key)
	l := make(List16, 0, 2*len(nodes))
	for i := range nodes {
		v := o.marked(key, i, &nodes[i], 16, scale{step: 1, decimals: 3})
		l = append(l, byte(v>>8), byte(v))
	}
	return l
}

func (o *object) raws8(key string) List8 {
	nodes := o.list(key)
	l := make(List8, len(nodes))
	for i := range nodes {
		l[i] = uint8(o.grid(key, i, &nodes[i], 8, scale{step: 1}))
	}
	return l
}

func (o *object) raws32(key string) List32 {
	nodes := o.list(key)
	l := make(List32, 0, 4*len(nodes))
	for i := range nodes {
		v := o.grid(key, i, &nodes[i], 32, scale{step: 1})
		l = append(l, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
	return l
}
