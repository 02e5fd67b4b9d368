package nats

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimEnv); dir != "" {
		victim(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// limit is how long a test waits for anything.
const limit = 20 * time.Second

// openStore opens a store that is closed at the test's end, with whatever is not stored given up.
func openStore(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), quiet(t, o))
	require.NoError(t, err)
	t.Cleanup(func() { _ = closeWithin(s, 0) })
	return s
}

// quiet fills in what tests always want: a directory of their own, few bytes, and no log.
func quiet(t testing.TB, o Options) Options {
	if o.Dir == "" && o.URL == "" {
		o.Dir = t.TempDir()
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 1 << 30
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func closeWithin(s *Store, d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return s.Close(ctx)
}

// receipts collects confirmations.
type receipts struct {
	mu  sync.Mutex
	got map[uint64]int
}

func (r *receipts) Stored(ticket uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.got == nil {
		r.got = make(map[uint64]int)
	}
	r.got[ticket]++
}

func (r *receipts) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// wait waits until n records are confirmed, and checks that none was twice.
func (r *receipts) wait(t testing.TB, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return r.count() >= n }, limit, 2*time.Millisecond, "confirmations")
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Len(t, r.got, n)
	for ticket, times := range r.got {
		require.Equal(t, 1, times, "ticket %d", ticket)
	}
}

func vin(t testing.TB, text string) codec.VIN {
	t.Helper()
	v, err := codec.ParseVIN(text)
	require.NoError(t, err)
	return v
}

// record makes a realtime record of a test vehicle with this body.
func record(t testing.TB, body string) *sink.Record {
	return &sink.Record{
		VIN: vin(t, "LTEST000000000001"), Command: codec.CommandRealtime, Edition: codec.Edition2016,
		ReceivedAt: time.Date(2026, 7, 1, 8, 0, 0, 123_456_789, codec.Beijing),
		Session:    0xab12, Remote: netip.MustParseAddrPort("192.0.2.7:40123"),
		Body: []byte(body),
	}
}

// publishNumbered publishes records with the bodies "first" to "first+n-1", tickets alike.
func publishNumbered(t testing.TB, s *Sink, to sink.Receiver, first, n int) {
	t.Helper()
	for i := first; i < first+n; i++ {
		require.False(t, s.Publish(record(t, fmt.Sprint(i)), to, uint64(i)))
	}
}

// contents reads a whole stream.
func contents(t testing.TB, s *Store, stream string) []jetstream.Msg {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	st, err := s.JetStream().Stream(ctx, stream)
	require.NoError(t, err)
	n := int(st.CachedInfo().State.Msgs)
	if n == 0 {
		return nil
	}
	c, err := st.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	require.NoError(t, err)
	it, err := c.Messages()
	require.NoError(t, err)
	defer it.Stop()
	all := make([]jetstream.Msg, n)
	for i := range all {
		all[i], err = it.Next(jetstream.NextContext(ctx))
		require.NoError(t, err)
	}
	return all
}

// bodies returns the distinct bodies of a stream in the order of their first appearance, and how
// many messages were repetitions.
func bodies(t testing.TB, s *Store, stream string) (distinct []string, repeated int) {
	seen := make(map[string]bool)
	for _, m := range contents(t, s, stream) {
		b := string(m.Data())
		if seen[b] {
			repeated++
			continue
		}
		seen[b] = true
		distinct = append(distinct, b)
	}
	return distinct, repeated
}

// requireOrder checks that bodies are the numbers first to first+n-1 in their order. (Two texts of
// thousands of numbers say nothing.)
func requireOrder(t testing.TB, first, n int, got []string) {
	t.Helper()
	require.Len(t, got, n)
	for i, b := range got {
		if b != fmt.Sprint(first+i) {
			t.Fatalf("message %d has the body %q, want %d", i, b, first+i)
		}
	}
}

// requireAll checks that bodies are the numbers 0 to n-1 in any order.
func requireAll(t testing.TB, n int, got []string) {
	t.Helper()
	require.Len(t, got, n)
	all := make(map[string]bool, n)
	for _, b := range got {
		all[b] = true
	}
	for i := range n {
		if !all[fmt.Sprint(i)] {
			t.Fatalf("record %d is not in the stream", i)
		}
	}
}

// deadContext is over already.
func deadContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 0)
}
