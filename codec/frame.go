package codec

import (
	"encoding/binary"
	"time"
)

// Sizes of a frame, in bytes. Length values above 65531 are not valid: 0xFFFE and 0xFFFF are the
// standard's general marks for abnormal and invalid.
const (
	HeaderSize   = 24                           // start mark to length
	MinFrameSize = HeaderSize + 1               // an empty data unit
	MaxUnitSize  = 65531                        // the largest data unit
	MaxFrameSize = HeaderSize + MaxUnitSize + 1 // 65556
)

// Offsets in the header (2016 table 2, 2025 table 2).
const (
	offCommand    = 2
	offFlag       = 3
	offVIN        = 4
	offEncryption = 21
	offLength     = 22
	offUnit       = HeaderSize
)

// Frame is one whole frame, from the start mark to the check byte. It is a view of the bytes it
// was found in and valid as long as they are. Frames come from [Next], [ParseFrame] or a [Reader];
// the methods rely on what those have checked.
type Frame []byte

// ParseFrame takes b as exactly one frame and checks start mark, length and check byte. What the
// data unit holds is not looked at. The error is a *FrameError of kind ErrStart, ErrShort (b is
// shorter than its length field says), ErrLength (above MaxUnitSize, or b is longer than the
// frame) or ErrCheck.
func ParseFrame(b []byte) (Frame, error) {
	if len(b) < MinFrameSize {
		if len(b) > 0 && !mayStart(b) {
			return nil, &FrameError{Kind: ErrStart}
		}
		return nil, &FrameError{Kind: ErrShort, Offset: int64(len(b)), Have: len(b), Want: Need(b)}
	}
	if !hasMark(b) {
		return nil, &FrameError{Kind: ErrStart}
	}
	n := unitSize(b)
	if n > MaxUnitSize {
		return nil, &FrameError{Kind: ErrLength, Offset: offLength, Have: n, Want: MaxUnitSize}
	}
	switch n += MinFrameSize; {
	case n > len(b):
		return nil, &FrameError{Kind: ErrShort, Offset: int64(len(b)), Have: len(b), Want: n}
	case n < len(b):
		return nil, &FrameError{Kind: ErrLength, Offset: int64(n), Have: len(b), Want: n}
	}
	if c := Check(b[offCommand : n-1]); c != b[n-1] {
		return nil, &FrameError{Kind: ErrCheck, Offset: int64(n - 1), Have: int(b[n-1]), Want: int(c)}
	}
	return Frame(b), nil
}

// Need returns the number of bytes that the frame starting at b[0] needs in all, 25 as long as its
// header is not complete.
func Need(b []byte) int {
	if len(b) < HeaderSize {
		return MinFrameSize
	}
	return MinFrameSize + unitSize(b)
}

// unitSize returns the length field of a header.
func unitSize(b []byte) int { return int(binary.BigEndian.Uint16(b[offLength:offUnit])) }

// hasMark reports whether b begins with a whole start mark.
func hasMark(b []byte) bool {
	return len(b) >= 2 && b[0] == b[1] && (b[0] == startMark2016 || b[0] == startMark2025)
}

// mayStart reports whether b begins with a start mark, as far as b goes.
func mayStart(b []byte) bool {
	if len(b) == 1 {
		return b[0] == startMark2016 || b[0] == startMark2025
	}
	return len(b) == 0 || hasMark(b)
}

// Edition returns the edition that the start mark stands for.
func (f Frame) Edition() Edition { return editionOf(f[0]) }

// Command returns the command id.
func (f Frame) Command() Command { return Command(f[offCommand]) }

// Flag returns the response flag.
func (f Frame) Flag() Flag { return Flag(f[offFlag]) }

// VIN returns the normalised identifier: the VIN, or a platform's unique code.
func (f Frame) VIN() VIN { return MakeVIN(f.RawVIN()) }

// RawVIN returns the 17 identifier bytes as they came. A view.
func (f Frame) RawVIN() []byte { return f[offVIN : offVIN+VINSize : offVIN+VINSize] }

// Encryption returns the encryption byte.
func (f Frame) Encryption() Encryption { return Encryption(f[offEncryption]) }

// Unit returns the data unit, as transmitted. A view.
func (f Frame) Unit() []byte { return f[offUnit : len(f)-1 : len(f)-1] }

// Time returns the time that the data unit begins with. It reports false when there is none to
// read (see [Frame.TimeBytes]) or when it is one that no calendar has.
func (f Frame) Time() (time.Time, bool) {
	b := f.TimeBytes()
	if b == nil {
		return time.Time{}, false
	}
	return ParseTime([TimeSize]byte(b))
}

// TimeBytes returns the six bytes of the time that the data unit begins with, possible or not;
// nil when the command has no such time, the unit is shorter or the unit is encrypted. They are
// what an answer repeats (2016 §6.3.2). A view.
func (f Frame) TimeBytes() []byte {
	unit := f.Unit()
	if len(unit) < TimeSize || !f.Encryption().Plain() || !f.Command().Known(f.Edition()) {
		return nil
	}
	switch f.Command() {
	case CommandHeartbeat, CommandTimeSync:
		// The standard leaves these units empty; six bytes, in use on both sides, are a time.
		if len(unit) != TimeSize {
			return nil
		}
	case CommandActivationResponse, CommandKeyExchange:
		// Their layouts have no leading time; an answer of six bytes is one.
		if f.Flag() == FlagCommand || len(unit) != TimeSize {
			return nil
		}
	}
	return unit[:TimeSize:TimeSize]
}
