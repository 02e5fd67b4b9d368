package nats

import (
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/tboxgate/tboxgate/gateway/sink"
)

// message is one message from the moment it is handed over until it is confirmed. The publisher
// owns it and its memory; messages are reused.
type message struct {
	buf    []byte        // subject, then body
	split  int           // where the body begins
	header natsgo.Header // empty, or entries whose values are:
	value  [3]string

	to     sink.Receiver // told when it is stored, or:
	ticket uint64
	batch  *batch      // those of its records are, or:
	done   func(error) // told when it is stored or given up

	state  state
	seq    uint64    // the stream's number, once it is stored by itself
	reuse  bool      // no reply on its way can name it: it may go back to the pool
	queued time.Time // handed over
	sent   time.Time // last published
	next   *message  // in its fifo

	later  *message   // a newer write to the same key (KV only)
	covers []*message // older writes to the same key that are not published again
}

// state says where a message is.
type state uint8

const (
	waiting state = iota // in a queue
	flying               // published, reply due
	failed               // published, refused or lost; to be published again
	stored
)

func (m *message) subject() string { return string(m.buf[:m.split]) }
func (m *message) body() []byte    { return m.buf[m.split:] }

// setHeader sets one of up to three headers. The map is reused with the message.
func (m *message) setHeader(key, value string) {
	if m.header == nil {
		m.header = make(natsgo.Header, len(m.value))
	}
	i := len(m.header)
	m.value[i] = value
	m.header[key] = m.value[i : i+1 : i+1]
}

// keepBuffer is the largest buffer that goes back to the pool with its message. One frame as JSON
// has about 2 KB; the rare huge one must not stay in memory for ever. Batches are large, and few.
const (
	keepBuffer = 16 << 10
	keepBatch  = batchBytes
)

// records counts what a message holds.
func (m *message) records() int {
	if m.batch != nil {
		return len(m.batch.told)
	}
	return 1
}

// reset empties a message for its next use.
func (m *message) reset() {
	buf, header, b := m.buf[:0], m.header, m.batch
	keep := keepBuffer
	if b != nil {
		keep = keepBatch
		clear(b.told)
		b.told = b.told[:0]
	}
	if cap(buf) > keep {
		buf = nil
	}
	clear(header)
	*m = message{buf: buf, header: header, batch: b}
}

// fifo is a queue of messages, linked through them so that queueing allocates nothing.
type fifo struct {
	head, tail *message
}

func (q *fifo) push(m *message) {
	m.next = nil
	if q.tail == nil {
		q.head = m
	} else {
		q.tail.next = m
	}
	q.tail = m
}

func (q *fifo) pushFront(m *message) {
	m.next = q.head
	q.head = m
	if q.tail == nil {
		q.tail = m
	}
}

// pop returns nil when the queue is empty.
func (q *fifo) pop() *message {
	m := q.head
	if m == nil {
		return nil
	}
	q.head = m.next
	if q.head == nil {
		q.tail = nil
	}
	m.next = nil
	return m
}
