package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"time"
)

// tlsConn is what a connection over TLS has besides: crypto/tls on top of a
// pipe that is the socket during the handshake and the loop's buffers after it.
type tlsConn struct {
	tls   *tls.Conn
	pipe  *tlsPipe
	rest  []byte   // decrypted input that is no whole frame yet, or waits for the store
	names []string // who the client's certificate says it is; nil without one
}

// tlsPipe is the net.Conn below crypto/tls. During the handshake, which runs on
// a goroutine of its own, it is the socket. In the loop it never blocks: Read
// takes from the ciphertext of the event under way and reports errNoData when
// there is no more, a temporary error, which crypto/tls does not remember
// (TestTLSDoesNotLatchTemporaryErrors); Write collects what the loop then
// writes in one piece.
type tlsPipe struct {
	socket net.Conn // nil in the loop
	in     []byte
	out    []byte
}

func (p *tlsPipe) Read(b []byte) (int, error) {
	if p.socket != nil {
		return p.socket.Read(b)
	}
	if len(p.in) == 0 {
		return 0, errNoData
	}
	n := copy(b, p.in)
	p.in = p.in[n:]
	return n, nil
}

func (p *tlsPipe) Write(b []byte) (int, error) {
	if p.socket != nil {
		return p.socket.Write(b)
	}
	p.out = append(p.out, b...)
	return len(b), nil
}

// Close does nothing: the loop closes the socket.
func (p *tlsPipe) Close() error { return nil }

func (p *tlsPipe) LocalAddr() net.Addr  { return &net.TCPAddr{} }
func (p *tlsPipe) RemoteAddr() net.Addr { return &net.TCPAddr{} }

func (p *tlsPipe) SetDeadline(t time.Time) error {
	if p.socket != nil {
		return p.socket.SetDeadline(t)
	}
	return nil
}
func (p *tlsPipe) SetReadDeadline(t time.Time) error { return p.SetDeadline(t) }

// SetWriteDeadline is how crypto/tls bounds its last alert; writing never blocks here.
func (p *tlsPipe) SetWriteDeadline(time.Time) error { return nil }

// noDataError is the error of a Read without input.
type noDataError struct{}

func (noDataError) Error() string   { return "no input at the moment" }
func (noDataError) Timeout() bool   { return true }
func (noDataError) Temporary() bool { return true }
func (noDataError) Unwrap() error   { return os.ErrDeadlineExceeded }

var errNoData error = noDataError{}

// names lists the common name and the DNS names of a certificate.
func names(cert *x509.Certificate) []string {
	out := make([]string, 0, 1+len(cert.DNSNames))
	if cert.Subject.CommonName != "" {
		out = append(out, cert.Subject.CommonName)
	}
	return append(out, cert.DNSNames...)
}

// isFor reports whether the client's certificate names a VIN, platform or user.
func (t *tlsConn) isFor(name string) bool { return slices.Contains(t.names, name) }

// keep holds on to decrypted bytes, which may be the end of rest itself, for the next event; an idle connection keeps
// no buffer.
func (t *tlsConn) keep(b []byte) {
	if len(b) == 0 {
		t.rest = nil
		return
	}
	t.rest = append(t.rest[:0], b...)
}

// decrypt appends the decrypted input of c to b, up to peekMost bytes of input
// at a time. It reports false when the connection is at its end.
func (l *loop) decrypt(c *conn, b []byte) (plain []byte, open bool) {
	t := c.tls
	have := min(c.gc.InboundBuffered(), peekMost)
	if have > 0 {
		in, err := c.gc.Peek(have)
		if err != nil {
			return b, true
		}
		t.pipe.in = in
	}
	t.pipe.out = l.cipher[:0] // crypto/tls may answer a key update or send an alert
	var err error
	for err == nil {
		b = slices.Grow(b, decryptRoom)
		var n int
		n, err = t.tls.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
	}
	t.pipe.in = nil
	if have > 0 {
		_, _ = c.gc.Discard(have) // crypto/tls has copied it
	}
	l.sendSealed(c)
	if errors.Is(err, errNoData) {
		return b, true
	}
	if !errors.Is(err, io.EOF) {
		l.g.warn.Warn("TLS connection broken", about(c), "error", err)
	}
	return b, false
}

// decryptRoom is the room that a read of decrypted bytes gets at least.
const decryptRoom = 4096

// seal lets f write through TLS and sends what comes of it in one piece.
func (l *loop) seal(c *conn, f func(*tls.Conn) error) {
	c.tls.pipe.out = l.cipher[:0]
	_ = f(c.tls.tls) // writing into memory does not fail; a connection that TLS has given up has nothing to send
	l.sendSealed(c)
}

func (l *loop) sendSealed(c *conn) {
	out := c.tls.pipe.out
	l.cipher, c.tls.pipe.out = out, nil
	if len(out) > 0 && c.state != stateClosed {
		l.put(c, out)
	}
}
