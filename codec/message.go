package codec

import (
	"encoding/binary"
	"slices"
)

// Message is one decoded frame. Decode fills it and reuses its memory, so keep one per goroutine;
// no method may run beside another on the same Message. To build a frame, use one of the
// constructors ([NewRealtime], [NewParamQuery], …) or fill Header and Body, then Append.
type Message struct {
	Header

	// Body holds the fields of the data unit, as a pointer to the type that belongs to the command.
	// It is nil when the unit is empty or nothing of it could be read.
	Body Body

	// Missing counts the fields of Body, from the last one backwards, that a cut data unit does not
	// hold; 0 in a whole unit. A list with its count is one field.
	Missing int

	// Rest holds the bytes of the data unit that Body does not show: those after a cut, an unknown
	// item or the end of the layout, or the whole unit when it is encrypted or the command unknown.
	Rest []byte

	pass   decoding // the last pass of Decode, with the fault that it met
	bodies bodies
	json   jsonWriter
}

// Body is the data unit of a frame, a pointer to one of
//
//   - [VehicleLogin2016], [VehicleLogin2025]
//   - [Realtime]: realtime and reissue
//   - [Logout]: vehicle and platform logout
//   - [PlatformLogin]
//   - [ParamQuery], [Params]: a parameter query; its answer, and a setting
//   - [Control]
//   - [Activation], [ActivationResponse], [KeyExchange] (2025)
//   - [TimeOnly]: what answers hold
type Body interface {
	// decode reads the unit b and returns the bytes and the number of fields read.
	decode(b []byte, d *decoding) (n, keys int)
	// keyCount returns the number of fields of a whole unit, keyAt the JSON key of one of them.
	keyCount() int
	keyAt(i int) string
	// appendUnit appends the first keys fields to a data unit.
	appendUnit(dst []byte, e Edition, keys int) ([]byte, error)
	// appendKeys appends the first keys fields to a JSON object, each with its comma.
	appendKeys(b []byte, w *jsonWriter, keys int) []byte
	// parseKeys reads the fields of a JSON object and returns how many are there.
	parseKeys(o *object) (keys int)
	clone() Body
}

// fault is what stopped Decode before the end of the data unit: a code and its place,
// list[index].key, where list and key may be empty.
type fault struct {
	code  Code
	list  string
	index int
	key   string
}

// Decode reads the frame f into m. It never fails: what cannot be read stands in m.Rest, and
// [Message.Problems] names everything odd. Lists and byte strings in m are views of f, valid as
// long as f is; [Message.Clone] makes them independent. What an earlier Decode put into m, Body
// included, is overwritten. The time it takes and the memory it keeps are linear in len(f).
func (m *Message) Decode(f Frame) {
	m.Edition = f.Edition()
	m.Command = f.Command()
	m.Flag = f.Flag()
	m.VIN = [VINSize]byte(f[offVIN:])
	m.Encryption = f.Encryption()
	m.decodeUnit(f.Unit())
}

// Append appends the frame that m describes. The error is a *FieldError for a value that has no
// wire form, or a *FrameError of kind ErrLength when the data unit becomes longer than
// MaxUnitSize; dst is then returned as it was.
func (m *Message) Append(dst []byte) ([]byte, error) {
	start := len(dst)
	mark := m.Edition.StartMark()
	b := append(dst, mark, mark, byte(m.Command), byte(m.Flag))
	b = append(b, m.VIN[:]...)
	b = append(b, byte(m.Encryption), 0, 0)
	b, err := m.appendUnit(b)
	if err != nil {
		return dst, err
	}
	n := len(b) - start - HeaderSize
	if n > MaxUnitSize {
		return dst, &FrameError{Kind: ErrLength, Offset: offLength, Have: n, Want: MaxUnitSize}
	}
	binary.BigEndian.PutUint16(b[start+offLength:], uint16(n))
	return append(b, Check(b[start+offCommand:])), nil
}

// appendUnit appends the data unit.
func (m *Message) appendUnit(dst []byte) ([]byte, error) {
	if m.Body != nil {
		var err error
		if dst, err = m.Body.appendUnit(dst, m.Edition, m.Body.keyCount()-m.Missing); err != nil {
			return dst, err
		}
	}
	return append(dst, m.Rest...), nil
}

// Clone returns a deep copy of m that shares no memory with it or with the frame it came from.
func (m *Message) Clone() *Message {
	c := &Message{Header: m.Header, Missing: m.Missing, Rest: slices.Clone(m.Rest), pass: m.pass}
	if m.Body != nil {
		c.Body = m.Body.clone()
	}
	return c
}
