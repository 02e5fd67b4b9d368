package codec

import "strconv"

// Count is the count that stands before a list on the wire. The zero Count is derived from the
// list, as it should be. A count is kept beside the list only when it is not the list's length: it
// holds the abnormal (0xFE, 0xFFFE) or invalid mark (0xFF, 0xFFFF), or a cut unit announces more
// than it has.
type Count struct {
	n     uint16
	given bool
}

// MakeCount returns a count that is written as n, whatever the list's length.
func MakeCount(n uint16) Count { return Count{n: n, given: true} }

// Given returns the count that is written verbatim; ok is false when it is derived from the list.
func (c Count) Given() (n uint16, ok bool) { return c.n, c.given }

// The marks of counts and measurements: abnormal, and one above it, invalid.
const (
	mark8  = 0xFE
	mark16 = 0xFFFE
	mark32 = 0xFFFFFFFE
)

// decoding is the state of one pass over a data unit.
type decoding struct {
	edition Edition
	entries int   // list entries to read for a count that holds a mark: 0, or 1 in the second try
	marked  bool  // such a count was seen
	fault   fault // what made a field stop short, when it is not the end of the unit
}

// count8 reads a one-byte count into c and returns the number of entries to read.
func (d *decoding) count8(c *Count, n byte) int {
	if n < mark8 {
		*c = Count{}
		return int(n)
	}
	*c = Count{n: uint16(n), given: true}
	d.marked = true
	return d.entries
}

// count16 reads a two-byte count into c and returns the number of entries to read.
func (d *decoding) count16(c *Count, n uint16) int {
	if n < mark16 {
		*c = Count{}
		return int(n)
	}
	*c = Count{n: n, given: true}
	d.marked = true
	return d.entries
}

// appendCount8 appends the one-byte count of the list key with n entries.
func appendCount8(dst []byte, c Count, n int, key string) ([]byte, error) {
	if c.given {
		if c.n > 0xFF {
			return dst, &FieldError{Path: key + "Count", Reason: strconv.Itoa(int(c.n)) + " does not fit one byte"}
		}
		return append(dst, byte(c.n)), nil
	}
	if n >= mark8 {
		return dst, tooMany(key, n, mark8-1)
	}
	return append(dst, byte(n)), nil
}

// appendPlainCount8 is appendCount8 for a count in which 0xFE and 0xFF are numbers.
func appendPlainCount8(dst []byte, c Count, n int, key string) ([]byte, error) {
	if !c.given && n >= mark8 && n <= 0xFF {
		return append(dst, byte(n)), nil
	}
	return appendCount8(dst, c, n, key)
}

// appendCount16 appends the two-byte count of the list key with n entries.
func appendCount16(dst []byte, c Count, n int, key string) ([]byte, error) {
	if c.given {
		return append(dst, byte(c.n>>8), byte(c.n)), nil
	}
	if n >= mark16 {
		return dst, tooMany(key, n, mark16-1)
	}
	return append(dst, byte(n>>8), byte(n)), nil
}

// appendBytes16 appends data with its two-byte length.
func appendBytes16(dst, data []byte, key string) ([]byte, error) {
	if len(data) > 0xFFFF {
		return dst, tooMany(key, len(data), 0xFFFF)
	}
	dst = append(dst, byte(len(data)>>8), byte(len(data)))
	return append(dst, data...), nil
}

func tooMany(key string, n, most int) error {
	return &FieldError{Path: key, Reason: strconv.Itoa(n) + " entries, at most " + strconv.Itoa(most) + " can be counted"}
}
