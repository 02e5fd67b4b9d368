package codec

import (
	"sort"
	"strconv"
	"strings"
)

// asItem reads the lists abnormal and invalid of the info item or parameter that o is.
func (o *object) asItem() {
	o.item = &item{path: o.path, marks: map[string][]markRun{}}
	o.marks("abnormal", StateAbnormal)
	o.marks("invalid", StateInvalid)
	for _, runs := range o.item.marks {
		sort.Slice(runs, func(i, j int) bool { return runs[i].from < runs[j].from })
		for i := 1; i < len(runs); i++ {
			if runs[i].from <= runs[i-1].to {
				o.r.fail(o.path, runs[i].offset, strconv.Quote(runs[i].listed)+" is listed twice")
			}
		}
	}
}

// marks reads one of the two lists.
func (o *object) marks(key string, state State) {
	if !o.has(key) {
		return
	}
	for i, n := range o.list(key) {
		if n.kind != '"' {
			o.fail(key, n.offset, "entry "+strconv.Itoa(i)+": a path is wanted")
			return
		}
		base, run, ok := parseRun(n.text)
		if !ok {
			o.fail(key, n.offset, strconv.Quote(n.text)+` is no path such as "speed", "cellVoltages[3]" or "temperatures[0..63]"`)
			return
		}
		run.state, run.listed, run.offset = state, n.text, n.offset
		o.item.marks[base] = append(o.item.marks[base], run)
	}
}

// parseRun splits a path into what is before its last index and the range that the index stands
// for. A path that does not end with an index is one value.
func parseRun(path string) (base string, run markRun, ok bool) {
	run = markRun{from: -1, to: -1}
	if !strings.HasSuffix(path, "]") {
		return path, run, path != ""
	}
	i := strings.LastIndexByte(path, '[')
	if i <= 0 {
		return "", run, false
	}
	from, to, isRange := strings.Cut(path[i+1:len(path)-1], "..")
	if !isRange {
		to = from
	}
	a, err := strconv.ParseUint(from, 10, 16)
	b, err2 := strconv.ParseUint(to, 10, 16)
	run.from, run.to = int(a), int(b)
	return path[:i], run, err == nil && err2 == nil && a <= b
}

// endItem checks that every listed path was null, and that every key is known.
func (o *object) endItem() {
	var wrong *markRun // the first in the input, so that the error does not depend on map order
	for _, runs := range o.item.marks {
		for i := range runs {
			if r := &runs[i]; r.met != r.to-r.from+1 && (wrong == nil || r.offset < wrong.offset) {
				wrong = r
			}
		}
	}
	if wrong != nil {
		o.fail(wrong.state.String(), wrong.offset, strconv.Quote(wrong.listed)+" names something that is not null")
	}
	o.done()
}
