package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/tally"
)

// delivery is one frame or event on its way: it is stored when all its records are.
type delivery struct {
	open   atomic.Int32 // records not acknowledged yet
	size   int
	to     sink.Receiver
	ticket uint64
}

// deliveryKey finds the delivery of a record in its context.
type deliveryKey struct{}

// produce hands the records of one frame to the client, which keeps them in order for each partition and
// repeats them while brokers are away or change their roles. What it gives up comes to promised.
func (s *Sink) produce(all []*kgo.Record, size int, to sink.Receiver, ticket uint64) {
	if !s.tally.Take(size) {
		return
	}
	d := &delivery{size: size, to: to, ticket: ticket}
	d.open.Store(int32(len(all)))
	ctx := context.WithValue(context.Background(), deliveryKey{}, d)
	for _, r := range all {
		s.client.Produce(ctx, r, s.promised)
	}
}

// promised is told what became of a record, on the client's goroutine.
func (s *Sink) promised(r *kgo.Record, err error) {
	if err == nil {
		s.acknowledged(r)
		return
	}
	if errors.Is(err, kgo.ErrClientClosed) || s.quit.Err() != nil {
		return
	}
	s.mu.Lock()
	s.failed = append(s.failed, r)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		s.missing[r.Topic] = true
	}
	s.mu.Unlock()
	s.trouble(producing, s.describe(r.Topic, err))
	select {
	case s.again <- struct{}{}:
	default:
	}
}

func (s *Sink) acknowledged(r *kgo.Record) {
	if d := r.Context.Value(deliveryKey{}).(*delivery); d.open.Add(-1) == 0 {
		s.tally.Stored(d.size, d.to, d.ticket)
	}
}

// describe says what went wrong with a topic and what to do.
func (s *Sink) describe(topic string, err error) error {
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("topic %s: %w", topic, err)
	}
	if s.opts.Partitions > 0 {
		return fmt.Errorf("topic %s does not exist and could not be created yet", topic)
	}
	return fmt.Errorf("topic %s does not exist: create it, or set createTopics so that the gateway does", topic)
}

// repeat produces again what the client gave up: a topic that is not there, a right that is missing, a
// record that the broker refuses. All may be mended on the broker, so none is ever dropped.
func (s *Sink) repeat() {
	for {
		select {
		case <-s.again:
		case <-s.quit.Done():
			return
		}
		s.mu.Lock()
		s.attempts++
		wait := tally.Backoff(s.attempts)
		s.mu.Unlock()
		select {
		case <-time.After(wait):
		case <-s.quit.Done():
			return
		}
		s.createMissing()
		s.mu.Lock()
		all := s.failed
		s.failed = nil
		s.retrying += len(all)
		s.mu.Unlock()
		s.tally.Retried(len(all))
		for _, r := range all {
			fresh := &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp}
			s.client.Produce(r.Context, fresh, s.promisedAgain)
		}
	}
}

// promisedAgain is promised for a record that had failed. When none is left, the trouble is over.
func (s *Sink) promisedAgain(r *kgo.Record, err error) {
	s.mu.Lock()
	s.retrying--
	mended := err == nil && s.retrying == 0 && len(s.failed) == 0
	if mended {
		s.attempts = 0
	}
	s.mu.Unlock()
	if mended {
		s.trouble(producing, nil)
	}
	s.promised(r, err)
}
