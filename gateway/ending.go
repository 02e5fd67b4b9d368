package gateway

import (
	"crypto/tls"
	"time"

	"github.com/tboxgate/tboxgate/gateway/metrics"
)

// linger is how long a connection that ends may take to read what is queued for
// it and to close its side.
const linger = 5 * time.Second

// finish ends a connection from our side: what is queued and what the store
// still owes go out first. Its sessions end now. It is for everywhere but the
// handling of input, which calls end and lets read do the rest.
func (l *loop) finish(c *conn, why cause) {
	l.end(c, why)
	l.tryFinish(c)
}

// end is the first half of finish: nothing more is read and no session is left.
func (l *loop) end(c *conn, why cause) {
	if c.state >= stateClosing {
		return
	}
	c.cause = why
	l.endSessions(c, why.reason)
	c.state = stateClosing
	c.stalled = false
	l.closing[c] = struct{}{}
	c.deadline = l.after(linger)
	l.wheel.remove(c)
	l.wheel.add(c)
}

// tryFinish half-closes c once everything is written. The peer sees the end
// after the last answer, and its own close ends the connection; closing at once
// would let unread input turn into a reset that overtakes the answer.
func (l *loop) tryFinish(c *conn) {
	if c.state != stateClosing || c.win != nil || c.gc.OutboundBuffered() > 0 {
		return
	}
	if c.tls != nil {
		l.seal(c, (*tls.Conn).CloseWrite) // which sends its alert once
		if c.state == stateClosed || c.gc.OutboundBuffered() > 0 {
			return
		}
	}
	if err := endSending(c.gc.Fd()); err != nil {
		l.closeNow(c)
	}
}

// closeNow closes c without waiting; OnClose runs before it returns. It is for
// everywhere but OnTraffic, which returns gnet.Close instead.
func (l *loop) closeNow(c *conn) {
	if c.state == stateClosed || c.gc == nil {
		return
	}
	_ = (*l.box.event.Load()).Close(c.gc) // its error is about the descriptor, which is gone either way
}

// leave counts a connection out that is gone.
func (l *loop) leave(c *conn) {
	c.state = stateClosed
	l.size.Add(-1)
	c.ln.leaveAddress(c.remote.Addr())
	c.ln.leave()
	l.count.Closed(c.cause.metric)
	if c.opened {
		c.ln.count.Closed(c.kind)
	}
	switch c.cause.metric {
	case metrics.CloseLoginTimeout, metrics.CloseIdle, metrics.CloseSlowReader, metrics.CloseProtocol:
		l.g.warn.Warn("connection closed", about(c), "reason", c.cause.metric.String())
	default:
		l.g.log.Debug("connection closed", about(c), "reason", c.cause.metric.String())
	}
}
