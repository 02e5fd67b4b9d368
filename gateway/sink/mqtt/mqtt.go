// Package mqtt is the sink that publishes to an MQTT 5 broker with quality of service 1. A record is stored
// when the broker has acknowledged it (PUBACK).
//
//	Publish ──▶ lane of the VIN ──▶ one message at a time ──▶ broker
//
// A vehicle has one message under way, so its messages keep their order through every failure; the lanes of
// other vehicles go on beside it. The client connects again by itself; a lane publishes what was not
// acknowledged once more.
package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/form"
	"github.com/tboxgate/tboxgate/gateway/sink/tally"
	"github.com/tboxgate/tboxgate/gateway/sink/topic"
	"github.com/tboxgate/tboxgate/session"
)

// Defaults of Options.
const (
	DefaultTopic      = "gbt32960/{vin}/upstream/{command}"
	DefaultEventTopic = "gbt32960/{vin}/event/{kind}"
	DefaultKeepAlive  = 30 * time.Second
)

// Options says where and how to publish. The zero value of a field is its default.
type Options struct {
	// URL is the broker, or several separated by commas, tried in turn: mqtt://host:1883, mqtts://host:8883.
	URL            string
	ClientID       string // default "tboxgate"; two clients of one id throw each other out
	User, Password string
	TLS            *tls.Config // for mqtts
	KeepAlive      time.Duration
	Payload        sink.Payload
	Topic          string // template for records; see package topic
	EventTopic     string // template for events

	Logger *slog.Logger // default: slog.Default()
}

// Sink is a sink.EventSink on an MQTT broker.
type Sink struct {
	opts          Options
	log           *slog.Logger
	topic, events topic.Template

	tally      tally.Tally
	converters sync.Pool // of *form.Converter
	conn       *autopaho.ConnectionManager
	maxPacket  atomic.Uint32 // what the broker takes, 0: anything
	link       atomic.Pointer[link]
	lanes      [lanes]lane
	quit       context.Context
	stop       context.CancelFunc
	over       sync.WaitGroup
}

// New makes the sink. It does not wait for the broker: until it answers, Healthy says so and what is
// published waits.
func New(o Options) (*Sink, error) {
	if o.ClientID == "" {
		o.ClientID = "tboxgate"
	}
	if o.KeepAlive <= 0 {
		o.KeepAlive = DefaultKeepAlive
	}
	if o.Topic == "" {
		o.Topic = DefaultTopic
	}
	if o.EventTopic == "" {
		o.EventTopic = DefaultEventTopic
	}
	urls, err := ParseURL(o.URL)
	if err != nil {
		return nil, err
	}
	s := &Sink{opts: o, log: o.Logger}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.topic, err = topic.Parse(o.Topic, topic.MQTT, topic.Record); err != nil {
		return nil, fmt.Errorf("mqtt: topic: %w", err)
	}
	if s.events, err = topic.Parse(o.EventTopic, topic.MQTT, topic.Event); err != nil {
		return nil, fmt.Errorf("mqtt: eventTopic: %w", err)
	}
	s.converters.New = func() any { return new(form.Converter) }
	s.quit, s.stop = context.WithCancel(context.Background())
	s.link.Store(s.newLink())
	s.tally.Trouble(connecting, errors.New("the broker has not answered yet"))
	s.conn, err = autopaho.NewConnection(s.quit, autopaho.ClientConfig{
		ServerUrls: urls, TlsCfg: o.TLS,
		ConnectUsername: o.User, ConnectPassword: []byte(o.Password),
		KeepAlive: uint16(min(max(o.KeepAlive/time.Second, 1), math.MaxUint16)), ConnectTimeout: connectTimeout,
		ReconnectBackoff: func(n int) time.Duration { return tally.Backoff(n + 1) },
		// What was not acknowledged is the lanes' to repeat, not the session's.
		CleanStartOnInitialConnection: true, SessionExpiryInterval: 0,
		OnConnectionUp: s.connected, OnConnectionDown: s.disconnected, OnConnectError: s.refused,
		ClientConfig: paho.ClientConfig{ClientID: o.ClientID, PacketTimeout: ackTimeout, OnServerDisconnect: s.thrownOut},
	})
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("mqtt: %w", err)
	}
	for i := range s.lanes {
		s.lanes[i].ring = make(chan struct{}, 1)
		s.over.Go(func() { s.drive(&s.lanes[i]) })
	}
	return s, nil
}

// ErrURL says that the broker's URL is none.
var ErrURL = errors.New("mqtt: the broker's URL is written mqtt://HOST:PORT or mqtts://HOST:PORT, several separated by commas")

// ParseURL reads Options.URL. User and password do not belong into it. The error is ErrURL and does not
// repeat the URL, which may hold a password all the same.
func ParseURL(text string) ([]*url.URL, error) {
	var urls []*url.URL
	for part := range strings.SplitSeq(text, ",") {
		u, err := url.Parse(strings.TrimSpace(part))
		if err != nil || u.Scheme != "mqtt" && u.Scheme != "mqtts" || u.Hostname() == "" || u.User != nil {
			return nil, ErrURL
		}
		if u.Port() == "" {
			u.Host += map[string]string{"mqtt": ":1883", "mqtts": ":8883"}[u.Scheme]
		}
		urls = append(urls, u)
	}
	return urls, nil
}

// Publish queues a record and returns false; Stored follows.
func (s *Sink) Publish(r *sink.Record, to sink.Receiver, ticket uint64) (stored bool) {
	c := s.converters.Get().(*form.Converter)
	defer s.converters.Put(c)
	m := &message{to: to, ticket: ticket, contentType: "application/json"}
	m.topic = string(s.topic.Append(nil, topic.Values{VIN: r.VIN.String(), Command: r.Command, Edition: r.Edition}))
	if s.opts.Payload == sink.PayloadRaw {
		if frame, ok := c.Frame(r); ok {
			m.body, m.contentType = append([]byte(nil), frame...), "application/octet-stream"
			c.Facts(r).Headers(r, func(name, value string) { m.properties.Add(name, plain(value)) })
		}
	}
	if m.body == nil {
		m.body = append([]byte(nil), c.JSON(r, s.opts.Payload == sink.PayloadBoth)...)
	}
	s.publish(r.VIN.String(), m)
	return false
}

// plain is a value as a user property may have it: UTF-8 without control characters, else escaped as in
// topics.
func plain(value string) string {
	if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		return session.Token(value)
	}
	return value
}

// PublishEvent queues an event and returns false; Stored follows.
func (s *Sink) PublishEvent(e *sink.Event, to sink.Receiver, ticket uint64) (stored bool) {
	s.publish(e.VIN, &message{
		to: to, ticket: ticket, contentType: "application/json",
		topic: string(s.events.Append(nil, topic.Values{VIN: e.VIN, Kind: e.Kind})), body: append([]byte(nil), e.Body...),
	})
	return false
}

// Healthy returns nil, or why nothing is being stored.
func (s *Sink) Healthy() error {
	if err := s.tally.Healthy(); err != nil {
		return fmt.Errorf("mqtt: %w", err)
	}
	return nil
}

// Stats returns counters for metrics.
func (s *Sink) Stats() sink.Stats { return s.tally.Stats() }

// Close waits until everything is acknowledged or ctx ends, and disconnects.
func (s *Sink) Close(ctx context.Context) error {
	err := s.tally.Close(ctx)
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err == nil {
		_ = s.conn.Disconnect(bye) // a broker that is away needs no goodbye
	}
	s.stop()
	s.over.Wait()
	<-s.conn.Done()
	if err != nil {
		return fmt.Errorf("mqtt: %w", err)
	}
	return nil
}

var (
	_ sink.EventSink = (*Sink)(nil)
	_ sink.Counted   = (*Sink)(nil)
)
