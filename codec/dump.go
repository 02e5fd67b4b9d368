package codec

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// The columns of a dump: offset, eight bytes, names, values; 120 in all.
const (
	dumpWidth    = 120
	dumpBytes    = 8  // bytes in a row beside their names
	dumpMore     = 32 // bytes in a row that goes on with a long field
	dumpNames    = 31 // the column at which the names start
	dumpValues   = 78 // the column at which the values start
	dumpIndent   = 2
	dumpContinue = dumpValues + 2 // of a value that does not fit one row
)

// AppendDump appends the frame as an annotated hex dump for people: each field with its offset (in
// hex), its bytes, its JSON key and Chinese name, the raw value and what it means, and what is odd
// about it after "!". Numbers of a list share rows. No row is wider than 120 columns, of which a
// Chinese character takes two. Secrets are shown.
func AppendDump(dst []byte, f Frame) []byte {
	p := &dumper{b: dst, frame: f}
	root := Dissect(f)
	for i := range root.Nodes {
		p.node(&root.Nodes[i], "", 0)
	}
	return p.b
}

// dumper writes a dump.
type dumper struct {
	b     []byte
	frame Frame
}

// node writes a node that stands in the object with the path given.
func (p *dumper) node(n *Node, object string, depth int) {
	switch {
	case n.Leaf():
		p.row(n.Offset, n.Size, depth, n.title(object), n.says(), n.Problems)
	case n.Kind == KindList:
		p.list(n, object, depth)
	default:
		p.row(n.Offset, 0, depth, n.title(object), groupSize(n.Size), n.Problems)
		for i := range n.Nodes {
			p.node(&n.Nodes[i], n.Path, depth+1)
		}
	}
}

func groupSize(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return strconv.Itoa(n) + " bytes"
}

// title returns how a node is called: its path inside the object above it, and the Chinese name.
func (n *Node) title(object string) string {
	name := n.Path
	if object != "" {
		name = strings.TrimPrefix(name, object+".")
	}
	switch n.Key {
	case "":
		name = n.Name
	case "info":
		name += " " + strings.SplitN(n.Name, ":", 2)[0]
	}
	return named(name, n.Chinese)
}

// says returns "251 → 25.1 km/h" and its like for the other kinds.
func (n *Node) says() string {
	switch n.Kind {
	case KindText:
		s := ""
		if n.Value != "" || n.Size == 0 {
			s = strconv.Quote(n.Value)
		}
		return join(join(s, n.Unit), n.Meaning)
	case KindTime:
		return n.Value
	case KindBytes:
		if n.Value == "" && n.Size > 1 {
			return groupSize(n.Size)
		}
		return n.Value
	}
	if strings.HasPrefix(n.Value, "0x") {
		return join(n.Value, n.Meaning) // an id
	}
	raw := strconv.FormatUint(uint64(n.Raw), 10)
	means := n.Meaning
	if n.Value != "" && n.Value != raw {
		means = join(join(n.Value, n.Unit), means)
	} else {
		raw = join(raw, n.Unit)
	}
	if means == "" {
		return raw
	}
	return raw + " → " + means
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + " " + b
}

// row writes a node: offset and bytes, title, value, problems. What does not fit goes on below.
func (p *dumper) row(offset, size, depth int, title, value string, problems []Code) {
	for _, c := range problems {
		value = join(value, "!"+string(c))
	}
	start := len(p.b)
	p.bytes(offset, min(size, dumpBytes))
	p.pad(start, dumpNames+dumpIndent*depth)
	p.b = append(p.b, title...)
	if value != "" {
		if columns(p.b[start:]) >= dumpValues {
			p.end(start)
			start = len(p.b)
		}
		p.pad(start, dumpValues)
		p.wrap(start, value)
	}
	p.end(start)
	for size -= dumpBytes; size > 0; size -= dumpMore {
		offset += dumpBytes
		start = len(p.b)
		p.bytes(offset, min(size, dumpMore))
		p.end(start)
		offset += dumpMore - dumpBytes
	}
}

// bytes writes the offset and n bytes.
func (p *dumper) bytes(offset, n int) {
	const digits = "0123456789ABCDEF"
	for shift := 16; shift >= 0; shift -= 4 {
		p.b = append(p.b, digits[offset>>shift&15])
	}
	p.b = append(p.b, ' ')
	for _, c := range p.frame[offset : offset+n] {
		p.b = append(p.b, ' ', digits[c>>4], digits[c&15])
	}
}

// pad fills the row that begins at start with blanks up to a column, at least one.
func (p *dumper) pad(start, column int) {
	for n := max(1, column-columns(p.b[start:])); n > 0; n-- {
		p.b = append(p.b, ' ')
	}
}

// wrap writes words, in new rows where they do not fit.
func (p *dumper) wrap(start int, text string) {
	at := columns(p.b[start:])
	for i, word := range strings.Fields(text) {
		w := columns([]byte(word))
		switch {
		case i == 0:
		case at+1+w > dumpWidth:
			p.end(start)
			start = len(p.b)
			p.pad(start, dumpContinue)
			at = dumpContinue
		default:
			p.b = append(p.b, ' ')
			at++
		}
		for at+w > dumpWidth {
			// A word longer than the column, a text or a URL.
			word, w = p.chop(word, dumpWidth-at)
			p.end(start)
			start = len(p.b)
			p.pad(start, dumpContinue)
			at = dumpContinue
		}
		p.b = append(p.b, word...)
		at += w
	}
}

// chop writes as much of a word as fits and returns the rest with its width.
func (p *dumper) chop(word string, room int) (rest string, w int) {
	for word != "" {
		r, size := utf8.DecodeRuneInString(word)
		if room -= runeWidth(r); room < 0 {
			break
		}
		p.b = append(p.b, word[:size]...)
		word = word[size:]
	}
	return word, columns([]byte(word))
}

// end closes the row that begins at start.
func (p *dumper) end(start int) {
	p.b = append(p.b[:start+len(bytes.TrimRight(p.b[start:], " "))], '\n')
}

// list writes numbers of the same kind, as many in a row as fit beside their bytes.
func (p *dumper) list(n *Node, object string, depth int) {
	p.row(n.Offset, 0, depth, n.title(object), listText(n), nil)
	if len(n.Nodes) == 0 {
		return
	}
	perRow := dumpBytes / n.Nodes[0].Size
	for i := 0; i < len(n.Nodes); i += perRow {
		entries := n.Nodes[i:min(i+perRow, len(n.Nodes))]
		size := 0
		var values []string
		for j := range entries {
			size += entries[j].Size
			values = append(values, entries[j].inList())
		}
		title := "[" + strconv.Itoa(i) + "]"
		if len(entries) > 1 {
			title = "[" + strconv.Itoa(i) + ".." + strconv.Itoa(i+len(entries)-1) + "]"
		}
		p.row(entries[0].Offset, size, depth+1, title, strings.Join(values, " "), nil)
	}
}

// listText returns "96 entries, V".
func listText(n *Node) string {
	s := strconv.Itoa(len(n.Nodes)) + " entries"
	if len(n.Nodes) == 1 {
		s = "1 entry"
	}
	for i := range n.Nodes {
		if unit := n.Nodes[i].Unit; unit != "" {
			return s + " in " + unit
		}
	}
	return s
}

// inList returns the value of a number among others.
func (n *Node) inList() string {
	s := n.Value
	if s == "" {
		s = n.Meaning
	} else if n.Meaning != "" {
		s += "=" + n.Meaning
	}
	for _, c := range n.Problems {
		s += "!" + string(c)
	}
	return s
}

// columns returns the width of a text on a terminal.
func columns(b []byte) int {
	n := 0
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		n += runeWidth(r)
		b = b[size:]
	}
	return n
}

func runeWidth(r rune) int {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}
