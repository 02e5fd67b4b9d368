package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/tboxgate/tboxgate/codec"
)

// talk is a case under way: its connections and what passed over them. One goroutine uses it.
type talk struct {
	ctx     context.Context
	o       *Options
	edition codec.Edition
	vin     codec.VIN // of this case alone
	unknown codec.VIN
	began   time.Time
	lines   []*line
	steps   []Step
	ticks   int
	serial  uint16
}

// line is a connection of a case.
type line struct {
	*talk
	n      int
	conn   net.Conn
	in     []byte
	closed bool
}

// piecePause is between two pieces of a frame, so that each is a segment of its own.
const piecePause = 2 * time.Millisecond

// stop ends the case.
func (t *talk) stop(v verdict) { panic(v) }

// dial connects.
func (t *talk) dial() *line {
	ctx, cancel := context.WithTimeout(t.ctx, t.o.Timeout)
	defer cancel()
	conn, err := t.o.Dial(t.vin.String())(ctx, "tcp", t.o.Addr)
	if err != nil {
		t.stop(fail("no connection: %v", err))
	}
	l := &line{talk: t, n: len(t.lines) + 1, conn: conn}
	t.lines = append(t.lines, l)
	return l
}

func (l *line) note(sent bool, data []byte, note string) {
	l.steps = append(l.steps, Step{At: time.Since(l.began), Sent: sent, Conn: l.n, Data: bytes.Clone(data), Note: note})
}

// write sends pieces, each in a segment of its own. A connection that breaks meanwhile shows when it is
// read.
func (l *line) write(pieces ...[]byte) {
	l.note(true, bytes.Join(pieces, nil), "")
	for i, piece := range pieces {
		if i > 0 {
			time.Sleep(piecePause)
		}
		_ = l.conn.SetWriteDeadline(time.Now().Add(l.o.Timeout)) // the write fails then
		if _, err := l.conn.Write(piece); err != nil {
			return
		}
	}
}

var (
	errSilent = errors.New("nothing came")
	errClosed = errors.New("the connection was closed")
)

// next returns the next frame that is an answer, errSilent or errClosed. What is no frame ends the case.
// Commands of the gateway are left out; those in take are not.
func (l *line) next(wait time.Duration, take ...codec.Command) (codec.Frame, error) {
	until := time.Now().Add(wait)
	buf := make([]byte, 4096)
	for {
		f, n, err := codec.Next(l.in, 0)
		switch {
		case err != nil:
			l.note(false, l.in[:n], "")
			l.stop(fail("the gateway sent %d bytes that are no frame: %v: %x", n, err, cut(l.in[:n])))
		case n > 0:
			f = bytes.Clone(f)
			l.in = l.in[n:]
			l.note(false, f, "")
			if f.Flag() == codec.FlagCommand && !contains(take, f.Command()) {
				continue
			}
			return f, nil
		}
		if l.closed {
			return nil, errClosed
		}
		_ = l.conn.SetReadDeadline(until) // the read fails then
		n, err = l.conn.Read(buf)
		l.in = append(l.in, buf[:n]...)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, errSilent
		case err != nil:
			l.closed = true
			l.note(false, nil, "closed by the gateway: "+err.Error())
			if rest := len(l.in); rest > 0 && rest < codec.Need(l.in) {
				l.stop(fail("the gateway closed the connection within a frame: %x", cut(l.in)))
			}
		}
	}
}

func cut(b []byte) []byte { return b[:min(len(b), 64)] }

func contains(list []codec.Command, c codec.Command) bool {
	for _, x := range list {
		if x == c {
			return true
		}
	}
	return false
}

// after sends the frames and then a heartbeat, and returns all answers up to that of the heartbeat, and
// those that come within Quiet after it. fenced says that the heartbeat was answered; otherwise the
// connection was closed, or all is silent.
func (l *line) after(frames ...codec.Frame) (got []codec.Frame, fenced bool) {
	for _, f := range frames {
		l.write(f)
	}
	fence := l.heartbeat()
	l.write(fence)
	wait := l.o.Timeout
	for {
		f, err := l.next(wait)
		if err != nil {
			return got, fenced
		}
		if !fenced && answersTo(f, fence) {
			fenced = true
		} else {
			got = append(got, f)
		}
		if fenced {
			if wait = l.o.Quiet; len(got) >= len(frames) { // nothing is missing any more
				wait = min(wait, 100*time.Millisecond)
			}
		}
	}
}

// reply is what came for a frame.
type reply struct {
	frame  codec.Frame // nil: no answer
	form   string      // how its unit is made
	closed bool        // the gateway closed the connection
	fenced bool        // the connection still works
}

// ask sends a frame on a connection that is logged in, and returns its answer, which is checked. It
// knows that there is none when a heartbeat after it is answered.
func (l *line) ask(req codec.Frame) reply {
	got, fenced := l.after(req)
	r := reply{closed: l.closed, fenced: fenced}
	for _, f := range got {
		if !answersTo(f, req) {
			l.stop(fail("an answer to nothing that was sent: %x", []byte(f)))
		}
		if r.frame != nil {
			l.stop(fail("two answers to one frame: %x", []byte(f)))
		}
		r.frame = f
	}
	if r.frame != nil {
		r.form = l.check(req, r.frame)
	}
	return r
}

// first sends a frame on a new connection, where no heartbeat can tell that nothing comes.
func (l *line) first(req codec.Frame, wait time.Duration) reply {
	l.write(req)
	f, err := l.next(wait)
	if err != nil {
		return reply{closed: errors.Is(err, errClosed)}
	}
	if !answersTo(f, req) {
		l.stop(fail("an answer to nothing that was sent: %x", []byte(f)))
	}
	return reply{frame: f, form: l.check(req, f)}
}

// answersTo reports whether a can be meant as the answer to req: same command and identifier.
func answersTo(a, req codec.Frame) bool {
	return a.Command() == req.Command() && bytes.Equal(a.RawVIN(), req.RawVIN())
}

// must sends a frame that must be answered with success, and returns the form of the answer.
func (l *line) must(req codec.Frame) string {
	r := l.first(req, l.o.Timeout)
	l.want(req, r)
	return r.form
}

// want ends the case unless r is success.
func (l *line) want(req codec.Frame, r reply) {
	name := req.Command().Name(req.Edition())
	switch {
	case r.closed && r.frame == nil:
		l.stop(fail("the connection was closed after the %s, without an answer", name))
	case r.frame == nil:
		l.stop(fail("the %s was not answered within %v", name, l.o.Timeout))
	case r.frame.Flag() != codec.FlagSuccess:
		l.stop(fail("the %s was answered %v", name, r.frame.Flag()))
	}
}

// enter connects and logs the vehicle in.
func (t *talk) enter() *line {
	l := t.dial()
	req := t.login(t.vin)
	r := l.first(req, t.o.Timeout)
	if r.frame != nil && r.frame.Flag() != codec.FlagSuccess {
		t.stop(fail("the login of %s was refused (%v): is it registered?", t.vin, r.frame.Flag()))
	}
	l.want(req, r)
	return l
}

// check holds an answer to the rules for all answers (2016 §6.3.2, B.3.3.2; 2025 §6.3.2) and returns the
// form of its unit.
func (t *talk) check(req, a codec.Frame) string {
	bad := func(format string, args ...any) {
		t.stop(fail("%s: %x", fmt.Sprintf(format, args...), []byte(a)))
	}
	if a.Edition() != req.Edition() {
		bad("the answer has the start mark of the other edition")
	}
	flag := a.Flag()
	known := flag >= codec.FlagSuccess && flag <= codec.FlagVINDuplicate
	if t.edition == codec.Edition2025 {
		known = flag >= codec.FlagSuccess && flag <= codec.FlagDecryptError
	}
	if !known {
		bad("flag 0x%02x, which the edition does not have", byte(flag))
	}
	if e := a.Encryption(); !e.Plain() {
		bad("the answer says that it is encrypted (%v)", e)
	}
	sent, got := req.Unit(), a.Unit()
	switch req.Command() {
	case codec.CommandHeartbeat, codec.CommandKeyExchange:
		if len(got) == 0 {
			return "no data unit"
		}
		return t.timeForm(got, bad)
	case codec.CommandTimeSync:
		if len(got) == 0 && flag != codec.FlagSuccess {
			return "no data unit"
		}
		return t.timeForm(got, bad)
	}
	switch {
	case len(sent) < codec.TimeSize && len(got) <= codec.TimeSize:
		return "as far as there was a time"
	case len(got) == codec.TimeSize && bytes.Equal(got, sent[:codec.TimeSize]):
		return "the request's time"
	case len(got) == codec.TimeSize && len(sent) == codec.TimeSize:
		t.timeForm(got, bad)
		return "the request's data unit under a new time" // all of it was a time
	case len(got) == codec.TimeSize:
		bad("the answer's time is not the request's")
	case len(got) == 0 && flag != codec.FlagSuccess:
		return "no data unit"
	case len(got) == len(sent) && bytes.Equal(got[codec.TimeSize:], sent[codec.TimeSize:]):
		return "the request's data unit under a new time"
	default:
		bad("the answer's data unit has %d bytes: neither the request's time nor the request with a new time", len(got))
	}
	return ""
}

// timeForm checks a unit that can only be a time of the gateway.
func (t *talk) timeForm(unit []byte, bad func(string, ...any)) string {
	if len(unit) != codec.TimeSize {
		bad("a data unit of %d bytes, a time has %d", len(unit), codec.TimeSize)
	}
	if _, ok := codec.ParseTime([codec.TimeSize]byte(unit)); !ok {
		bad("a time that no calendar has")
	}
	return "the gateway's time"
}
