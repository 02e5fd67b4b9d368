package main

import (
	"fmt"
	"strings"
)

// valuesFile writes the methods that give raw numbers their physical meaning.
func valuesFile(t *table) string {
	o := goFile(t)
	for _, r := range t.own() {
		for _, f := range r.Fields {
			writeValue(o, r, f)
		}
	}
	return o.String()
}

func writeValue(o *out, r *record, f *field) {
	v := r.receiver()
	switch {
	case f.Wire == "text":
		o.p("// %sText returns the text of %s, without padding.", f.Go, f.Go)
		o.p("func (%s *%s) %sText() string { return Text(%s.%s[:]) }\n", v, r.Go, f.Go, v, f.Go)
	case f.Each != nil && f.Each.Measure != nil:
		m, one := f.Each.Measure, strings.TrimSuffix(f.Go, "s")
		o.p("// %sValue returns entry i of %s, %s.", one, f.Go, m.unitText())
		o.p("func (%s *%s) %sValue(i int) Value { return value(uint32(%s.%s.At(i)), mark%d, 1, %d, %d) }\n",
			v, r.Go, one, v, f.Go, f.Each.bits(), m.offset, m.decimals)
	case f.Measure != nil:
		m := f.Measure
		step := "1"
		if f.Sign != nil {
			step = fmt.Sprintf("int64(signOf(%s.%s, %d))", v, goName(f.Sign.Field), f.Sign.Bit)
		}
		o.p("// %sValue returns %s %s.", f.Go, f.Doc, m.unitText())
		o.p("func (%s *%s) %sValue() Value { return value(uint32(%s.%s), mark%d, %s, %d, %d) }\n",
			v, r.Go, f.Go, v, f.Go, f.bits(), step, m.offset, m.decimals)
	}
}

// unitText returns "in km/h".
func (m *measure) unitText() string {
	if m.Unit == "" {
		return "as a number"
	}
	return "in " + m.Unit
}
