package codec

import (
	"strconv"
	"strings"
)

// fields takes the fields of a record, as far as they fit.
func (d *dissector) fields(specs []fieldSpec) []Node {
	nodes := make([]Node, 0, len(specs))
	for i := range specs {
		if nodes = d.field(nodes, &specs[i]); d.short {
			break
		}
	}
	return nodes
}

// field takes one field: a node, or some when a count or a length stands before it.
func (d *dissector) field(nodes []Node, s *fieldSpec) []Node {
	switch s.wire {
	case wireTime:
		return append(nodes, d.timeOf(s.key, s.doc, s.zh))
	case wireText:
		return append(nodes, d.text(s.key, s.doc, s.zh, s.size, s.pad))
	case wireBytes:
		return d.bytes(nodes, s)
	case wireNumbers, wireRecords:
		return d.list(nodes, s)
	case wireStorageCodes:
		return d.storageCodes(nodes, s)
	case wirePackCodes:
		return d.packCodes(nodes, s)
	case wireSignature:
		return append(nodes, d.signature(s))
	}
	if !d.fits(s.size) {
		return nodes
	}
	return append(nodes, d.scalar(s, s.key))
}

// scalar takes a number and says what it means.
func (d *dissector) scalar(s *fieldSpec, key string) Node {
	n := d.number(key, s.doc, s.zh, s.size)
	if s.signs {
		d.status = n.Raw
	}
	n.Unit = s.unit
	meaning, known := s.meaning(d.edition, n.Raw)
	switch {
	case known:
		n.Meaning = meaning
	case s.measure && (n.Raw < s.lo || n.Raw > s.hi) && n.Raw >= s.mark():
		n.Value, n.Unit, n.Meaning = "", "", State(n.Raw-s.mark()+1).String()
	case s.marks && !s.measure && n.Raw >= s.mark():
		n.Meaning = State(n.Raw - s.mark() + 1).String()
	case s.measure:
		v := int64(n.Raw)*s.step + s.offset
		if d.status&s.sign != 0 {
			v = -v
		}
		n.Value = string(appendFixed(nil, v, s.decimals))
	case len(s.bits) > 0:
		n.Meaning = s.bitText(n.Raw)
	}
	d.odd(&n, s.problem(d.edition, n.Raw))
	return n
}

// bitText names the bits that are set, in words.
func (s *fieldSpec) bitText(raw uint32) string {
	var words []string
	if s.gear && raw&0x80 == 0 {
		words = append(words, "gear "+gearName(raw))
	}
	for _, b := range s.bits {
		if raw>>b.bit&1 != 0 {
			words = append(words, b.doc+" "+b.zh)
		}
	}
	return strings.Join(words, ", ")
}

// gearName returns the name of the gear in the low four bits: "D".
func gearName(raw uint32) string {
	switch g := raw & 0x0F; g {
	case 0:
		return "N"
	case 13:
		return "R"
	case 14:
		return "D"
	case 15:
		return "P"
	default:
		return strconv.Itoa(int(g))
	}
}

// bytes takes a length and the bytes behind it.
func (d *dissector) bytes(nodes []Node, s *fieldSpec) []Node {
	if !d.fits(s.length.size) {
		return nodes
	}
	length := d.number(s.key+"Length", "length of the "+s.doc, s.length.zh, s.length.size)
	length.Unit = "bytes"
	size := int(length.Raw)
	nodes = append(nodes, length)
	if !d.fits(size) {
		return nodes
	}
	n := d.leaf(KindBytes, s.key, s.doc, s.zh, size)
	if length.Raw < s.length.lo {
		d.odd(&n, CodeOutOfRange)
	}
	return append(nodes, n)
}

// count takes the count before a list and returns the number of entries behind it.
func (d *dissector) count(c *countSpec, key string) (n Node, entries int) {
	n = d.number(key, "count", c.zh, c.size)
	switch mark := c.mark(); {
	case n.Raw >= mark:
		n.Value, n.Meaning = "", State(n.Raw-mark+1).String()
		d.odd(&n, CodeCountMark)
		return n, d.entries
	case n.Raw < c.lo || n.Raw > c.hi:
		d.odd(&n, CodeOutOfRange)
	}
	return n, int(n.Raw)
}

// list takes a count and the list behind it.
func (d *dissector) list(nodes []Node, s *fieldSpec) []Node {
	if !d.fits(s.count.size) {
		return nodes
	}
	count, entries := d.count(s.count, s.key+"Count")
	nodes = append(nodes, count)
	if s.wire == wireNumbers {
		return append(nodes, d.numbers(s, s.each, entries))
	}
	path := d.path
	for i := 0; i < entries && !d.short; i++ {
		entry := Node{Offset: d.at, Key: s.key, Name: s.entry.doc, Chinese: s.zh}
		entry.Path = indexed(d.in(s.key), i)
		d.path = entry.Path
		entry.Nodes = d.fields(s.entry.fields)
		entry.Size = d.at - entry.Offset
		nodes = append(nodes, entry)
		d.path = path
	}
	return nodes
}

// numbers takes a list of numbers.
func (d *dissector) numbers(s, each *fieldSpec, entries int) Node {
	list := Node{Offset: d.at, Path: d.in(s.key), Key: s.key, Name: s.doc, Chinese: s.zh, Kind: KindList}
	if !d.fits(entries * each.size) {
		entries = len(d.left()) / each.size
	}
	list.Nodes = make([]Node, entries)
	for i := range list.Nodes {
		list.Nodes[i] = d.scalar(each, s.key)
		list.Nodes[i].Path = indexed(list.Path, i)
	}
	list.Size = d.at - list.Offset
	return list
}

// indexed returns "path[i]".
func indexed(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
