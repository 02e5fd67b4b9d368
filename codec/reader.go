package codec

import (
	"errors"
	"io"
)

// readerSize is the first size of a Reader's buffer, in bytes: some tens of usual frames.
const readerSize = 16 << 10

// Reader cuts the stream of an io.Reader into frames: a capture file, a pipe, a connection.
type Reader struct {
	src     io.Reader
	maxUnit int
	buf     []byte
	r, w    int   // buf[r:w] is not consumed yet
	offset  int64 // of buf[r] in the stream
	err     error // what src ended with
}

// NewReader returns a Reader of src. maxUnit is the largest data unit to believe in, in bytes; 0
// means MaxUnitSize.
func NewReader(src io.Reader, maxUnit int) *Reader {
	if maxUnit <= 0 || maxUnit > MaxUnitSize {
		maxUnit = MaxUnitSize
	}
	return &Reader{src: src, maxUnit: maxUnit, buf: make([]byte, readerSize)}
}

// ReadFrame returns the next frame, valid until the next call. Its errors:
//
//   - a *FrameError of kind ErrStart, ErrLength or ErrCheck: bytes were skipped as [Next] does,
//     Offset and Skipped say which. Call again for what follows them.
//   - a *FrameError of kind ErrShort: the stream ended within a frame. Call again: a mark damaged
//     in its length may have hidden frames, which still come.
//   - io.EOF: the stream has ended.
//   - any other error of the underlying reader, after all frames that came before it.
func (r *Reader) ReadFrame() (Frame, error) {
	for {
		f, n, err := Next(r.buf[r.r:r.w], r.maxUnit)
		if n > 0 {
			if err != nil {
				return nil, r.skip(n, errors.Unwrap(err))
			}
			r.consume(n)
			return f, nil
		}
		if r.err == nil {
			r.fill()
			continue
		}
		rest := r.buf[r.r:r.w]
		if len(rest) == 0 || !errors.Is(r.err, io.EOF) {
			return nil, r.err
		}
		short := r.skip(resync(&prefixes{b: rest}, r.maxUnit, true), ErrShort)
		short.Have, short.Want = len(rest), Need(rest)
		return nil, short
	}
}

// Offset returns the position in the stream of the byte after the last frame returned or the last
// bytes skipped.
func (r *Reader) Offset() int64 { return r.offset }

func (r *Reader) consume(n int) {
	r.r += n
	r.offset += int64(n)
}

// skip drops n bytes and returns the error that says so.
func (r *Reader) skip(n int, kind error) *FrameError {
	e := &FrameError{Kind: kind, Offset: r.offset, Skipped: n}
	r.consume(n)
	return e
}

// fill makes room for the frame at the front of the buffer and reads once.
func (r *Reader) fill() {
	if r.r > 0 {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	if r.w == len(r.buf) {
		// Only a frame that is longer than the buffer fills it: Next consumes everything else.
		r.buf = append(make([]byte, 0, MaxFrameSize), r.buf...)[:MaxFrameSize]
	}
	// An io.Reader may return nothing and no error, but not for ever.
	for range 100 {
		n, err := r.src.Read(r.buf[r.w:])
		r.w += n
		r.err = err
		if n > 0 || err != nil {
			return
		}
	}
	r.err = io.ErrNoProgress
}
