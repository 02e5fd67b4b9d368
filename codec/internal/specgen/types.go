package main

import (
	"fmt"
	"strings"
)

// typesFile writes the structs, their clones and what tells the types of an edition apart.
func typesFile(t *table) string {
	o := goFile(t, "slices")
	for _, r := range t.own() {
		writeType(o, t, r)
	}
	writeItems(o, t)
	writeAlarmNames(o, t)
	writeParams(o, t)
	return o.String()
}

func writeType(o *out, t *table, r *record) {
	heading := r.Doc
	switch {
	case r.Zh == "":
	case r.kind == kindItem:
		heading = fmt.Sprintf("info item %s: %s (%s)", r.idText(), r.Doc, r.Zh)
	default:
		heading += " (" + r.Zh + ")"
	}
	o.p("// %s is the %s.", r.Go, heading)
	if r.Table != "" {
		o.p("//\n// %s, %s.", t.Standard, r.Table)
	}
	if r.Note != "" {
		o.p("// Note: %s.", r.Note)
	}
	o.p("type %s struct {", r.Go)
	if r.ranged() {
		o.p("ID uint8 // the type byte, 0x%02X to 0x%02X", r.ID[0], r.ID[1])
	}
	for i, f := range r.Fields {
		if i > 0 || r.ranged() {
			o.p("")
		}
		for _, line := range f.docLines() {
			o.p("// %s", line)
		}
		if f.Count != nil {
			o.p("%s %s", f.Go, f.goType())
			o.p("%sCount Count // %s: raw %d..%d", f.Go, f.Count.Zh, f.Count.Range[0], f.Count.Range[1])
			continue
		}
		o.p("%s %s", f.Go, f.goType())
	}
	o.p("}\n")
	if r.kind == kindEntry && r.size() > 0 {
		return
	}
	writeClone(o, r)
}

// idText returns "0x01" or "0x80–0xFE".
func (r *record) idText() string {
	s := make([]string, len(r.ID))
	for i, id := range r.ID {
		s[i] = fmt.Sprintf("0x%02X", id)
	}
	return strings.Join(s, "–")
}

// docLines returns the comment above a field.
func (f *field) docLines() []string {
	e := f
	if f.Each != nil {
		e = f.Each
	}
	lines := []string{fmt.Sprintf("%s: %s (%s).", f.Go, f.Doc, f.Zh)}
	if s := e.rangeText(); s != "" {
		lines = append(lines, s)
	}
	if s := enumText(f.Enum); s != "" {
		if f.Marks {
			s += ", 254 abnormal, 255 invalid"
		}
		lines = append(lines, s)
	}
	if s := enumText(f.Enum2025); s != "" {
		lines = append(lines, "2025: "+s)
	}
	for _, b := range sorted(f.Bits) {
		lines = append(lines, fmt.Sprintf("bit %d: %s (%s)", b, f.Bits[b].Doc, f.Bits[b].Zh))
	}
	if f.Layout != "" {
		lines = append(lines, f.Layout)
	}
	if f.Note != "" {
		lines = append(lines, "Note: "+f.Note)
	}
	return lines
}

// rangeText returns "raw 0..20000 × 0.1 − 1000: -1000.0 to 1000.0 A".
func (f *field) rangeText() string {
	if len(f.Range) == 0 {
		return ""
	}
	lo, hi := f.Range[0], f.Range[1]
	s := fmt.Sprintf("raw %d..%d", lo, hi)
	m := f.Measure
	if m == nil || m.Unit == "" {
		return s
	}
	if m.Res != "1" {
		s += " × " + m.Res
	}
	if m.offset != 0 {
		s += " − " + strings.TrimPrefix(m.Offset, "-")
	}
	return fmt.Sprintf("%s: %s to %s %s", s, m.physical(lo), m.physical(hi), m.Unit)
}

func enumText(enum map[int]string) string {
	var s []string
	for _, v := range sorted(enum) {
		s = append(s, fmt.Sprintf("%d %s", v, enum[v]))
	}
	return strings.Join(s, ", ")
}

func writeClone(o *out, r *record) {
	v := r.receiver()
	name, result, deref := "copy", "*"+r.Go, ""
	switch r.kind {
	case kindUnit:
		name, result = "clone", "Body"
	case kindItem:
		if r.Embed {
			break
		}
		name, result = "clone", "Item"
	}
	o.p("func (%s *%s) %s() %s%s {", v, r.Go, name, deref, result)
	o.p("c := *%s", v)
	for _, f := range r.Fields {
		switch {
		case !f.views():
		case f.Wire == "custom":
			o.p("c.%s = %s.%s.clone()", f.Go, v, f.Go)
		default:
			o.p("c.%s = slices.Clone(%s.%s)", f.Go, v, f.Go)
		}
		if f.entry != nil && f.entry.size() == 0 {
			o.p("for i := range c.%s {", f.Go)
			o.p("c.%s[i] = *%s.%s[i].copy()", f.Go, v, f.Go)
			o.p("}")
		}
	}
	o.p("return &c\n}\n")
	if r.Embed {
		o.p("func (%s *%s) clone() Item { return %s.copy() }\n", v, r.Go, v)
	}
}

// writeItems writes what makes the item types of an edition one family.
func writeItems(o *out, t *table) {
	e := t.Edition
	for _, r := range t.Items {
		if r.Shared != "" {
			continue
		}
		o.p("// ItemType returns the type byte, %s.", r.idText())
		if r.ranged() {
			o.p("func (v *%s) ItemType() uint8 { return v.ID }\n", r.Go)
		} else {
			o.p("func (v *%s) ItemType() uint8 { return 0x%02X }\n", r.Go, r.ID[0])
		}
	}
	items := t.items()
	o.p("// items%d keeps the items of a data unit between two calls of Decode.", e)
	o.p("type items%d struct {", e)
	for _, r := range items {
		o.p("%s pool[%s]", r.poolName(), r.Go)
	}
	o.p("}\n")
	o.p("// decode reads an item of type id from b, which begins behind the type byte. n is the number of")
	o.p("// bytes read, -1 when there are too few; the item is nil for a type without a table.")
	o.p("func (p *items%d) decode(id uint8, b []byte, d *decoding, pass uint64) (item Item, n int) {", e)
	o.p("switch id {")
	for _, r := range items {
		if !r.ranged() {
			o.p("case 0x%02X:\nv := p.%s.next(pass)\nreturn v, v.decode(b, d)", r.ID[0], r.poolName())
		}
	}
	o.p("}")
	for _, r := range items {
		if r.ranged() {
			o.p("if id >= 0x%02X && id <= 0x%02X {", r.ID[0], r.ID[1])
			o.p("v := p.%s.next(pass)\nv.ID = id\nreturn v, v.decode(b, d)\n}", r.poolName())
		}
	}
	o.p("return nil, 0\n}\n")
	o.p("// newItem%d returns an empty item by its JSON type, nil when there is none.", e)
	o.p("func newItem%d(name string) Item {\nswitch name {", e)
	for _, r := range items {
		o.p("case %q:\nreturn &%s{}", r.Type, r.Go)
	}
	o.p("}\nreturn nil\n}\n")
}

func (r *record) poolName() string { return r.Type }

// writeAlarmNames writes the names of the general alarm bits.
func writeAlarmNames(o *out, t *table) {
	for _, r := range t.Items {
		for _, f := range r.Fields {
			if f.Derived != "alarms" {
				continue
			}
			o.p("// alarmNames%d are the names of the general alarm bits (%s), from bit 0.", t.Edition, f.Table)
			o.p("var alarmNames%d = [...]string{", t.Edition)
			for _, b := range sorted(f.Bits) {
				o.p("%d: %q,", b, f.Bits[b].Name)
			}
			o.p("}\n")
		}
	}
}

// writeParams writes the table of parameters.
func writeParams(o *out, t *table) {
	if t.Edition == 2016 {
		o.p("// The ids of the parameters of both editions, the numbers of %s.", t.Standard)
		o.p("const (")
		for _, f := range t.Params {
			o.p("Param%s uint8 = 0x%02X // %s (%s)", f.Go, f.ID, f.Doc, f.Zh)
		}
		o.p(")\n")
	}
	o.p("// paramSpec%d returns the table row of a parameter, a zero one for an id without.", t.Edition)
	o.p("func paramSpec%d(id uint8) paramSpec {\nswitch id {", t.Edition)
	for _, f := range t.Params {
		o.p("case Param%s:", f.Go)
		switch {
		case f.LengthFrom > 0:
			o.p("return paramSpec{key: %q, kind: paramDomain, lengthID: 0x%02X}", f.Key, f.LengthFrom)
		case f.Wire == "text":
			o.p("return paramSpec{key: %q, kind: paramText, width: %d, readOnly: %v}", f.Key, f.Size, strings.Contains(f.Doc, "read only"))
		case f.Measure != nil:
			o.p("return paramSpec{key: %q, kind: paramMeasure, width: %d, step: %d, lo: %d, hi: %d}", f.Key, f.bits()/8, f.Measure.step, f.Range[0], f.Range[1])
		default:
			lo, hi := int64(0), f.limit()-1
			if keys := sorted(f.Enum); len(keys) > 0 {
				lo, hi = int64(keys[0]), int64(keys[len(keys)-1])
			}
			o.p("return paramSpec{key: %q, kind: paramRaw, width: %d, step: 1, lo: %d, hi: %d, marks: %v}", f.Key, f.bits()/8, lo, hi, f.Marks)
		}
	}
	o.p("}\nreturn paramSpec{}\n}")
}
