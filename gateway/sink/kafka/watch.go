package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What may be wrong, each known by another part of the sink.
const (
	connecting = "connection" // no broker answers
	topics     = "topics"     // topics that will be needed are missing
	producing  = "producing"  // records were refused
)

// How often the cluster is asked whether it is there and has the topics.
const (
	watchWell   = 5 * time.Second
	watchUnwell = 500 * time.Millisecond
	askTimeout  = 10 * time.Second
)

// watch asks the cluster from time to time, so that an idle sink knows that it is unwell.
func (s *Sink) watch() {
	for {
		wait := watchWell
		if !s.ask() {
			wait = watchUnwell
		}
		select {
		case <-s.lost:
		case <-time.After(wait):
		case <-s.quit.Done():
			return
		}
	}
}

// OnBrokerDisconnect has the cluster asked at once when a connection broke (it is a kgo.HookBrokerDisconnect).
func (l lost) OnBrokerDisconnect(kgo.BrokerMetadata, net.Conn) {
	select {
	case l <- struct{}{}:
	default:
	}
}

// lost rings when a connection to a broker broke.
type lost chan struct{}

var _ kgo.HookBrokerDisconnect = lost(nil)

// ask asks once and reports whether all is well.
func (s *Sink) ask() bool {
	ctx, cancel := context.WithTimeout(s.quit, askTimeout)
	defer cancel()
	var names []string
	for _, n := range []string{s.raw.fixed, s.decoded.fixed, s.event.fixed, s.dlq.fixed} {
		if n != "" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		if err := s.client.Ping(ctx); err != nil {
			s.away(err)
			return false
		}
		s.trouble(connecting, nil)
		return true
	}
	list, err := s.admin.ListTopics(ctx, names...)
	if err != nil {
		s.away(err)
		return false
	}
	var wrong error
	for _, name := range names {
		err := list[name].Err
		if err == nil {
			continue
		}
		wrong = errors.Join(wrong, s.describe(name, err))
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			s.mu.Lock()
			s.missing[name] = true
			s.mu.Unlock()
		}
	}
	if wrong != nil && s.createMissing() {
		return false // they are there now; the answer to the next question has them
	}
	s.trouble(topics, wrong)
	s.trouble(connecting, nil)
	return wrong == nil
}

func (s *Sink) away(err error) {
	if s.quit.Err() == nil {
		s.trouble(connecting, fmt.Errorf("no broker of %v answers: %w", s.opts.Brokers, err))
	}
}

// trouble notes why nothing is stored, nil when it is again, and logs news.
func (s *Sink) trouble(of string, err error) {
	if !s.tally.Trouble(of, err) {
		return
	}
	if err != nil {
		s.log.Warn("kafka: records wait", "error", err)
		return
	}
	if s.tally.Healthy() == nil {
		s.log.Info("kafka: records are stored")
	}
}

// createMissing makes the topics that were found missing, when it may, and reports whether it has made one and none failed.
func (s *Sink) createMissing() (made bool) {
	s.mu.Lock()
	names := slices.Sorted(maps.Keys(s.missing))
	clear(s.missing)
	s.mu.Unlock()
	if s.opts.Partitions <= 0 || len(names) == 0 {
		return false
	}
	replicas := int16(-1) // the broker's default
	if s.opts.Replicas > 0 {
		replicas = int16(s.opts.Replicas)
	}
	ctx, cancel := context.WithTimeout(s.quit, askTimeout)
	defer cancel()
	answers, err := s.admin.CreateTopics(ctx, int32(s.opts.Partitions), replicas, nil, names...)
	if err != nil {
		s.log.Warn("kafka: topics could not be created", "topics", names, "error", err)
		return false
	}
	failed := false
	for _, t := range answers.Sorted() {
		switch {
		case t.Err == nil:
			made = true
			s.log.Info("kafka: topic created", "topic", t.Topic, "partitions", s.opts.Partitions)
		case !errors.Is(t.Err, kerr.TopicAlreadyExists):
			failed = true
			s.log.Warn("kafka: a topic could not be created", "topic", t.Topic, "error", t.Err, "message", t.ErrMessage)
		}
	}
	return made && !failed
}
