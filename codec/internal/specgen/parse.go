package main

import "fmt"

// parseFile writes the JSON readers.
func parseFile(t *table) string {
	o := goFile(t)
	for _, r := range t.own() {
		if r.kind == kindUnit {
			writeUnitParse(o, r)
		} else {
			writeParse(o, r)
		}
	}
	return o.String()
}

func (m *measure) scale(sign *sign) string {
	s := "scale{step: 1"
	if m.offset != 0 {
		s += fmt.Sprintf(", offset: %d", m.offset)
	}
	if m.decimals != 0 {
		s += fmt.Sprintf(", decimals: %d", m.decimals)
	}
	if sign != nil {
		s += ", abs: true"
	}
	return s + "}"
}

// number returns the expression that reads a number.
func (f *field) number() string {
	call := fmt.Sprintf("o.raw(%q, %d)", f.Key, f.bits())
	if f.Measure != nil {
		call = fmt.Sprintf("o.measure(%q, %d, %s)", f.Key, f.bits(), f.Measure.scale(f.Sign))
	}
	if f.bits() == 32 {
		return call
	}
	return fmt.Sprintf("uint%d(%s)", f.bits(), call)
}

func writeParse(o *out, r *record) {
	o.p("func (v *%s) parseJSON(o *object) {", r.Go)
	if r.ranged() {
		o.p("v.ID = uint8(o.raw(\"id\", 8))")
		o.p("if v.ID < 0x%02X || v.ID > 0x%02X {", r.ID[0], r.ID[1])
		o.p("o.fail(\"id\", o.n.offset, \"%d to %d is wanted\")\n}", r.ID[0], r.ID[1])
	}
	for _, f := range r.Fields {
		switch {
		case f.Count != nil:
			bits := 8 * f.Count.size()
			o.p("v.%sCount = o.count(%q, %d)", f.Go, f.Key, bits)
			writeListParse(o, f)
		case f.Wire == "hex":
			o.p("v.%s = o.hex(%q)", f.Go, f.Key)
		default:
			o.p("v.%s = %s", f.Go, f.number())
		}
	}
	o.p("}\n")
}

func writeListParse(o *out, f *field) {
	if e := f.Each; e != nil {
		o.p("v.%s = o.%s(%q)", f.Go, map[int]string{8: "temperatures", 16: "cellVoltages", 32: "raws32"}[e.bits()], f.Key)
		return
	}
	o.p("{\nentries := o.list(%q)", f.Key)
	o.p("v.%s = make(%s, len(entries))", f.Go, f.goType())
	o.p("for i := range entries {")
	o.p("sub := o.entry(%q, i, &entries[i])", f.Key)
	o.p("v.%s[i].parseJSON(sub)", f.Go)
	o.p("sub.done()\n}\n}")
}

func writeUnitParse(o *out, r *record) {
	o.p("func (u *%s) parseKeys(o *object) (keys int) {", r.Go)
	for i, f := range r.Fields {
		switch f.Wire {
		case "time", "text":
			o.p("if !o.next(%q, %q) {\nreturn %d\n}", f.Key, f.Key+"Hex", i)
		case "custom":
			o.p("if !o.next(u.%s.keys()...) {\nreturn %d\n}", f.Go, i)
		default:
			o.p("if !o.next(%q) {\nreturn %d\n}", f.Key, i)
		}
		switch f.Wire {
		case "time":
			o.p("u.%s = o.time(%q)", f.Go, f.Key)
		case "text":
			o.p("o.field(%q, u.%s[:], %d)", f.Key, f.Go, f.Pad)
		case "hex":
			o.p("u.%s = o.hex(%q)", f.Go, f.Key)
		case "custom":
			o.p("u.%s.parse(o, %q)", f.Go, f.Key)
		default:
			o.p("u.%s = %s", f.Go, f.number())
		}
	}
	o.p("return %d\n}\n", len(r.Fields))
}
