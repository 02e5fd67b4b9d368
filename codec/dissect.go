package codec

import "strconv"

// Node is one part of a dissected frame: a field, or a group of fields. [Dissect] makes them.
type Node struct {
	// Offset and Size tell the bytes: f[Offset:Offset+Size]. The bytes of a group are those of its
	// Nodes, one after the other. A node without bytes stands for a field that is empty, or that a
	// cut frame does not hold any more.
	Offset, Size int

	// Path is the place in JSON: "info[2].subsystems[0].cellVoltages[17]". What JSON does not show
	// because it can be derived (start mark, lengths, counts, check byte) has a path of the same
	// form; a group that JSON does not know (the frame, its data unit) has none.
	Path string

	// Key is the last part of Path, without index: "cellVoltages".
	Key string

	// Name is the description in English, Chinese the name in the standard's tables.
	Name, Chinese string

	// Kind says what the bytes are, and so which of the fields below hold something.
	Kind NodeKind

	// Raw is the integer on the wire: KindNumber.
	Raw uint32

	// Value is what the bytes say: a physical value with the decimals of its resolution, an integer,
	// a text, a time in RFC 3339. It is empty for a mark, a time that no calendar has, a text that
	// is none, bytes and groups.
	Value string

	// Unit is the unit of Value: "km/h".
	Unit string

	// Meaning explains Value: the name of an enumeration's value, the set bits, the mark that stands
	// there instead.
	Meaning string

	// Problems says what is odd here, as [Message.Problems] does. Unlike there, the number is not
	// limited.
	Problems []Code

	// Nodes are the parts of a group, in wire order.
	Nodes []Node
}

// NodeKind is a kind of [Node].
type NodeKind uint8

// The kinds of nodes.
const (
	KindGroup  NodeKind = iota // a group of other nodes
	KindList                   // a group of numbers of the same kind, all of the same size
	KindNumber                 // a big-endian integer
	KindText                   // a text in GB 18030
	KindTime                   // six bytes of time
	KindBytes                  // anything else
)

// Leaf reports whether the node is not a group. The leaves of a frame cover each of its bytes once,
// in order.
func (n *Node) Leaf() bool { return n.Kind > KindList }

// Walk calls fn for the node and everything below it, in wire order, with the depth below n.
func (n *Node) Walk(fn func(n *Node, depth int)) { n.walk(fn, 0) }

func (n *Node) walk(fn func(n *Node, depth int), depth int) {
	fn(n, depth)
	for i := range n.Nodes {
		n.Nodes[i].walk(fn, depth+1)
	}
}

// Dissect takes the frame apart, down to the last byte, for people and for tools that show them
// frames. It reads the data unit as [Message.Decode] does; what Decode keeps in Rest is shown as far
// as its layout is known. Time and memory are linear in len(f), but each byte may become a Node:
// where speed matters, decode. Secrets are shown.
func Dissect(f Frame) *Node {
	var m Message
	m.Decode(f)
	d := &dissector{frame: f, edition: f.Edition(), entries: m.pass.entries,
		set: m.Command == CommandParamSet && m.Flag == FlagCommand}
	nodes := d.header(&m)
	unit := Node{Offset: HeaderSize, Size: len(f) - MinFrameSize, Name: "data unit", Chinese: "数据单元"}
	unit.Nodes = d.unit(&m)
	check := d.leaf(KindNumber, "check", "check byte", "校验码", 1)
	check.Raw = uint32(f[len(f)-1])
	check.Value = hexName(byte(check.Raw))
	return &Node{Size: len(f), Name: "frame", Chinese: "数据包", Nodes: append(nodes, unit, check)}
}

// dissector walks over a frame.
type dissector struct {
	frame   Frame
	at      int // offset of the next byte
	edition Edition
	entries int    // list entries behind a count that holds a mark, as Decode found out
	set     bool   // the frame sets parameters
	path    string // of the current object, "" for the data unit
	status  uint32 // the bits that tell the signs of the fields that follow

	// Inside an info item that is cut, fields are read as far as they go, and nothing is odd but the
	// item as a whole.
	partial bool
	short   bool // a field did not fit
}

// left returns what is left of the data unit.
func (d *dissector) left() []byte { return d.frame[d.at : len(d.frame)-1] }

// fits reports whether n bytes are left in the data unit, and remembers when they are not.
func (d *dissector) fits(n int) bool {
	d.short = d.short || n > len(d.left())
	return !d.short
}

// in returns the path of a key in the current object.
func (d *dissector) in(key string) string {
	if d.path == "" {
		return key
	}
	return d.path + "." + key
}

// leaf takes n bytes.
func (d *dissector) leaf(kind NodeKind, key, name, zh string, n int) Node {
	at := d.at
	d.at += n
	return Node{Offset: at, Size: n, Path: d.in(key), Key: key, Name: name, Chinese: zh, Kind: kind}
}

// number takes a big-endian number.
func (d *dissector) number(key, name, zh string, size int) Node {
	n := d.leaf(KindNumber, key, name, zh, size)
	for _, c := range d.frame[n.Offset:d.at] {
		n.Raw = n.Raw<<8 | uint32(c)
	}
	n.Value = strconv.FormatUint(uint64(n.Raw), 10)
	return n
}

// odd notes a problem of a node, "" for none.
func (d *dissector) odd(n *Node, c Code) {
	if c != "" && !d.partial {
		n.Problems = append(n.Problems, c)
	}
}

// timeOf takes a time.
func (d *dissector) timeOf(key, name, zh string) Node {
	n := d.leaf(KindTime, key, name, zh, TimeSize)
	if t, ok := Time(d.frame[n.Offset:d.at]).Time(); ok {
		n.Value = t.Format("2006-01-02T15:04:05-07:00")
	} else {
		d.odd(&n, CodeBadTime)
	}
	return n
}

// text takes a text of fixed width, padded with pad.
func (d *dissector) text(key, name, zh string, size int, pad byte) Node {
	n := d.leaf(KindText, key, name, zh, size)
	field := d.frame[n.Offset:d.at]
	raw := trimPadding(field)
	text, printable, exact := textForm(raw)
	if printable {
		n.Value = text
	}
	if !exact || !isPadding(field[len(raw):], pad) {
		d.odd(&n, CodePadding)
	}
	return n
}

// freeText takes a text of variable width.
func (d *dissector) freeText(key, name, zh string, size int) Node {
	n := d.leaf(KindText, key, name, zh, size)
	if text, printable, _ := textForm(d.frame[n.Offset:d.at]); printable {
		n.Value = text
	}
	return n
}

// rest takes all that is left of the data unit.
func (d *dissector) rest(key, name, zh string) Node {
	return d.leaf(KindBytes, key, name, zh, len(d.left()))
}
