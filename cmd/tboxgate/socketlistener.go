package main

import (
	"net"
	"sync"

	"github.com/tboxgate/tboxgate/gateway/admin"
)

// socketListener listens on the admin socket of a data directory whose file system may go away and come back: between
// letGo and takeBack it holds nothing open there, and Accept waits.
type socketListener struct {
	dir  string
	addr net.Addr

	mu      sync.Mutex
	current net.Listener  // nil while let go, and at the end
	back    chan struct{} // closed by takeBack and Close; made by letGo
	conns   map[*socketConn]struct{}
	closed  bool
}

// socketConn is a connection that letGo can close.
type socketConn struct {
	net.Conn
	of *socketListener
}

func listenSocket(dir string) (*socketListener, error) {
	l, err := admin.ListenSocket(dir)
	if err != nil {
		return nil, err
	}
	return &socketListener{dir: dir, addr: l.Addr(), current: l, conns: make(map[*socketConn]struct{})}, nil
}

// Accept returns the next connection. It ends with Close only.
func (l *socketListener) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		current, back, closed := l.current, l.back, l.closed
		l.mu.Unlock()
		switch {
		case closed:
			return nil, net.ErrClosed
		case current == nil:
			<-back
			continue
		}
		nc, err := current.Accept()
		l.mu.Lock()
		if l.current != current { // let go of meanwhile
			l.mu.Unlock()
			if err == nil {
				_ = nc.Close() // nothing was read from it
			}
			continue
		}
		if err != nil {
			l.mu.Unlock()
			return nil, err
		}
		c := &socketConn{nc, l}
		l.conns[c] = struct{}{}
		l.mu.Unlock()
		return c, nil
	}
}

// Close closes the connection.
func (c *socketConn) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// letGo closes the socket and its connections, which name the file too.
func (l *socketListener) letGo() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == nil {
		return
	}
	_ = l.current.Close() // the disk may not let the file be removed; takeBack replaces it
	l.current, l.back = nil, make(chan struct{})
	for c := range l.conns {
		_ = c.Conn.Close() // whoever uses it finds out
	}
	clear(l.conns)
}

// takeBack listens again.
func (l *socketListener) takeBack() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.current != nil {
		return nil
	}
	current, err := admin.ListenSocket(l.dir)
	if err != nil {
		return err
	}
	l.current = current
	close(l.back)
	return nil
}

// Close ends Accept. Connections stay.
func (l *socketListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	l.closed = true
	if l.current == nil {
		close(l.back)
		return nil
	}
	err := l.current.Close()
	l.current = nil
	return err
}

// Addr is where the socket is.
func (l *socketListener) Addr() net.Addr { return l.addr }
