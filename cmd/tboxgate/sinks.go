package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/discard"
	"github.com/tboxgate/tboxgate/gateway/sink/file"
	"github.com/tboxgate/tboxgate/gateway/sink/follow"
	"github.com/tboxgate/tboxgate/gateway/sink/kafka"
	"github.com/tboxgate/tboxgate/gateway/sink/mqtt"
	"github.com/tboxgate/tboxgate/gateway/sink/nats"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

// sinks is where records and events go: to the sink that answers, and from the store's streams to all others. When
// another than the store answers, the store's stream of events still feeds it.
type sinks struct {
	name      string    // of the sink that answers
	answering sink.Sink // waited for before a vehicle is answered
	payload   sink.Payload
	maxRecord int // 0: the gateway's default

	own         []ownSink // those that are not the store's
	followers   []*follow.Follower
	closeReader func()
}

type ownSink struct {
	name string
	sink sink.EventSink
}

// openSinks opens the sinks and shows them to Prometheus.
func (n *node) openSinks() (err error) {
	if n.sinks, err = openSinks(n.cfg, n.state.store, n.log); err != nil {
		return err
	}
	if c := n.sinks.collector(); c != nil {
		return n.metrics.Registry().Register(c)
	}
	return nil
}

// openSinks opens what the configuration names. After an error all that was opened is closed again.
func openSinks(cfg *Config, store *nats.Store, log *slog.Logger) (_ *sinks, err error) {
	s := &sinks{name: cfg.Sinks[0].Name, payload: sink.Payload(cfg.Sinks[0].Payload)}
	defer func() {
		if err != nil {
			_ = s.close(context.Background()) // holds nothing yet
		}
	}()
	var streams []string // that the others are fed from
	switch first := cfg.Sinks[0]; first.Type {
	case "nats":
		s.answering, s.maxRecord = store.Sink(), store.Sink().MaxBody()
		streams = []string{stream.Frames, stream.Batches, nats.StreamEvents}
	case "discard":
		s.answering = discard.Sink{}
	default:
		streams = []string{nats.StreamEvents}
		if first.Type == "kafka" && s.payload == sink.PayloadBoth {
			s.payload = sink.PayloadRaw // it makes the other itself
		}
	}
	for _, c := range cfg.Sinks {
		if c.Type == "nats" || c.Type == "discard" {
			continue
		}
		one, err := openSink(cfg, c, log)
		if err != nil {
			return nil, fmt.Errorf("sink %s: %w", c.Name, err)
		}
		if s.answering == nil {
			s.answering = one
		}
		s.own = append(s.own, ownSink{c.Name, one})
	}
	if len(s.own) == 0 {
		return s, nil
	}
	js, closeReader, err := store.OpenReader("sinks")
	if err != nil {
		return nil, err
	}
	s.closeReader = closeReader
	lease := ""
	if cfg.NATS.URL != "" { // there may be other gateways on it
		lease = cfg.Node
	}
	for _, o := range s.own {
		s.followers = append(s.followers, follow.Start(follow.Options{Name: o.name, Sink: o.sink, JetStream: js, Streams: streams, Lease: lease, Logger: log}))
	}
	return s, nil
}

// openSink opens one sink beside the store.
func openSink(cfg *Config, c Sink, log *slog.Logger) (sink.EventSink, error) {
	log = log.With("sink", c.Name)
	clientID := c.ClientID
	if clientID == "" {
		clientID = "tboxgate-" + cfg.Node
	}
	password, err := c.password()
	if err != nil {
		return nil, err
	}
	security, err := c.TLS.config()
	if err != nil {
		return nil, err
	}
	switch c.Type {
	case "kafka":
		if c.TLS == (SinkTLS{}) {
			security = nil
		}
		return kafka.New(kafka.Options{
			Brokers: c.Brokers, ClientID: clientID, Payload: sink.Payload(c.Payload), Raw: c.Topics.Raw, Decoded: c.Topics.Decoded,
			Event: c.Topics.Event, DLQ: c.Topics.DLQ, Compression: c.Compression, Mechanism: c.SASL, User: c.User, Password: password,
			TLS: security, Partitions: c.CreateTopics.Partitions, Replicas: c.CreateTopics.Replicas, Logger: log,
		})
	case "mqtt":
		return mqtt.New(mqtt.Options{
			URL: c.URL, ClientID: clientID, User: c.User, Password: password, TLS: security, KeepAlive: c.KeepAlive,
			Payload: sink.Payload(c.Payload), Topic: c.Topic, EventTopic: c.EventTopic, Logger: log,
		})
	default: // "file", as the configuration was checked
		return file.New(file.Options{
			Dir: c.Path, Payload: sink.Payload(c.Payload), MaxSize: int64(c.MaxSize), MaxAge: c.MaxAge, Keep: c.Keep,
			Fsync: file.Fsync(c.Fsync), Interval: c.FsyncInterval, Compress: c.Compress, Logger: log,
		})
	}
}

// password returns the one given or read from the file.
func (c Sink) password() (string, error) {
	if c.PasswordFile == "" {
		return c.Password, nil
	}
	text, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("passwordFile: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// config makes the client's side of TLS, nil when nothing is set.
func (t NATSTLS) config() (*tls.Config, error) {
	if t == (NATSTLS{}) {
		return nil, nil //nolint:nilnil // as tls.Dial and all others take it: the defaults
	}
	return SinkTLS{CA: t.CA, Cert: t.Cert, Key: t.Key, ServerName: t.ServerName}.config()
}

// config makes the client's side of TLS. The certificate is read for each connection, so that a renewed one is used.
func (t SinkTLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("tls.ca: %s holds no certificate in PEM", t.CA)
		}
	}
	if t.Cert != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
			if err != nil {
				return nil, fmt.Errorf("tls.cert: %w", err)
			}
			return &pair, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return c, nil
}

// healthy is the health of the sink that answers. Those beside it stop nobody; they have metrics.
func (s *sinks) healthy() error { return s.answering.Healthy() }

// apart says that another sink than the store answers.
func (s *sinks) apart() bool { return len(s.own) > 0 && s.own[0].sink == s.answering }

// backlog is what the sink that answers holds; the store knows its own.
func (s *sinks) backlog() int {
	switch a := s.answering.(type) {
	case *nats.Sink:
		return a.Stats().Waiting
	case sink.Counted:
		return a.Stats().Waiting
	}
	return 0
}

// collector shows the sinks beside the store; nil when there are none.
func (s *sinks) collector() prometheus.Collector {
	if len(s.own) == 0 {
		return nil
	}
	c := &follow.Collector{Followers: s.followers}
	if s.apart() {
		c.Answering, c.AnsweringName = s.answering, s.name
	}
	return c
}

// sinksTime is what sinks that are fed from the streams get at the end. What they have not stored then they are given
// at the next start. closeTime is what all get.
const (
	sinksTime = 2 * time.Second
	closeTime = 5 * time.Second
)

// close ends the feeding and closes all sinks but the store's, whatever time the steps before have used. Only what the
// sink that answers could not store is an error.
func (s *sinks) close(ctx context.Context) error {
	ctx, cancelAll := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancelAll()
	fed, cancel := context.WithTimeout(ctx, sinksTime)
	defer cancel()
	var all sync.WaitGroup
	for _, f := range s.followers {
		all.Go(func() { f.Close(fed) })
	}
	all.Wait()
	var errs []error
	for _, o := range s.own {
		if o.sink == s.answering {
			errs = append(errs, o.sink.Close(ctx))
			continue
		}
		_ = o.sink.Close(fed)
	}
	if s.closeReader != nil {
		s.closeReader()
	}
	return errors.Join(errs...)
}
