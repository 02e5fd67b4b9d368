package nats

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The headers of a write to a bucket of an external server.
const (
	kvWritten  = "Tboxgate-Written" // <stamp> <id>: when the value was handed over, and by whom
	kvExpected = jetstream.ExpectedLastSubjSeqHeader
)

const (
	knownKeys   = 1 << 16         // revisions that are remembered; another key's is read before its write
	readsAtOnce = 64              // of revisions
	freshFor    = 2 * time.Second // a write that took longer may have missed another gateway's
)

// order keeps the writes to each key of an external server in their order, whatever becomes of the connection.
// (The embedded server dies and lives with its connection; there the publisher's own order is enough.)
//
// A write whose confirmation is lost is published again, and its first attempt may still be on its way through a server
// that hangs: it would take effect minutes later, over something newer. So every attempt says which revision of the key
// it replaces (Nats-Expected-Last-Subject-Sequence): of all attempts at one revision the server takes one, and none any
// more once something newer is there. Hence one write of a key is under way at a time; of those that come meanwhile the
// newest is written, and ends them all.
//
// A refused attempt means that somebody else has written the key, or that an earlier attempt was taken; the entry's
// header tells. Of two gateways' writes the one handed over later stands: a write that was held up by an outage gives
// way to one that another gateway made meanwhile, and ends with a *SupersededError. The gateways' clocks decide that, and
// nothing else: a stamp is above the one of the entry that its writer has seen, and a write that nothing held up is
// published again whatever the stamps say.
type order struct {
	writes *publisher
	read   func(ctx context.Context, subject string) (revision, error)
	writer string // this process, in its writes' ids
	pause  time.Duration
	slots  chan struct{}
	ctx    context.Context // of reads
	stop   context.CancelFunc
	ended  sync.WaitGroup // reads

	mu     sync.Mutex
	count  uint64
	busy   map[string]*keyWrites
	known  map[string]revision // without values
	closed bool
	empty  chan struct{} // closed when nothing is busy any more; made by close
}

// keyWrites are the writes to one key that are not stored: the one under way, and what comes behind it.
type keyWrites struct{ now, next *keyWrite }

// keyWrite is one write.
type keyWrite struct {
	key       string // for texts
	subject   string
	value     []byte
	operation string // "", kvDelete
	id        string
	queued    time.Time
	stamp     int64 // UnixNano, or more
	breaks    uint64
	troubled  bool   // the store was unwell when it was handed over
	at        uint64 // the revision it is to replace
	done      []func(error)
}

// revision is what a key has: sequence 0 when nothing was ever written to it.
type revision struct {
	seq   uint64
	stamp int64
	id    string
	value []byte // nil: deleted
}

// SupersededError says that a write was not made: while the store could not be reached another gateway has written the key
// later. It may be made again, as a new write.
type SupersededError struct {
	Key   string
	value []byte
}

// Error names the key.
func (e *SupersededError) Error() string {
	return "another gateway has written " + e.Key + " meanwhile, later than this value was handed over"
}

// Newer returns what is stored in its place, nil when the key was deleted.
func (e *SupersededError) Newer() []byte { return e.value }

func newOrder(writes *publisher, js jetstream.JetStream) *order {
	o := &order{
		writes: writes, writer: rand.Text(), pause: rewatchPause, slots: make(chan struct{}, readsAtOnce),
		busy: make(map[string]*keyWrites), known: make(map[string]revision),
	}
	o.ctx, o.stop = context.WithCancel(context.Background())
	o.read = func(ctx context.Context, subject string) (revision, error) { return readRevision(ctx, js, subject) }
	return o
}

// put makes a write. It does not block. False: the store is closed and the write is not taken.
func (o *order) put(w *keyWrite) bool {
	w.queued = time.Now()
	w.stamp = w.queued.UnixNano()
	w.breaks, w.troubled = o.writes.interruptions()
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return false
	}
	o.count++
	w.id = o.writer + "." + strconv.FormatUint(o.count, 36)
	b := o.busy[w.subject]
	if b != nil {
		if b.next != nil {
			w.done = append(b.next.done, w.done...)
		}
		b.next = w
		o.mu.Unlock()
		return true
	}
	o.busy[w.subject] = &keyWrites{now: w}
	o.mu.Unlock()
	o.begin(w)
	return true
}

// begin brings a write on its way, when the key's revision is known.
func (o *order) begin(w *keyWrite) {
	o.mu.Lock()
	have, ok := o.known[w.subject]
	o.mu.Unlock()
	if ok && o.follows(w, have) {
		o.publish(w)
		return
	}
	o.settle(w, false)
}

// follows reports whether w may replace what is there, and if so has it do that.
func (o *order) follows(w *keyWrite, have revision) bool {
	own := strings.HasPrefix(have.id, o.writer+".") // handed over before w
	if !own && have.stamp > w.stamp && !o.fresh(w) {
		return false
	}
	w.at, w.stamp = have.seq, max(w.stamp, have.stamp+1)
	return true
}

// fresh reports whether nothing has held w up.
func (o *order) fresh(w *keyWrite) bool {
	breaks, troubled := o.writes.interruptions()
	return !troubled && !w.troubled && breaks == w.breaks && time.Since(w.queued) < freshFor
}

// publish hands w to the publisher, which repeats it until the server has taken or refused it.
func (o *order) publish(w *keyWrite) {
	m := o.writes.take()
	m.buf = append(append(m.buf[:0], w.subject...), w.value...)
	m.split = len(w.subject)
	m.setHeader(kvExpected, strconv.FormatUint(w.at, 10))
	m.setHeader(kvWritten, strconv.FormatInt(w.stamp, 10)+" "+w.id)
	if w.operation != "" {
		m.setHeader(kvOperation, w.operation)
	}
	m.done = func(err error) {
		switch {
		case err == nil:
			o.end(w, revision{seq: m.seq, stamp: w.stamp, id: w.id}, nil)
		case errors.Is(err, errMoved):
			o.settle(w, true)
		default:
			o.end(w, revision{}, err)
		}
	}
	if !o.writes.publish(m) {
		go o.end(w, revision{}, ErrClosed)
	}
}

// settle reads what the key has and goes on from there. refused: the server would not replace the revision w.at.
func (o *order) settle(w *keyWrite, refused bool) {
	o.mu.Lock()
	delete(o.known, w.subject)
	if o.ctx.Err() != nil {
		o.mu.Unlock()
		go o.end(w, revision{}, ErrClosed)
		return
	}
	o.ended.Add(1)
	o.mu.Unlock()
	go func() {
		defer o.ended.Done()
		have, err := o.await(w, refused)
		switch {
		case err != nil:
			o.end(w, revision{}, ErrClosed)
		case have.id == w.id: // a lost attempt was taken
			o.end(w, have, nil)
		case o.follows(w, have):
			o.publish(w)
		default:
			o.end(w, have, &SupersededError{w.key, have.value})
		}
	}()
}

// await reads a key's revision, again and again until it can be read; the error is the store's end. A copy that lags
// behind may still show what was refused, or an older one: it is given a little time.
func (o *order) await(w *keyWrite, refused bool) (revision, error) {
	for {
		select {
		case o.slots <- struct{}{}:
		case <-o.ctx.Done():
			return revision{}, o.ctx.Err()
		}
		ctx, cancel := context.WithTimeout(o.ctx, ackWait)
		have, err := o.read(ctx, w.subject)
		cancel()
		<-o.slots
		if err == nil && (!refused || have.seq > w.at) {
			return have, nil
		}
		refused = refused && err != nil
		select {
		case <-time.After(o.pause):
		case <-o.ctx.Done():
			return revision{}, o.ctx.Err()
		}
	}
}

// readRevision reads a key's last message.
func readRevision(ctx context.Context, js jetstream.JetStream, subject string) (revision, error) {
	bucket, _, _ := strings.Cut(strings.TrimPrefix(subject, kvSubjects), ".")
	st, err := js.Stream(ctx, "KV_"+bucket)
	if err != nil {
		return revision{}, err
	}
	m, err := st.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return revision{}, nil
	}
	if err != nil {
		return revision{}, err
	}
	r := revision{seq: m.Sequence, stamp: m.Time.UnixNano()}
	if stamp, id, ok := strings.Cut(m.Header.Get(kvWritten), " "); ok {
		if n, err := strconv.ParseInt(stamp, 10, 64); err == nil {
			r.stamp, r.id = n, id
		}
	}
	if m.Header.Get(kvOperation) == "" {
		r.value = append([]byte{}, m.Data...) // never nil
	}
	return r, nil
}

// end ends a write, and begins the next one of its key.
func (o *order) end(w *keyWrite, now revision, err error) {
	o.mu.Lock()
	if now.seq > 0 {
		if len(o.known) >= knownKeys {
			for other := range o.known {
				delete(o.known, other)
				break
			}
		}
		now.value = nil
		o.known[w.subject] = now
	}
	b := o.busy[w.subject]
	next := b.next
	if next != nil {
		b.now, b.next = next, nil
	} else {
		delete(o.busy, w.subject)
		if len(o.busy) == 0 && o.empty != nil {
			close(o.empty)
			o.empty = nil
		}
	}
	o.mu.Unlock()
	for _, done := range w.done {
		done(err)
	}
	if next != nil {
		o.begin(next)
	}
}

// close takes no more writes and waits until all are stored or ctx ends. Then the publisher is closed, which ends what
// is left.
func (o *order) close(ctx context.Context) {
	o.mu.Lock()
	o.closed = true
	empty := make(chan struct{})
	if len(o.busy) == 0 {
		close(empty)
	} else {
		o.empty = empty
	}
	o.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
	o.mu.Lock()
	o.stop()
	o.mu.Unlock()
	o.ended.Wait()
}
