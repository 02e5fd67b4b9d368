package codec

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// object reads the keys of one JSON object into the fields of a struct. The first error stays in
// the shared reader; after it everything reads as zero.
type object struct {
	r      *jsonReader
	n      *node
	path   string // of the object, "" for the envelope
	item   *item  // the nearest enclosing info item or parameter, which lists the marks
	fields Body   // of the envelope: the data unit, to name the keys it would have
	absent string // the first of them that is not there
}

// jsonReader is what the objects of one input share.
type jsonReader struct {
	edition Edition
	err     *JSONError
}

// item holds the lists of marked measurements of an info item or parameter.
type item struct {
	path  string // of the item
	marks map[string][]markRun
}

// markRun is one path of an abnormal or invalid list: base[from..to], from -1 without index.
type markRun struct {
	from, to int
	state    State
	listed   string // the path as it stands in the list
	offset   int
	met      int // the nulls found for it
}

func (o *object) at(key string) string {
	if o.path == "" {
		return key
	}
	return o.path + "." + key
}

func (o *object) fail(key string, offset int, reason string) {
	o.r.fail(o.at(key), offset, reason)
}

func (r *jsonReader) fail(path string, offset int, reason string) {
	if r.err == nil {
		r.err = &JSONError{Path: path, Offset: offset, Reason: reason}
	}
}

// has reports whether one of the keys is there.
func (o *object) has(keys ...string) bool {
	for _, k := range keys {
		if o.n.find(k) != nil {
			return true
		}
	}
	return false
}

// next reports whether the next field of a data unit is there, under any of its keys. The fields
// end before the first that is not.
func (o *object) next(keys ...string) bool {
	if o.has(keys...) {
		return true
	}
	if o.absent == "" {
		o.absent = keys[0]
	}
	return false
}

// take returns the value of a key that must be there.
func (o *object) take(key string) *node {
	if n := o.may(key); n != nil {
		return n
	}
	o.fail(key, o.n.offset, "missing")
	return nil
}

// may returns the value of a key, nil when it is not there.
func (o *object) may(key string) *node {
	m := o.n.find(key)
	if m == nil {
		return nil
	}
	m.used = true
	return &m.value
}

// kind returns the value of a key that must be there and of the kind given.
func (o *object) kind(key string, kind byte, want string) *node {
	n := o.take(key)
	if n != nil && n.kind != kind {
		o.fail(key, n.offset, want+" is wanted")
		return nil
	}
	return n
}

// done fails when a key was not read. Keys that start with "_" are for readers only.
func (o *object) done() {
	for i := range o.n.members {
		m := &o.n.members[i]
		if m.used || strings.HasPrefix(m.key, "_") {
			continue
		}
		reason := "unknown key"
		if o.ofUnit(m.key) {
			reason = "stands after " + strconv.Quote(o.absent) + ", which is absent"
		}
		o.fail(m.key, m.offset, reason)
		return
	}
}

// ofUnit reports whether the key is one of a field of the data unit.
func (o *object) ofUnit(key string) bool {
	if o.fields == nil {
		return false
	}
	for i := range o.fields.keyCount() {
		if k := o.fields.keyAt(i); key == k || key == k+"Hex" || key == k+"Count" {
			return true
		}
	}
	return false
}

// object returns the object under key; without one, an empty object and an error.
func (o *object) object(key string) *object {
	sub := &object{r: o.r, n: o.kind(key, '{', "an object"), path: o.at(key), item: o.item}
	if sub.n == nil {
		sub.n = &node{}
	}
	return sub
}

// list returns the entries of the array under key.
func (o *object) list(key string) []node {
	n := o.kind(key, '[', "an array")
	if n == nil {
		return nil
	}
	return n.elems
}

// entry returns entry i of the array key, which must be an object.
func (o *object) entry(key string, i int, n *node) *object {
	sub := &object{r: o.r, n: n, path: o.at(key) + "[" + strconv.Itoa(i) + "]", item: o.item}
	if n.kind != '{' {
		o.r.fail(sub.path, n.offset, "an object is wanted")
		sub.n = &node{}
	}
	return sub
}

// str reads a string.
func (o *object) str(key string) string {
	n := o.kind(key, '"', "a string")
	if n == nil {
		return ""
	}
	return n.text
}

// hex reads a string of hex digits.
func (o *object) hex(key string) []byte {
	n := o.kind(key, '"', "a string of hex digits")
	if n == nil {
		return nil
	}
	b, err := hex.DecodeString(n.text)
	if err != nil {
		o.fail(key, n.offset, "no hex digits, or an odd number of them")
	}
	return b
}

// field reads a text into a field of fixed width: keyHex when it is there, else key.
func (o *object) field(key string, field []byte, pad byte) {
	if o.has(key + "Hex") {
		b := o.textHex(key)
		if len(b) != len(field) {
			o.fail(key+"Hex", o.n.offset, strconv.Itoa(len(b))+" bytes, exactly "+strconv.Itoa(len(field))+" are wanted")
			return
		}
		copy(field, b)
		return
	}
	n := o.kind(key, '"', "a string")
	if n == nil {
		return
	}
	if err := putPadded(field, n.text, pad); err != nil {
		o.fail(key, n.offset, textReason(err))
	}
}

// text reads a text of variable width: keyHex when it is there, else key.
func (o *object) text(key string) []byte {
	if o.has(key + "Hex") {
		return o.textHex(key)
	}
	n := o.kind(key, '"', "a string")
	if n == nil {
		return nil
	}
	b, err := encodeGB18030(n.text)
	if err != nil {
		o.fail(key, n.offset, textReason(err))
	}
	return b
}

// textHex reads keyHex. The text beside it is for readers and only has to be one.
func (o *object) textHex(key string) []byte {
	if o.has(key) {
		o.str(key)
	}
	return o.hex(key + "Hex")
}

// textReason returns the reason of an error of putPadded or encodeGB18030.
func textReason(err error) string {
	return strings.TrimPrefix(err.Error(), ErrText.Error()+": ")
}

// time reads a time: keyHex when it is there, else key in RFC 3339.
func (o *object) time(key string) (t Time) {
	if o.has(key + "Hex") {
		if n := o.may(key); n != nil && n.kind != 'n' {
			o.str(key)
		}
		b := o.hex(key + "Hex")
		if len(b) != TimeSize {
			o.fail(key+"Hex", o.n.offset, "exactly six bytes are wanted")
			return t
		}
		return Time(b)
	}
	n := o.kind(key, '"', "a string in RFC 3339")
	if n == nil {
		return t
	}
	at, err := time.Parse(time.RFC3339, n.text)
	year := at.In(Beijing).Year()
	if err != nil || at.Nanosecond() != 0 || year < 2000 || year > 2099 {
		o.fail(key, n.offset, strconv.Quote(n.text)+" is no time from 2000 to 2099 in whole seconds, as in 2018-10-30T20:36:00+08:00")
		return t
	}
	return MakeTime(at)
}
