package gateway

import (
	"errors"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/metrics"
)

// peekMost is how much input is looked at in one piece. A piece that spans
// gnet's buffers is copied, so it must not grow with the backlog.
const peekMost = 64 << 10

// arrived is the number of bytes that the event under way has brought.
func (c *conn) arrived() int {
	n := c.gc.InboundBuffered() - int(c.unread)
	return max(n, 0)
}

// read takes frames from the input of c until there is none left, the window is
// full or the connection is at its end, and writes their answers in one piece.
func (l *loop) read(c *conn) {
	c.stalled = false
	l.out, l.outFlags = l.out[:0], l.outFlags[:0]
	if c.tls != nil {
		l.readTLS(c)
	} else {
		l.readPlain(c)
	}
	if c.state == stateClosed {
		return
	}
	if c.state == stateClosing {
		_, _ = c.gc.Discard(-1) // everything
	}
	if len(l.out) > 0 {
		l.write(c, l.out)
		took := time.Since(l.now)
		for _, flag := range l.outFlags {
			l.count.Answer(flag, took)
		}
	}
	if c.state == stateClosed {
		return
	}
	c.unread = int32(c.gc.InboundBuffered())
	if c.state == stateClosing {
		l.tryFinish(c)
	}
}

// readPlain handles frames where they lie, in gnet's buffers.
func (l *loop) readPlain(c *conn) {
	for c.state < stateClosing {
		have := c.gc.InboundBuffered()
		if have == 0 || have < int(c.need) {
			return
		}
		if c.full() {
			l.stall(c)
			return
		}
		b, err := c.gc.Peek(min(have, max(peekMost, int(c.need))))
		if err != nil {
			return
		}
		n := l.frames(c, b)
		if c.state == stateClosed {
			return
		}
		if n > 0 {
			_, _ = c.gc.Discard(n) // n bytes are there: it cannot fail
		}
		if c.stalled || (n == 0 && (len(b) == have || int(c.need) <= len(b))) {
			return
		}
	}
}

// readTLS decrypts what has come and handles its frames. What is no whole frame
// yet stays with the connection.
func (l *loop) readTLS(c *conn) {
	for c.state < stateClosing {
		if c.full() {
			l.stall(c)
			return
		}
		b, open := l.plainInput(c)
		if !open {
			c.ended = true
		}
		if len(b) > 0 && len(b) >= int(c.need) {
			n := l.frames(c, b)
			c.tls.keep(b[n:])
		}
		if !open && c.state < stateClosing {
			l.end(c, causePeer)
		}
		if c.state == stateClosed || c.stalled || c.gc.InboundBuffered() == 0 {
			return
		}
	}
}

// plainInput returns the decrypted input of c that is not handled yet. What does not make up a frame stays where it
// is, in c.tls.rest, and more goes behind it: a long frame in small records is not copied for each of them. False says
// that the connection is at its end.
func (l *loop) plainInput(c *conn) (b []byte, open bool) {
	t := c.tls
	switch need := int(c.need); {
	case len(t.rest) >= max(peekMost, need):
		return t.rest, true // what is decrypted already comes first
	case len(t.rest) > 0:
		t.rest, open = l.decrypt(c, t.rest)
		return t.rest, open
	}
	b, open = l.decrypt(c, l.plain[:0])
	l.plain = b[:0]
	if len(b) < int(c.need) {
		t.keep(b)
	}
	return b, open
}

// frames handles the whole frames at the start of b and returns the bytes they
// and the garbage between them take.
func (l *loop) frames(c *conn, b []byte) (n int) {
	maxUnit := l.g.opt.Limits.MaxUnit
	c.need = 0 // said of the frame that has come; unknown again when this stalls
	for n < len(b) && c.state < stateClosing {
		if c.full() {
			l.stall(c)
			return n
		}
		f, m, err := codec.Next(b[n:], maxUnit)
		switch {
		case m == 0:
			c.need = int32(codec.Enough(b[n:], maxUnit))
			return n
		case err != nil:
			l.bad(c, badReason(err))
		default:
			if t := l.g.opt.Trace.Active(); t != nil && t.Follows(f.VIN()) {
				t.In(c.traced(f.VIN()), l.now, f)
			}
			l.uplink(c, f)
		}
		n += m
	}
	c.need = codec.MinFrameSize
	return n
}

// stall leaves the rest of the input unread until the store has caught up, and
// gives a peer up that sends on regardless.
func (l *loop) stall(c *conn) {
	c.stalled = true
	if l.g.inFlight.Load() >= l.g.opt.Limits.InFlightBytes {
		l.count.Paused(metrics.PauseInFlight)
	} else {
		l.count.Paused(metrics.PauseWindow)
	}
	unread := c.gc.InboundBuffered()
	if c.tls != nil {
		unread += len(c.tls.rest)
	}
	if unread > l.g.opt.Limits.Inbound {
		l.g.warn.Warn("connection closed: it kept sending while the store was slow",
			about(c), "unread", unread)
		l.end(c, causeOverflow)
		return
	}
	if (c.win == nil || c.win.n == 0 || l.g.inFlight.Load() >= l.g.opt.Limits.InFlightBytes) && !c.waiting {
		c.waiting = true
		l.waiting = append(l.waiting, c)
		l.g.waiting.Store(true)
		if l.g.inFlight.Load() < l.g.opt.Limits.InFlightBytes {
			l.box.putResume() // room was made between the look and the note
		}
	}
}

// bad counts a bad frame and closes a connection that sends too many in a row.
func (l *loop) bad(c *conn, r metrics.BadReason) {
	l.count.Bad(r)
	c.bad++
	if t := l.g.opt.Trace.Active(); t != nil && c.sess != nil {
		t.Bad(c.sess.VIN, c.traced(c.sess.VIN), l.now, r.String())
	}
	l.g.warn.Warn("bad frame", about(c), "reason", r.String(), "inARow", c.bad)
	if int(c.bad) >= l.g.opt.Limits.BadFrames {
		l.end(c, causeProtocol)
	}
}

func badReason(err error) metrics.BadReason {
	switch {
	case errors.Is(err, codec.ErrCheck):
		return metrics.BadCheck
	case errors.Is(err, codec.ErrLength):
		return metrics.BadLength
	default:
		return metrics.BadStart
	}
}
