package gateway

import "github.com/tboxgate/tboxgate/codec"

// window is a connection's queue of answers, in the order of their frames. An
// answer leaves when the record of its frame, and those of all frames before
// it, are stored. A frame without an answer has its place too: the window is
// also what bounds the frames that a connection may have under way.
type window struct {
	ring  []waiting // len is a power of two
	head  int
	n     int
	base  uint64 // ticket of the entry at head
	size  int    // record bytes that the entries stand for
	buf   []byte // answers, oldest first
	off   int    // answers before off are written
	ready int    // answers before ready (and from off) may be written
}

// waiting is one frame that waits for its record.
type waiting struct {
	at     int64  // arrival, nanoseconds of the loop's clock
	answer uint32 // bytes of its answer in buf
	size   uint32 // bytes of its record, 0 when it has none
	flag   codec.Flag
	stored bool
}

// push appends an entry and its answer; the entry's ticket is w.next() before the call.
func (w *window) push(e waiting, answer []byte) {
	if w.n == len(w.ring) {
		w.grow()
	}
	e.answer = uint32(len(answer))
	w.ring[(w.head+w.n)&(len(w.ring)-1)] = e
	w.n++
	w.size += int(e.size)
	w.buf = append(w.buf, answer...)
}

// next is the ticket of the entry that is pushed next.
func (w *window) next() uint64 { return w.base + uint64(w.n) }

func (w *window) grow() {
	ring := make([]waiting, max(16, 2*len(w.ring)))
	for i := range w.n {
		ring[i] = w.ring[(w.head+i)&(len(w.ring)-1)]
	}
	w.ring, w.head = ring, 0
}

// stored notes that the record of a ticket is durable and calls left for every
// entry that leaves the window by it, oldest first.
func (w *window) stored(ticket uint64, left func(waiting)) {
	i := ticket - w.base
	if i >= uint64(w.n) { // told twice
		return
	}
	w.ring[(w.head+int(i))&(len(w.ring)-1)].stored = true
	for w.n > 0 && w.ring[w.head].stored {
		e := w.ring[w.head]
		w.head = (w.head + 1) & (len(w.ring) - 1)
		w.n--
		w.base++
		w.size -= int(e.size)
		w.ready += int(e.answer)
		left(e)
	}
}

// take returns the answers that may be written now and forgets them. The slice
// is valid until the next push.
func (w *window) take() []byte {
	b := w.buf[w.off:w.ready]
	w.off = w.ready
	if w.off == len(w.buf) {
		w.buf, w.off, w.ready = w.buf[:0], 0, 0
	} else if w.off > 4096 && w.off > len(w.buf)/2 {
		// The slice handed out lies below off, so moving the rest down would change
		// it: give the rest a buffer of its own.
		rest := append(make([]byte, 0, 2*(len(w.buf)-w.off)), w.buf[w.off:]...)
		w.ready -= w.off
		w.buf, w.off = rest, 0
	}
	return b
}

// keepWindow is the largest buffer that a spare window may keep.
const keepWindow = 16 << 10

// reset makes an empty window ready for another connection, whose next ticket is base.
func (w *window) reset(base uint64) {
	w.base, w.head, w.size, w.off, w.ready = base, 0, 0, 0, 0
	w.buf = w.buf[:0]
}
