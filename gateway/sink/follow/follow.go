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
	Logger  *slog.Logger // default: slog.Default()
}

// Follower feeds one sink.
type Follower struct {
	name    string
	sink    sink.EventSink
	readers []*reader
	stop    context.CancelFunc
	over    sync.WaitGroup
}

// Start starts the readers. They try for ever; nothing that is not there now is an error.
func Start(o Options) *Follower {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &Follower{name: o.Name, sink: o.Sink, stop: stop}
	for _, name := range o.Streams {
		r := newReader(o, name)
		f.readers = append(f.readers, r)
		f.over.Go(func() { r.run(ctx) })
	}
	return f
}

// StreamStats is how far one stream was followed.
type StreamStats struct {
	Stream     string
	Lag        uint64  // messages of the stream that are not stored in the sink, deleted ones among them
	LagSeconds float64 // age of the oldest message that was read and is not stored; 0: there is none
	Lost       uint64  // messages that retention took before they were read, since the start
	Unreadable uint64  // messages that could not be read, since the start
	Trouble    error   // why the stream cannot be read, nil while it can
}

// Stats returns one for each stream.
func (f *Follower) Stats() []StreamStats {
	all := make([]StreamStats, len(f.readers))
	for i, r := range f.readers {
		all[i] = r.stats()
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
	f.stop()
	f.over.Wait()
	for _, r := range f.readers {
		f.over.Go(func() { r.settle(ctx) })
	}
	f.over.Wait()
}
