package stream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tboxgate/tboxgate/codec"
)

// Query says which records to read. The zero value is all that is stored.
type Query struct {
	VINs     []codec.VIN // of these vehicles; empty: of all
	Commands []string    // of these commands, by JSON name or id ("0xC1"); empty: of all
	Since    time.Time   // received at or after; zero: from the oldest
	Until    time.Time   // received before; zero: to the newest there is when the reading begins
	// Follow goes on with what comes, until the context ends. Until is then not looked at.
	Follow bool
	// After says, for each stream, the sequence number of the last message that was read: those behind it
	// are wanted. It takes the place of Since for that stream.
	After map[string]uint64
}

// storeLag is how much earlier than the record's receivedAt a message may carry the store's time (the
// clocks of two machines), and how much later it may have been stored (a store that was away).
const (
	storeEarly = time.Minute
	storeLate  = 15 * time.Minute
)

// match reports whether the query wants a record.
func (q *Query) match(r *Record) bool {
	switch {
	case len(q.VINs) > 0 && !slices.Contains(q.VINs, r.VIN):
		return false
	case len(q.Commands) > 0 && !slices.Contains(q.Commands, r.CommandName()):
		return false
	case !q.Since.IsZero() && r.ReceivedAt.Before(q.Since):
		return false
	case !q.Follow && !q.Until.IsZero() && !r.ReceivedAt.Before(q.Until):
		return false
	}
	return true
}

// maxFilters bounds the subject filters of one consumer; beyond it the reader looks at more than it needs.
const maxFilters = 100

// subjects are the filters on a stream.
func (q *Query) subjects(stream string) []string {
	var all []string
	if stream == Batches {
		for _, v := range q.VINs {
			if s := BatchSubject(v); !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
		return all
	}
	vins, commands := q.VINs, q.Commands
	if len(vins)*max(1, len(commands)) > maxFilters {
		if vins = nil; len(commands) > maxFilters {
			commands = nil
		}
	}
	if len(vins) == 0 && len(commands) == 0 {
		return nil
	}
	for i := range max(1, len(vins)) {
		vin := ""
		if len(vins) > 0 {
			vin = vins[i].String()
		}
		for j := range max(1, len(commands)) {
			command := ""
			if len(commands) > 0 {
				command = commands[j]
			}
			all = append(all, FrameSubject(vin, command))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Read reads records from both streams, in the order in which they were received; those of one vehicle
// and layout in the order in which they were stored. A stream that does not exist is empty. It fetches
// ahead no more than some hundred messages, so memory is bounded however much is read.
//
// A record is valid until the next one is asked for. A message that cannot be read is a *ParseError, after
// which the loop may go on; any other error comes from the store and ends it. The end of ctx ends it
// without an error when the query follows, else with ctx's.
func Read(ctx context.Context, js jetstream.JetStream, q Query) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var feeds []*feed
		defer func() {
			for _, f := range feeds {
				f.close()
			}
		}()
		for _, name := range []string{Frames, Batches} {
			f, err := openFeed(ctx, js, name, &q)
			if err != nil {
				yield(nil, err)
				return
			}
			if f != nil {
				feeds = append(feeds, f)
			}
		}
		if q.Follow {
			follow(ctx, feeds, &q, yield)
			return
		}
		readAll(ctx, feeds, &q, yield)
	}
}

// readAll merges the feeds by the time of receipt until both are at their end.
func readAll(ctx context.Context, feeds []*feed, q *Query, yield func(*Record, error) bool) {
	for {
		var next *feed
		for _, f := range feeds {
			r, err := f.peek(ctx, q)
			for damaged(err) {
				if !yield(nil, err) {
					return
				}
				r, err = f.peek(ctx, q)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if r != nil && (next == nil || r.ReceivedAt.Before(next.head().ReceivedAt)) {
				next = f
			}
		}
		if next == nil {
			return
		}
		if !yield(next.take(), nil) {
			return
		}
	}
}

// damaged reports an error after which reading goes on.
func damaged(err error) bool {
	var bad *ParseError
	return errors.As(err, &bad)
}

// follow passes on what each feed brings, as it comes.
func follow(ctx context.Context, feeds []*feed, q *Query, yield func(*Record, error) bool) {
	type batch struct {
		records []Record
		err     error
	}
	ctx, cancel := context.WithCancel(ctx)
	ch, ended := make(chan batch), make(chan struct{}, len(feeds))
	for _, f := range feeds {
		go func() {
			defer func() { ended <- struct{}{} }()
			for {
				records, err := f.fetch(ctx, q)
				if len(records) == 0 && err == nil {
					continue
				}
				select {
				case ch <- batch{records, err}:
				case <-ctx.Done():
					return
				}
				if err != nil && !damaged(err) {
					return
				}
			}
		}()
	}
	defer func() {
		cancel()
		for range feeds {
			<-ended
		}
	}()
	for {
		select {
		case b := <-ch:
			if ctx.Err() != nil {
				return
			}
			for i := range b.records {
				if !yield(&b.records[i], nil) {
					return
				}
			}
			if b.err != nil && (!yield(nil, b.err) || !damaged(b.err)) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// feed is one stream being read.
type feed struct {
	stream   string
	consumer jetstream.Consumer
	messages jetstream.MessagesContext
	last     uint64 // the newest message when the reading began
	until    time.Time
	pending  []Record // of the message fetched last, those not taken
	n        int
	over     bool
	stop     func() bool // forgets that the end of the context ends messages
}

// close ends the reading.
func (f *feed) close() {
	f.stop()
	f.messages.Stop()
}

// openFeed begins to read a stream; nil when it is not there or has nothing that is wanted.
func openFeed(ctx context.Context, js jetstream.JetStream, name string, q *Query) (*feed, error) {
	fail := func(err error) (*feed, error) { return nil, fmt.Errorf("stream %s: %w", name, err) }
	st, err := js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return fail(err)
	}
	state := st.CachedInfo().State
	if state.Msgs == 0 && !q.Follow {
		return nil, nil
	}
	c := jetstream.OrderedConsumerConfig{FilterSubjects: q.subjects(name), DeliverPolicy: jetstream.DeliverAllPolicy}
	switch after, ok := q.After[name]; {
	case ok:
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, after+1
	case !q.Since.IsZero():
		since := q.Since.Add(-storeEarly)
		c.DeliverPolicy, c.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	if !q.Follow && c.OptStartSeq > state.LastSeq {
		return nil, nil
	}
	consumer, err := st.OrderedConsumer(ctx, c)
	if err != nil {
		return fail(err)
	}
	if !q.Follow {
		// Nothing tells a reader of a filtered stream that there is no more; the consumer knows.
		info, err := consumer.Info(ctx)
		if err != nil {
			return fail(err)
		}
		if info.NumPending == 0 && info.Delivered.Consumer == 0 {
			return nil, nil
		}
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(fetchAhead))
	if err != nil {
		return fail(err)
	}
	f := &feed{stream: name, consumer: consumer, messages: messages, last: state.LastSeq}
	f.stop = context.AfterFunc(ctx, messages.Stop)
	if !q.Follow && !q.Until.IsZero() {
		f.until = q.Until.Add(storeLate)
	}
	return f, nil
}

// fetchAhead is how many messages are on their way at most.
const fetchAhead = 256

func (f *feed) head() *Record { return &f.pending[f.n] }

func (f *feed) take() *Record {
	f.n++
	return &f.pending[f.n-1]
}

// peek returns the next record that is wanted, nil at the end.
func (f *feed) peek(ctx context.Context, q *Query) (*Record, error) {
	for f.n == len(f.pending) {
		if f.over {
			return nil, nil
		}
		records, err := f.fetch(ctx, q)
		if err != nil {
			return nil, err
		}
		f.pending, f.n = records, 0
	}
	return f.head(), nil
}

// fetch waits for the next message and returns what of it is wanted.
func (f *feed) fetch(ctx context.Context, q *Query) ([]Record, error) {
	m, err := f.next(ctx, q)
	if m == nil || err != nil {
		return nil, err
	}
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", f.stream, err)
	}
	seq := meta.Sequence.Stream
	if !q.Follow && (seq > f.last || !f.until.IsZero() && meta.Timestamp.After(f.until)) {
		f.over = true
		return nil, nil
	}
	if meta.NumPending == 0 || seq == f.last {
		f.over = !q.Follow
	}
	records, err := Parse(m.Subject(), m.Headers(), m.Data())
	if err != nil {
		return nil, fmt.Errorf("stream %s, message %d: %w", f.stream, seq, err)
	}
	wanted := records[:0]
	for i := range records {
		records[i].Stream, records[i].Sequence = f.stream, seq
		if q.match(&records[i]) {
			wanted = append(wanted, records[i])
		}
	}
	return wanted, nil
}

// next waits for a message; nil when there is no more.
func (f *feed) next(ctx context.Context, q *Query) (jetstream.Msg, error) {
	for {
		var wait []jetstream.NextOpt
		if !q.Follow {
			wait = append(wait, jetstream.NextMaxWait(askAgain))
		}
		m, err := f.messages.Next(wait...)
		if err == nil {
			return m, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !errors.Is(err, nats.ErrTimeout) {
			return nil, fmt.Errorf("stream %s: %w", f.stream, err)
		}
		// Retention may have dropped what was still to come.
		info, err := f.consumer.Info(ctx)
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w", f.stream, err)
		}
		if info.NumPending == 0 && info.NumAckPending == 0 {
			f.over = true
			return nil, nil
		}
	}
}

// askAgain is how long a message may stay away before the store is asked whether there is one.
const askAgain = 2 * time.Second
