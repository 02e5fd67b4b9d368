package vehicle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tboxgate/tboxgate/codec"
)

// RefusedError says that the gateway answered a login with another flag than success.
type RefusedError struct {
	VIN     string
	Command string // "vehicleLogin" or "platformLogin"
	Flag    codec.Flag
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("vehicle: the %s of %s was refused: %v", e.Command, e.VIN, e.Flag)
}

// ErrNoAnswer says that a login or logout was not answered in time.
var ErrNoAnswer = errors.New("vehicle: no answer")

// ErrClosed says that the gateway closed the connection.
var ErrClosed = errors.New("vehicle: connection closed by the gateway")

// writeTimeout bounds one write: a gateway that does not read for so long is gone.
const writeTimeout = 30 * time.Second

// mostPending bounds the frames that wait for an answer. A gateway may be set to leave reports
// unanswered; the oldest then count as unanswered.
const mostPending = 1024

// counters are the statistics of a vehicle or platform over all its connections.
type counters struct {
	mu sync.Mutex
	Stats
}

func (c *counters) stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Stats
}

func (c *counters) update(f func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.Stats)
}

// link is one connection: it writes frames, pairs answers with them, and hands commands up. One
// goroutine reads, any number may write.
type link struct {
	conn  net.Conn
	log   *slog.Logger
	count *counters
	obeys obedient

	ended chan struct{}  // closed when reading has ended
	err   error          // why; read it after ended
	late  errgroup.Group // answers that wait for their delay

	mu      sync.Mutex
	pending []*request
	settled chan struct{} // closed when pending is empty; nil while nobody waits
}

// obedient takes the commands of the gateway. Its functions run on the reading goroutine.
type obedient struct {
	answer   func(codec.Frame) []byte // nil: no answer
	answered func(codec.Frame)        // after an answer was written; nil: nobody asks
	delay    time.Duration            // of answers
}

// mostLate bounds the answers that wait for their delay.
const mostLate = 64

// request is a frame that wants an answer.
type request struct {
	frame codec.Frame
	sent  time.Time
	done  chan codec.Flag // takes the flag of the answer
}

// open starts reading from conn.
func open(conn net.Conn, log *slog.Logger, count *counters, obeys obedient) *link {
	l := &link{conn: conn, log: log, count: count, obeys: obeys, ended: make(chan struct{})}
	l.late.SetLimit(mostLate)
	go l.read()
	return l
}

// close ends the connection and waits for the reading goroutine. What is still unanswered is
// counted so.
func (l *link) close() {
	_ = l.conn.Close() // nothing is lost: all answers that will come have come
	<-l.ended
	_ = l.late.Wait() // they do not fail
	l.mu.Lock()
	left := len(l.pending)
	l.pending = nil
	l.mu.Unlock()
	l.count.update(func(s *Stats) { s.Unanswered += uint64(left) })
}

// send writes a frame that wants an answer.
func (l *link) send(frame []byte) (*request, error) {
	r := &request{frame: frame, sent: time.Now(), done: make(chan codec.Flag, 1)}
	l.mu.Lock()
	l.pending = append(l.pending, r)
	dropped := len(l.pending) > mostPending
	if dropped {
		l.pending = append(l.pending[:0], l.pending[1:]...)
	}
	l.mu.Unlock()
	l.count.update(func(s *Stats) {
		s.Sent++
		switch r.frame.Command() {
		case codec.CommandRealtime:
			s.Reports++
		case codec.CommandHeartbeat:
			s.Heartbeats++
		}
		if dropped {
			s.Unanswered++
		}
	})
	return r, l.write(frame)
}

func (l *link) write(frame []byte) error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := l.conn.Write(frame)
	return err
}

// call sends a frame and waits for its answer.
func (l *link) call(ctx context.Context, frame []byte, timeout time.Duration) (codec.Flag, error) {
	r, err := l.send(frame)
	if err != nil {
		return 0, l.why(err)
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case flag := <-r.done:
		return flag, nil
	case <-l.ended:
		select {
		case flag := <-r.done: // it was the last thing that came
			return flag, nil
		default:
			return 0, l.why(nil)
		}
	case <-timer.C:
		f := codec.Frame(frame)
		return 0, fmt.Errorf("%w to %s within %v", ErrNoAnswer, f.Command().Name(f.Edition()), timeout)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// login calls and makes a refusal an error.
func (l *link) login(ctx context.Context, frame []byte, timeout time.Duration) error {
	flag, err := l.call(ctx, frame, timeout)
	if err != nil {
		return err
	}
	if f := codec.Frame(frame); flag != codec.FlagSuccess {
		return &RefusedError{VIN: f.VIN().String(), Command: f.Command().Name(f.Edition()), Flag: flag}
	}
	return nil
}

// why returns the reason for which a connection broke: what the reading side saw tells more than
// the failed write.
func (l *link) why(err error) error {
	if err != nil {
		// Give the reading side a moment to see the end that made the write fail.
		select {
		case <-l.ended:
		case <-time.After(time.Second):
			return fmt.Errorf("vehicle: %w", err)
		}
	}
	<-l.ended
	return l.err
}

// settle waits until every frame is answered, or for timeout.
func (l *link) settle(timeout time.Duration) {
	l.mu.Lock()
	if len(l.pending) == 0 {
		l.mu.Unlock()
		return
	}
	settled := make(chan struct{})
	l.settled = settled
	l.mu.Unlock()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-settled:
	case <-l.ended:
	case <-timer.C:
	}
}

// read takes answers and commands until the connection ends.
func (l *link) read() {
	defer close(l.ended)
	frames := codec.NewReader(l.conn, codec.MaxUnitSize)
	for {
		f, err := frames.ReadFrame()
		var damage *codec.FrameError
		switch {
		case errors.As(err, &damage):
			l.log.Warn("skipped bytes from the gateway", "error", err)
			l.count.update(func(s *Stats) { s.Skipped++ })
		case err != nil:
			l.err = fmt.Errorf("%w: %w", ErrClosed, err)
			return
		case f.Flag() == codec.FlagCommand:
			l.obey(f)
		default:
			l.answered(f)
		}
	}
}

// obey answers a command from the gateway.
func (l *link) obey(f codec.Frame) {
	answer := l.obeys.answer(f)
	if answer == nil {
		l.count.update(func(s *Stats) { s.Ignored++ })
		return
	}
	if l.obeys.delay == 0 {
		l.confirm(f, answer)
		return
	}
	later := func() error {
		timer := time.NewTimer(l.obeys.delay)
		defer timer.Stop()
		select {
		case <-l.ended:
		case <-timer.C:
			l.confirm(codec.Frame(answer), answer)
		}
		return nil
	}
	if !l.late.TryGo(later) {
		l.count.update(func(s *Stats) { s.Ignored++ })
	}
}

// confirm writes the answer to the command f.
func (l *link) confirm(f codec.Frame, answer []byte) {
	if err := l.write(answer); err != nil {
		l.log.Warn("a command's answer could not be written", "vin", f.VIN().String(), "error", err)
		return // the next read fails too
	}
	l.count.update(func(s *Stats) { s.Commands++ })
	if l.obeys.answered != nil {
		l.obeys.answered(f)
	}
}

// answered pairs an answer with the oldest frame that it can belong to.
func (l *link) answered(f codec.Frame) {
	now := time.Now()
	l.mu.Lock()
	at := -1
	for i, r := range l.pending {
		if answers(f, r.frame) {
			at = i
			break
		}
	}
	var r *request
	if at >= 0 {
		r = l.pending[at]
		l.pending = append(l.pending[:at], l.pending[at+1:]...)
		if len(l.pending) == 0 && l.settled != nil {
			close(l.settled)
			l.settled = nil
		}
	}
	l.mu.Unlock()
	name := f.Command().Name(f.Edition())
	if r == nil {
		l.log.Warn("an answer to nothing that was sent", "vin", f.VIN().String(), "command", name, "flag", f.Flag().String())
		l.count.update(func(s *Stats) { s.Wrong++ })
		return
	}
	l.count.update(func(s *Stats) {
		if f.Flag() == codec.FlagSuccess {
			s.Acked++
		} else {
			s.Refused++
		}
		s.RTT.observe(now.Sub(r.sent))
	})
	if f.Flag() != codec.FlagSuccess {
		l.log.Warn("refused", "vin", f.VIN().String(), "command", name, "flag", f.Flag().String())
	}
	r.done <- f.Flag()
}

// answers reports whether a is a proper answer to the request r: same edition, command and
// identifier, and the data unit that the standard gives it.
func answers(a, r codec.Frame) bool {
	if a.Edition() != r.Edition() || a.Command() != r.Command() || !bytes.Equal(a.RawVIN(), r.RawVIN()) {
		return false
	}
	got, sent := a.Unit(), r.Unit()
	switch {
	case len(sent) < codec.TimeSize: // heartbeat: no unit, or the gateway's time (2016 §2.3)
		return len(got) == 0 || len(got) == codec.TimeSize
	case len(got) == codec.TimeSize: // the request's time (§6.3.2)
		return bytes.Equal(got, sent[:codec.TimeSize])
	case len(got) == 0: // no part of the request could be read
		return a.Flag() != codec.FlagSuccess
	}
	// The echo with a new time (B.3.3.2).
	return len(got) == len(sent) && bytes.Equal(got[codec.TimeSize:], sent[codec.TimeSize:])
}
