package follow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/follow"
	"github.com/tboxgate/tboxgate/gateway/sink/nats"
	"github.com/tboxgate/tboxgate/gateway/sink/sinktest"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var allStreams = []string{nats.StreamRecords, stream.Batches, nats.StreamEvents}

// openStore opens an embedded store that the test closes at its end.
func openStore(t *testing.T, dir string) *nats.Store {
	t.Helper()
	s, err := nats.Open(t.Context(), nats.Options{Dir: dir, MaxBytes: 1 << 30, Logger: slog.New(slog.DiscardHandler), Node: "gw1"})
	require.NoError(t, err)
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func closeStore(t *testing.T, s *nats.Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), sinktest.Limit)
	defer cancel()
	require.NoError(t, s.Close(ctx))
}

// slow is a sink that stores what it is told to.
type slow struct {
	mu     sync.Mutex
	away   bool
	now    bool // stores before Publish returns
	got    []sinktest.Stored
	raw    []bool
	nodes  []string
	wait   []func()
	stored int
}

func (s *slow) take(x sinktest.Stored, raw bool, node string, to sink.Receiver, ticket uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got, s.raw, s.nodes = append(s.got, x), append(s.raw, raw), append(s.nodes, node)
	if s.now && !s.away {
		s.stored++
		return true
	}
	s.wait = append(s.wait, func() { to.Stored(ticket) })
	if !s.away {
		go s.release()
	}
	return false
}

// release tells of all that waits.
func (s *slow) release() {
	s.mu.Lock()
	all := s.wait
	s.wait = nil
	s.stored += len(all)
	s.mu.Unlock()
	for _, f := range all {
		f()
	}
}

func (s *slow) Publish(r *sink.Record, to sink.Receiver, ticket uint64) bool {
	return s.take(sinktest.Stored{VIN: r.VIN.String(), Body: append([]byte(nil), r.Body...)}, r.Raw, r.Node, to, ticket)
}

func (s *slow) PublishEvent(e *sink.Event, to sink.Receiver, ticket uint64) bool {
	return s.take(sinktest.Stored{VIN: e.VIN, Kind: e.Kind, Body: append([]byte(nil), e.Body...)}, false, "", to, ticket)
}

var errAway = errors.New("the sink is away")

func (s *slow) Healthy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
	}
	return nil
}

func (s *slow) Close(context.Context) error { return nil }

func (s *slow) setAway(away bool) {
	s.mu.Lock()
	s.away = away
	s.mu.Unlock()
	if !away {
		s.release()
	}
}

func (s *slow) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

// numbers returns the numbers of the vehicle's records, in the order in which they came.
func (s *slow) numbers(t *testing.T, vin string) []int {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []int
	for i, x := range s.got {
		if x.VIN != vin || x.Kind != "" {
			continue
		}
		f := x.Body
		if !s.raw[i] {
			var err error
			f, err = codec.EncodeJSON(nil, x.Body)
			require.NoError(t, err)
		}
		all = append(all, sinktest.Number(t, f))
	}
	return all
}

// publish stores the records from..until-1 of a vehicle in the store.
func publish(t *testing.T, s *nats.Store, vin string, from, until int) {
	t.Helper()
	var to sinktest.Receipts
	for n := from; n < until; n++ {
		s.Sink().Publish(sinktest.Record(t, vin, n), &to, uint64(n))
	}
	to.Wait(t, until-from)
}

// start starts a follower that the test closes.
func start(t *testing.T, s *nats.Store, to sink.EventSink, streams ...string) (f *follow.Follower, stop func()) {
	t.Helper()
	js, closeReader, err := s.OpenReader("test")
	require.NoError(t, err)
	f = follow.Start(follow.Options{Name: "slow", Sink: to, JetStream: js, Streams: streams, Logger: slog.New(slog.DiscardHandler)})
	var once sync.Once
	stop = func() {
		once.Do(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			defer cancel()
			f.Close(ctx)
			closeReader()
		})
	}
	t.Cleanup(stop)
	return f, stop
}

func sequence(from, until int) (all []int) {
	for n := from; n < until; n++ {
		all = append(all, n)
	}
	return all
}

const car = "LTEST000000000001"

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, sinktest.Limit, 2*time.Millisecond, what)
}

func lag(f *follow.Follower) (n uint64) {
	for _, s := range f.Stats() {
		n += s.Lag
	}
	return n
}

// TestFollows: what lies there already, what comes, events, and a position that outlives the follower.
func TestFollows(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	publish(t, s, car, 0, 300)
	s.Events().Publish(codec.MakeVIN([]byte(car)), "online", []byte(`{"a":1}`))
	for _, now := range []bool{false, true} {
		to := &slow{now: now}
		f, stop := start(t, s, to, allStreams...)
		base := 0
		if !now {
			eventually(t, "what lay there", func() bool { return to.count() == 301 })
		} else {
			base = 600
		}
		publish(t, s, car, base+300, base+600)
		if !now {
			eventually(t, "what came", func() bool { return to.count() == 601 })
			require.Equal(t, sequence(0, 600), to.numbers(t, car))
			require.Equal(t, sinktest.Stored{VIN: car, Kind: "online", Body: []byte(`{"a":1}`)}, func() sinktest.Stored {
				for _, x := range to.got {
					if x.Kind != "" {
						return x
					}
				}
				return sinktest.Stored{}
			}())
			require.Contains(t, to.nodes, "gw1")
		} else {
			eventually(t, "what came", func() bool { return to.count() == 300 })
			require.Equal(t, sequence(900, 1200), to.numbers(t, car), "and nothing of the time before")
		}
		eventually(t, "no lag", func() bool { return lag(f) == 0 })
		require.NoError(t, f.Healthy())
		stop()
	}
	// The store is opened again: the position is there.
	closeStore(t, s)
	s = openStore(t, dir)
	publish(t, s, car, 1200, 1210)
	to := &slow{}
	start(t, s, to, allStreams...)
	eventually(t, "the rest", func() bool { return to.count() == 10 })
	require.Equal(t, sequence(1200, 1210), to.numbers(t, car))
}

// TestDeadSink: the store goes on beside a sink that stores nothing, memory stays bounded, and a follower
// that dies in the middle begins where it had stored all.
func TestDeadSink(t *testing.T) {
	s := openStore(t, t.TempDir())
	to := &slow{}
	f, stop := start(t, s, to, allStreams...)
	publish(t, s, car, 0, 10)
	eventually(t, "stored", func() bool { return to.count() == 10 && lag(f) == 0 })

	to.setAway(true)
	const n = 10_000
	publish(t, s, car, 10, n)
	eventually(t, "the window fills", func() bool { return to.count() > 10 })
	eventually(t, "lag", func() bool { return lag(f) == n-10 })
	require.LessOrEqual(t, to.count(), 10+4096)
	require.ErrorIs(t, f.Healthy(), errAway)
	for _, st := range f.Stats() {
		if st.Stream == nats.StreamRecords {
			require.Positive(t, st.LagSeconds)
		}
	}
	// It dies: what it held is published again to the next one, in order.
	stop()
	again := &slow{}
	f, _ = start(t, s, again, allStreams...)
	eventually(t, "caught up", func() bool { return again.count() == n-10 })
	require.Equal(t, sequence(10, n), again.numbers(t, car))
	eventually(t, "no lag", func() bool { return lag(f) == 0 })
}

// TestSlowSinkCatchesUp without a new follower.
func TestSlowSinkCatchesUp(t *testing.T) {
	s := openStore(t, t.TempDir())
	to := &slow{away: true}
	f, _ := start(t, s, to, nats.StreamRecords)
	publish(t, s, car, 0, 9000)
	eventually(t, "the window fills", func() bool { return to.count() > 0 })
	to.setAway(false)
	eventually(t, "caught up", func() bool { return to.count() == 9000 })
	require.Equal(t, sequence(0, 9000), to.numbers(t, car))
	eventually(t, "no lag", func() bool { return lag(f) == 0 })
}

// TestBothLayouts reads batches as well, from a stream that comes later.
func TestBothLayouts(t *testing.T) {
	s := openStore(t, t.TempDir())
	to := &slow{}
	f, _ := start(t, s, to, allStreams...)
	publish(t, s, car, 0, 3)
	if _, err := s.JetStream().Stream(t.Context(), stream.Batches); err != nil {
		_, err := s.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{Name: stream.Batches, Subjects: []string{stream.SubjectBatches + ">"}})
		require.NoError(t, err)
	}
	var body []byte
	for n := 3; n < 8; n++ {
		r := sinktest.Record(t, "LTEST000000000002", n)
		body = fmt.Appendf(body, `{"rawBytes":%d,"vin":"LTEST000000000002","receivedAt":"2026-07-01T00:00:00.123Z","node":"gw7","session":"000000000000ab12","remote":"192.0.2.7:40123"}`+"\n", len(r.Body))
		body = append(append(body, r.Body...), '\n')
	}
	_, err := s.JetStream().Publish(t.Context(), stream.BatchSubject(codec.MakeVIN([]byte("LTEST000000000002"))), body)
	require.NoError(t, err)
	eventually(t, "both", func() bool { return to.count() == 8 })
	require.Equal(t, sequence(0, 3), to.numbers(t, car))
	require.Equal(t, sequence(3, 8), to.numbers(t, "LTEST000000000002"))
	require.Contains(t, to.nodes, "gw7")
	eventually(t, "no lag", func() bool { return lag(f) == 0 })
}

// TestRetentionOvertakes counts what the sink did not get, and only that.
func TestRetentionOvertakes(t *testing.T) {
	s := openStore(t, t.TempDir())
	purge := func(upTo uint64) {
		t.Helper()
		st, err := s.JetStream().Stream(t.Context(), nats.StreamRecords)
		require.NoError(t, err)
		require.NoError(t, st.Purge(t.Context(), jetstream.WithPurgeSequence(upTo)))
	}
	publish(t, s, car, 0, 100) // sequence numbers 1..100
	purge(51)                  // 1..50 went before there was a sink
	to := &slow{}
	lost := func(f *follow.Follower) uint64 { return f.Stats()[0].Lost }
	f, stop := start(t, s, to, nats.StreamRecords)
	eventually(t, "what is there", func() bool { return to.count() == 50 && lag(f) == 0 })
	require.Zero(t, lost(f))

	// Deleted one by one: not lost, for nobody was to have them.
	stop()
	publish(t, s, car, 100, 110)
	st, err := s.JetStream().Stream(t.Context(), nats.StreamRecords)
	require.NoError(t, err)
	require.NoError(t, st.DeleteMsg(t.Context(), 103))
	f, stop = start(t, s, to, nats.StreamRecords)
	eventually(t, "the others", func() bool { return to.count() == 59 && lag(f) == 0 })
	require.Zero(t, lost(f))

	// While no follower runs.
	stop()
	publish(t, s, car, 110, 120) // 111..120
	purge(116)
	f, _ = start(t, s, to, nats.StreamRecords)
	eventually(t, "the rest", func() bool { return to.count() == 64 && lag(f) == 0 })
	require.EqualValues(t, 5, lost(f))
	require.Equal(t, 115, to.numbers(t, car)[59])

	// While it waits for a dead sink.
	to.setAway(true)
	publish(t, s, car, 120, 120+9000)
	eventually(t, "the window fills", func() bool { return to.count() > 64 })
	purge(120 + 8991)
	to.setAway(false)
	eventually(t, "the end", func() bool { return lag(f) == 0 })
	numbers := to.numbers(t, car)
	require.Equal(t, 120+8999, numbers[len(numbers)-1])
	require.EqualValues(t, 5+9000-(to.count()-64), lost(f))
	require.Greater(t, lost(f), uint64(1000))
}

// TestUnreadable passes over what nobody can read.
func TestUnreadable(t *testing.T) {
	s := openStore(t, t.TempDir())
	_, err := s.JetStream().Publish(t.Context(), "gbt32960.up.x.y", []byte("no frame"))
	require.NoError(t, err)
	_, err = s.JetStream().Publish(t.Context(), "gbt32960.event.=ZZ.online", []byte("{}"))
	require.NoError(t, err)
	publish(t, s, car, 0, 1)
	to := &slow{}
	f, _ := start(t, s, to, nats.StreamRecords, nats.StreamEvents)
	eventually(t, "the good one, and the others passed over", func() bool { // a reader that has not begun has no lag
		st := f.Stats()
		return to.count() == 1 && lag(f) == 0 && st[0].Unreadable == 1 && st[1].Unreadable == 1
	})
}

// TestMessagesThatDoNotArrive: what the server has delivered and the follower never saw (here because somebody
// else fetches it, else because a connection broke) is read again, in its place.
func TestMessagesThatDoNotArrive(t *testing.T) {
	s := openStore(t, t.TempDir())
	to := &slow{}
	f, _ := start(t, s, to, nats.StreamRecords)
	publish(t, s, car, 0, 10)
	eventually(t, "the first", func() bool { return to.count() == 10 })
	thief, err := s.JetStream().Consumer(t.Context(), nats.StreamRecords, "sink-slow")
	require.NoError(t, err)
	sent, stolen := 10, 0
	for stolen < 3 {
		got, err := thief.FetchNoWait(1)
		require.NoError(t, err)
		publish(t, s, car, sent, sent+20)
		sent += 20
		batch, err := thief.Fetch(1, jetstream.FetchMaxWait(10*time.Millisecond))
		require.NoError(t, err)
		publish(t, s, car, sent, sent+20)
		sent += 20
		for range got.Messages() {
			stolen++
		}
		for range batch.Messages() {
			stolen++
		}
	}
	publish(t, s, car, sent, sent+10)
	sent += 10
	eventually(t, "all", func() bool { return to.count() >= sent && lag(f) == 0 })
	require.Equal(t, sequence(0, sent), to.numbers(t, car))
}

// TestLostRequestIsMissed: a request for messages may be lost where a node of a cluster goes or a leader changes, and the
// server's heartbeats alone show it. They come often.
func TestLostRequestIsMissed(t *testing.T) {
	s := openStore(t, t.TempDir())
	requests, err := s.JetStream().Conn().SubscribeSync("$JS.API.CONSUMER.MSG.NEXT." + nats.StreamRecords + ".sink-slow")
	require.NoError(t, err)
	start(t, s, &slow{}, nats.StreamRecords)
	msg, err := requests.NextMsg(sinktest.Limit)
	require.NoError(t, err)
	var asked struct {
		Heartbeat time.Duration `json:"idle_heartbeat"`
	}
	require.NoError(t, json.Unmarshal(msg.Data, &asked))
	require.Positive(t, asked.Heartbeat)
	require.LessOrEqual(t, asked.Heartbeat, 2*time.Second)
}

// TestLease: of two gateways on one store one feeds the sink; the other goes on where it stops, or dies.
func TestLease(t *testing.T) {
	s := openStore(t, t.TempDir())
	gateway := func(node string, to sink.EventSink) (f *follow.Follower, stop func(), kill func()) {
		js, closeReader, err := s.OpenReader(node)
		require.NoError(t, err)
		f = follow.Start(follow.Options{Name: "slow", Sink: to, JetStream: js, Streams: allStreams, Lease: node, LeaseTTL: 2 * time.Second, Logger: slog.New(slog.DiscardHandler)})
		stop = func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			f.Close(ctx)
			closeReader()
		}
		return f, stop, closeReader
	}
	sent := 0
	send := func(n int) {
		publish(t, s, car, sent, sent+n)
		sent += n
	}
	a, b, c := &slow{}, &slow{}, &slow{}
	fa, stopA, _ := gateway("a", a)
	send(100)
	eventually(t, "a", func() bool { return a.count() == 100 && lag(fa) == 0 })
	fb, stopB, killB := gateway("b", b)
	send(100)
	eventually(t, "still a", func() bool { return a.count() == 200 })
	require.True(t, fa.Active())
	require.False(t, fb.Active())
	require.NoError(t, fb.Healthy())

	stopA()
	send(100)
	eventually(t, "b", func() bool { return b.count() == 100 && lag(fb) == 0 && fb.Active() })
	require.Equal(t, sequence(200, 300), b.numbers(t, car))

	// It dies: the store does not hear of it any more, and no position is left.
	fc, stopC, _ := gateway("c", c)
	b.setAway(true)
	send(100)
	eventually(t, "b holds", func() bool { return b.count() == 200 })
	killB()
	eventually(t, "c takes over", func() bool { return fc.Active() && c.count() >= 100 && lag(fc) == 0 })
	first := c.numbers(t, car)[0] // behind what b had left word of
	require.LessOrEqual(t, first, 300)
	require.Equal(t, sequence(first, 400), c.numbers(t, car))
	eventually(t, "b knows", func() bool { return !fb.Active() })
	send(50)
	eventually(t, "c", func() bool { return c.count() == 450-first && lag(fc) == 0 })
	require.Equal(t, sequence(first, 450), c.numbers(t, car))
	stopB()
	stopC()
}

// TestMetrics shows what operators look at.
func TestMetrics(t *testing.T) {
	s := openStore(t, t.TempDir())
	to := &slow{away: true}
	f, _ := start(t, s, to, nats.StreamRecords)
	publish(t, s, car, 0, 3)
	eventually(t, "lag", func() bool { return lag(f) == 3 })
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(&follow.Collector{Followers: []*follow.Follower{f}}))
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP tboxgate_sink_active 1 while this gateway feeds the sink, 0 while another one on the same store does.
# TYPE tboxgate_sink_active gauge
tboxgate_sink_active{sink="slow"} 1
# HELP tboxgate_sink_healthy 1 while the sink stores what it is given and can be given it, else 0.
# TYPE tboxgate_sink_healthy gauge
tboxgate_sink_healthy{sink="slow"} 0
# HELP tboxgate_sink_lag_messages Messages of the stream that the sink has not stored yet.
# TYPE tboxgate_sink_lag_messages gauge
tboxgate_sink_lag_messages{sink="slow",stream="GBT32960"} 3
# HELP tboxgate_sink_lost_total Messages that the stream's retention took before the sink had them.
# TYPE tboxgate_sink_lost_total counter
tboxgate_sink_lost_total{sink="slow",stream="GBT32960"} 0
`), "tboxgate_sink_active", "tboxgate_sink_healthy", "tboxgate_sink_lag_messages", "tboxgate_sink_lost_total"))
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
}
