package main

// decodeFile writes the decoders: one length check for each run of fields of fixed size, then
// constant offsets.
func decodeFile(t *table) string {
	o := goFile(t, "encoding/binary")
	for _, r := range t.own() {
		if r.kind == kindUnit {
			writeUnitDecode(o, r)
		} else {
			writeDecode(o, r)
		}
	}
	return o.String()
}

// stretch is a row of fixed-size fields, and perhaps the count of the list or the length of the
// bytes behind it.
type stretch struct {
	fields []*field
	size   int    // the count or length included
	list   *field // behind the fields: a list or bytes, nil at the end
}

func (r *record) runs() []stretch {
	var all []stretch
	cur := stretch{}
	for _, f := range r.Fields {
		switch {
		case f.Count != nil:
			cur.size += f.Count.size()
		case f.Wire == "hex":
			cur.size += 2
		default:
			cur.fields = append(cur.fields, f)
			cur.size += f.size()
			continue
		}
		cur.list = f
		all = append(all, cur)
		cur = stretch{}
	}
	if len(cur.fields) > 0 {
		all = append(all, cur)
	}
	return all
}

func writeDecode(o *out, r *record) {
	runs := r.runs()
	counted := false
	for _, f := range r.Fields {
		counted = counted || f.Count != nil && !f.Count.Always
	}
	d := "_"
	if counted {
		d = "d"
	}
	o.p("// decode returns the number of bytes read, -1 when there are too few.")
	o.p("func (v *%s) decode(b []byte, %s *decoding) (n int) {", r.Go, d)
	if len(runs) == 1 && runs[0].list == nil {
		o.p("if len(b) < %d {\nreturn -1\n}", runs[0].size)
		writeScalars(o, runs[0].fields)
		o.p("return %d\n}\n", runs[0].size)
		return
	}
	o.p("size := len(b)")
	for i, run := range runs {
		o.p("if len(b) < %d {\nreturn -1\n}", run.size)
		at := writeScalars(o, run.fields)
		f := run.list
		if f == nil {
			o.p("b = b[%d:]", run.size)
			continue
		}
		switch {
		case f.Wire == "hex":
			o.p("n = int(binary.BigEndian.Uint16(b[%d:]))", at)
		case f.Count.Always:
			o.p("n = int(b[%d])", at)
		case f.Count.Wire == "u8":
			o.p("n = d.count8(&v.%sCount, b[%d])", f.Go, at)
		default:
			o.p("n = d.count16(&v.%sCount, binary.BigEndian.Uint16(b[%d:]))", f.Go, at)
		}
		if f.Count != nil && f.Count.Always {
			o.p("v.%sCount = Count{}", f.Go)
		}
		o.p("b = b[%d:]", run.size)
		switch {
		case f.Each == nil && f.entry == nil, f.Each != nil && f.Each.bits() == 8:
			o.p("if len(b) < n {\nreturn -1\n}")
			o.p("v.%s = b[:n:n]", f.Go)
			o.p("b = b[n:]")
		case f.Each != nil:
			o.p("if n *= %d; len(b) < n {\nreturn -1\n}", f.Each.bits()/8)
			o.p("v.%s = b[:n:n]", f.Go)
			o.p("b = b[n:]")
		case f.entry.size() > 0:
			o.p("if len(b) < %d*n {\nreturn -1\n}", f.entry.size())
			o.p("v.%s = resize(v.%s, n)", f.Go, f.Go)
			o.p("for i := range v.%s {", f.Go)
			o.p("b = b[v.%s[i].decode(b, nil):]\n}", f.Go)
		default:
			o.p("if len(b) < %d*n {\nreturn -1\n}", f.entry.minSize())
			o.p("v.%s = resize(v.%s, n)", f.Go, f.Go)
			o.p("for i := range v.%s {", f.Go)
			o.p("k := v.%s[i].decode(b, d)", f.Go)
			o.p("if k < 0 {\nreturn -1\n}")
			o.p("b = b[k:]\n}")
		}
		_ = i
	}
	o.p("return size - len(b)\n}\n")
}

// writeScalars reads fields at constant offsets and returns the offset behind them.
func writeScalars(o *out, fields []*field) int {
	at := 0
	for _, f := range fields {
		writeScalar(o, "v", f, at)
		at += f.size()
	}
	return at
}

func writeScalar(o *out, v string, f *field, at int) {
	switch f.Wire {
	case "u8":
		o.p("%s.%s = b[%d]", v, f.Go, at)
	case "u16":
		o.p("%s.%s = binary.BigEndian.Uint16(b[%d:])", v, f.Go, at)
	case "u32":
		o.p("%s.%s = binary.BigEndian.Uint32(b[%d:])", v, f.Go, at)
	case "time":
		o.p("%s.%s = Time(b[%d:%d])", v, f.Go, at, at+f.size())
	case "text":
		o.p("%s.%s = [%d]byte(b[%d:%d])", v, f.Go, f.Size, at, at+f.size())
	}
}

// writeUnitDecode writes the decoder of a data unit, which tells how many of the fields are there.
func writeUnitDecode(o *out, r *record) {
	d := "_"
	for _, f := range r.Fields {
		if f.Wire == "custom" {
			d = "d"
		}
	}
	o.p("func (u *%s) decode(b []byte, %s *decoding) (n, keys int) {", r.Go, d)
	for _, f := range r.Fields {
		if f.Wire == "custom" {
			o.p("*u = %s{%s: u.%s}", r.Go, f.Go, f.Go)
			break
		}
	}
	if d == "_" {
		o.p("*u = %s{}", r.Go)
	}
	o.p("size := len(b)")
	for i, f := range r.Fields {
		switch f.Wire {
		case "hex":
			o.p("if len(b) < 2 {\nreturn size - len(b), %d\n}", i)
			o.p("if n = int(binary.BigEndian.Uint16(b)); len(b)-2 < n {\nreturn size - len(b), %d\n}", i)
			o.p("u.%s = b[2:2+n:2+n]", f.Go)
			o.p("b = b[2+n:]")
		case "custom":
			o.p("if n = u.%s.decode(b, d); n < 0 {\nreturn size - len(b), %d\n}", f.Go, i)
			o.p("b = b[n:]")
		default:
			o.p("if len(b) < %d {\nreturn size - len(b), %d\n}", f.size(), i)
			writeScalar(o, "u", f, 0)
			o.p("b = b[%d:]", f.size())
		}
	}
	o.p("return size - len(b), %d\n}\n", len(r.Fields))
	o.p("func (u *%s) keyCount() int { return %d }\n", r.Go, len(r.Fields))
	o.p("func (u *%s) keyAt(i int) string {", r.Go)
	o.p("return [...]string{")
	for _, f := range r.Fields {
		o.p("%q,", f.Key)
	}
	o.p("}[i]\n}\n")
}
