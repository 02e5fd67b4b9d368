package follow_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/gateway/sink/follow"
	"github.com/tboxgate/tboxgate/gateway/sink/nats"
	"github.com/tboxgate/tboxgate/gateway/sink/sinktest"
)

// lines is a log that tests look into.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// startLeased starts a follower that needs the lease; the test closes it.
func startLeased(t *testing.T, s *nats.Store, node string, to *slow, log slog.Handler, through func(jetstream.JetStream) jetstream.JetStream) *follow.Follower {
	t.Helper()
	js, closeReader, err := s.OpenReader(node)
	require.NoError(t, err)
	if through != nil {
		js = through(js)
	}
	f := follow.Start(follow.Options{Name: "slow", Sink: to, JetStream: js, Streams: allStreams, Lease: node, LeaseTTL: 2 * time.Second, Logger: slog.New(log)})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		f.Close(ctx)
		closeReader()
	})
	return f
}

// TestLeaseOutlivesServer: the gateways on a server of its own go on by themselves when it has been restarted, and when
// somebody has deleted the bucket.
func TestLeaseOutlivesServer(t *testing.T) {
	o := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true}
	var srv *server.Server
	run := func() {
		var err error
		srv, err = server.NewServer(o.Clone())
		require.NoError(t, err)
		go srv.Start()
		require.True(t, srv.ReadyForConnections(sinktest.Limit))
		o.Port = srv.Addr().(*net.TCPAddr).Port
	}
	stop := func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
	run()
	t.Cleanup(func() { stop() })
	s, err := nats.Open(t.Context(), nats.Options{URL: srv.ClientURL(), MaxBytes: 1 << 30, Logger: slog.New(slog.DiscardHandler), Node: "gw1"})
	require.NoError(t, err)
	t.Cleanup(func() { closeStore(t, s) })

	var all [2]slow
	fa := startLeased(t, s, "a", &all[0], slog.DiscardHandler, nil)
	fb := startLeased(t, s, "b", &all[1], slog.DiscardHandler, nil)
	sent := 0
	flows := func(what string) {
		t.Helper()
		publish(t, s, car, sent, sent+100)
		sent += 100
		eventually(t, what, func() bool {
			seen := make(map[int]bool)
			for i := range all {
				for _, n := range all[i].numbers(t, car) {
					seen[n] = true
				}
			}
			return len(seen) == sent && fa.Active() != fb.Active()
		})
	}
	flows("at first")
	kv, err := s.JetStream().KeyValue(t.Context(), follow.BucketLeases)
	require.NoError(t, err)
	status, err := kv.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, jetstream.FileStorage, status.Config().Storage, "in a cluster a bucket in memory may be left without a leader")
	stop()
	eventually(t, "whoever fed it knows", func() bool { return !fa.Active() && !fb.Active() })
	run()
	flows("after the restart")
	require.NoError(t, s.JetStream().DeleteKeyValue(t.Context(), follow.BucketLeases))
	eventually(t, "a new bucket", func() bool {
		_, err := s.JetStream().KeyValue(t.Context(), follow.BucketLeases)
		return err == nil
	})
	flows("with a new bucket")
}

// leaseJS is a JetStream that shows how the lease is asked for, and whose streams cannot be asked for their configuration
// while away is set.
type leaseJS struct {
	jetstream.JetStream
	away  atomic.Bool
	tried atomic.Int64 // while away

	mu    sync.Mutex
	asked []ask
}

// ask is one request for the lease, or to renew it.
type ask struct {
	at, until time.Time
	renew     bool
}

func (js *leaseJS) asks() []ask {
	js.mu.Lock()
	defer js.mu.Unlock()
	return append([]ask(nil), js.asked...)
}

func (js *leaseJS) note(ctx context.Context, renew bool) {
	until, _ := ctx.Deadline()
	js.mu.Lock()
	js.asked = append(js.asked, ask{time.Now(), until, renew})
	js.mu.Unlock()
}

var errNoAnswer = errors.New("the stream does not answer")

func (js *leaseJS) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if js.away.Load() {
		js.tried.Add(1)
		return nil, errNoAnswer
	}
	return js.JetStream.Stream(ctx, name)
}

// ListStreams leaves out streams that do not answer, as a cluster does.
func (js *leaseJS) ListStreams(ctx context.Context, opts ...jetstream.StreamListOpt) jetstream.StreamInfoLister {
	if js.away.Load() {
		js.tried.Add(1)
		return js.JetStream.ListStreams(ctx, jetstream.WithStreamListSubject("nothing"))
	}
	return js.JetStream.ListStreams(ctx, opts...)
}

func (js *leaseJS) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	kv, err := js.JetStream.KeyValue(ctx, bucket)
	return &leaseKV{kv, js}, err
}

func (js *leaseJS) CreateOrUpdateKeyValue(ctx context.Context, c jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	kv, err := js.JetStream.CreateOrUpdateKeyValue(ctx, c)
	return &leaseKV{kv, js}, err
}

// leaseKV gives its answers late.
type leaseKV struct {
	jetstream.KeyValue
	js *leaseJS
}

const late = 50 * time.Millisecond

func (kv *leaseKV) Create(ctx context.Context, key string, value []byte, opts ...jetstream.KVCreateOpt) (uint64, error) {
	kv.js.note(ctx, false)
	defer time.Sleep(late)
	return kv.KeyValue.Create(ctx, key, value, opts...)
}

func (kv *leaseKV) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	kv.js.note(ctx, true)
	defer time.Sleep(late)
	return kv.KeyValue.Update(ctx, key, value, revision)
}

// TestLeaseCountsFromTheRequest: a lease lasts from when the server has it, so that a gateway whose answers come late
// must give up by the time at which it had asked, not by when it heard.
func TestLeaseCountsFromTheRequest(t *testing.T) {
	s := openStore(t, t.TempDir())
	js := &leaseJS{}
	startLeased(t, s, "a", &slow{}, slog.DiscardHandler, func(real jetstream.JetStream) jetstream.JetStream { js.JetStream = real; return js })
	eventually(t, "it is renewed", func() bool { return len(js.asks()) >= 4 })
	all := js.asks()
	for i := 1; i < len(all); i++ {
		if all[i].renew {
			require.False(t, all[i].until.After(all[i-1].at.Add(2*time.Second*4/5)), "request %d waits until %s after the one before", i, all[i].until.Sub(all[i-1].at))
		}
	}
}

// TestLeaseAsksForReplicas: while the store's streams do not tell how many copies they have, no bucket is made: with one
// copy it would take the lease with it when its server goes.
func TestLeaseAsksForReplicas(t *testing.T) {
	s := openStore(t, t.TempDir())
	js := &leaseJS{}
	js.away.Store(true)
	f := startLeased(t, s, "a", &slow{}, slog.DiscardHandler, func(real jetstream.JetStream) jetstream.JetStream { js.JetStream = real; return js })
	eventually(t, "it asks", func() bool { return js.tried.Load() >= 2 || f.Active() })
	_, err := s.JetStream().KeyValue(t.Context(), follow.BucketLeases)
	require.ErrorIs(t, err, jetstream.ErrBucketNotFound)
	require.False(t, f.Active())
	js.away.Store(false)
	eventually(t, "it has the lease", f.Active)
}

// TestLeaseRefusesMemory: a bucket that somebody has made in memory is not taken, and is made anew once it has gone.
func TestLeaseRefusesMemory(t *testing.T) {
	s := openStore(t, t.TempDir())
	_, err := s.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: follow.BucketLeases, Storage: jetstream.MemoryStorage})
	require.NoError(t, err)
	var log lines
	f := startLeased(t, s, "a", &slow{}, slog.NewTextHandler(&log, nil), nil)
	eventually(t, "it says so", func() bool {
		return strings.Contains(log.String(), "bucket GBT32960_SINKS: its storage is memory; delete it, and it is made again")
	})
	require.False(t, f.Active())
	require.NoError(t, s.JetStream().DeleteKeyValue(t.Context(), follow.BucketLeases))
	eventually(t, "it has the lease", f.Active)
}

// TestStandbyIsLoggedOnce, however often the other one renews its lease.
func TestStandbyIsLoggedOnce(t *testing.T) {
	s := openStore(t, t.TempDir())
	fa := startLeased(t, s, "a", &slow{}, slog.DiscardHandler, nil)
	eventually(t, "a", fa.Active)
	var log lines
	js := &leaseJS{}
	startLeased(t, s, "b", &slow{}, slog.NewTextHandler(&log, nil), func(real jetstream.JetStream) jetstream.JetStream { js.JetStream = real; return js })
	eventually(t, "b has asked again", func() bool { return len(js.asks()) >= 4 })
	require.Equal(t, 1, strings.Count(log.String(), "stands by"), log.String())
}
