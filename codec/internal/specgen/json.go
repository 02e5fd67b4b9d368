package main

import (
	"fmt"
	"regexp"
	"strings"
)

// jsonFile writes the JSON writers, which name the problems on their way.
func jsonFile(t *table) string {
	o := goFile(t)
	for _, r := range t.own() {
		switch r.kind {
		case kindUnit:
			writeUnitJSON(o, r)
		case kindItem:
			writeItemJSON(o, t, r)
		default:
			o.p("func (v *%s) appendJSON(b []byte, w *jsonWriter) []byte {", r.Go)
			writeFields(o, t, r.Fields, "{")
			o.p("return append(b, '}')\n}\n")
		}
	}
	return spellOut(o.String())
}

// literal is an append of a constant text.
var literal = regexp.MustCompile("append\\(b, `([^`]+)`\\.\\.\\.\\)")

// inlineMost is the longest text that the compiler copies without a call.
const inlineMost = 16

// spellOut gives the bytes of longer texts one by one: the compiler makes words of them, where it would call memmove for
// a string.
func spellOut(src string) string {
	return literal.ReplaceAllStringFunc(src, func(call string) string {
		text := literal.FindStringSubmatch(call)[1]
		if len(text) <= inlineMost {
			return call
		}
		var bytes []string
		for _, c := range []byte(text) {
			bytes = append(bytes, fmt.Sprintf("%q", c))
		}
		return fmt.Sprintf("append(b, /* %s */ %s)", text, strings.Join(bytes, ", "))
	})
}

func writeItemJSON(o *out, t *table, r *record) {
	w := "w"
	o.p("func (v *%s) appendJSON(b []byte, %s *jsonWriter) []byte {", r.Go, w)
	start := fmt.Sprintf(`{"type":"%s"`, r.Type)
	switch {
	case r.ranged():
		o.p("b = appendUint(append(b, `%s,\"id\":`...), uint32(v.ID))", start)
		writeFields(o, t, r.Fields, ",")
	case r.Embed:
		o.p("return w.end(v.appendFields(append(b, `%s`...), w))\n}\n", start)
		o.p("// appendFields appends the fields, each with its comma.")
		o.p("func (v *%s) appendFields(b []byte, w *jsonWriter) []byte {", r.Go)
		writeFields(o, t, r.Fields, ",")
		o.p("return b\n}\n")
		return
	default:
		writeFields(o, t, r.Fields, start+",")
	}
	o.p("return w.end(b)\n}\n")
}

// writeFields writes the fields of a record. before stands before the first key.
func writeFields(o *out, t *table, fields []*field, before string) {
	for _, f := range fields {
		key := before + `"` + f.Key + `":`
		switch {
		case f.Count != nil:
			if before != "," {
				o.p("b = append(b, `%s`...)", strings.TrimSuffix(before, ","))
			}
			writeListJSON(o, f)
		case f.Wire == "hex":
			if f.Length.Range[0] > 0 {
				o.p("if len(v.%s) < %d {\nw.problem(%q, CodeOutOfRange)\n}", f.Go, f.Length.Range[0], f.Key)
			}
			o.p("b = append(b, `%s\"`...)", key)
			o.p("b = append(appendHex(b, v.%s), '\"')", f.Go)
		default:
			o.p("b = append(b, `%s`...)", key)
			writeNumberJSON(o, "v", f)
		}
		switch f.Derived {
		case "gear":
			o.p("b = appendGear(b, v.%s)", f.Go)
		case "alarms":
			o.p("b = appendAlarms(b, Edition%d, v.%s)", t.Edition, f.Go)
		case "valid":
			o.p("b = appendValid(b, v.Status)")
		}
		before = ","
	}
}

// writeNumberJSON writes a number behind its key: the common case straight, anything odd through
// the writer.
func writeNumberJSON(o *out, v string, f *field) {
	name := v + "." + f.Go
	m := f.Measure
	if m == nil {
		writeRawCheck(o, name, f)
		o.p("b = appendUint(b, uint32(%s))", name)
		return
	}
	step := "1"
	if f.Sign != nil {
		o.p("if sign := signOf(%s.%s, %d); %s {", v, goName(f.Sign.Field), f.Sign.Bit, inRange(name, f))
		step = "int64(sign)"
		o.p("b = appendDec%d(b, sign*int32(%s))", m.decimals, name)
	} else {
		o.p("if %s {", inRange(name, f))
		o.p("b = %s", fastNumber(name, m))
	}
	o.p("} else {")
	o.p("b = w.odd(b, %q, uint32(%s), mark%d, %s, %d, %d)\n}", f.Key, name, f.bits(), step, m.offset, m.decimals)
}

// fastNumber returns the call that prints a value inside its range.
func fastNumber(name string, m *measure) string {
	arg := fmt.Sprintf("int32(%s)", name)
	if m.offset != 0 {
		arg += fmt.Sprintf("%+d", m.offset)
	}
	switch m.decimals {
	case 0:
		if m.offset == 0 {
			return fmt.Sprintf("appendUint(b, uint32(%s))", name)
		}
		return fmt.Sprintf("appendInt(b, %s)", arg)
	case 1, 2, 3, 6:
		return fmt.Sprintf("appendDec%d(b, %s)", m.decimals, arg)
	}
	return fmt.Sprintf("appendFixed(b, int64(%s), %d)", arg, m.decimals)
}

// inRange returns the condition that a number is inside its range, in one comparison.
func inRange(name string, f *field) string {
	lo, hi := f.Range[0], f.Range[1]
	if lo == 0 {
		return fmt.Sprintf("%s <= %d", name, hi)
	}
	return fmt.Sprintf("%s-%d <= %d", name, lo, hi-lo)
}

// writeRawCheck writes the checks of a raw number: enumeration, range, reserved bits.
func writeRawCheck(o *out, name string, f *field) {
	switch {
	case len(f.Enum) > 0:
		values := sorted(f.Enum)
		if f.Marks {
			values = append(values, 254, 255)
		}
		o.p("switch %s {", name)
		o.p("case %s:", joinInts(values))
		if more := sorted(f.Enum2025); len(more) > 0 {
			o.p("case %s:", joinInts(more))
			o.p("if w.edition != Edition2025 {\nw.problem(%q, CodeOutOfRange)\n}", f.Key)
		}
		o.p("default:\nw.problem(%q, CodeOutOfRange)\n}", f.Key)
	case len(f.Range) > 0:
		o.p("if !(%s) {\nw.problem(%q, CodeOutOfRange)\n}", inRange(name, f), f.Key)
	}
	if f.Reserved != 0 {
		o.p("if %s&0x%X != 0 {\nw.problem(%q, CodeReservedBits)\n}", name, f.Reserved, f.Key)
	}
}

func joinInts(values []int) string {
	s := make([]string, len(values))
	for i, v := range values {
		s[i] = fmt.Sprint(v)
	}
	return strings.Join(s, ", ")
}

// goName returns the Go name of a key without an exception.
func goName(key string) string { return strings.ToUpper(key[:1]) + key[1:] }

func writeListJSON(o *out, f *field) {
	n := fmt.Sprintf("len(v.%s)", f.Go)
	if f.Each != nil {
		n = fmt.Sprintf("v.%s.Len()", f.Go)
	}
	mark := "mark8"
	switch {
	case f.Count.Always:
		mark = "1<<8" // none
	case f.Count.Wire == "u16":
		mark = "mark16"
	}
	lo, hi := f.Count.Range[0], f.Count.Range[1]
	o.p("if n := %s; v.%sCount.given || uint(n-%d) > %d {", n, f.Go, lo, hi-lo)
	o.p("b = w.count(b, %q, v.%sCount, n, %d, %d, %s)\n}", f.Key, f.Go, lo, hi, mark)
	if e := f.Each; e != nil {
		o.p("b = append(b, `,\"%s\":`...)", f.Key)
		switch e.bits() {
		case 8:
			o.p("b = w.temperatures(b, %q, v.%s, %d)", f.Key, f.Go, e.Range[1])
		case 16:
			o.p("b = w.cellVoltages(b, %q, v.%s, %d)", f.Key, f.Go, e.Range[1])
		default:
			o.p("b = appendRaw32(b, v.%s)", f.Go)
		}
		return
	}
	o.p("b = append(b, `,\"%s\":[`...)", f.Key)
	o.p("for i := range v.%s {", f.Go)
	o.p("if i > 0 {\nb = append(b, ',')\n}")
	o.p("w.in(%q, i)", f.Key)
	o.p("b = v.%s[i].appendJSON(b, w)\n}", f.Go)
	o.p("w.out()")
	o.p("b = append(b, ']')")
}

func writeUnitJSON(o *out, r *record) {
	o.p("func (u *%s) appendKeys(b []byte, w *jsonWriter, keys int) []byte {", r.Go)
	for i, f := range r.Fields {
		o.p("if keys < %d {\nreturn b\n}", i+1)
		if f.Secret {
			o.p("if !w.mask {")
		}
		switch f.Wire {
		case "time":
			o.p("b = w.time(append(b, `,\"%s\":`...), %q, u.%s)", f.Key, f.Key, f.Go)
		case "text":
			o.p("b = w.field(b, %q, u.%s[:], %d)", f.Key, f.Go, f.Pad)
		case "hex":
			o.p("b = append(b, `,\"%s\":\"`...)", f.Key)
			o.p("b = append(appendHex(b, u.%s), '\"')", f.Go)
		case "custom":
			o.p("b = u.%s.appendJSON(b, w, %q)", f.Go, f.Key)
		default:
			o.p("b = append(b, `,\"%s\":`...)", f.Key)
			writeNumberJSON(o, "u", f)
		}
		if f.Secret {
			o.p("}")
		}
	}
	o.p("return b\n}\n")
}
