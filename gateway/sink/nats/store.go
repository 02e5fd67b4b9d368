// Package nats stores frames in NATS JetStream: in a server embedded in this process (the default)
// or in an external one.
//
//	Store ── embedded server (server.go) or a URL; three connections
//	  ├─ Sink    frames       → stream GBT32960         gbt32960.up.<vin>.<command>
//	  │          or many in one message: GBT32960_BATCH gbt32960.batch.<pp>
//	  ├─ Events  what happens → stream GBT32960_EVENTS  gbt32960.event.<vin>.<kind>
//	  └─ KV      state        → buckets GBT32960_*      <key>
//
// All three write through a publisher (publisher.go): pipelined, confirmed, retried until stored.
//
// What "stored" means. The server confirms a message after it has written it to the file system, so
// a confirmed record survives the death of the process (kill -9). It reaches the disk itself within
// Options.SyncInterval (200 ms), so a power loss may cost that much; with Options.SyncAlways it is on
// the disk before it is confirmed. An external cluster confirms when a majority of its replicas has
// the message.
package nats

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tboxgate/tboxgate/gateway/sink"
)

// Options says where and how to store. The zero value of a field is its default.
type Options struct {
	// Dir is the data directory; the embedded server keeps its files in Dir/jetstream. Whoever
	// opens a store on it holds the directory's lock (package datadir). Needed without URL.
	Dir string
	// URL is an external server, or several separated by commas ("nats://a:4222,nats://b:4222").
	// Empty: the embedded server.
	URL string

	// Listen is the host:port where the embedded server takes NATS clients; empty: nowhere, only
	// this process reaches it. Off loopback User and Password are needed (ErrCredentials).
	Listen string
	// User and Password are what the embedded server asks of clients that come by Listen, who may only
	// read, and what the external one is given.
	User, Password string
	// CredentialsFile is a NATS .creds file for the external server.
	CredentialsFile string
	// TLS is for the connection to the external server.
	TLS *tls.Config

	SyncInterval time.Duration // embedded: how often files are synced to disk; default 200 ms
	SyncAlways   bool          // embedded: sync before each confirmation

	MaxAge   time.Duration // frames are kept this long; default 7 days
	MaxBytes int64         // and up to so many bytes; default 20 GiB, or half of the free disk
	Replicas int           // external cluster: copies of each message; default 1, or as it is

	Batch Batch // many records in one message; the zero value: each is one

	// Holder is whoever holds files in Dir beside the store's; nil: nobody.
	Holder Holder

	Node         string        // the name of this gateway, in the records' headers
	ReadyTimeout time.Duration // how long Open may take to get a working server; default 1 minute
	Logger       *slog.Logger  // default: slog.Default()
}

// Holder holds files in the data directory, its lock for one. When the disk fails, the store closes all of its own and
// lets the holder close his, so that the file system can be unmounted, checked and mounted again without stopping the
// process. Both methods are called by one goroutine, one at a time; either may come again without the other between.
type Holder interface {
	LetGo()
	// TakeBack takes what LetGo gave up, before the store starts again; an error means not yet, and it is asked again.
	TakeBack() error
}

// Defaults of Options.
const (
	DefaultSyncInterval = 200 * time.Millisecond
	DefaultMaxAge       = 7 * 24 * time.Hour
	DefaultMaxBytes     = 20 << 30
	defaultReady        = time.Minute
)

// minPayload is the least max_payload of an external server: the largest frame as JSON, its bytes
// in rest and in raw, fits.
const minPayload = 512 << 10

// Store is an open store. Its methods are safe for concurrent use.
type Store struct {
	opts    Options
	server  *embedded // nil with an external server
	records *natsgo.Conn
	state   *natsgo.Conn // events and writes to buckets, which must not queue behind frames
	control *natsgo.Conn // requests, reads and watches
	js      jetstream.JetStream

	sink   *Sink
	events *Events
	kvs    map[string]*KV
	writes *publisher   // what the buckets write through
	order  *order       // of those writes, with an external server
	back   bell         // rings when control stands again
	pubs   []*publisher // of sink, events and buckets

	repairs chan struct{} // asks the keeper to make missing streams
	quit    chan struct{}
	kept    sync.WaitGroup

	mu     sync.Mutex
	broken error  // why the embedded server cannot store, by the keeper
	starts uint64 // of the embedded server, after the first
	space  []Space
	disk   *Disk
	once   sync.Once
	err    error // of Close
}

// Open starts the embedded server, or connects to the external one, makes the streams and buckets
// (or updates their limits) and returns when records can be stored. The error is one line. ctx
// bounds the start only.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	s := &Store{
		opts:    o,
		kvs:     make(map[string]*KV, len(buckets)),
		repairs: make(chan struct{}, 1),
		quit:    make(chan struct{}),
	}
	if err := s.open(ctx); err != nil {
		s.shutdown()
		return nil, err
	}
	s.kept.Go(s.keep)
	s.kept.Go(s.watchSpace)
	return s, nil
}

// complete fills the defaults in and checks the options.
func (o *Options) complete() error {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.SyncInterval <= 0 {
		o.SyncInterval = DefaultSyncInterval
	}
	if o.MaxAge <= 0 {
		o.MaxAge = DefaultMaxAge
	}
	if o.ReadyTimeout <= 0 {
		o.ReadyTimeout = defaultReady
	}
	if o.Replicas < 0 || o.Replicas > 5 {
		return fmt.Errorf("nats: replicas %d: JetStream keeps 1 to 5 copies", o.Replicas)
	}
	if err := o.Batch.check(); err != nil {
		return err
	}
	if o.URL != "" {
		if o.Listen != "" {
			return errors.New("nats: listen is for the embedded server, url for an external one: give one of them")
		}
		if o.MaxBytes <= 0 {
			o.MaxBytes = DefaultMaxBytes
		}
		return nil
	}
	if o.Dir == "" {
		return errors.New("nats: the embedded server needs a data directory")
	}
	if o.Replicas > 1 {
		return fmt.Errorf("nats: %d replicas need an external cluster (url)", o.Replicas)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return fmt.Errorf("nats: data directory %s: %w", o.Dir, err)
	}
	o.Dir = dir
	if o.MaxBytes <= 0 {
		if o.MaxBytes, err = affordable(dir); err != nil {
			return err
		}
	}
	return nil
}

// open does Open's work; what it leaves behind after an error shutdown undoes.
func (s *Store) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.ReadyTimeout)
	defer cancel()
	if s.opts.URL == "" {
		server, err := newEmbedded(s.opts)
		if err != nil {
			return err
		}
		server.quit = s.quit
		if err := server.start(); err != nil {
			return err
		}
		s.server = server
	}
	// Publishers repeat by themselves, in order: nats.go must not keep what it could not send, and
	// send it before them.
	var err error
	if s.records, err = s.connect("records", natsgo.ReconnectBufSize(-1)); err != nil {
		return err
	}
	if s.state, err = s.connect("state", natsgo.ReconnectBufSize(-1)); err != nil {
		return err
	}
	if s.control, err = s.connect("control"); err != nil {
		return err
	}
	if got := s.records.MaxPayload(); got < minPayload {
		return fmt.Errorf("nats: the server's max_payload is %d bytes, frames need at least %d", got, minPayload)
	}
	if s.js, err = jetstream.New(s.control); err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	if err := s.ensure(ctx); err != nil {
		return err
	}
	if err := s.syncDefinitions(); err != nil {
		return err
	}
	return s.publishers(ctx)
}

// publishers starts the three publishers and ties them to their connections.
func (s *Store) publishers(ctx context.Context) error {
	for _, p := range []struct {
		name string
		nc   *natsgo.Conn
	}{{"records", s.records}, {"events", s.state}, {"writes", s.state}} {
		pub, err := newPublisher(p.nc, p.name, s.opts.Logger, s.askRepair)
		if err != nil {
			return err
		}
		s.pubs = append(s.pubs, pub)
	}
	s.pubs[0].bursts = s.server != nil
	s.sink = &Sink{store: s, pub: s.pubs[0], keys: newKeyWriter(s.opts.Node)}
	if s.opts.Batch.MaxFrames > 0 {
		s.pubs[0].batch = newBatcher(s.pubs[0], s.sink.keys, s.opts.Batch)
	}
	s.events = newEvents(s.pubs[1], s.opts.Logger)
	s.writes = s.pubs[2]
	s.follow(s.records, func() {}, s.sink.pub)
	s.follow(s.state, func() {}, s.events.pub, s.writes)
	s.follow(s.control, s.back.ring)
	if s.server == nil {
		s.order = newOrder(s.writes, s.js)
	}
	for _, b := range buckets {
		if b.shared && s.server != nil {
			continue
		}
		kv, err := s.js.KeyValue(ctx, b.name)
		if err != nil {
			return fmt.Errorf("nats: bucket %s: %w", b.name, err)
		}
		s.kvs[b.name] = &KV{name: b.name, prefix: kvSubjects + b.name + ".", kv: kv, writes: s.writes, order: s.order, back: &s.back, quit: s.quit, repair: s.askRepair, log: s.opts.Logger}
	}
	return nil
}

// follow tells publishers, and back, when their connection breaks and stands again.
func (s *Store) follow(nc *natsgo.Conn, back func(), pubs ...*publisher) {
	nc.SetDisconnectErrHandler(func(_ *natsgo.Conn, err error) {
		for _, p := range pubs {
			p.connectionLost(err)
		}
	})
	nc.SetReconnectHandler(func(*natsgo.Conn) {
		for _, p := range pubs {
			p.connectionBack()
		}
		back()
	})
}

// connect makes one connection that reconnects for ever.
func (s *Store) connect(role string, more ...natsgo.Option) (*natsgo.Conn, error) {
	opts := []natsgo.Option{
		natsgo.Name("tboxgate " + s.opts.Node + " " + role),
		natsgo.MaxReconnects(-1),
		natsgo.PingInterval(10 * time.Second), // a dead peer is noticed within 30 s
		natsgo.SkipSubjectValidation(),        // ours are made of tokens
		natsgo.FlusherTimeout(5 * time.Second),
		natsgo.ErrorHandler(func(_ *natsgo.Conn, _ *natsgo.Subscription, err error) {
			s.opts.Logger.Warn("nats connection", "role", role, "error", err)
		}),
	}
	if s.server != nil {
		opts = append(opts, natsgo.UserInfo(gatewayUser, s.server.password), natsgo.CustomInboxPrefix(gatewayInbox), natsgo.InProcessServer(s.server), natsgo.ReconnectWait(50*time.Millisecond),
			natsgo.ReconnectJitter(0, 0))
	} else {
		opts = append(opts, natsgo.ReconnectWait(500*time.Millisecond))
		if s.opts.User != "" {
			opts = append(opts, natsgo.UserInfo(s.opts.User, s.opts.Password))
		}
		if s.opts.CredentialsFile != "" {
			opts = append(opts, natsgo.UserCredentials(s.opts.CredentialsFile))
		}
		if s.opts.TLS != nil {
			opts = append(opts, natsgo.Secure(s.opts.TLS))
		}
	}
	nc, err := natsgo.Connect(s.opts.URL, append(opts, more...)...)
	if err != nil {
		if s.server != nil {
			return nil, fmt.Errorf("nats: embedded server: %w", err)
		}
		return nil, fmt.Errorf("nats: %s cannot be reached: %w", redact(s.opts.URL), err)
	}
	return nc, nil
}

// Sink returns where records go. Store.Close closes it too.
func (s *Store) Sink() *Sink { return s.sink }

// Events returns where events go.
func (s *Store) Events() *Events { return s.events }

// KV returns the bucket with this name (Bucket…), or nil when there is none: BucketNonces is not on the embedded server.
func (s *Store) KV(bucket string) *KV { return s.kvs[bucket] }

// JetStream returns a context for readers of the streams; it belongs to the store's own connection
// and ends with it.
func (s *Store) JetStream() jetstream.JetStream { return s.js }

// Addr returns where the embedded server listens ("127.0.0.1:4222"), "" when it does not.
func (s *Store) Addr() string {
	if s.server == nil {
		return ""
	}
	return s.server.addr()
}

// MaxPayload returns how many bytes the server takes in one message.
func (s *Store) MaxPayload() int { return int(s.state.MaxPayload()) }

// Restarts returns how often the embedded server was started again after it had given up.
func (s *Store) Restarts() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.starts
}

// Healthy returns nil, or why records are not being stored.
func (s *Store) Healthy() error { return s.sink.Healthy() }

// Close stores what is under way, up to ctx, closes Sink, Events and buckets, and stops the embedded
// server. The error says what was not stored.
func (s *Store) Close(ctx context.Context) error {
	s.once.Do(func() {
		err := errors.Join(s.sink.Close(ctx), s.events.Close(ctx))
		if s.order != nil {
			s.order.close(ctx)
		}
		s.err = errors.Join(err, s.writes.close(ctx))
		s.shutdown()
	})
	return s.err
}

var _ sink.Sink = (*Sink)(nil)

// shutdown ends everything that runs, in the order opposite to open's.
func (s *Store) shutdown() {
	close(s.quit)
	s.kept.Wait()
	ended, cancel := context.WithCancelCause(context.Background())
	cancel(ErrClosed)
	if s.order != nil {
		s.order.close(ended)
	}
	for _, p := range s.pubs { // run still after a failed start only
		_ = p.close(ended)
	}
	for _, nc := range []*natsgo.Conn{s.records, s.state, s.control} {
		if nc != nil {
			nc.Close()
		}
	}
	if s.server != nil {
		s.server.stop()
	}
}
