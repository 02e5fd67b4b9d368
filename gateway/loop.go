package gateway

import (
	"context"
	"errors"
	"io"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/metrics"
	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/session"
)

const (
	tickEvery    = time.Second
	spareWindows = 64 // empty windows that a loop keeps
)

// loop is one event loop: a gnet engine of its own without listeners, so that
// the handler gnet calls is the loop itself and nothing is shared with others.
type loop struct {
	gnet.BuiltinEventEngine
	g       *Gateway
	engine  *gnet.Client
	count   *metrics.Loop
	box     mailbox
	size    atomic.Int64 // connections, for choosing the least loaded loop
	started time.Time

	// What follows belongs to the loop.
	now     time.Time // of the event under way
	clock   int64     // now as nanoseconds since started
	wheel   wheel
	closing map[*conn]struct{} // in stateClosing
	waiting []*conn            // stalled because all connections together have too much under way
	spare   []*window
	last    batch
	dirty   []*conn // have answers ready after a batch of mail

	stamp      []byte // the time in records, and the millisecond it stands for
	stampMilli int64

	out      []byte       // answers of the event under way
	outFlags []codec.Flag // their flags
	unit     []byte       // data unit of an answer in the making
	answer   []byte       // an answer in the making
	body     []byte       // record in the making
	plain    []byte       // decrypted input
	cipher   []byte       // encrypted output
	rec      sink.Record
	envelope envelope

	novelty  session.Novelty // of the report being stored; Fresh for every other frame
	unitHash uint64          // of its data unit
	message  codec.Message
}

func newLoop(g *Gateway) (*loop, error) {
	l := &loop{g: g, closing: map[*conn]struct{}{}, started: time.Now()}
	l.count = g.opt.Metrics.NewLoop(l.showCounts)
	l.box.loop = l
	l.see(l.started)
	var err error
	l.engine, err = gnet.NewClient(l, gnet.WithNumEventLoop(1), gnet.WithTicker(true), gnet.WithReadBufferCap(64<<10), gnet.WithLogger(engineLog{g.log}))
	if err != nil {
		return nil, err
	}
	return l, l.engine.Start()
}

// countsWait is how long a scrape waits for a loop that is busy.
const countsWait = 250 * time.Millisecond

// showCounts has the loop publish its counters, for a scrape. It is called from other goroutines.
func (l *loop) showCounts() {
	shown := make(chan struct{})
	if l.box.event.Load() == nil || !l.box.put(mail{do: func() { l.count.Publish(); close(shown) }}) {
		return // it has never had a connection, or has ended and published
	}
	select {
	case <-shown:
	case <-time.After(countsWait):
	}
}

// see sets the loop's clock for the event under way.
func (l *loop) see(now time.Time) {
	l.now = now
	l.clock = int64(now.Sub(l.started))
}

// after is the second of the loop's clock at which d has passed for sure. The
// clock is monotonic: a step of the machine's clock must not expire a fleet.
func (l *loop) after(d time.Duration) int64 {
	return (l.clock + int64(d+time.Second-1)) / int64(time.Second)
}

// OnOpen takes a connection over from its listener.
func (l *loop) OnOpen(gc gnet.Conn) (out []byte, action gnet.Action) {
	c, ok := gc.Context().(*conn)
	if !ok {
		return nil, gnet.Close
	}
	if l.box.event.Load() == nil {
		el := gc.EventLoop()
		l.box.event.Store(&el)
	}
	l.see(time.Now())
	c.gc, c.opened = gc, true
	c.deadline = l.after(c.ln.opt.LoginTimeout)
	l.wheel.add(c)
	l.count.Opened()
	c.ln.count.Opened()
	if c.tls != nil { // its first frames may have come with the end of the handshake
		l.box.put(mail{do: func() { l.guard(c, l.read) }})
	}
	return nil, gnet.None
}

// OnTraffic reads what has arrived on one connection.
func (l *loop) OnTraffic(gc gnet.Conn) (action gnet.Action) {
	c, ok := gc.Context().(*conn)
	if !ok {
		return gnet.Close
	}
	defer func() {
		if r := recover(); r != nil {
			action = l.contain(c, r)
		}
	}()
	l.see(time.Now())
	l.count.Received(c.arrived())
	l.read(c)
	if c.state == stateClosing && c.cause.metric == metrics.CloseOverflow {
		return gnet.Close // its input is what is too much: no lingering
	}
	return gnet.None
}

// OnClose ends what depended on the connection.
func (l *loop) OnClose(gc gnet.Conn, why error) gnet.Action {
	c, ok := gc.Context().(*conn)
	if !ok {
		return gnet.None
	}
	defer func() {
		if r := recover(); r != nil {
			l.contain(c, r)
		}
	}()
	if c.state >= stateLate {
		return gnet.None
	}
	if c.cause == (cause{}) {
		c.cause = causePeer
	}
	if errors.Is(why, io.EOF) && c.stalled {
		c.ended = true // what has come is all there will be: no window holds it back
		l.guard(c, l.read)
	}
	l.guard(c, func(c *conn) { l.endSessions(c, c.cause.reason) }) // a fault there must not leave c in the wheel with a dead descriptor
	l.wheel.remove(c)
	delete(l.closing, c)
	c.gc = nil
	if !errors.Is(why, io.EOF) || !l.keepLate(c, gc) {
		l.leave(c)
	}
	return gnet.None
}

// OnTick runs on a goroutine of its own: it only leaves word.
func (l *loop) OnTick() (time.Duration, gnet.Action) {
	l.box.putTick()
	return tickEvery, gnet.None
}

// contain keeps a fault of ours to the connection it happened on.
func (l *loop) contain(c *conn, fault any) gnet.Action {
	l.novelty = session.Fresh // of the report under way, if it was one
	l.count.Panic()
	l.g.log.Error("fault while handling a connection; it is closed, the others go on",
		about(c), "fault", fault, "stack", string(debug.Stack()))
	if c.cause == (cause{}) {
		c.cause = causePanic
	}
	return gnet.Close
}

// readMail handles everything that other goroutines have left.
func (l *loop) readMail() {
	l.see(time.Now())
	b := l.box.swap(l.last)
	l.last = batch{stored: b.stored, mail: b.mail}
	for _, s := range b.stored {
		l.confirm(s.c, s.ticket)
	}
	// Answers go out before anything is read that might want to stand behind them,
	// and before mail that closes their connection.
	for i, c := range l.dirty {
		l.dirty[i] = nil
		l.guard(c, l.flush)
	}
	l.dirty = l.dirty[:0]
	for i := range b.mail {
		if m := &b.mail[i]; m.c == nil {
			m.do()
		} else {
			l.guard(m.c, func(*conn) { l.deliver(m) })
		}
	}
	if b.resume || b.tick {
		l.wakeWaiting()
	}
	if b.tick {
		l.tick()
	}
}

// guard runs f for c outside gnet's callbacks: a panic closes c.
func (l *loop) guard(c *conn, f func(*conn)) {
	defer func() {
		if r := recover(); r != nil {
			l.contain(c, r)
			l.closeNow(c)
		}
	}()
	f(c)
}

// tick looks at deadlines, and at closing connections whose peer had not read everything.
func (l *loop) tick() {
	l.count.Publish()
	l.wheel.advance(l.clock/int64(time.Second), func(c *conn) {
		switch {
		case c.state == stateLate:
			l.closeLate(c)
		case c.state >= stateClosing:
			l.closeNow(c)
		case c.state == stateNew:
			l.guard(c, func(c *conn) { l.finish(c, causeLoginTimeout) })
		case c.stalled: // it may have sent all the while: it is we who do not read
			c.deadline = l.after(c.ln.opt.IdleTimeout)
			l.wheel.add(c)
		default:
			l.guard(c, func(c *conn) { l.finish(c, causeIdle) })
		}
	})
	for c := range l.closing {
		l.guard(c, l.tryFinish)
	}
}

// wakeWaiting lets connections read on that had to wait for others' records. When the room is used up again, those
// that had no turn are the first of the next time.
func (l *loop) wakeWaiting() {
	list := l.waiting
	l.waiting = nil
	for i, c := range list {
		if i > 0 && l.g.inFlight.Load() >= l.g.opt.Limits.InFlightBytes {
			l.waiting = append(list[i:], l.waiting...)
			l.g.waiting.Store(true)
			if l.g.inFlight.Load() < l.g.opt.Limits.InFlightBytes {
				l.box.putResume() // room was made between the look and the note
			}
			return
		}
		c.waiting = false
		if c.state < stateClosing && c.stalled {
			l.guard(c, l.read)
		}
	}
}

// stop ends the loop and fails what is still in its mailbox.
func (l *loop) stop() error {
	err := l.engine.Stop()
	for i := range l.wheel.slots { // the loop has ended: only sockets that it does not know are left
		for c := l.wheel.slots[i]; c != nil; c = l.wheel.slots[i] {
			l.wheel.remove(c)
			l.closeLate(c)
		}
	}
	for _, m := range l.box.close() {
		if m.frame != nil {
			m.done(session.ErrLinkClosed)
		}
	}
	l.count.Publish()
	return err
}

// snapshot lists the connections of the loop.
func (l *loop) snapshot(ctx context.Context) []*conn {
	got := make(chan []*conn, 1)
	ok := l.box.event.Load() != nil && l.box.put(mail{do: func() {
		var all []*conn
		for _, c := range l.wheel.slots { // every connection has a deadline
			for ; c != nil; c = c.wheelNext {
				all = append(all, c)
			}
		}
		got <- all
	}})
	if !ok {
		return nil // it has never had a connection, or has ended
	}
	select {
	case all := <-got:
		return all
	case <-ctx.Done():
		return nil
	}
}
