package codec

import "slices"

// TextList is a list of texts of equal width, a view of the frame.
type TextList struct {
	Width int
	Data  []byte
}

// Len returns the number of texts.
func (l TextList) Len() int {
	if l.Width == 0 {
		return 0
	}
	return len(l.Data) / l.Width
}

// At returns the bytes of text i, padding included.
func (l TextList) At(i int) []byte { return l.Data[i*l.Width : (i+1)*l.Width] }

// Text returns text i without its padding.
func (l TextList) Text(i int) string { return Text(l.At(i)) }

// makeTexts returns the list of the texts given, padded with 0x00 to the width; width 0 is that of
// the longest.
func makeTexts(width int, texts []string) (TextList, error) {
	var l TextList
	for _, s := range texts {
		raw, err := encodeGB18030(s)
		if err != nil {
			return l, err
		}
		l.Width = max(l.Width, len(raw))
	}
	if width > 0 {
		l.Width = width
	}
	l.Data = make([]byte, l.Width*len(texts))
	for i, s := range texts {
		if err := PutText(l.At(i), s); err != nil {
			return l, err
		}
	}
	return l, nil
}

// appendEntries appends the JSON array of the texts.
func (l TextList) appendEntries(b []byte, w *jsonWriter) []byte {
	b = append(b, '[')
	for i := range l.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		b = w.entry(b, l.At(i))
	}
	return append(b, ']')
}

// fills reports whether a text takes the whole width, so that the width can be derived.
func (l TextList) fills() bool {
	for i := range l.Len() {
		raw := trimPadding(l.At(i))
		if len(raw) == l.Width {
			return true
		}
		if _, _, exact := textForm(raw); !exact || !isPadding(l.At(i)[len(raw):], 0) {
			return true // shown as hex, with all its bytes
		}
	}
	return false
}

// texts reads a JSON array of texts, each a string or {"hex":"…"}. width 0 is that of the longest.
func (o *object) texts(key string, width int) TextList {
	nodes := o.list(key)
	raws := make([][]byte, len(nodes))
	longest := 0
	for i := range nodes {
		n := &nodes[i]
		if n.kind == '"' {
			raw, err := encodeGB18030(n.text)
			if err != nil {
				o.fail(key, n.offset, textReason(err))
			}
			raws[i] = raw
		} else {
			sub := o.entry(key, i, n)
			raws[i] = sub.hex("hex")
			sub.done()
		}
		longest = max(longest, len(raws[i]))
	}
	l := TextList{Width: longest}
	if width > 0 {
		l.Width = width
	}
	for i, raw := range raws {
		if len(raw) > l.Width {
			o.fail(key, nodes[i].offset, "a text is longer than the width of the field")
			return TextList{}
		}
		l.Data = append(append(l.Data, raw...), make([]byte, l.Width-len(raw))...)
	}
	return l
}

// StorageCodes are the codes of the rechargeable storage subsystems in a vehicle login of the 2016
// edition (table 6). A login with a count but no codes (width 0) is the usual one.
type StorageCodes struct {
	Count Count // the number of subsystems; given when it is not the number of codes
	Codes TextList

	// Short says that the unit has fewer bytes than Count and Codes.Width announce. Codes holds no
	// code then; what there is of them stands in the message's Rest.
	Short bool
}

// MakeStorageCodes returns the codes given; without codes, only the number of subsystems. The error
// is ErrText.
func MakeStorageCodes(subsystems uint8, codes ...string) (StorageCodes, error) {
	l, err := makeTexts(0, codes)
	c := StorageCodes{Codes: l}
	if int(subsystems) != l.Len() {
		c.Count = MakeCount(uint16(subsystems))
	}
	return c, err
}

func (c *StorageCodes) decode(b []byte, d *decoding) (n int) {
	if len(b) < 2 {
		return -1
	}
	announced, width := uint16(b[0]), int(b[1])
	size := d.count8(&c.Count, b[0]) * width
	c.Codes, c.Short = TextList{Width: width}, false
	b = b[2:]
	if size > len(b) {
		c.Count, c.Short = MakeCount(announced), true
		d.fault = fault{code: CodeCountMismatch, key: "storageCodes"}
		return 2
	}
	if width == 0 && announced > 0 {
		c.Count = MakeCount(announced)
	}
	c.Codes.Data = b[:size:size]
	return 2 + size
}

func (c *StorageCodes) appendTo(dst []byte, key string) ([]byte, error) {
	dst, err := appendCount8(dst, c.Count, c.Codes.Len(), key)
	if err != nil {
		return dst, err
	}
	if c.Codes.Width > 0xFF {
		return dst, tooMany(key, c.Codes.Width, 0xFF)
	}
	dst = append(dst, byte(c.Codes.Width))
	return append(dst, c.Codes.Data...), nil
}

func (c *StorageCodes) appendJSON(b []byte, w *jsonWriter, key string) []byte {
	n := c.Codes.Len()
	wire := n
	if c.Count.given {
		wire = int(c.Count.n)
	}
	switch {
	case wire >= mark8:
		w.problem("subsystemCount", CodeCountMark)
	case wire > 250:
		w.problem("subsystemCount", CodeOutOfRange)
	}
	if c.Codes.Width > 50 {
		w.problem("codeLength", CodeOutOfRange)
	}
	if wire != n || c.Short {
		b = appendUint(appendKey(b, "subsystemCount"), uint32(wire))
	}
	if c.Short || c.Codes.Width > 0 && !c.Codes.fills() {
		b = appendUint(appendKey(b, "codeLength"), uint32(c.Codes.Width))
	}
	if c.Short {
		return b
	}
	return c.Codes.appendEntries(appendKey(b, key), w)
}

func (c *StorageCodes) keys() []string {
	return []string{"storageCodes", "subsystemCount", "codeLength"}
}

func (c *StorageCodes) parse(o *object, key string) {
	if o.has("subsystemCount") {
		c.Count = MakeCount(uint16(o.raw("subsystemCount", 8)))
	}
	if c.Short = !o.has(key); c.Short {
		c.Codes.Width = int(o.raw("codeLength", 8))
		return
	}
	width := 0
	if o.has("codeLength") {
		width = int(o.raw("codeLength", 8))
	}
	c.Codes = o.texts(key, width)
}

func (c *StorageCodes) clone() StorageCodes {
	n := *c
	n.Codes.Data = slices.Clone(c.Codes.Data)
	return n
}

// packCodeWidth is the width of a battery pack's code (GB/T 34014), 2025 table 6.
const packCodeWidth = 24

// PackCodes are the codes of the battery packs in a vehicle login of the 2025 edition (table 6), by
// battery management system.
type PackCodes struct {
	Count   Count
	Systems []PackCodeList
}

// PackCodeList holds the codes of the packs of one battery management system.
type PackCodeList struct {
	Count Count
	Codes TextList
}

// MakePackCodes returns the codes given, one slice for each battery management system. The error is
// ErrText.
func MakePackCodes(systems ...[]string) (PackCodes, error) {
	var c PackCodes
	for _, codes := range systems {
		l, err := makeTexts(packCodeWidth, codes)
		if err != nil {
			return c, err
		}
		c.Systems = append(c.Systems, PackCodeList{Codes: l})
	}
	return c, nil
}

func (c *PackCodes) decode(b []byte, d *decoding) (n int) {
	if len(b) < 1 {
		return -1
	}
	size := len(b)
	systems := d.count8(&c.Count, b[0])
	if b = b[1:]; len(b) < systems {
		return -1
	}
	counts := b[:systems]
	b = b[systems:]
	c.Systems = resize(c.Systems, systems)
	for i := range c.Systems {
		k := packCodeWidth * d.count8(&c.Systems[i].Count, counts[i])
		if len(b) < k {
			return -1
		}
		c.Systems[i].Codes = TextList{Width: packCodeWidth, Data: b[:k:k]}
		b = b[k:]
	}
	return size - len(b)
}

func (c *PackCodes) appendTo(dst []byte, key string) ([]byte, error) {
	dst, err := appendCount8(dst, c.Count, len(c.Systems), key)
	if err != nil {
		return dst, err
	}
	for i := range c.Systems {
		s := &c.Systems[i]
		if s.Codes.Len() > 0 && s.Codes.Width != packCodeWidth {
			return dst, inList(&FieldError{Path: "packCodes", Reason: "the codes do not have 24 bytes"}, key, i)
		}
		if dst, err = appendCount8(dst, s.Count, s.Codes.Len(), "packCodes"); err != nil {
			return dst, inList(err, key, i)
		}
	}
	for i := range c.Systems {
		dst = append(dst, c.Systems[i].Codes.Data...)
	}
	return dst, nil
}

func (c *PackCodes) appendJSON(b []byte, w *jsonWriter, key string) []byte {
	b = w.count(b, key, c.Count, len(c.Systems), 0, 20, mark8)
	b = append(appendKey(b, key), '[')
	for i := range c.Systems {
		if i > 0 {
			b = append(b, ',')
		}
		s := &c.Systems[i]
		w.in(key, i)
		n := len(b)
		b = appendKey(w.count(b, "packCodes", s.Count, s.Codes.Len(), 0, 50, mark8), "packCodes")
		b[n] = '{' // in place of the comma before the first key
		b = append(s.Codes.appendEntries(b, w), '}')
	}
	w.out()
	return append(b, ']')
}

func (c *PackCodes) keys() []string { return []string{"bms", "bmsCount"} }

func (c *PackCodes) parse(o *object, key string) {
	c.Count = o.count(key, 8)
	for i, n := range o.list(key) {
		sub := o.entry(key, i, &n)
		c.Systems = append(c.Systems, PackCodeList{Count: sub.count("packCodes", 8), Codes: sub.texts("packCodes", packCodeWidth)})
		sub.done()
	}
}

func (c *PackCodes) clone() PackCodes {
	n := PackCodes{Count: c.Count, Systems: slices.Clone(c.Systems)}
	for i := range n.Systems {
		n.Systems[i].Codes.Data = slices.Clone(n.Systems[i].Codes.Data)
	}
	return n
}
