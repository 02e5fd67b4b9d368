package codec

// recordSpec is a row of fields of the standard's tables, for code that reads bytes without knowing
// their Go type. Specgen writes the specs of all data units, info items and parameters from
// codec/spec into zz_fields*.go.
type recordSpec struct {
	key    string // the JSON type of an info item, "" for a data unit
	doc    string
	zh     string
	fields []fieldSpec
}

// fieldSpec describes one field, or one parameter.
type fieldSpec struct {
	key, doc, zh string
	wire         wireKind
	size         int // of a number, a time or a text, in bytes
	pad          byte

	lo, hi   uint32 // the range of the raw number
	ranged   bool   // there is one
	measure  bool   // raw × step + offset is the physical value, both in units of the last decimal
	step     int64
	offset   int64
	decimals int
	unit     string
	marks    bool // an enumeration may hold 254 and 255
	enum     []enumSpec
	bits     []bitSpec
	reserved uint32
	gear     bool // the low four bits name a gear
	readOnly bool // a parameter that cannot be set

	signs bool   // it holds the bits that tell the signs of fields behind it
	sign  uint32 // the bit of that field that makes this one negative

	count  *countSpec  // of a list
	length *countSpec  // of bytes
	each   *fieldSpec  // an entry of a list of numbers
	entry  *recordSpec // an entry of a list of records
}

// wireKind says how a field stands on the wire.
type wireKind uint8

const (
	wireNumber       wireKind = iota // big-endian
	wireTime                         // six bytes
	wireText                         // of fixed width
	wireDomain                       // a text whose width another parameter holds
	wireBytes                        // behind their length
	wireNumbers                      // a list of numbers behind its count
	wireRecords                      // a list of records behind its count
	wireStorageCodes                 // StorageCodes
	wirePackCodes                    // PackCodes
	wireSignature                    // ActivationSignature
)

// countSpec describes the count before a list, or the length before bytes.
type countSpec struct {
	size   int // in bytes
	zh     string
	lo, hi uint32
	always bool // 0xFE and 0xFF are numbers too
}

// enumSpec is one value of an enumeration.
type enumSpec struct {
	value  uint32
	doc    string
	is2025 bool // the 2016 edition does not have it
}

// bitSpec is one bit of a field.
type bitSpec struct {
	bit     int
	doc, zh string
}

// itemSpecOf returns the spec of an info item, nil for a type without.
func itemSpecOf(e Edition, id byte) *recordSpec {
	if e == Edition2025 {
		return itemSpec2025(id)
	}
	return itemSpec2016(id)
}

// unitSpecOf returns the spec of a data unit with a fixed list of fields, nil for any other.
func unitSpecOf(e Edition, c Command) *recordSpec {
	if e == Edition2025 {
		return unitSpec2025(c)
	}
	return unitSpec2016(c)
}

// paramFieldOf returns the spec of a parameter, nil for an id without.
func paramFieldOf(e Edition, id byte) *fieldSpec {
	if e == Edition2025 {
		return paramField2025(id)
	}
	return paramField2016(id)
}

// mark returns the abnormal mark of a count's width, or a number that none has.
func (c *countSpec) mark() uint32 {
	switch {
	case c.always:
		return 1 << 16
	case c.size == 2:
		return mark16
	}
	return mark8
}

// mark returns the abnormal mark of a number's width.
func (s *fieldSpec) mark() uint32 { return 1<<(8*s.size) - 2 }

// problem returns what is odd about a raw number, "" for nothing. A mark is not odd.
func (s *fieldSpec) problem(e Edition, raw uint32) Code {
	switch {
	case s.measure:
		if (raw < s.lo || raw > s.hi) && raw < s.mark() {
			return CodeOutOfRange
		}
	case len(s.enum) > 0:
		if _, known := s.meaning(e, raw); !known && (!s.marks || raw < s.mark()) {
			return CodeOutOfRange
		}
	case s.ranged && (raw < s.lo || raw > s.hi):
		return CodeOutOfRange
	}
	if raw&s.reserved != 0 {
		return CodeReservedBits
	}
	return ""
}

// meaning returns the name of an enumeration's value.
func (s *fieldSpec) meaning(e Edition, raw uint32) (string, bool) {
	for _, v := range s.enum {
		if v.value == raw && (!v.is2025 || e == Edition2025) {
			return v.doc, true
		}
	}
	return "", false
}
