package nats

import (
	"errors"
	"fmt"
	"time"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
)

// The batched layout: many records in one message of the stream GBT32960_BATCH, on
// gbt32960.batch.<pp>. <pp> is the partition of the VIN, so that the records of one vehicle keep their
// order. A message's body is a sequence of entries: the JSON of a record and a newline, or what
// keyWriter.appendEntry writes.

// Partitions of the batched layout.
const partitions = 16

// Batch says how many records go into one message of the batched layout.
type Batch struct {
	// MaxFrames closes a batch; 0 or less: one message a frame, the other layout.
	MaxFrames int
	// MaxDelay is how long a record may wait for others at most. It waits only while an earlier batch of
	// its partition is not confirmed yet.
	MaxDelay time.Duration
}

// batchBytes closes a batch too, so that one message keeps neither the server nor readers for long.
const batchBytes = 512 << 10

// batcher gathers records into messages of a publisher, under its lock. Each partition has at most one
// message that still takes records. It lies in the publisher's queue from the start, and grows until the
// writer takes it, when nothing of its partition is on the way: a lone record is never delayed. Otherwise
// it waits
//
//	until it is full, of frames or bytes,
//	or what is on the way of its partition is stored,
//	or MaxDelay is over.
//
// So a batch grows just as long as the store is busy with those before it.
type batcher struct {
	pub   *publisher
	keys  *keyWriter
	opts  Batch
	most  int // bytes of a message's body
	parts [partitions]partition
	timer *time.Timer // for the messages that wait
	armed bool
}

// partition is the state of one of them.
type partition struct {
	open  *message // takes records
	held  bool     // open waits and is not in the queue yet
	ahead int      // messages in the queue or on the way, open aside
}

// batch is what a message of the batched layout carries for the records in it.
type batch struct {
	part *partition
	told []receipt
}

// receipt is whom to tell about one record.
type receipt struct {
	to     sink.Receiver
	ticket uint64
}

func newBatcher(p *publisher, keys *keyWriter, o Batch) *batcher {
	b := &batcher{pub: p, keys: keys, opts: o, most: min(batchBytes, int(p.nc.MaxPayload())-headerRoom)}
	b.timer = time.AfterFunc(time.Hour, b.due)
	b.timer.Stop()
	return b
}

// partitionOf returns the partition of a VIN: FNV-1a over its text.
func partitionOf(vin codec.VIN) int {
	h := uint32(2166136261)
	for _, c := range []byte(vin.String()) {
		h = (h ^ uint32(c)) * 16777619
	}
	return int(h % partitions)
}

// entryRoom is more than an entry adds to a frame: its keys, with a node's name of 255 bytes.
const entryRoom = 1 << 10

// publish adds a record to the open message of its partition, or opens one.
func (b *batcher) publish(r *sink.Record, to sink.Receiver, ticket uint64) {
	n := partitionOf(r.VIN)
	part, p := &b.parts[n], b.pub
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	if m := part.open; m != nil && len(m.body())+len(r.Body)+entryRoom > b.most {
		b.seal(part)
	}
	m := part.open
	if m == nil {
		m = b.start(part, n)
	}
	before := len(m.buf)
	if r.Raw {
		m.buf = b.keys.appendEntry(m.buf, r)
	} else {
		m.buf = append(append(m.buf, r.Body...), '\n')
	}
	m.batch.told = append(m.batch.told, receipt{to, ticket})
	p.stats.Waiting++
	p.stats.WaitingBytes += int64(len(m.buf) - before)
	if len(m.batch.told) >= b.opts.MaxFrames {
		b.seal(part)
	}
	wake := p.mustWake()
	p.mu.Unlock()
	if wake {
		p.signal()
	}
}

// start opens a message: in the queue, or held when others of its partition are ahead. The lock is held.
func (b *batcher) start(part *partition, n int) *message {
	m := b.pub.take()
	m.buf = append(append(m.buf[:0], SubjectBatches...), byte('0'+n/10), byte('0'+n%10))
	m.split = len(m.buf)
	if m.batch == nil {
		m.batch = new(batch)
	}
	m.batch.part = part
	m.queued, m.reuse = time.Now(), true
	b.pub.stats.WaitingBytes += int64(len(m.buf))
	part.open, part.held = m, part.ahead > 0
	if !part.held {
		b.pub.queue.push(m)
	} else if !b.armed {
		b.armed = true
		b.timer.Reset(b.opts.MaxDelay)
	}
	return m
}

// release lets the open message into the queue, where it goes on growing. The lock is held.
func (b *batcher) release(part *partition) {
	if part.held {
		part.held = false
		b.pub.queue.push(part.open)
	}
}

// seal ends the open message. The lock is held.
func (b *batcher) seal(part *partition) {
	b.release(part)
	part.open = nil
	part.ahead++
}

// taken is called when the writer takes a message, which does not change from then on. The lock is held.
func (b *batcher) taken(m *message) {
	if part := m.batch.part; part.open == m {
		b.seal(part)
	}
}

// stored is called when a message is stored: the one behind it waits no longer. The lock is held.
func (b *batcher) stored(m *message) {
	part := m.batch.part
	part.ahead--
	if part.ahead == 0 {
		b.release(part)
	}
}

// due lets go what has waited long enough, and sets the timer for what has not.
func (b *batcher) due() {
	p := b.pub
	p.mu.Lock()
	b.armed = false
	now, next := time.Now(), time.Duration(-1)
	for i := range b.parts {
		part := &b.parts[i]
		if !part.held {
			continue
		}
		if left := b.opts.MaxDelay - now.Sub(part.open.queued); left <= 0 {
			b.release(part)
		} else if next < 0 || left < next {
			next = left
		}
	}
	if next >= 0 && !p.closed {
		b.armed = true
		b.timer.Reset(next)
	}
	wake := p.mustWake()
	p.mu.Unlock()
	if wake {
		p.signal()
	}
}

// end lets everything go and stops the timer. The lock is held.
func (b *batcher) end() {
	b.timer.Stop()
	for i := range b.parts {
		b.release(&b.parts[i])
	}
}

// check refuses what makes no sense.
func (o Batch) check() error {
	switch {
	case o.MaxFrames <= 0:
		return nil
	case o.MaxFrames > 10_000:
		return fmt.Errorf("nats: a batch of %d frames: at most 10000", o.MaxFrames)
	case o.MaxDelay <= 0:
		return errors.New("nats: a batch needs the longest delay of a record")
	}
	return nil
}
