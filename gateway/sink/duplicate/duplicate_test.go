package duplicate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/duplicate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is a sink that remembers what it was given, and confirms at once or later.
type store struct {
	mu      sync.Mutex
	got     []string
	atOnce  bool
	closed  bool
	trouble error
}

func (s *store) Publish(r *sink.Record, to sink.Receiver, ticket uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, fmt.Sprintf("%s %s %v", r.VIN, r.Body, r.Duplicate))
	if s.atOnce {
		return true
	}
	go to.Stored(ticket)
	return false
}

func (s *store) Healthy() error { return s.trouble }

func (s *store) Close(context.Context) error {
	s.closed = true
	return nil
}

// finder answers from a list, when it is let.
type finder struct {
	mu     sync.Mutex
	stored map[uint64]bool
	fail   int
	final  bool
	gate   chan struct{}
}

func (f *finder) Stored(ctx context.Context, _ codec.VIN, _ time.Time, hash uint64) (bool, error) {
	if f.gate != nil {
		select {
		case <-f.gate:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail > 0 {
		f.fail--
		return false, errors.New("away")
	}
	was := f.stored[hash]
	f.stored[hash] = true
	if f.final && !was {
		return false, fmt.Errorf("wrapped: %w", final{})
	}
	return was, nil
}

// receiver counts confirmations.
type receiver struct {
	mu  sync.Mutex
	got map[uint64]int
}

func (r *receiver) Stored(ticket uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got[ticket]++
}

func (r *receiver) wait(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.got) == n
	}, 20*time.Second, time.Millisecond)
	for ticket, times := range r.got {
		require.Equal(t, 1, times, "ticket %d", ticket)
	}
}

func record(t testing.TB, vin, body string, unsure bool, hash uint64) *sink.Record {
	v, err := codec.ParseVIN(vin)
	require.NoError(t, err)
	return &sink.Record{VIN: v, Body: []byte(body), Unsure: unsure, UnitHash: hash}
}

func TestMarker(t *testing.T) {
	for _, atOnce := range []bool{false, true} {
		s := &store{atOnce: atOnce}
		f := &finder{stored: map[uint64]bool{7: true}, gate: make(chan struct{})}
		m := duplicate.New(s, f, slog.New(slog.DiscardHandler))
		to := &receiver{got: map[uint64]int{}}
		publish := func(r *sink.Record, ticket uint64, want bool) {
			t.Helper()
			require.Equal(t, want, m.Publish(r, to, ticket))
			clear(r.Body) // the caller uses its memory again
		}
		if atOnce {
			publish(record(t, "A", `{"n":0}`, false, 0), 0, true)
			to.Stored(0)
		} else {
			publish(record(t, "A", `{"n":0}`, false, 0), 0, false)
		}
		publish(record(t, "A", `{"n":1}`, true, 7), 1, false)  // stored already
		publish(record(t, "A", `{"n":2}`, false, 0), 2, false) // waits behind it
		publish(record(t, "A", `{"n":3}`, true, 8), 3, false)  // not stored
		publish(record(t, "A", `{"n":4}`, true, 8), 4, false)  // repeats the one before
		publish(record(t, "B", `{"n":5}`, false, 0), 5, atOnce)
		if atOnce {
			to.Stored(5)
		}
		require.Equal(t, []string{`A {"n":0} false`, `B {"n":5} false`}, s.got, "others do not wait")
		close(f.gate)
		to.wait(t, 6)
		require.Equal(t, []string{
			`A {"n":1,"duplicate":true} true`, `A {"n":2} false`, `A {"n":3} false`, `A {"n":4,"duplicate":true} true`,
		}, s.got[2:])
		require.Equal(t, duplicate.Stats{Fresh: 1, Found: 2}, m.Stats())
		require.NoError(t, m.Close(t.Context()))
		require.True(t, s.closed)
	}
}

func TestMarkerWithoutAnswers(t *testing.T) {
	s, f := &store{}, &finder{stored: map[uint64]bool{7: true}, fail: 2}
	var log bytes.Buffer
	m := duplicate.New(s, f, slog.New(slog.NewTextHandler(&log, nil)))
	to := &receiver{got: map[uint64]int{}}
	m.Publish(record(t, "A", `{"n":1}`, true, 7), to, 1)
	to.wait(t, 1)
	require.Equal(t, `A {"n":1,"duplicate":true} true`, s.got[0], "asked again")
	f.fail = 100
	r := record(t, "A", `{"n":2}`, true, 7)
	r.Session = 9
	m.Publish(r, to, 2)
	to.wait(t, 2)
	require.Equal(t, `A {"n":2} false`, s.got[1], "stored all the same")
	require.Contains(t, log.String(), " vin=A session=0000000000000009 error=")
	require.Equal(t, uint64(1), m.Stats().Unchecked)
	s.trouble = errors.New("full")
	require.ErrorIs(t, m.Healthy(), s.trouble)
	require.NoError(t, m.Close(t.Context()))
}

// TestMarkerAsksOnce: an answer that says it cannot be better is not asked for again, and is no mark.
func TestMarkerAsksOnce(t *testing.T) {
	s, f := &store{}, &finder{stored: map[uint64]bool{}, final: true}
	m := duplicate.New(s, f, slog.New(slog.DiscardHandler))
	to := &receiver{got: map[uint64]int{}}
	m.Publish(record(t, "A", `{"n":1}`, true, 7), to, 1)
	to.wait(t, 1)
	require.Equal(t, []string{`A {"n":1} false`}, s.got)
	require.Equal(t, duplicate.Stats{Unchecked: 1}, m.Stats())
	require.NoError(t, m.Close(t.Context()))
}

// final is an error as stream.ErrUnchecked is one.
type final struct{}

func (final) Error() string   { return "too much" }
func (final) Temporary() bool { return false }

// TestMarkerCloses: what waits for an answer that does not come is given up when the time is over, unconfirmed.
func TestMarkerCloses(t *testing.T) {
	s, f := &store{}, &finder{gate: make(chan struct{})}
	m := duplicate.New(s, f, slog.New(slog.DiscardHandler))
	to := &receiver{got: map[uint64]int{}}
	m.Publish(record(t, "A", `{"n":1}`, true, 7), to, 1)
	m.Publish(record(t, "B", `{"n":2}`, true, 7), to, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, m.Close(ctx), "records of 2 vehicles still waited")
	require.Empty(t, s.got)
	require.Empty(t, to.got)
}

// TestManyVehicles: the order of each vehicle's records holds, whoever asks.
func TestManyVehicles(t *testing.T) {
	s, f := &store{}, &finder{stored: map[uint64]bool{}}
	m := duplicate.New(s, f, slog.New(slog.DiscardHandler))
	to := &receiver{got: map[uint64]int{}}
	const vehicles, each = 50, 100
	for n := range each {
		for v := range vehicles {
			m.Publish(record(t, fmt.Sprintf("V%d", v), fmt.Sprintf(`{"n":%d}`, n), n%3 == 0, uint64(n)<<32|uint64(v)), to, uint64(n*vehicles+v))
		}
	}
	to.wait(t, vehicles*each)
	seen := map[string]int{}
	for _, text := range s.got {
		var vin, mark string
		var n int
		_, err := fmt.Sscanf(text, "%s {\"n\":%d} %s", &vin, &n, &mark)
		require.NoError(t, err)
		require.Equal(t, seen[vin], n, vin)
		seen[vin]++
	}
	require.NoError(t, m.Close(t.Context()))
}

func BenchmarkPublishFresh(b *testing.B) {
	m := duplicate.New(nowhere{}, &finder{}, slog.New(slog.DiscardHandler))
	r := record(b, "A", "{}", false, 0)
	b.ReportAllocs()
	for b.Loop() {
		m.Publish(r, nil, 1)
	}
	require.NoError(b, m.Close(b.Context()))
}

// nowhere stores at once.
type nowhere struct{}

func (nowhere) Publish(*sink.Record, sink.Receiver, uint64) bool { return true }
func (nowhere) Healthy() error                                   { return nil }
func (nowhere) Close(context.Context) error                      { return nil }
