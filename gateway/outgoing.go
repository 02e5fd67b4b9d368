package gateway

import (
	"crypto/tls"
	"time"

	"github.com/tboxgate/tboxgate/session"
)

// confirm notes that a record of c is stored.
func (l *loop) confirm(c *conn, ticket uint64) {
	w := c.win
	if w == nil {
		return
	}
	had := w.n
	w.stored(ticket, func(e waiting) {
		if e.size > 0 {
			l.count.Stored(int(e.size), time.Duration(l.clock-e.at))
			l.g.release(int64(e.size))
		}
		if e.answer > 0 && c.state != stateClosed {
			l.count.Answer(e.flag, time.Duration(l.clock-e.at))
		}
	})
	if w.n == had {
		return
	}
	if len(l.dirty) == 0 || l.dirty[len(l.dirty)-1] != c {
		l.dirty = append(l.dirty, c)
	}
}

// flush writes the answers of c that are ready and, when c was stalled, reads on.
func (l *loop) flush(c *conn) {
	w := c.win
	if w == nil {
		return // a second entry for the same connection in one batch
	}
	if c.state == stateClosed {
		if w.n == 0 {
			l.dropWindow(c)
		}
		return
	}
	l.write(c, w.take())
	if c.state == stateClosed {
		return
	}
	if w.n == 0 && w.off == len(w.buf) {
		l.dropWindow(c)
	}
	switch c.state {
	case stateClosing:
		l.tryFinish(c)
		return
	case stateLate:
		if c.win == nil {
			l.closeLate(c)
		}
		return
	}
	if c.stalled && !c.waiting { // one that waits for all together has its turn in wakeWaiting
		l.read(c) // still full, it puts c on that list
	}
}

// newWindow gives c a window; its tickets go on where the last one's ended.
func (l *loop) newWindow(c *conn) *window {
	var w *window
	if n := len(l.spare); n > 0 {
		w, l.spare = l.spare[n-1], l.spare[:n-1]
	} else {
		w = &window{}
	}
	w.reset(c.ticket)
	c.win = w
	return w
}

// dropWindow takes the empty window of c back.
func (l *loop) dropWindow(c *conn) {
	w := c.win
	c.ticket, c.win = w.base, nil
	if len(l.spare) < spareWindows && cap(w.buf) <= keepWindow {
		l.spare = append(l.spare, w)
	}
}

// deliver handles one piece of mail for a connection: a frame to send, or the wish to close.
func (l *loop) deliver(m *mail) {
	c := m.c
	if m.frame == nil {
		if c.state < stateClosing {
			l.finish(c, causeOf(m.reason))
		}
		return
	}
	c.queued.Add(-int64(len(m.frame)))
	if c.state >= stateClosing {
		m.done(session.ErrLinkClosed)
		return
	}
	l.write(c, m.frame)
	if c.state == stateClosed {
		m.done(session.ErrLinkClosed)
		return
	}
	m.done(nil)
}

// write sends b to the peer. A failing write closes c before it returns; a peer
// that leaves too much unread is closed.
func (l *loop) write(c *conn, b []byte) {
	if len(b) == 0 {
		return
	}
	if t := l.g.opt.Trace.Active(); t != nil {
		t.Out(c.traced, time.Now(), b)
	}
	if c.tls != nil {
		l.seal(c, func(t *tls.Conn) error { _, err := t.Write(b); return err })
		return
	}
	l.put(c, b)
}

// put hands bytes for the socket to gnet in one call.
func (l *loop) put(c *conn, b []byte) {
	if c.state == stateLate {
		l.putLate(c, b)
		return
	}
	if c.gc.OutboundBuffered() == 0 {
		n := send(c.gc.Fd(), b)
		l.count.Sent(n)
		if n == len(b) {
			return
		}
		b = b[n:]
	}
	if _, err := c.gc.Write(b); err != nil || c.state == stateClosed {
		return
	}
	l.count.Sent(len(b))
	if c.gc.OutboundBuffered() > l.g.opt.Limits.Outbound {
		c.cause = causeSlowReader
		l.closeNow(c)
	}
}
