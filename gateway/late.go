package gateway

import (
	"github.com/panjf2000/gnet/v2"
)

// keepLate holds on to the socket of a peer that has ended its side while
// records of its frames are under way, so that it gets their answers: gnet
// closes the connection at the end of its input. It reports false when there is
// nothing to wait for.
func (l *loop) keepLate(c *conn, gc gnet.Conn) bool {
	if c.win == nil || c.win.n == 0 {
		return false
	}
	if gc.OutboundBuffered() > 0 {
		return false // gnet drops what the kernel does not take now; answers after that hole would be no stream
	}
	fd, err := gc.Dup()
	if err != nil {
		return false // no descriptor left: the answers are lost, and the frames come again
	}
	c.late = int32(fd)
	c.state = stateLate
	c.deadline = l.after(linger)
	l.wheel.add(c)
	return true
}

// putLate writes to a socket that gnet has given up. What does not fit into the
// kernel's buffer at once ends it.
func (l *loop) putLate(c *conn, b []byte) {
	n, err := writeNow(int(c.late), b)
	l.count.Sent(max(n, 0))
	if err != nil || n < len(b) {
		l.closeLate(c)
	}
}

// closeLate ends stateLate.
func (l *loop) closeLate(c *conn) {
	if c.state == stateLate {
		_ = closeSocket(int(c.late))
		l.wheel.remove(c)
		l.leave(c)
	}
}
