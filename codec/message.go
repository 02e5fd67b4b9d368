package codec

import "time"

// Message is one decoded frame. Decode fills it and reuses its memory: keep one per goroutine.
//
// The zero Message is ready for Decode. To build a frame, use one of the constructors
// ([NewRealtime], [NewParamQuery], …) or fill Header and Body, then Append.
type Message struct {
	Header

	// Body holds the fields of the data unit, as a pointer to the type that belongs to the command.
	// It is nil when the unit is empty or nothing of it could be read.
	Body Body

	// Missing counts the fields of Body, from the last one backwards, that a cut data unit does not
	// hold; 0 in a whole unit.
	Missing int

	// Rest holds the bytes of the data unit that Body does not show: those after a cut, an unknown
	// item or the end of the layout, or the whole unit when it is encrypted or the command unknown.
	Rest []byte

	fault fault // why there is a Rest, as far as Decode saw
}

// Body is the data unit of a frame, a pointer to one of: [Realtime], …
type Body interface {
	bodyKeys() int
}

// fault is what stopped Decode before the end of the data unit.
type fault struct {
	code Code
	path string
}

// Time is a time as it stands on the wire (2016 table 5): year - 2000, month, day, hour, minute,
// second in Beijing time. It may be one that no calendar has.
type Time [TimeSize]byte

// MakeTime returns t in wire form; see [AppendTime] for times outside 2000 to 2099.
func MakeTime(t time.Time) Time { return Time(AppendTime(nil, t)) }

// Time returns the time in the zone [Beijing]. It reports false for one that no calendar has.
func (t Time) Time() (time.Time, bool) { return ParseTime(t) }

// Decode reads the frame f into m. It never fails: what cannot be read stands in m.Rest, and
// m.Problems names everything odd. Lists and byte strings in m are views of f, valid as long as f
// is; [Message.Clone] makes them independent. What an earlier Decode put into m is overwritten.
func (m *Message) Decode(f Frame) {
	m.Header = Header{
		Edition: f.Edition(), Command: f.Command(), Flag: f.Flag(), VIN: [VINSize]byte(f.RawVIN()), Encryption: f.Encryption(),
	}
	m.Body, m.Missing, m.Rest, m.fault = nil, 0, f.Unit(), fault{}
}

// Append appends the frame that m describes. The error is a *FieldError, or a *FrameError of kind
// ErrLength when the data unit becomes longer than MaxUnitSize; dst is then returned as it was.
func (m *Message) Append(dst []byte) ([]byte, error) {
	return AppendFrame(dst, m.Header, m.Rest)
}

// Clone returns a deep copy of m that shares no memory with it or with the frame it came from.
func (m *Message) Clone() *Message {
	c := *m
	c.Rest = append([]byte(nil), m.Rest...)
	return &c
}
