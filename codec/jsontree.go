package codec

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// The JSON reader is strict RFC 8259 and keeps what encoding/json does not give: numbers as they
// are written, a key that stands twice, and where each value is.

// maxDepth bounds the nesting of the input, the reader's only recursion.
const maxDepth = 64

// node is one JSON value.
type node struct {
	kind    byte // 'n' null, 't' true, 'f' false, '0' number, '"' string, '[' array, '{' object
	offset  int
	text    string // of a number, as written; of a string, its value
	elems   []node
	members []member
}

// member is one key of an object.
type member struct {
	key    string
	value  node
	offset int
	used   bool // the encoder has read it
}

// find returns the member with the key given, nil when there is none.
func (n *node) find(key string) *member {
	for i := range n.members {
		if n.members[i].key == key {
			return &n.members[i]
		}
	}
	return nil
}

// treeReader reads one JSON text into nodes.
type treeReader struct {
	in  []byte
	pos int
	err *JSONError
}

// parseTree reads exactly one JSON value.
func parseTree(in []byte) (node, *JSONError) {
	r := treeReader{in: in}
	n := r.value(0)
	r.space()
	if r.err == nil && r.pos < len(in) {
		r.fail("bytes after the end of the object")
	}
	return n, r.err
}

func (r *treeReader) fail(reason string) node {
	if r.err == nil {
		r.err = &JSONError{Offset: r.pos, Reason: reason + " at offset " + strconv.Itoa(r.pos)}
	}
	return node{}
}

func (r *treeReader) space() {
	for r.pos < len(r.in) {
		switch r.in[r.pos] {
		case ' ', '\t', '\r', '\n':
			r.pos++
		default:
			return
		}
	}
}

// peek returns the next byte after white space, 0 at the end.
func (r *treeReader) peek() byte {
	r.space()
	if r.pos == len(r.in) {
		return 0
	}
	return r.in[r.pos]
}

func (r *treeReader) value(depth int) node {
	if depth > maxDepth {
		return r.fail("nested too deeply")
	}
	c := r.peek()
	start := r.pos
	switch {
	case c == '{':
		return r.object(depth)
	case c == '[':
		return r.array(depth)
	case c == '"':
		s, ok := r.str()
		if !ok {
			return node{}
		}
		return node{kind: '"', offset: start, text: s}
	case c == '-' || c >= '0' && c <= '9':
		return r.number()
	case c == 'n':
		return r.word("null", 'n')
	case c == 't':
		return r.word("true", 't')
	case c == 'f':
		return r.word("false", 'f')
	case c == 0 && r.pos == len(r.in):
		return r.fail("unexpected end")
	}
	return r.fail("no JSON value")
}

func (r *treeReader) word(word string, kind byte) node {
	start := r.pos
	if len(r.in)-start < len(word) || string(r.in[start:start+len(word)]) != word {
		return r.fail("no JSON value")
	}
	r.pos += len(word)
	return node{kind: kind, offset: start}
}

func (r *treeReader) object(depth int) node {
	n := node{kind: '{', offset: r.pos}
	var seen map[string]bool // only for objects too large to compare pair by pair
	r.pos++
	if r.peek() == '}' {
		r.pos++
		return n
	}
	for {
		if r.peek() != '"' {
			return r.fail("a key is wanted")
		}
		at := r.pos
		key, ok := r.str()
		if !ok {
			return node{}
		}
		if len(n.members) == 32 {
			seen = make(map[string]bool, 64)
			for _, m := range n.members {
				seen[m.key] = true
			}
		}
		if seen[key] || seen == nil && n.find(key) != nil {
			r.pos = at
			return r.fail("the key " + strconv.Quote(key) + " stands twice")
		}
		if seen != nil {
			seen[key] = true
		}
		if r.peek() != ':' {
			return r.fail("a colon is wanted")
		}
		r.pos++
		v := r.value(depth + 1)
		if r.err != nil {
			return node{}
		}
		n.members = append(n.members, member{key: key, value: v, offset: at})
		switch r.peek() {
		case ',':
			r.pos++
		case '}':
			r.pos++
			return n
		default:
			return r.fail("a comma or } is wanted")
		}
	}
}

func (r *treeReader) array(depth int) node {
	n := node{kind: '[', offset: r.pos}
	r.pos++
	if r.peek() == ']' {
		r.pos++
		return n
	}
	for {
		v := r.value(depth + 1)
		if r.err != nil {
			return node{}
		}
		n.elems = append(n.elems, v)
		switch r.peek() {
		case ',':
			r.pos++
		case ']':
			r.pos++
			return n
		default:
			return r.fail("a comma or ] is wanted")
		}
	}
}

// number reads a number by the grammar of RFC 8259 section 6.
func (r *treeReader) number() node {
	start := r.pos
	if r.in[r.pos] == '-' {
		r.pos++
	}
	switch n := r.digits(); {
	case n == 0:
		return r.fail("a digit is wanted")
	case n > 1 && r.in[r.pos-n] == '0':
		return r.fail("a number begins with 0")
	}
	if r.pos < len(r.in) && r.in[r.pos] == '.' {
		r.pos++
		if r.digits() == 0 {
			return r.fail("a digit is wanted")
		}
	}
	if r.pos < len(r.in) && (r.in[r.pos] == 'e' || r.in[r.pos] == 'E') {
		r.pos++
		if r.pos < len(r.in) && (r.in[r.pos] == '+' || r.in[r.pos] == '-') {
			r.pos++
		}
		if r.digits() == 0 {
			return r.fail("a digit is wanted")
		}
	}
	return node{kind: '0', offset: start, text: string(r.in[start:r.pos])}
}

func (r *treeReader) digits() (n int) {
	for r.pos < len(r.in) && r.in[r.pos] >= '0' && r.in[r.pos] <= '9' {
		r.pos++
		n++
	}
	return n
}

// str reads a string and returns its value, which is always valid UTF-8.
func (r *treeReader) str() (string, bool) {
	r.pos++
	start := r.pos
	for r.pos < len(r.in) && r.in[r.pos] != '"' && r.in[r.pos] != '\\' && r.in[r.pos] >= ' ' {
		r.pos++
	}
	b := append([]byte(nil), r.in[start:r.pos]...)
	for {
		if r.pos == len(r.in) {
			r.fail("unexpected end of a string")
			return "", false
		}
		switch c := r.in[r.pos]; {
		case c == '"':
			if !utf8.Valid(b) {
				r.fail("a string is not UTF-8")
				return "", false
			}
			r.pos++
			return string(b), true
		case c < ' ':
			r.fail("a control character in a string")
			return "", false
		case c != '\\':
			b = append(b, c)
			r.pos++
		default:
			var ok bool
			if b, ok = r.escape(b); !ok {
				return "", false
			}
		}
	}
}

// escape reads one escape sequence and appends what it stands for.
func (r *treeReader) escape(b []byte) ([]byte, bool) {
	if r.pos+1 == len(r.in) {
		r.pos++
		return b, true // the caller finds the end
	}
	c := r.in[r.pos+1]
	if c == 'u' {
		return r.unicode(b)
	}
	const from, to = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	for i := range len(from) {
		if from[i] == c {
			r.pos += 2
			return append(b, to[i]), true
		}
	}
	r.fail("an unknown escape sequence")
	return b, false
}

// unicode reads \uXXXX, or two of them when they are a surrogate pair.
func (r *treeReader) unicode(b []byte) ([]byte, bool) {
	c, ok := r.hex4(r.pos)
	if !ok {
		r.fail(`four hex digits are wanted after \u`)
		return b, false
	}
	n := 6
	if utf16.IsSurrogate(c) {
		low, ok := r.hex4(r.pos + n)
		if c = utf16.DecodeRune(c, low); !ok || c == utf8.RuneError {
			r.fail("half a surrogate pair")
			return b, false
		}
		n += 6
	}
	r.pos += n
	return utf8.AppendRune(b, c), true
}

// hex4 returns the code of the escape sequence \uXXXX at pos.
func (r *treeReader) hex4(pos int) (rune, bool) {
	if len(r.in)-pos < 6 || r.in[pos] != '\\' || r.in[pos+1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(r.in[pos+2:pos+6]), 16, 16)
	return rune(n), err == nil
}
