package main

import (
	"fmt"
	"strings"
)

// appendFile writes the encoders of the wire form.
func appendFile(t *table) string {
	o := goFile(t)
	for _, r := range t.own() {
		if r.kind == kindUnit {
			writeUnitAppend(o, r)
		} else {
			writeAppend(o, r)
		}
	}
	return o.String()
}

// wireBytes returns the expressions of a number's bytes.
func wireBytes(v string, f *field) []string {
	name := v + "." + f.Go
	switch f.Wire {
	case "u8":
		return []string{name}
	case "u16":
		return []string{fmt.Sprintf("byte(%s>>8)", name), fmt.Sprintf("byte(%s)", name)}
	}
	return []string{
		fmt.Sprintf("byte(%s>>24)", name), fmt.Sprintf("byte(%s>>16)", name),
		fmt.Sprintf("byte(%s>>8)", name), fmt.Sprintf("byte(%s)", name),
	}
}

func writeAppend(o *out, r *record) {
	first := ""
	switch {
	case r.kind == kindEntry:
		o.p("func (v *%s) appendTo(dst []byte) ([]byte, error) {", r.Go)
	case r.Embed:
		o.p("func (v *%s) appendTo(dst []byte, e Edition) ([]byte, error) {", r.Go)
		writeEditionCheck(o, r)
		o.p("return v.appendBody(append(dst, 0x%02X))\n}\n", r.ID[0])
		o.p("// appendBody appends the item without its type byte.")
		o.p("func (v *%s) appendBody(dst []byte) ([]byte, error) {", r.Go)
	default:
		o.p("func (v *%s) appendTo(dst []byte, e Edition) ([]byte, error) {", r.Go)
		writeEditionCheck(o, r)
		first = "v.ID"
		if !r.ranged() {
			first = fmt.Sprintf("0x%02X", r.ID[0])
		}
	}
	stretches := r.runs()
	for _, s := range stretches {
		if s.list != nil {
			o.p("var err error")
			break
		}
	}
	for _, s := range stretches {
		var parts []string
		if first != "" {
			parts, first = append(parts, first), ""
		}
		for _, f := range s.fields {
			parts = append(parts, strings.Join(wireBytes("v", f), ", "))
		}
		if len(parts) > 0 {
			o.p("dst = append(dst,\n%s,\n)", strings.Join(parts, ",\n"))
		}
		if s.list != nil {
			writeListAppend(o, s.list)
		}
	}
	o.p("return dst, nil\n}\n")
}

// writeEditionCheck refuses an item under the start mark of the other edition.
func writeEditionCheck(o *out, r *record) {
	if !r.both {
		o.p("if e != Edition%d {\nreturn dst, errOtherEdition\n}", r.edition)
	}
}

// writeListAppend writes a list with its count, or bytes with their length.
func writeListAppend(o *out, f *field) {
	if f.Wire == "hex" {
		o.p("if dst, err = appendBytes16(dst, v.%s, %q); err != nil {\nreturn dst, err\n}", f.Go, f.Key)
		return
	}
	fn := "appendCount8"
	switch {
	case f.Count.Always:
		fn = "appendPlainCount8"
	case f.Count.Wire == "u16":
		fn = "appendCount16"
	}
	length := fmt.Sprintf("len(v.%s)", f.Go)
	if f.Each != nil {
		length = fmt.Sprintf("v.%s.Len()", f.Go)
	}
	o.p("if dst, err = %s(dst, v.%sCount, %s, %q); err != nil {\nreturn dst, err\n}", fn, f.Go, length, f.Key)
	if f.Each != nil {
		o.p("dst = append(dst, v.%s...)", f.Go)
		return
	}
	o.p("for i := range v.%s {", f.Go)
	if f.entry.size() > 0 {
		o.p("dst, _ = v.%s[i].appendTo(dst)\n}", f.Go)
		return
	}
	o.p("if dst, err = v.%s[i].appendTo(dst); err != nil {\nreturn dst, inList(err, %q, i)\n}\n}", f.Go, f.Key)
}

func writeUnitAppend(o *out, r *record) {
	o.p("func (u *%s) appendUnit(dst []byte, _ Edition, keys int) ([]byte, error) {", r.Go)
	for _, f := range r.Fields {
		if f.Wire == "hex" || f.Wire == "custom" {
			o.p("var err error")
			break
		}
	}
	for i, f := range r.Fields {
		o.p("if keys < %d {\nreturn dst, nil\n}", i+1)
		switch f.Wire {
		case "time", "text":
			o.p("dst = append(dst, u.%s[:]...)", f.Go)
		case "hex":
			o.p("if dst, err = appendBytes16(dst, u.%s, %q); err != nil {\nreturn dst, err\n}", f.Go, f.Key)
		case "custom":
			o.p("if dst, err = u.%s.appendTo(dst, %q); err != nil {\nreturn dst, err\n}", f.Go, f.Key)
		default:
			o.p("dst = append(dst, %s)", strings.Join(wireBytes("u", f), ", "))
		}
	}
	o.p("return dst, nil\n}\n")
}
