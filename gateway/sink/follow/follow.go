// Package follow feeds a sink from the durable streams, so that it may be slow, away or new without any
// vehicle noticing.
//
//	GBT32960, GBT32960_BATCH, GBT32960_EVENTS ──▶ one reader each ──▶ Sink
//	          ▲                                                         │
//	          └── position: durable consumer sink-<name> ◀── stored ────┘
//
// A reader takes messages in their order, hands what is in them to the sink, and moves its position over
// those that are stored, all before them included. The position lies in the stream's consumer: after a
// restart, however sudden, it goes on there. So every record reaches the sink at least once, and a vehicle's
// records in their order. When the sink does not store, a reader stops as soon as its window is full; what
// it would read next stays in the stream, as long as the stream keeps it. What retention takes before it was
// read is counted and logged.
package follow

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tboxgate/tboxgate/gateway/sink"
)

// Options says what is followed, and for whom.
type Options struct {
	Name      string // of the sink; its consumers are sink-<Name>, so it has letters, digits, _ and - only
	Sink      sink.EventSink
	JetStream jetstream.JetStream
	// Streams are the names of those to follow; one that does not exist is waited for. A stream whose
	// subjects are those of events is read as events.
	Streams []string
	// Lease, where several gateways may feed one sink from one store, is this gateway's name: one of them feeds
	// it, and another takes over when that one stops or dies. Empty: this is the only one.
	Lease    string
	LeaseTTL time.Duration // default DefaultLease
	Logger   *slog.Logger  // default: slog.Default()
}

// Follower feeds one sink.
type Follower struct {
	name    string
	sink    sink.EventSink
	readers []*reader
	stop    context.CancelFunc
	closing chan context.Context
	active  atomic.Bool
	over    sync.WaitGroup
}

// Start starts the readers. They try for ever; nothing that is not there now is an error.
func Start(o Options) *Follower {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.LeaseTTL <= 0 {
		o.LeaseTTL = DefaultLease
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &Follower{name: o.Name, sink: o.Sink, stop: stop, closing: make(chan context.Context, 1)}
	for _, name := range o.Streams {
		f.readers = append(f.readers, newReader(o, name))
	}
	if o.Lease == "" {
		f.over.Go(func() { f.feed(ctx) })
		return f
	}
	l := &lease{js: o.JetStream, key: o.Name, node: o.Lease, ttl: o.LeaseTTL, log: o.Logger.With("sink", o.Name)}
	f.over.Go(func() { l.hold(ctx, f.feed) })
	return f
}

// feed runs the readers until ctx ends, and has them leave their positions.
func (f *Follower) feed(ctx context.Context) {
	f.active.Store(true)
	defer f.active.Store(false)
	var readers sync.WaitGroup
	for _, r := range f.readers {
		readers.Go(func() { r.run(ctx) })
	}
	readers.Wait()
	select {
	case ctx := <-f.closing:
		for _, r := range f.readers {
			readers.Go(func() { r.settle(ctx) })
		}
		readers.Wait()
	default: // the lease was lost: the positions are another gateway's now
	}
}

// Active reports whether this gateway feeds the sink; without a lease it always does.
func (f *Follower) Active() bool { return f.active.Load() }

// StreamStats is how far one stream was followed.
type StreamStats struct {
	Stream     string
	Lag        uint64  // messages of the stream that are not stored in the sink, deleted ones among them
	LagSeconds float64 // age of the oldest message that was read and is not stored; 0: there is none
	Lost       uint64  // messages that retention took before they were read, since the start
	Unreadable uint64  // messages that could not be read, since the start
	Trouble    error   // why the stream cannot be read, nil while it can
}

// Stats returns one for each stream. A follower that stands by has no lag.
func (f *Follower) Stats() []StreamStats {
	all := make([]StreamStats, len(f.readers))
	for i, r := range f.readers {
		all[i] = r.stats()
		if !f.Active() { // another gateway knows
			all[i].Lag, all[i].LagSeconds, all[i].Trouble = 0, 0, nil
		}
	}
	return all
}

// Healthy returns nil, or why the sink does not store or a stream cannot be read.
func (f *Follower) Healthy() error {
	if err := f.sink.Healthy(); err != nil {
		return err
	}
	for _, s := range f.Stats() {
		if s.Trouble != nil {
			return s.Trouble
		}
	}
	return nil
}

// Close stops reading, waits until what was read is stored or ctx ends, and leaves the position there. It
// does not close the sink. What was not stored is read again at the next start: that is no error.
func (f *Follower) Close(ctx context.Context) {
	f.closing <- ctx
	f.stop()
	f.over.Wait()
}
