package main

import (
	"fmt"
	"strings"
)

// fieldsFile writes the tables themselves as Go values, for the dissector.
func fieldsFile(t *table) string {
	o := goFile(t)
	for _, r := range t.own() {
		if r.kind != kindEntry {
			writeSpec(o, r)
		}
	}
	e := t.Edition
	for _, f := range t.Params {
		o.p("var param%s%d = %s\n", f.Go, e, f.spec())
	}
	o.p("// itemSpec%d returns the spec of an info item, nil for a type without.", e)
	o.p("func itemSpec%d(id byte) *recordSpec {\nswitch {", e)
	for _, r := range t.items() {
		if r.ranged() {
			o.p("case id >= 0x%02X && id <= 0x%02X:\nreturn &%s", r.ID[0], r.ID[1], r.specName())
		} else {
			o.p("case id == 0x%02X:\nreturn &%s", r.ID[0], r.specName())
		}
	}
	o.p("}\nreturn nil\n}\n")
	o.p("// unitSpec%d returns the spec of a data unit, nil for one that the table does not hold.", e)
	o.p("func unitSpec%d(c Command) *recordSpec {\nswitch c {", e)
	for _, r := range t.Units {
		shared, _ := resolve(r)
		o.p("case %s:\nreturn &%s", joinInts(r.Command), shared.specName())
	}
	o.p("}\nreturn nil\n}\n")
	o.p("// paramField%d returns the spec of a parameter, nil for an id without.", e)
	o.p("func paramField%d(id byte) *fieldSpec {\nswitch id {", e)
	for _, f := range t.Params {
		o.p("case 0x%02X:\nreturn &param%s%d", f.ID, f.Go, e)
	}
	o.p("}\nreturn nil\n}")
	return o.String()
}

func (r *record) specName() string { return "spec" + r.Go }

func writeSpec(o *out, r *record) {
	o.p("var %s = recordSpec{", r.specName())
	o.p("key: %q, doc: %q, zh: %q,", r.Type, strings.TrimSuffix(r.Doc, ", both editions"), r.Zh)
	o.p("fields: []fieldSpec{")
	for _, f := range r.Fields {
		o.p("%s,", f.bareSpec(r.Fields))
	}
	o.p("},\n}\n")
}

func (f *field) spec() string { return "fieldSpec" + f.bareSpec(nil) }

// bareSpec returns the composite literal of a field's spec without its type. siblings are the
// fields of its record.
func (f *field) bareSpec(siblings []*field) string {
	o := &out{}
	o.p("{key: %q, doc: %q, zh: %q,", f.Key, strings.TrimSuffix(f.Doc, " (read only)"), f.Zh)
	if f.Sign != nil {
		o.p("sign: 0x%02X,", 1<<f.Sign.Bit)
	}
	for _, s := range siblings {
		if s.Sign != nil && s.Sign.Field == f.Key {
			o.p("signs: true,")
			break
		}
	}
	switch {
	case f.Each != nil:
		o.p("wire: wireNumbers, count: &%s, each: &%s,", f.Count.spec(), f.Each.spec())
	case f.entry != nil:
		o.p("wire: wireRecords, count: &%s,", f.Count.spec())
		o.p("entry: &recordSpec{doc: %q, fields: []fieldSpec{", f.entry.Doc)
		for _, e := range f.entry.Fields {
			o.p("%s,", e.bareSpec(f.entry.Fields))
		}
		o.p("}},")
	case f.LengthFrom > 0:
		o.p("wire: wireDomain,")
	case f.Wire == "time":
		o.p("wire: wireTime, size: 6,")
	case f.Wire == "text":
		o.p("wire: wireText, size: %d, pad: %d,", f.Size, f.Pad)
	case f.Wire == "hex":
		o.p("wire: wireBytes, length: &%s,", f.Length.spec())
	case f.Wire == "custom":
		o.p("wire: wire%s,", strings.Replace(f.TypeName, "ActivationSignature", "Signature", 1))
	default:
		f.numberSpec(o)
	}
	if strings.HasSuffix(f.Doc, "(read only)") {
		o.p("readOnly: true,")
	}
	return o.String() + "}"
}

// numberSpec writes what only numbers have.
func (f *field) numberSpec(o *out) {
	o.p("wire: wireNumber, size: %d,", f.bits()/8)
	if len(f.Range) > 0 {
		o.p("ranged: true, lo: %d, hi: %d,", f.Range[0], f.Range[1])
	}
	if m := f.Measure; m != nil {
		o.p("measure: true, step: %d, offset: %d, decimals: %d, unit: %q,", m.step, m.offset, m.decimals, m.Unit)
	}
	if f.Marks {
		o.p("marks: true,")
	}
	if f.Derived == "gear" {
		o.p("gear: true,")
	}
	if f.Reserved != 0 {
		o.p("reserved: 0x%X,", f.Reserved)
	}
	if len(f.Enum) > 0 {
		o.p("enum: []enumSpec{")
		for _, v := range sorted(f.Enum) {
			o.p("{value: %d, doc: %q},", v, f.Enum[v])
		}
		for _, v := range sorted(f.Enum2025) {
			o.p("{value: %d, doc: %q, is2025: true},", v, f.Enum2025[v])
		}
		o.p("},")
	}
	if len(f.Bits) > 0 {
		o.p("bits: []bitSpec{")
		for _, b := range sorted(f.Bits) {
			o.p("{bit: %d, doc: %q, zh: %q},", b, f.Bits[b].Doc, f.Bits[b].Zh)
		}
		o.p("},")
	}
}

func (c *count) spec() string {
	return fmt.Sprintf("countSpec{size: %d, zh: %q, lo: %d, hi: %d, always: %v}", c.lengthSize(), c.Zh, c.Range[0], c.Range[1], c.Always)
}

// lengthSize is size for a count or for the length before bytes, which names no width and has two
// bytes.
func (c *count) lengthSize() int {
	if c.Wire == "" {
		return 2
	}
	return c.size()
}
