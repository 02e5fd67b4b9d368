package codec

import (
	"errors"
	"fmt"
)

// The kinds of a FrameError, to be tested with errors.Is.
var (
	// ErrStart: the bytes do not begin with the start mark "##" or "$$".
	ErrStart = errors.New("no start mark")
	// ErrLength: the length field is above the limit, or the bytes go on after the frame's end, or
	// a data unit is too long for a frame.
	ErrLength = errors.New("bad length")
	// ErrCheck: the check byte (BCC) is wrong.
	ErrCheck = errors.New("wrong check byte")
	// ErrShort: the frame is cut: it needs more bytes than there are.
	ErrShort = errors.New("frame cut short")
)

// FrameError says what is wrong with the bytes of a frame, and where.
//
// Errors returned by [Next] carry the kind alone and are shared: do not change them.
type FrameError struct {
	Kind    error // ErrStart, ErrLength, ErrCheck or ErrShort
	Offset  int64 // where the wrong bytes are; of a Reader: where the skipped bytes start in the stream
	Skipped int   // of a Reader: the number of bytes passed over
	Have    int   // ErrCheck: the frame's check byte. ErrShort: the bytes there are. ErrLength: the bytes announced or given
	Want    int   // ErrCheck: the computed check byte. ErrShort: the bytes needed. ErrLength: the bytes possible
}

// The errors of Next, made once: a stream of damage must not become a stream of garbage.
var (
	errNextStart  = &FrameError{Kind: ErrStart}
	errNextLength = &FrameError{Kind: ErrLength}
	errNextCheck  = &FrameError{Kind: ErrCheck}
)

func (e *FrameError) Error() string {
	s := fmt.Sprintf("codec: %v at offset %d", e.Kind, e.Offset)
	switch {
	case e.Have == 0 && e.Want == 0:
	case errors.Is(e.Kind, ErrCheck):
		s += fmt.Sprintf(": 0x%02X, computed 0x%02X", e.Have, e.Want)
	case errors.Is(e.Kind, ErrShort):
		s += fmt.Sprintf(": %d bytes, %d needed", e.Have, e.Want)
	case errors.Is(e.Kind, ErrLength):
		s += fmt.Sprintf(": %d bytes, %d possible", e.Have, e.Want)
	}
	if e.Skipped > 0 {
		s += fmt.Sprintf("; %d bytes skipped", e.Skipped)
	}
	return s
}

// Unwrap returns the kind, so that errors.Is(err, ErrCheck) works.
func (e *FrameError) Unwrap() error { return e.Kind }
