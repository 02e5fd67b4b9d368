package codec

import (
	"slices"
	"strconv"
)

// maxParams is the largest number of parameters in a unit.
const maxParams = 252

// privateParam reports whether an id is one that users define; its length is unknown here.
func privateParam(id uint8) bool { return id >= 0x80 && id != 0xFF }

// Params is the data unit of a parameter setting (0x81) and of the answer to a parameter query
// (0x80), 2016 tables B.10 and B.13, 2025 tables B.6 and B.9.
type Params struct {
	Time        Time
	ParamsCount Count
	Params      []Param
}

// Param is one parameter with its bytes as they stand on the wire.
type Param struct {
	ID   uint8  // one of ParamStoragePeriod …
	Data []byte // a number, big-endian, or a text
}

// Name returns the JSON key of the parameter ("reportPeriod"), "" for an id without a table.
func (p Param) Name() string { return paramSpecOf(Edition2016, p.ID).key }

// Number returns the raw number that the parameter holds.
func (p Param) Number() (n uint32) {
	for _, c := range p.Data {
		n = n<<8 | uint32(c)
	}
	return n
}

// Value returns the physical value of a number in edition e: periods, timeouts, ports.
func (p Param) Value(e Edition) Value {
	s := paramSpecOf(e, p.ID)
	return value(p.Number(), s.mark(), s.step, 0, 0)
}

// Text returns the text that the parameter holds, without padding.
func (p Param) Text() string { return Text(p.Data) }

// AddNumber adds a parameter with a raw number. The error is a *FieldError when the id has no number
// in edition e or n does not fit its width.
func (u *Params) AddNumber(e Edition, id uint8, n uint32) error {
	s := paramSpecOf(e, id)
	if s.kind == paramText || s.kind == paramDomain || s.key == "" {
		return u.addError(id, "no number in edition "+editionText(e))
	}
	if n > s.mark()+1 {
		return u.addError(id, strconv.FormatUint(uint64(n), 10)+" does not fit "+strconv.Itoa(s.width)+" bytes")
	}
	p := Param{ID: id}
	p.putNumber(n, s.width)
	u.Params = append(u.Params, p)
	return nil
}

// AddText adds a parameter with a text; before a domain, the parameter that holds its length. The
// error is a *FieldError when the id has no text in edition e or s does not fit.
func (u *Params) AddText(e Edition, id uint8, s string) error {
	raw, err := encodeGB18030(s)
	if err != nil {
		return u.addError(id, textReason(err))
	}
	switch spec := paramSpecOf(e, id); spec.kind {
	case paramText:
		field := make([]byte, spec.width)
		if err := PutText(field, s); err != nil {
			return u.addError(id, textReason(err))
		}
		u.Params = append(u.Params, Param{ID: id, Data: field})
	case paramDomain:
		if len(raw) > 0xFF {
			return u.addError(id, "a domain has at most 255 bytes")
		}
		u.Params = append(u.Params, Param{ID: spec.lengthID, Data: []byte{byte(len(raw))}}, Param{ID: id, Data: raw})
	default:
		return u.addError(id, "no text in edition "+editionText(e))
	}
	return nil
}

func (u *Params) addError(id uint8, reason string) error {
	return inList(&FieldError{Path: Param{ID: id}.Name(), Reason: reason}, "params", len(u.Params))
}

// paramKind tells how a parameter's bytes are read.
type paramKind uint8

const (
	paramMeasure paramKind = iota // a number that may hold a mark
	paramRaw                      // a number, always printed
	paramText                     // a text of fixed width
	paramDomain                   // a text whose width another parameter holds
)

// paramSpec is a row of the table of parameters.
type paramSpec struct {
	key      string
	kind     paramKind
	width    int   // in bytes, 0 for a domain
	lengthID uint8 // of a domain: the parameter that holds its length
	step     int64 // raw × step is the physical value
	lo, hi   uint32
	marks    bool // a raw number that may also be 0xFE or 0xFF
	readOnly bool
}

// mark returns the abnormal mark of the parameter's width.
func (s *paramSpec) mark() uint32 {
	if s.width == 2 {
		return mark16
	}
	return mark8
}

// domainLengths follows the lengths of the two domains through a list of parameters: a domain can
// only be read after its length.
type domainLengths struct{ platform, public int }

func noDomains() domainLengths { return domainLengths{-1, -1} }

func (l *domainLengths) of(id uint8) *int {
	if id == ParamPlatformDomainLength {
		return &l.platform
	}
	return &l.public
}

// width returns the number of bytes of parameter id, negative when it is unknown.
func (l *domainLengths) width(s *paramSpec) int {
	switch {
	case s.key == "":
		return -1
	case s.kind == paramDomain:
		return *l.of(s.lengthID)
	}
	return s.width
}

// note remembers the length that the parameter p holds, if it does.
func (l *domainLengths) note(p Param) {
	if p.ID == ParamPlatformDomainLength || p.ID == ParamPublicDomainLength {
		*l.of(p.ID) = int(p.Number())
	}
}

// decode reads the parameters as far as their lengths are known.
func (u *Params) decode(b []byte, d *decoding) (n, keys int) {
	*u = Params{Params: u.Params[:0]}
	if len(b) < TimeSize {
		return 0, 0
	}
	u.Time = Time(b[:TimeSize])
	if len(b) < TimeSize+1 {
		return TimeSize, 1
	}
	size := len(b)
	count := d.count8(&u.ParamsCount, b[TimeSize])
	announced := b[TimeSize]
	b = b[TimeSize+1:]
	lengths := noDomains()
	for i := range count {
		code := CodeTruncated
		if len(b) > 0 {
			spec := paramSpecOf(d.edition, b[0])
			width := lengths.width(&spec)
			if width >= 0 && width < len(b) {
				p := Param{ID: b[0], Data: b[1 : 1+width : 1+width]}
				lengths.note(p)
				u.Params = append(u.Params, p)
				b = b[1+width:]
				continue
			}
			if width < 0 {
				code = CodeUnknownParam
			}
		}
		d.fault = fault{code: code, list: "params", index: i}
		u.ParamsCount = MakeCount(uint16(announced))
		break
	}
	return size - len(b), 2
}

func (u *Params) keyCount() int { return 2 }

func (u *Params) keyAt(i int) string { return [...]string{"time", "params"}[i] }

func (u *Params) appendUnit(dst []byte, e Edition, keys int) ([]byte, error) {
	if keys < 1 {
		return dst, nil
	}
	dst = append(dst, u.Time[:]...)
	if keys < 2 {
		return dst, nil
	}
	dst, err := appendCount8(dst, u.ParamsCount, len(u.Params), "params")
	if err != nil {
		return dst, err
	}
	lengths := noDomains()
	for i, p := range u.Params {
		spec := paramSpecOf(e, p.ID)
		width := lengths.width(&spec)
		if width != len(p.Data) && !privateParam(p.ID) {
			reason := strconv.Itoa(len(p.Data)) + " bytes, " + strconv.Itoa(width) + " are wanted"
			switch {
			case spec.key == "":
				reason = "no parameter has the id " + strconv.Itoa(int(p.ID))
			case width < 0:
				reason = "its length (id " + strconv.Itoa(int(spec.lengthID)) + ") must stand before it"
			}
			return dst, inList(&FieldError{Path: spec.key, Reason: reason}, "params", i)
		}
		lengths.note(p)
		dst = append(append(dst, p.ID), p.Data...)
	}
	return dst, nil
}

func (u *Params) appendKeys(b []byte, w *jsonWriter, keys int) []byte {
	if keys < 1 {
		return b
	}
	b = w.time(append(b, `,"time":`...), "time", u.Time)
	if keys < 2 {
		return b
	}
	b = w.count(b, "params", u.ParamsCount, len(u.Params), 0, maxParams, mark8)
	b = append(b, `,"params":[`...)
	for i := range u.Params {
		if i > 0 {
			b = append(b, ',')
		}
		w.at("params", i)
		b = u.Params[i].appendJSON(b, w)
	}
	w.at("", 0)
	return append(b, ']')
}

func (p *Param) appendJSON(b []byte, w *jsonWriter) []byte {
	spec := paramSpecOf(w.edition, p.ID)
	b = appendUint(append(b, `{"id":`...), uint32(p.ID))
	if spec.readOnly && w.set {
		w.problem("id", CodeOutOfRange)
	}
	switch spec.kind {
	case paramText:
		b = w.field(b, spec.key, p.Data, 0)
	case paramDomain:
		b = w.text(b, spec.key, p.Data)
	case paramRaw:
		n := p.Number()
		if good := n >= spec.lo && n <= spec.hi || spec.marks && n >= spec.mark(); !good {
			w.problem(spec.key, CodeOutOfRange)
		}
		b = appendUint(appendKey(b, spec.key), n)
	default:
		b = appendKey(b, spec.key)
		if n := p.Number(); n < spec.lo || n > spec.hi {
			b = w.odd(b, spec.key, n, spec.mark(), spec.step, 0, 0)
		} else {
			b = appendFixed(b, int64(n)*spec.step, 0)
		}
	}
	return w.end(b)
}

func (u *Params) parseKeys(o *object) (keys int) {
	if !o.next("time", "timeHex") {
		return 0
	}
	u.Time = o.time("time")
	if !o.next("params", "paramsCount") {
		return 1
	}
	u.ParamsCount = o.count("params", 8)
	for i, n := range o.list("params") {
		sub := o.entry("params", i, &n)
		sub.asItem()
		u.Params = append(u.Params, parseParam(sub))
		sub.endItem()
	}
	return 2
}

func parseParam(o *object) Param {
	p := Param{ID: uint8(o.raw("id", 8))}
	spec := paramSpecOf(o.r.edition, p.ID)
	switch {
	case spec.key == "":
		o.fail("id", o.n.offset, "no parameter of edition "+editionText(o.r.edition))
	case spec.kind == paramText:
		p.Data = make([]byte, spec.width)
		o.field(spec.key, p.Data, 0)
	case spec.kind == paramDomain:
		p.Data = o.text(spec.key)
	case spec.kind == paramRaw:
		p.putNumber(o.raw(spec.key, 8*spec.width), spec.width)
	default:
		p.putNumber(o.measure(spec.key, 8*spec.width, scale{step: spec.step}), spec.width)
	}
	return p
}

// putNumber sets the parameter to a number of one or two bytes.
func (p *Param) putNumber(n uint32, width int) {
	p.Data = []byte{byte(n >> 8), byte(n)}[2-width:]
}

func (u *Params) clone() Body {
	c := *u
	c.Params = slices.Clone(u.Params)
	for i := range c.Params {
		c.Params[i].Data = slices.Clone(c.Params[i].Data)
	}
	return &c
}
