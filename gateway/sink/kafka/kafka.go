// Package kafka is the sink that produces to Kafka: one record for a frame's bytes, one for its JSON, keyed
// by the VIN, so that a vehicle's frames lie in one partition in their order.
//
//	Publish ──▶ Converter ──▶ raw      the frame's bytes              (payload raw, both)
//	                     ├──▶ decoded  its JSON                       (payload json, both)
//	                     └──▶ dlq      its JSON, when not decoded     (every payload)
//	PublishEvent ──────────▶ event
//
// The producer is idempotent and asks for the acknowledgement of all in-sync replicas. A frame is stored
// when all its records are acknowledged. See deliver.go for what is repeated and watch.go for health.
package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/form"
	"github.com/tboxgate/tboxgate/gateway/sink/tally"
	"github.com/tboxgate/tboxgate/gateway/sink/topic"
)

// Default topics.
const (
	DefaultRaw     = "gbt32960.raw.v1"
	DefaultDecoded = "gbt32960.decoded.v1"
	DefaultEvent   = "gbt32960.event.v1"
	DefaultDLQ     = "gbt32960.dlq.v1"
)

// maxJSON is the largest JSON produced; with its headers it stays below what Kafka takes by default
// (message.max.bytes 1,048,588).
const maxJSON = 900 << 10

// Options says where and how to produce. The zero value of a field is its default.
type Options struct {
	Brokers  []string // host:port of some of the cluster's brokers
	ClientID string   // default "tboxgate"
	Payload  sink.Payload

	// Templates of the topics; see package topic. Frames that were not decoded go to DLQ in place of Decoded.
	Raw, Decoded, Event, DLQ string

	Compression string // zstd (default), lz4, snappy, gzip, none

	Mechanism      string // SASL: plain, scram-sha-256, scram-sha-512; "": none
	User, Password string
	TLS            *tls.Config // nil: plain TCP

	// Partitions above 0: topics that do not exist are created with so many, and Replicas copies
	// (0: the broker's default). Topics whose name depends on the record are created as they come.
	Partitions, Replicas int

	Logger *slog.Logger // default: slog.Default()
}

// Sink is a sink.EventSink on Kafka.
type Sink struct {
	opts                     Options
	client                   *kgo.Client
	admin                    *kadm.Client
	log                      *slog.Logger
	raw, decoded, event, dlq names

	tally      tally.Tally
	converters sync.Pool // of *form.Converter
	again      chan struct{}
	lost       lost
	quit       context.Context
	stop       context.CancelFunc
	over       sync.WaitGroup

	mu       sync.Mutex
	failed   []*kgo.Record // to be produced again, in the order in which they failed
	retrying int           // of those, produced again and not acknowledged yet
	attempts int           // rounds of repetition without success
	missing  map[string]bool
}

// names makes the topics of one template.
type names struct {
	template topic.Template
	fixed    string // the name, when the template has no field
}

func (n names) of(v topic.Values) string {
	if n.fixed != "" {
		return n.fixed
	}
	return string(n.template.Append(nil, v))
}

// New makes the sink. It does not wait for a broker: until one answers, Healthy says so and what is
// published waits.
func New(o Options) (*Sink, error) {
	if len(o.Brokers) == 0 {
		return nil, errors.New("kafka: no broker given")
	}
	s := &Sink{opts: o, log: o.Logger, again: make(chan struct{}, 1), lost: make(lost, 1), missing: map[string]bool{}}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.converters.New = func() any { return &form.Converter{Max: maxJSON} }
	for _, t := range []struct {
		name      string
		into      *names
		text, def string
		fields    []string
	}{
		{"raw", &s.raw, o.Raw, DefaultRaw, topic.Record}, {"decoded", &s.decoded, o.Decoded, DefaultDecoded, topic.Record},
		{"event", &s.event, o.Event, DefaultEvent, topic.Event}, {"dlq", &s.dlq, o.DLQ, DefaultDLQ, topic.Record},
	} {
		if t.text == "" {
			t.text = t.def
		}
		tpl, err := topic.Parse(t.text, topic.Kafka, t.fields)
		if err != nil {
			return nil, fmt.Errorf("kafka: topics.%s: %w", t.name, err)
		}
		t.into.template = tpl
		t.into.fixed, _ = tpl.Static()
	}
	opts, err := o.client()
	if err != nil {
		return nil, err
	}
	if s.client, err = kgo.NewClient(append(opts, kgo.WithHooks(s.lost))...); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	s.admin = kadm.NewClient(s.client)
	s.quit, s.stop = context.WithCancel(context.Background())
	s.tally.Trouble(connecting, errors.New("no broker has answered yet"))
	s.over.Go(s.watch)
	s.over.Go(s.repeat)
	return s, nil
}

// client translates the options.
func (o Options) client() ([]kgo.Opt, error) {
	id := o.ClientID
	if id == "" {
		id = "tboxgate"
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(o.Brokers...), kgo.ClientID(id),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		// Publish never blocks; what waits is bounded by the windows of those who publish.
		kgo.MaxBufferedRecords(math.MaxInt32),
		// What is published together leaves together; an answer is not late by more than this.
		kgo.ProducerLinger(time.Millisecond),
		kgo.RetryBackoffFn(tally.Backoff),
		kgo.MetadataMinAge(500 * time.Millisecond),
		// A cluster that refuses connections is known to be away soon; a slow answer still has its time.
		kgo.RetryTimeout(time.Second),
	}
	codec, ok := map[string]kgo.CompressionCodec{
		"": kgo.ZstdCompression(), "zstd": kgo.ZstdCompression(), "lz4": kgo.Lz4Compression(),
		"snappy": kgo.SnappyCompression(), "gzip": kgo.GzipCompression(), "none": kgo.NoCompression(),
	}[o.Compression]
	if !ok {
		return nil, fmt.Errorf("kafka: compression %q: one of zstd, lz4, snappy, gzip, none", o.Compression)
	}
	opts = append(opts, kgo.ProducerBatchCompression(codec))
	var mechanism sasl.Mechanism
	switch o.Mechanism {
	case "":
	case "plain":
		mechanism = plain.Auth{User: o.User, Pass: o.Password}.AsMechanism()
	case "scram-sha-256":
		mechanism = scram.Auth{User: o.User, Pass: o.Password}.AsSha256Mechanism()
	case "scram-sha-512":
		mechanism = scram.Auth{User: o.User, Pass: o.Password}.AsSha512Mechanism()
	default:
		return nil, fmt.Errorf("kafka: sasl %q: one of plain, scram-sha-256, scram-sha-512", o.Mechanism)
	}
	if mechanism != nil {
		opts = append(opts, kgo.SASL(mechanism))
	}
	if o.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(o.TLS))
	}
	return opts, nil
}

// Publish produces a frame's records and returns false; Stored follows when all are acknowledged.
func (s *Sink) Publish(r *sink.Record, to sink.Receiver, ticket uint64) (stored bool) {
	c := s.converters.Get().(*form.Converter)
	defer s.converters.Put(c)
	facts := c.Facts(r)
	values := topic.Values{VIN: r.VIN.String(), Command: r.Command, Edition: r.Edition}
	var all [3]*kgo.Record
	n, size := 0, 0
	headers := headers(facts, r)
	add := func(topic string, value []byte) {
		all[n] = &kgo.Record{Topic: topic, Key: []byte(r.VIN.String()), Value: append([]byte(nil), value...), Headers: headers, Timestamp: r.ReceivedAt}
		size += len(value)
		n++
	}
	whole := false
	if s.opts.Payload == sink.PayloadRaw || s.opts.Payload == sink.PayloadBoth {
		var frame []byte
		if frame, whole = c.Frame(r); whole {
			add(s.raw.of(values), frame)
		}
	}
	switch {
	case facts.Undecoded != "":
		add(s.dlq.of(values), c.JSON(r, false))
	case s.opts.Payload != sink.PayloadRaw || !whole: // a masked record has no bytes
		add(s.decoded.of(values), c.JSON(r, false))
	}
	s.produce(all[:n], size, to, ticket)
	return false
}

// PublishEvent produces one event and returns false; Stored follows.
func (s *Sink) PublishEvent(e *sink.Event, to sink.Receiver, ticket uint64) (stored bool) {
	r := &kgo.Record{
		Topic: s.event.of(topic.Values{VIN: e.VIN, Kind: e.Kind}), Key: []byte(e.VIN), Value: append([]byte(nil), e.Body...),
		Headers: []kgo.RecordHeader{{Key: "vin", Value: []byte(e.VIN)}, {Key: "kind", Value: []byte(e.Kind)}},
	}
	s.produce([]*kgo.Record{r}, len(e.Body), to, ticket)
	return false
}

func headers(f form.Facts, r *sink.Record) []kgo.RecordHeader {
	all := make([]kgo.RecordHeader, 0, 11)
	f.Headers(r, func(name, value string) {
		all = append(all, kgo.RecordHeader{Key: name, Value: []byte(value)})
	})
	return all
}

// Healthy returns nil, or why nothing is being stored.
func (s *Sink) Healthy() error {
	if err := s.tally.Healthy(); err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	return nil
}

// Stats returns counters for metrics.
func (s *Sink) Stats() sink.Stats { return s.tally.Stats() }

// Close waits until everything is acknowledged or ctx ends, and leaves the cluster.
func (s *Sink) Close(ctx context.Context) error {
	err := s.tally.Close(ctx)
	s.stop()
	s.client.Close()
	s.over.Wait()
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	return nil
}

var (
	_ sink.EventSink = (*Sink)(nil)
	_ sink.Counted   = (*Sink)(nil)
)
