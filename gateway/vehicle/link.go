package vehicle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

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

const (
	// writeTimeout bounds one write: a gateway that does not read for so long is gone.
	writeTimeout = 30 * time.Second
	// mostPending bounds the frames that wait for an answer. A gateway may be set to leave reports
	// unanswered; the oldest then count as unanswered.
	mostPending = 1024
	// mostLate bounds the answers that wait for their delay.
	mostLate = 64
	// bufferSize is the first size of the input's buffer: an answer is short.
	bufferSize = 256
	// shortestRead is how long a wait reads at least.
	shortestRead = 100 * time.Microsecond
)

// link is one connection: it writes frames, pairs answers with them, and hands commands up. It has no
// goroutine of its own: one goroutine uses it, and reads while it waits (wait). So a vehicle costs one
// goroutine.
type link struct {
	conn    net.Conn
	log     *slog.Logger
	count   *counters
	timeout time.Duration // an answer after it is late
	obeys   obedient

	in      []byte // what was read and is not consumed
	pending []*request
	late    []lateAnswer
	err     error // why reading has ended
	trouble trouble

	mu    sync.Mutex // guards what follows, and the read deadline with it
	woken bool
}

// obedient takes the commands of the gateway.
type obedient struct {
	answer   func(codec.Frame) []byte        // nil: no answer
	answered func(codec.Frame)               // after an answer was written
	delay    func(codec.Frame) time.Duration // of the answer to a command
}

type lateAnswer struct {
	at    time.Time
	frame codec.Frame
}

// request is a frame that wants an answer.
type request struct {
	frame codec.Frame
	sent  time.Time
	done  bool
	flag  codec.Flag // of the answer, when done
}

func open(conn net.Conn, cfg Config, count *counters, obeys obedient) *link {
	count.update(func(s *Stats) { s.Connects++ })
	return &link{conn: conn, log: cfg.Logger, count: count, timeout: cfg.AnswerTimeout, obeys: obeys}
}

// close ends the connection. What is still without an answer is counted: as interrupted when the connection
// broke, or when a fault broke it.
func (l *link) close(broke bool) {
	_ = l.conn.Close() // nothing is lost: all answers that will come have come
	l.count.update(func(s *Stats) {
		if n := uint64(len(l.pending)); broke || l.err != nil {
			s.Interrupted += n
		} else {
			s.Unanswered += n
		}
	})
	l.pending = nil
}

// watch makes every wait return at once when ctx ends, until stop is called.
func (l *link) watch(ctx context.Context) (stop func()) {
	woke := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(woke)
		l.wake(true)
	})
	return func() {
		if !cancel() {
			<-woke
		}
		l.wake(false)
	}
}

// wake makes waits return at once, or no longer. It may be called from any goroutine.
func (l *link) wake(now bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.woken = now
	if now {
		_ = l.conn.SetReadDeadline(time.Unix(1, 0)) // a closed connection has no deadline to miss
	}
}

func (l *link) deadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.woken {
		t = time.Unix(1, 0)
	}
	return l.conn.SetReadDeadline(t)
}

// send writes a frame that wants an answer.
func (l *link) send(frame codec.Frame) (*request, error) {
	r := &request{frame: frame, sent: time.Now()}
	dropped := len(l.pending) == mostPending
	if dropped {
		l.pending = append(l.pending[:0], l.pending[1:]...)
	}
	l.pending = append(l.pending, r)
	l.count.update(func(s *Stats) {
		s.Sent++
		switch frame.Command() {
		case codec.CommandVehicleLogin, codec.CommandPlatformLogin:
			s.Logins++
		case codec.CommandRealtime:
			s.Reports++
		case codec.CommandReissue:
			s.Reissues++
		case codec.CommandHeartbeat:
			s.Heartbeats++
		case codec.CommandTimeSync:
			s.TimeSyncs++
		}
		if dropped {
			s.Unanswered++
		}
	})
	return r, l.write(frame)
}

// write writes a frame, in the way that the present trouble wants.
func (l *link) write(frame codec.Frame) error {
	if l.err != nil {
		return l.err
	}
	for _, piece := range l.trouble.pieces(frame, l.count) {
		if err := l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return l.broke(err)
		}
		if _, err := l.conn.Write(piece); err != nil {
			return l.broke(err)
		}
		l.trouble.breathe()
	}
	return nil
}

// broke returns why the connection broke: what can still be read tells more than the failed write.
func (l *link) broke(err error) error {
	for end := time.Now().Add(time.Second); l.err == nil && time.Now().Before(end); {
		_ = l.read(end) // the error is kept in l.err
	}
	if l.err != nil {
		return l.err
	}
	l.err = fmt.Errorf("vehicle: %w", err)
	return l.err
}

// call sends a frame and waits for its answer.
func (l *link) call(ctx context.Context, frame codec.Frame, timeout time.Duration) (*request, error) {
	r, err := l.send(frame)
	if err != nil {
		return nil, err
	}
	until := time.Now().Add(timeout)
	for !r.done {
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case !time.Now().Before(until):
			return nil, fmt.Errorf("%w to %s within %v", ErrNoAnswer, frame.Command().Name(frame.Edition()), timeout)
		}
		if err := l.wait(until); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// login calls and makes a refusal an error.
func (l *link) login(ctx context.Context, frame codec.Frame, timeout time.Duration) error {
	r, err := l.call(ctx, frame, timeout)
	if err != nil {
		return err
	}
	if r.flag != codec.FlagSuccess {
		return &RefusedError{VIN: frame.VIN().String(), Command: frame.Command().Name(frame.Edition()), Flag: r.flag}
	}
	return nil
}

// settle waits until every frame is answered, or for timeout. The end of the connection ends it too.
func (l *link) settle(timeout time.Duration) {
	for until := time.Now().Add(timeout); len(l.pending) > 0 && time.Now().Before(until); {
		if l.wait(until) != nil {
			return
		}
	}
}

// wait takes answers and commands until a time, or until something has come or the link is woken. Late
// answers that are due are written.
func (l *link) wait(until time.Time) error {
	now := time.Now()
	if least := now.Add(shortestRead); until.Before(least) {
		until = least // a deadline in the past would read nothing, however much has come
	}
	for len(l.late) > 0 && !l.late[0].at.After(now) {
		f := l.late[0].frame
		l.late = append(l.late[:0], l.late[1:]...)
		if err := l.confirm(f); err != nil {
			return err
		}
	}
	if len(l.late) > 0 && l.late[0].at.Before(until) {
		until = l.late[0].at
	}
	return l.read(until)
}

// read reads once and takes every frame that is complete.
func (l *link) read(until time.Time) error {
	if l.err != nil {
		return l.err
	}
	if err := l.deadline(until); err != nil {
		l.err = fmt.Errorf("%w: %w", ErrClosed, err)
		return l.err
	}
	if cap(l.in)-len(l.in) < bufferSize/2 {
		l.in = append(make([]byte, 0, max(2*cap(l.in), bufferSize, codec.Need(l.in)+bufferSize/2)), l.in...)
	}
	n, err := l.conn.Read(l.in[len(l.in):cap(l.in)])
	l.in = l.in[:len(l.in)+n]
	consumed := 0
	for {
		f, n, bad := codec.Next(l.in[consumed:], codec.MaxUnitSize)
		if n == 0 {
			break
		}
		switch {
		case bad != nil:
			l.log.Warn("skipped bytes from the gateway", "bytes", n, "error", bad)
			l.count.update(func(s *Stats) { s.Skipped++ })
		case f.Flag() == codec.FlagCommand:
			l.obey(f)
		default:
			l.answered(f)
		}
		consumed += n
	}
	if l.in = l.in[:copy(l.in, l.in[consumed:])]; len(l.in) == 0 && cap(l.in) > 4*bufferSize {
		l.in = nil // one long frame is no reason to keep its memory
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		l.err = fmt.Errorf("%w: %w", ErrClosed, err)
		return l.err
	}
	return nil
}

// obey answers a command from the gateway.
func (l *link) obey(f codec.Frame) {
	answer := codec.Frame(l.obeys.answer(f))
	if answer == nil {
		l.count.update(func(s *Stats) { s.Ignored++ })
		return
	}
	switch delay := l.obeys.delay(answer); {
	case delay == 0:
		_ = l.confirm(answer) // the next read fails too
	case len(l.late) == mostLate:
		l.count.update(func(s *Stats) { s.Ignored++ })
	default:
		l.late = append(l.late, lateAnswer{time.Now().Add(delay), answer})
	}
}

// confirm writes the answer to a command.
func (l *link) confirm(answer codec.Frame) error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := l.conn.Write(answer); err != nil {
		l.log.Warn("a command's answer could not be written", "vin", answer.VIN().String(), "error", err)
		return err
	}
	l.count.update(func(s *Stats) { s.Commands++ })
	if l.obeys.answered != nil {
		l.obeys.answered(answer)
	}
	return nil
}

// answered pairs an answer with the oldest frame that it can belong to.
func (l *link) answered(f codec.Frame) {
	now := time.Now()
	at := -1
	for i, r := range l.pending {
		if answers(f, r.frame) {
			at = i
			break
		}
	}
	name := f.Command().Name(f.Edition())
	switch {
	case f.Flag() != codec.FlagSuccess && l.trouble.damaged > 0: // the standard leaves it open whether damage is answered
		l.trouble.damaged--
		l.count.update(func(s *Stats) { s.Rejected++ })
		return
	case at < 0:
		l.log.Warn("an answer to nothing that was sent", "vin", f.VIN().String(), "command", name, "flag", f.Flag().String())
		l.count.update(func(s *Stats) { s.Wrong++ })
		return
	}
	r := l.pending[at]
	l.pending = append(l.pending[:at], l.pending[at+1:]...)
	r.done, r.flag = true, f.Flag()
	took := now.Sub(r.sent)
	l.count.update(func(s *Stats) {
		s.RTT.observe(took)
		switch {
		case f.Flag() != codec.FlagSuccess:
			s.Refused++
			return
		case took > l.timeout:
			s.Late++
		}
		s.Acked++
		if at, ok := f.Time(); ok && f.Command() == codec.CommandTimeSync {
			s.Skew.observe(at, r.sent, now)
		}
	})
	if f.Flag() != codec.FlagSuccess {
		l.log.Warn("refused", "vin", f.VIN().String(), "command", name, "flag", f.Flag().String())
	}
}

// answers reports whether a is a proper answer to the request r: same edition, command and
// identifier, and the data unit that the standard gives it.
func answers(a, r codec.Frame) bool {
	if a.Edition() != r.Edition() || a.Command() != r.Command() || !bytes.Equal(a.RawVIN(), r.RawVIN()) {
		return false
	}
	got, sent := a.Unit(), r.Unit()
	switch {
	case a.Command() == codec.CommandTimeSync && a.Flag() == codec.FlagSuccess: // useless without a time (2016 §2.3)
		_, ok := a.Time()
		return ok && len(got) == codec.TimeSize
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
