package nats

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

func TestStreamsAndBuckets(t *testing.T) {
	s := openStore(t, Options{MaxBytes: 2 << 30, MaxAge: time.Hour})
	ctx := t.Context()
	for name, want := range map[string]jetstream.StreamConfig{
		StreamRecords: {Subjects: []string{"gbt32960.up.>"}, MaxAge: time.Hour, MaxBytes: 2 << 30},
		StreamEvents:  {Subjects: []string{"gbt32960.event.>"}, MaxAge: 7 * 24 * time.Hour, MaxBytes: (2 << 30) / 10},
		StreamMQTT:    {Subjects: []string{"gbt32960.mqtt.>"}, MaxAge: time.Hour, MaxBytes: (2 << 30) / 10},
	} {
		st, err := s.JetStream().Stream(ctx, name)
		require.NoError(t, err)
		got := st.CachedInfo().Config
		require.Equal(t, want.Subjects, got.Subjects)
		require.Equal(t, want.MaxAge, got.MaxAge)
		require.Equal(t, want.MaxBytes, got.MaxBytes)
		require.Equal(t, jetstream.DiscardOld, got.Discard)
		require.Equal(t, jetstream.FileStorage, got.Storage)
		require.Equal(t, jetstream.LimitsPolicy, got.Retention)
	}
	for name, ttl := range map[string]time.Duration{
		BucketDevices: 0, BucketPlatforms: 0, BucketKeys: 0, BucketLast: 0, BucketMQTT: 0, BucketCommands: 7 * 24 * time.Hour,
	} {
		require.NotNil(t, s.KV(name), name)
		kv, err := s.JetStream().KeyValue(ctx, name)
		require.NoError(t, err)
		status, err := kv.Status(ctx)
		require.NoError(t, err)
		require.Equal(t, ttl, status.TTL(), name)
		require.Equal(t, int64(1), status.History(), name)
	}
}

// TestSharedBuckets: what gateways have to tell each other is kept where there can be several.
func TestSharedBuckets(t *testing.T) {
	require.Nil(t, openStore(t, Options{}).KV(BucketNonces))
	s := openStore(t, Options{URL: externalServer(t).ClientURL()})
	kv, err := s.JetStream().KeyValue(t.Context(), BucketNonces)
	require.NoError(t, err)
	status, err := kv.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, noncesAge, status.TTL())

	require.NoError(t, s.JetStream().DeleteKeyValue(t.Context(), BucketNonces))
	require.Error(t, s.KV(BucketNonces).Create(t.Context(), "a", nil))
	require.Eventually(t, func() bool { return s.KV(BucketNonces).Create(t.Context(), "a", nil) == nil }, limit, 10*time.Millisecond, "it is made again")
}

func TestReopenUpdatesTheLimits(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Options{Dir: dir})
	to := new(receipts)
	publishNumbered(t, s.Sink(), to, 0, 10)
	to.wait(t, 10)
	// What an operator added stays.
	st, err := s.JetStream().Stream(t.Context(), StreamRecords)
	require.NoError(t, err)
	c := st.CachedInfo().Config
	c.Compression = jetstream.S2Compression
	_, err = s.JetStream().UpdateStream(t.Context(), c)
	require.NoError(t, err)
	// An age of the wrong length is put right.
	_, err = s.JetStream().UpdateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: BucketCommands, TTL: time.Minute, Description: "mine"})
	require.NoError(t, err)
	require.NoError(t, closeWithin(s, limit))

	s = openStore(t, Options{Dir: dir, MaxAge: time.Minute, MaxBytes: 1 << 28})
	st, err = s.JetStream().Stream(t.Context(), StreamRecords)
	require.NoError(t, err)
	c = st.CachedInfo().Config
	require.Equal(t, time.Minute, c.MaxAge)
	require.Equal(t, int64(1<<28), c.MaxBytes)
	require.Equal(t, jetstream.S2Compression, c.Compression)
	kv, err := s.JetStream().KeyValue(t.Context(), BucketCommands)
	require.NoError(t, err)
	status, err := kv.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, 7*24*time.Hour, status.TTL())
	require.Equal(t, "mine", status.Config().Description)
	got, _ := bodies(t, s, StreamRecords)
	requireOrder(t, 0, 10, got)
}

func TestRetentionDropsTheOldest(t *testing.T) {
	s := openStore(t, Options{MaxBytes: 1 << 20})
	to := new(receipts)
	r := record(t, strings.Repeat("x", 100_000))
	for i := range 30 {
		s.Sink().Publish(r, to, uint64(i))
	}
	to.wait(t, 30)
	st, err := s.JetStream().Stream(t.Context(), StreamRecords)
	require.NoError(t, err)
	state := st.CachedInfo().State
	require.Equal(t, uint64(30), state.LastSeq)
	require.Greater(t, state.FirstSeq, uint64(15))
	require.LessOrEqual(t, state.Bytes, uint64(1<<20))
}

func TestAffordable(t *testing.T) {
	dir := t.TempDir()
	got, err := affordable(filepath.Join(dir, "not", "yet", "there"))
	require.NoError(t, err)
	require.Positive(t, got)
	require.LessOrEqual(t, got, int64(DefaultMaxBytes))

	_, err = affordable(filepath.Join(dir, "bad\x00name"))
	require.Error(t, err)
}

func TestListenServesNATSClients(t *testing.T) {
	log := new(logBuffer)
	s := openStore(t, Options{Listen: "127.0.0.1:0", User: "reader", Password: "secret", Logger: slog.New(slog.NewTextHandler(log, nil))})
	require.NotEmpty(t, s.Addr())
	require.NotContains(t, log.String(), "nkeys", "advice about a configuration file that nobody has")
	_, err := natsgo.Connect("nats://" + s.Addr())
	require.ErrorIs(t, err, natsgo.ErrAuthorization)
	nc, err := natsgo.Connect("nats://reader:secret@" + s.Addr())
	require.NoError(t, err)
	defer nc.Close()
	sub, err := nc.SubscribeSync(SubjectRecords + ">")
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	to := new(receipts)
	publishNumbered(t, s.Sink(), to, 1, 1)
	m, err := sub.NextMsg(limit)
	require.NoError(t, err)
	require.Equal(t, "1", string(m.Data))
	to.wait(t, 1)
}

// TestClientsOnlyRead: whoever comes by the listen address reads the streams and the buckets without secrets, and changes nothing.
func TestClientsOnlyRead(t *testing.T) {
	for name, o := range map[string]Options{"anonymous": {Listen: "127.0.0.1:0"}, "named": {Listen: "127.0.0.1:0", User: "app", Password: "secret"}} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, o)
			to := new(receipts)
			publishNumbered(t, s.Sink(), to, 1, 5)
			to.wait(t, 5)
			ctx := t.Context()
			require.NoError(t, s.KV(BucketKeys).Put(ctx, "k", []byte("sealed")))
			require.NoError(t, s.KV(BucketDevices).Put(ctx, "d", []byte("device")))

			nc, err := natsgo.Connect("nats://"+s.Addr(), natsgo.UserInfo(o.User, o.Password), natsgo.ErrorHandler(func(*natsgo.Conn, *natsgo.Subscription, error) {}))
			require.NoError(t, err)
			defer nc.Close()
			js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(300*time.Millisecond)) // what is forbidden is not answered
			require.NoError(t, err)

			stream, err := js.Stream(ctx, StreamRecords)
			require.NoError(t, err)
			ordered, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
			require.NoError(t, err)
			for i := range 5 {
				m, err := ordered.Next()
				require.NoError(t, err)
				require.Equal(t, strconv.Itoa(i+1), string(m.Data()))
			}
			durable, err := stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{Durable: "app", AckPolicy: jetstream.AckExplicitPolicy})
			require.NoError(t, err)
			m, err := durable.Next()
			require.NoError(t, err)
			require.NoError(t, m.DoubleAck(ctx))
			devices, err := js.KeyValue(ctx, BucketDevices)
			require.NoError(t, err)
			e, err := devices.Get(ctx, "d")
			require.NoError(t, err)
			require.Equal(t, "device", string(e.Value()))

			_, err = js.Publish(ctx, SubjectRecords+"x.realtime", []byte("forged"))
			require.Error(t, err)
			require.Error(t, stream.Purge(ctx))
			require.Error(t, js.DeleteStream(ctx, StreamRecords))
			_, err = devices.Put(ctx, "d", []byte("forged"))
			require.Error(t, err)
			_, err = js.KeyValue(ctx, BucketKeys)
			require.Error(t, err)
			info, err := s.JetStream().Stream(ctx, StreamRecords)
			require.NoError(t, err)
			require.EqualValues(t, 5, info.CachedInfo().State.Msgs)
		})
	}
}

func TestExternalServer(t *testing.T) {
	other := openStore(t, Options{Listen: "127.0.0.1:0"})
	require.NoError(t, other.JetStream().DeleteStream(t.Context(), StreamRecords))
	s := openStore(t, Options{URL: "nats://" + other.Addr(), User: gatewayUser, Password: other.server.password, Node: "b"})
	require.Empty(t, s.Addr())
	to := new(receipts)
	publishNumbered(t, s.Sink(), to, 0, 1000)
	to.wait(t, 1000)
	got, _ := bodies(t, other, StreamRecords)
	requireOrder(t, 0, 1000, got)
	require.NoError(t, s.KV(BucketKeys).Put(t.Context(), "a", []byte("1")))
	v, err := other.KV(BucketKeys).Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "1", string(v))
	st, err := s.JetStream().Stream(t.Context(), StreamRecords)
	require.NoError(t, err)
	require.Equal(t, int64(1<<30), st.CachedInfo().Config.MaxBytes)

	// The server goes away and comes back on the same port under load.
	host, port, err := net.SplitHostPort(other.Addr())
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", host)
	other.server.opts.Port, err = net.LookupPort("tcp", port)
	require.NoError(t, err)
	publishNumbered(t, s.Sink(), to, 1000, 1000)
	other.server.stop()
	publishNumbered(t, s.Sink(), to, 2000, 1000)
	require.Eventually(t, func() bool { return s.Healthy() != nil }, limit, time.Millisecond)
	require.NoError(t, other.server.start())
	to.wait(t, 3000)
	got, _ = bodies(t, s, StreamRecords)
	requireAll(t, 3000, got)
	require.NoError(t, s.Healthy())
}

func TestOpenErrorsAreOneClearLine(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer busy.Close()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	gone := busy.Addr().String()

	for _, c := range []struct {
		name string
		o    Options
		want string
		kind error
	}{
		{"no directory", Options{}, "nats: the embedded server needs a data directory", nil},
		{"no credentials", Options{Dir: t.TempDir(), Listen: "0.0.0.0:0"}, "nats: listen address 0.0.0.0:0: a NATS listen address that is not loopback needs a user and a password", ErrCredentials},
		{"all addresses", Options{Dir: t.TempDir(), Listen: ":0", User: "u"}, "needs a user and a password", ErrCredentials},
		{"a name", Options{Dir: t.TempDir(), Listen: "example.org:0"}, "needs a user and a password", ErrCredentials},
		{"bad address", Options{Dir: t.TempDir(), Listen: "4222"}, `nats: listen address "4222"`, nil},
		{"bad port", Options{Dir: t.TempDir(), Listen: "localhost:x"}, "the port is not a number from 0 to 65535", nil},
		{"port in use", Options{Dir: t.TempDir(), Listen: gone}, "address already in use", nil},
		{"a file in the way", Options{Dir: file}, "not a directory", nil},
		{"replicas", Options{Dir: t.TempDir(), Replicas: 3}, "need an external cluster", nil},
		{"too many replicas", Options{URL: "nats://127.0.0.1:1", Replicas: 7}, "1 to 5 copies", nil},
		{"both", Options{URL: "nats://127.0.0.1:1", Listen: "127.0.0.1:0"}, "give one of them", nil},
		{"nobody there", Options{URL: "nats://u:secret@127.0.0.1:1"}, "nats: nats://127.0.0.1:1 cannot be reached", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.Logger = slog.New(slog.DiscardHandler)
			_, err := Open(t.Context(), c.o)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "\n")
			require.NotContains(t, err.Error(), "secret")
			if c.kind != nil {
				require.ErrorIs(t, err, c.kind)
			}
		})
	}
}

func TestOpenNeedsAServerThatTakesAFrame(t *testing.T) {
	other, err := newEmbedded(quietOptions(t, Options{Listen: "127.0.0.1:0"}))
	require.NoError(t, err)
	other.opts.MaxPayload = 100_000
	require.NoError(t, other.start())
	defer other.stop()
	_, err = Open(t.Context(), quiet(t, Options{URL: "nats://" + other.addr()}))
	require.ErrorContains(t, err, "max_payload is 100000 bytes, frames need at least 524288")
}

// TestOpenRefusesAStreamItCannotRead: an empty registry in the place of one that cannot be read would refuse the fleet.
func TestOpenRefusesAStreamItCannotRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gw[1") // a path, and no pattern
	s := openStore(t, Options{Dir: dir})
	require.NoError(t, s.KV(BucketDevices).Put(t.Context(), "a", []byte("1")))
	require.NoError(t, closeWithin(s, limit))

	at := filepath.Join(dir, "jetstream", "$G", "streams", "KV_"+BucketDevices)
	sum := filepath.Join(at, server.JetStreamMetaFileSum)
	good, err := os.ReadFile(sum)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(sum, []byte("0000000000000000"), 0o600))
	_, err = Open(t.Context(), quiet(t, Options{Dir: dir}))
	var unreadable *UnreadableError
	require.ErrorAs(t, err, &unreadable)
	require.Equal(t, at, unreadable.Dir)
	require.NotContains(t, err.Error(), "\n")

	require.NoError(t, os.WriteFile(sum, good, 0o600))
	s = openStore(t, Options{Dir: dir})
	v, err := s.KV(BucketDevices).Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "1", string(v))
}

func quietOptions(t *testing.T, o Options) Options {
	o = quiet(t, o)
	require.NoError(t, o.complete())
	return o
}

func TestOpenEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Open(ctx, quiet(t, Options{}))
	require.ErrorIs(t, err, context.Canceled)
}

func TestSyncAlwaysStores(t *testing.T) {
	s := openStore(t, Options{SyncAlways: true})
	to := new(receipts)
	publishNumbered(t, s.Sink(), to, 0, 50)
	to.wait(t, 50)
	require.NoError(t, s.Healthy())
}

func TestServerLogPassesOnlyWhatMatters(t *testing.T) {
	log := new(logBuffer)
	l := newServerLog(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	l.Noticef("notice")
	l.Debugf("debug")
	l.Tracef("trace")
	l.Warnf("Plaintext passwords detected, use nkeys or bcrypt")
	require.Empty(t, log.String())
	l.Warnf("%s", "careful")
	l.Errorf("no %s", "disk")
	require.Contains(t, log.String(), `level=WARN msg="nats-server: careful"`)
	require.Contains(t, log.String(), `level=ERROR msg="nats-server: no disk"`)
	require.NoError(t, l.fatal())
	l.Fatalf("first")
	l.Fatalf("second")
	require.EqualError(t, l.fatal(), "first")
}

// TestOpenRefusesStreamsThatDoNotKeep finds streams and buckets of an external server on which an answer
// would not mean stored.
func TestOpenRefusesStreamsThatDoNotKeep(t *testing.T) {
	srv := externalServer(t)
	nc, err := natsgo.Connect(srv.ClientURL())
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	for why, c := range map[string]jetstream.StreamConfig{
		"its storage is memory":        {Storage: jetstream.MemoryStorage},
		"it confirms nothing (no_ack)": {NoAck: true},
		"confirms before it writes":    {PersistMode: jetstream.AsyncPersistMode},
		"its retention is interest":    {Retention: jetstream.InterestPolicy},
		"its retention is workqueue":   {Retention: jetstream.WorkQueuePolicy},
		"it is sealed":                 {Sealed: true},
	} {
		c.Name, c.Subjects = StreamRecords, []string{SubjectRecords + ">"}
		sealed := c.Sealed
		c.Sealed = false
		require.Eventually(t, func() bool { // the files of the one before may still be going
			_, err = js.CreateStream(t.Context(), c)
			return err == nil
		}, limit, 10*time.Millisecond, why)
		if c.Sealed = sealed; sealed {
			_, err = js.UpdateStream(t.Context(), c)
			require.NoError(t, err)
		}
		_, err = Open(t.Context(), quiet(t, Options{URL: srv.ClientURL()}))
		require.ErrorIs(t, err, ErrNotKept)
		require.ErrorContains(t, err, "nats: stream GBT32960: the stream does not keep what it confirms: ")
		require.ErrorContains(t, err, why)
		require.NoError(t, js.DeleteStream(t.Context(), StreamRecords))
	}
	_, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: BucketDevices, Storage: jetstream.MemoryStorage})
	require.NoError(t, err)
	_, err = Open(t.Context(), quiet(t, Options{URL: srv.ClientURL()}))
	require.ErrorIs(t, err, ErrNotKept)
}
