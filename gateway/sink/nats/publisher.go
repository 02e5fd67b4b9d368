package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
)

// Limits of one publisher. A window of 4,096 keeps both the writer and the stream busy (more gains
// nothing measurable) and stays far below the server's ingest queue of 100,000 messages, beyond
// which it refuses.
const (
	windowMessages = 4096    // published and not yet confirmed; a power of two
	windowBytes    = 8 << 20 // the same in bytes; one larger message may still go alone
	batchMessages  = 256     // taken from the queue under one lock, and one burst
	ackWait        = 5 * time.Second
	backoffFirst   = 50 * time.Millisecond
	backoffMost    = 5 * time.Second
	lateAfter      = 5 * time.Second // the oldest message waits longer: unhealthy
)

// publisher stores messages through one connection: in order, confirmed, and again and again until
// they are stored. It is the whole machinery below Sink, Events and KV.
//
//	publish ──▶ queue ──▶ writer goroutine ──▶ flight (ring: number → message) ──▶ server
//	              ▲ again                         │
//	              └───── refused or lost ◀────────┴── confirmed ──▶ Receiver.Stored
//
// Every attempt has its own number, the last token of its reply subject (<inbox>.<number>), or in a
// burst (burst.go) a place; all replies come in on one subscription. Nothing is published on the caller's goroutine: nats.go
// writes to the connection under its lock and may wait there for the server.
//
// After a refusal or a loss the writer stops, waits until every attempt under way has ended, and
// publishes the unconfirmed messages again in their order: the first one alone, with back-off, and
// the others behind it once that one is stored. So messages keep their order as well as can be, and
// a full disk is not flooded. See recover.go.
type publisher struct {
	name   string // what it stores, for texts: "records", "events", "writes"
	nc     *natsgo.Conn
	inbox  string   // with its last dot
	bursts bool     // publish in bursts, see burst.go; set before the first message
	batch  *batcher // gathers records, nil: each is a message; set before the first message
	sub    *natsgo.Subscription
	log    *slog.Logger
	repair func() // asks for the streams to be made again, when one is missing; does not block

	patience time.Duration // ackWait; tests are less patient

	pool sync.Pool     // of *message
	wake chan struct{} // to the writer
	quit chan struct{} // closed by close
	over chan struct{} // the writer has ended
	deaf chan struct{} // the subscription has ended

	mu      sync.Mutex
	queue   fifo                     // not yet published
	again   fifo                     // to be published again; goes first
	flight  [windowMessages]*message // attempts head..tail-1, at number % windowMessages
	head    uint64                   // the oldest attempt in flight
	tail    uint64                   // the next number
	due     int                      // attempts in flight whose reply is due
	dueSize int                      // their bytes
	late    map[uint64]*message      // given up attempts whose reply would still count
	parked  []*message               // too large for this server
	latest  map[string]*message      // the newest unconfirmed write to a key (KV only)

	progress time.Time // the last confirmation
	passed   uint64    // the highest number confirmed
	lastSeq  uint64    // the stream's number in the last confirmation (bursts only)
	down     error     // why there is no connection
	trouble  error     // the last failure; nil once a message was stored after it
	since    time.Time // when the trouble began
	breaks   uint64    // counts troubles and lost connections
	struck   bool      // retryAt is set for this round of failures
	retryAt  time.Time
	backoff  time.Duration

	idle   bool // the writer sleeps
	closed bool
	empty  chan struct{} // closed when nothing is held any more; made by close
	notes  []note        // for the log, written by the writer goroutine without the lock

	stats Stats

	told []*message // memory of confirmedBurst, which runs on the subscription's goroutine only
}

// Stats counts what a publisher did.
type Stats struct {
	Waiting      int    // records that are not stored yet
	WaitingBytes int64  // their bytes
	Stored       uint64 // records stored since the start
	Retried      uint64 // records that were published again
}

// note is one line for the log.
type note struct {
	level slog.Level
	text  string
	args  []any
}

// newPublisher starts a publisher on a connection, whose handlers call connectionLost and
// connectionBack.
func newPublisher(nc *natsgo.Conn, name string, log *slog.Logger, repair func()) (*publisher, error) {
	p := &publisher{
		name: name, nc: nc, log: log, repair: repair, patience: ackWait,
		inbox:  nc.NewInbox() + ".",
		wake:   make(chan struct{}, 1),
		quit:   make(chan struct{}),
		over:   make(chan struct{}),
		deaf:   make(chan struct{}),
		late:   make(map[uint64]*message),
		latest: make(map[string]*message),
	}
	p.pool.New = func() any { return new(message) }
	sub, err := nc.Subscribe(p.inbox+">", p.onReply)
	if err != nil {
		return nil, fmt.Errorf("nats: the inbox for %s: %w", name, err)
	}
	p.sub = sub
	sub.SetClosedHandler(func(string) { close(p.deaf) })
	// A reply that nats.go drops would look like a lost message; the window bounds them anyway.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("nats: the inbox for %s: %w", name, err)
	}
	go p.write()
	return p, nil
}

// take returns an empty message to fill and hand to publish.
func (p *publisher) take() *message { return p.pool.Get().(*message) }

// publish queues a message. It never blocks. False: the publisher is closed and the message is not
// taken.
func (p *publisher) publish(m *message) bool {
	m.queued = time.Now()
	m.reuse = m.done == nil
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return false
	}
	if m.done != nil {
		p.supersede(m)
	}
	p.queue.push(m)
	p.stats.Waiting++
	p.stats.WaitingBytes += int64(len(m.buf))
	wake := p.mustWake()
	p.mu.Unlock()
	if wake {
		p.signal()
	}
	return true
}

// write is the writer goroutine: it moves messages from the queues to the connection.
func (p *publisher) write() {
	defer close(p.over)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	batch := make([]*message, 0, batchMessages)
	for {
		var first uint64
		var wait time.Duration
		var notes []note
		batch, first, wait, notes = p.nextBatch(batch[:0])
		p.sendAll(batch, first)
		for _, n := range notes {
			p.log.Log(context.Background(), n.level, n.text, n.args...)
		}
		if len(batch) > 0 {
			continue
		}
		timer.Reset(wait)
		select {
		case <-p.wake:
		case <-timer.C:
		case <-p.quit:
			return
		}
	}
}

// nextBatch takes what may be published now: the i-th message has the number first+i. With nothing
// to publish it says how long to sleep at most.
func (p *publisher) nextBatch(batch []*message) (_ []*message, first uint64, wait time.Duration, notes []note) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.checkLost(now)
	if p.trouble != nil && p.due == 0 {
		p.collect()
	}
	first = p.tail
	for room := p.room(now); room > 0 && len(batch) < batchMessages && p.dueSize < windowBytes; room-- {
		m := p.nextMessage()
		if m == nil {
			break
		}
		m.state, m.sent = flying, now
		p.flight[p.tail%windowMessages] = m
		p.tail++
		p.due++
		p.dueSize += len(m.buf)
		p.struck = false
		batch = append(batch, m)
	}
	if p.trouble != nil && p.due == 0 && p.again.head == nil && p.queue.head == nil && p.down == nil {
		p.recovered() // all that had failed was confirmed after all
	}
	p.idle = len(batch) == 0
	notes, p.notes = p.notes, nil
	return batch, first, p.sleep(now), notes
}

// room returns how many messages may be published now. The lock is held.
func (p *publisher) room(now time.Time) int {
	switch {
	case p.down != nil:
		return 0
	case p.trouble == nil:
		return windowMessages - int(p.tail-p.head)
	case p.due > 0 || now.Before(p.retryAt):
		return 0
	}
	return 1 // one alone, to see whether the store takes it
}

// nextMessage takes the next message to publish, nil when there is none. The lock is held.
func (p *publisher) nextMessage() *message {
	for {
		m := p.again.pop()
		if m == nil {
			m = p.queue.pop()
			if m != nil && m.batch != nil {
				p.batch.taken(m)
			}
			return m
		}
		if m.state == stored || p.covered(m) {
			continue
		}
		p.stats.Retried += uint64(m.records())
		return m
	}
}

// sleep returns how long the writer may sleep when nobody wakes it. The lock is held.
func (p *publisher) sleep(now time.Time) time.Duration {
	switch {
	case p.due > 0:
		return p.patience / 4 // to notice lost replies
	case p.trouble != nil && p.down == nil:
		return max(p.retryAt.Sub(now), time.Millisecond)
	}
	return time.Hour
}

// mustWake reports whether the writer sleeps and has something to do, and notes that it will be
// woken. It lets the window drain a little first, so that the writer moves batches. The lock is
// held.
func (p *publisher) mustWake() bool {
	if !p.idle || p.down != nil {
		return false
	}
	if p.trouble != nil {
		if p.due > 0 || p.head == p.tail { // replies or the timer will wake it
			return false
		}
	} else if p.queue.head == nil && p.again.head == nil || p.due > 0 &&
		(p.tail-p.head > windowMessages-batchMessages || p.dueSize > windowBytes/4*3) {
		return false
	}
	p.idle = false
	return true
}

func (p *publisher) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// sendAll publishes the attempts first, first+1 and so on.
func (p *publisher) sendAll(batch []*message, first uint64) {
	for len(batch) > 0 {
		n := 1
		if p.bursts {
			n = max(p.burstsEnd(batch), 1)
		}
		if n > 1 {
			p.sendBurst(batch[:n], first)
		} else if err := p.send(batch[0], first); err != nil {
			p.refused(first, err)
		}
		batch, first = batch[n:], first+uint64(n)
	}
}

// send publishes one attempt by itself.
func (p *publisher) send(m *message, number uint64) error {
	var scratch [64]byte
	return p.publishTo(m, string(strconv.AppendUint(append(scratch[:0], p.inbox...), number, 10)))
}

// publishTo publishes a message with a reply subject. A message does not change until its confirmation,
// which cannot come before, so it is read without the lock.
func (p *publisher) publishTo(m *message, reply string) error {
	var err error
	if len(m.header) == 0 {
		err = p.nc.PublishRequest(m.subject(), reply, m.body())
	} else {
		err = p.nc.PublishMsg(&natsgo.Msg{Subject: m.subject(), Reply: reply, Header: m.header, Data: m.body()})
	}
	if errors.Is(err, natsgo.ErrMaxPayload) {
		return fmt.Errorf("%w: %d bytes, its max_payload is %d", ErrTooLarge, len(m.body()), p.nc.MaxPayload())
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDisconnected, err)
	}
	return nil
}
