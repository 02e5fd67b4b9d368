package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/tally"
	"github.com/tboxgate/tboxgate/gateway/stream"
	"github.com/tboxgate/tboxgate/session"
)

const (
	windowMessages = 4096            // read and not stored
	windowBytes    = 32 << 20        // the same in bytes
	fetchMessages  = 256             // asked of the server at once
	fetchBytes     = 16 << 20        // and at most so many bytes; above the largest message (8 MiB)
	askTimeout     = 5 * time.Second // then again: a cluster whose nodes come and go loses requests
	heartbeat      = 2 * time.Second // of the server while there is nothing to read; two that are missing end a session
	lookEvery      = 2 * time.Second // at the stream's end, for the lag
	absentEvery    = 5 * time.Second // whether a stream is there now
)

// doneKey holds, in a consumer's metadata, the sequence number up to which all was stored some seconds ago;
// in the beginning, up to which all was gone already. The consumer's own position cannot tell what was
// lost: the server moves it forward when the stream drops messages.
const doneKey = "tboxgate.done"

// subjectEvents begins the subjects of events: then the VIN's token, a dot, the kind's token.
const subjectEvents = "gbt32960.event."

// errGap says that a message did not arrive although it was delivered: the connection broke.
var errGap = errors.New("messages got lost on the way from the server")

// reader follows one stream.
type reader struct {
	opts     Options
	stream   string
	consumer string
	log      *slog.Logger

	mu      sync.Mutex
	held    []*held // messages in the sink's hands, in the order of the stream; the first is not stored
	byteCnt int
	room    chan struct{} // rings when the window has room again, or all is stored
	done    uint64        // all messages up to this one are stored, or gone
	ackable jetstream.Msg // the last of them, when the server does not know yet
	last    uint64        // the stream's last sequence number
	lost    uint64
	bad     uint64
	trouble error

	known    bool // done is this process's own knowledge
	config   jetstream.ConsumerConfig
	recorded uint64 // done as the consumer's metadata have it
	buf      []stream.Record
}

// held is one message whose records the sink has.
type held struct {
	seq  uint64
	at   time.Time // when it was stored in the stream
	size int
	msg  jetstream.Msg
	open int // records that are not stored
}

func newReader(o Options, name string) *reader {
	return &reader{opts: o, stream: name, consumer: "sink-" + o.Name, log: o.Logger.With("sink", o.Name, "stream", name), room: make(chan struct{}, 1)}
}

// run reads for ever, in sessions: each begins behind what is stored and ends with a failure.
func (r *reader) run(ctx context.Context) {
	if !r.drain(ctx) { // of what an earlier lease had left with the sink
		return
	}
	r.known = false // another gateway may have gone on meanwhile
	for attempt := 1; ctx.Err() == nil; attempt++ {
		wait := absentEvery
		began, err := r.session(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, jetstream.ErrStreamNotFound):
			r.troubled(nil) // not there yet: nobody writes to it
			attempt = 0
		default:
			r.troubled(fmt.Errorf("stream %s cannot be read: %w", r.stream, err))
			if began {
				attempt = 1
			}
			wait = tally.Backoff(attempt)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		r.drain(ctx)
	}
}

// session places the consumer behind what is stored and reads on. It reports whether it came to reading.
func (r *reader) session(ctx context.Context) (began bool, err error) {
	c, err := r.place(ctx)
	if err != nil {
		return false, err
	}
	messages, err := c.Messages(jetstream.PullMaxMessagesWithBytesLimit(fetchMessages, fetchBytes), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return false, err
	}
	defer messages.Stop()
	r.troubled(nil)
	looking := make(chan struct{})
	quit, stop := context.WithCancel(ctx)
	go func() { defer close(looking); r.look(quit) }()
	defer func() { stop(); <-looking }()
	next := r.position() + 1
	for delivered := uint64(1); ; delivered++ {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return true, err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return true, err
		}
		if meta.Sequence.Consumer != delivered {
			return true, errGap
		}
		if meta.Sequence.Stream > next {
			if err := r.skipped(ctx, next, meta.Sequence.Stream); err != nil {
				return true, err
			}
		}
		next = meta.Sequence.Stream + 1
		if !r.take(ctx, msg, meta) {
			return true, ctx.Err()
		}
	}
}

// place makes the consumer where there is none, and sets it behind what is stored: what was delivered and
// not stored is delivered again, in order, before anything else.
func (r *reader) place(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	js := r.opts.JetStream
	st, err := js.Stream(ctx, r.stream)
	if err != nil {
		return nil, err
	}
	state := st.CachedInfo().State
	c, err := js.Consumer(ctx, r.stream, r.consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		c, err = js.CreateConsumer(ctx, r.stream, jetstream.ConsumerConfig{
			Durable: r.consumer, Description: "position of the sink " + r.opts.Name + " of tboxgate",
			DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckAllPolicy,
			AckWait: 24 * time.Hour, // nothing is delivered twice but by a reset
			// The window is the reader's own; the server's must not end before it.
			MaxAckPending: 4 * windowMessages, MaxDeliver: -1,
			Metadata: map[string]string{doneKey: strconv.FormatUint(max(state.FirstSeq, 1)-1, 10)},
		})
	}
	if err != nil {
		return nil, err
	}
	info := c.CachedInfo()
	r.mu.Lock()
	r.config = info.Config
	gone := max(state.FirstSeq, 1) - 1      // all up to here
	if !r.known || r.done > state.LastSeq { // the first session, or the stream was made anew
		r.known = true
		r.done = min(info.AckFloor.Stream, state.LastSeq)
		r.recorded, _ = strconv.ParseUint(info.Config.Metadata[doneKey], 10, 64)
		if r.done <= gone { // nobody knows whether it was stored or dropped
			r.done = min(r.recorded, gone)
		}
	}
	lost := uint64(0)
	if r.done < gone {
		lost = gone - r.done
		r.done = gone
	}
	r.last, r.ackable = state.LastSeq, nil
	at := r.done + 1
	r.mu.Unlock()
	r.lose(at-lost, lost)
	if _, err := js.ResetConsumerToSequence(ctx, r.stream, r.consumer, at); err != nil {
		return nil, fmt.Errorf("its position cannot be set (a server from 2.14 on can): %w", err)
	}
	return c, nil
}

// skipped is told that the messages from..until-1 are not in the stream any more. Those that were deleted
// one by one were not to be read; those that retention took are lost to the sink.
func (r *reader) skipped(ctx context.Context, from, until uint64) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	st, err := r.opts.JetStream.Stream(ctx, r.stream)
	if err != nil {
		return err
	}
	if first := min(st.CachedInfo().State.FirstSeq, until); first > from {
		r.lose(from, first-from)
	}
	return nil
}

// lose counts messages that retention took, and says so.
func (r *reader) lose(from, n uint64) {
	if n == 0 {
		return
	}
	r.mu.Lock()
	r.lost += n
	r.mu.Unlock()
	r.log.Error("sink: messages were LOST to it: the stream kept them no longer (nats.maxAge, nats.maxBytes)", "lost", n, "from", from, "to", from+n-1)
}

// take hands a message to the sink, once there is room for it; false: ctx ended before.
func (r *reader) take(ctx context.Context, msg jetstream.Msg, meta *jetstream.MsgMetadata) bool {
	if !r.waitFor(ctx, func() bool { return len(r.held) < windowMessages && r.byteCnt < windowBytes }) {
		return false
	}
	h := &held{seq: meta.Sequence.Stream, at: meta.Timestamp, size: len(msg.Data()), msg: msg, open: 1} // 1: ours, until all are published
	r.mu.Lock()
	r.held = append(r.held, h)
	r.byteCnt += h.size
	r.last = max(r.last, h.seq+meta.NumPending)
	r.mu.Unlock()
	to := receiver{r, h}
	if rest, ok := strings.CutPrefix(msg.Subject(), subjectEvents); ok {
		r.event(rest, msg, to)
	} else {
		r.records(msg, to)
	}
	to.Stored(0)
	return true
}

// event publishes the one event of a message.
func (r *reader) event(rest string, msg jetstream.Msg, to receiver) {
	token, kindToken, _ := strings.Cut(rest, ".")
	vin, err := session.Untoken(token)
	kind, err2 := session.Untoken(kindToken)
	if err = errors.Join(err, err2); err != nil {
		r.unreadable(to.h.seq, msg.Subject(), err)
		return
	}
	to.more()
	if r.opts.Sink.PublishEvent(&sink.Event{VIN: vin, Kind: kind, Body: msg.Data()}, to, 0) {
		to.Stored(0)
	}
}

// records publishes the records of a message.
func (r *reader) records(msg jetstream.Msg, to receiver) {
	var err error
	r.buf, err = stream.AppendRecords(r.buf[:0], msg.Subject(), msg.Headers(), msg.Data())
	for i := range r.buf {
		from := &r.buf[i]
		rec := sink.Record{
			VIN: from.VIN, Command: from.Command, Edition: from.Edition, ReceivedAt: from.ReceivedAt, Node: from.Node,
			Session: from.Session, Platform: from.Platform, Duplicate: from.Duplicate, Raw: from.Raw, Body: from.Body,
		}
		rec.Remote, _ = netip.ParseAddrPort(from.Remote) // "" for none
		to.more()
		if r.opts.Sink.Publish(&rec, to, 0) {
			to.Stored(0)
		}
	}
	clear(r.buf) // views of the message
	if err != nil {
		r.unreadable(to.h.seq, msg.Subject(), err)
	}
}

// unreadable counts a message that is none of ours, or damaged. It would be so for ever: it is passed over.
func (r *reader) unreadable(seq uint64, subject string, err error) {
	r.mu.Lock()
	r.bad++
	r.mu.Unlock()
	r.log.Error("sink: a stored message cannot be read and is passed over", "sequence", seq, "subject", subject, "error", err)
}

// receiver is told by the sink of the records of one message.
type receiver struct {
	r *reader
	h *held
}

// more announces a record.
func (t receiver) more() {
	t.r.mu.Lock()
	t.h.open++
	t.r.mu.Unlock()
}

// Stored takes one record off, and moves the position over what is stored from the front on.
func (t receiver) Stored(uint64) {
	r := t.r
	r.mu.Lock()
	defer r.mu.Unlock()
	t.h.open--
	moved := 0
	for moved < len(r.held) && r.held[moved].open == 0 {
		h := r.held[moved]
		r.done, r.ackable = h.seq, h.msg
		r.byteCnt -= h.size
		r.held[moved] = nil
		moved++
	}
	if moved == 0 {
		return
	}
	r.held = r.held[moved:]
	if len(r.held) == 0 {
		r.held = nil
	}
	r.ring()
}

func (r *reader) ring() {
	select {
	case r.room <- struct{}{}:
	default:
	}
}
