// Package sinktest holds a sink to what package sink promises. Each sink's tests call Run with a store that
// is real: a broker, a directory, a server.
package sinktest

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
)

// Limit is how long a test waits for anything.
const Limit = 60 * time.Second

// Store is where a sink under test stores.
type Store struct {
	// Open opens the sink. The suite closes it.
	Open func(t *testing.T) sink.Sink
	// Read returns what is durable now, in the order of each vehicle.
	Read func(t *testing.T) []Stored
	// Stop takes the store away and Start gives it back. Nil: it cannot be taken away.
	Stop, Start func(t *testing.T)
}

// Stored is a record or event as it was found in the store.
type Stored struct {
	VIN   string
	Frame []byte // the frame's bytes, decoded or as they stand; nil when the record is masked or an event
	Body  []byte // what lies there
	Kind  string // of an event
}

// Record makes the raw record number n of a vehicle. Number gets n back from the frame.
func Record(t testing.TB, vin string, n int) *sink.Record {
	t.Helper()
	unit := codec.AppendTime(nil, time.Date(2026, 7, 1, 8, 0, n%60, 0, codec.Beijing))
	unit = append(unit, 0x80, 0, 4)
	unit = binary.BigEndian.AppendUint32(unit, uint32(n))
	h := codec.Header{Edition: codec.Edition2016, Command: codec.CommandRealtime, Flag: codec.FlagCommand, Encryption: codec.EncryptionNone}
	copy(h.VIN[:], vin)
	f, err := codec.AppendFrame(nil, h, unit)
	require.NoError(t, err)
	return &sink.Record{
		VIN: codec.Frame(f).VIN(), Command: codec.CommandRealtime, Edition: codec.Edition2016, Raw: true, Body: f,
		ReceivedAt: time.Date(2026, 7, 1, 0, 0, 0, 123_000_000, time.UTC), Node: "gw1", Session: 0xab12,
	}
}

// Number is the n of a frame that Record made.
func Number(t testing.TB, frame []byte) int {
	t.Helper()
	_, err := codec.ParseFrame(frame)
	require.NoError(t, err)
	return int(binary.BigEndian.Uint32(frame[len(frame)-5:]))
}

// Receipts collects confirmations; it is a sink.Receiver.
type Receipts struct {
	mu  sync.Mutex
	got map[uint64]int
}

// Stored takes one.
func (r *Receipts) Stored(ticket uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.got == nil {
		r.got = make(map[uint64]int)
	}
	r.got[ticket]++
}

// Count returns how many tickets were confirmed.
func (r *Receipts) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// Tickets returns those confirmed so far.
func (r *Receipts) Tickets() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]uint64, 0, len(r.got))
	for t := range r.got {
		all = append(all, t)
	}
	return all
}

// Wait waits until n tickets are confirmed and checks that there are no more, none twice.
func (r *Receipts) Wait(t testing.TB, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return r.Count() >= n }, Limit, 2*time.Millisecond, "confirmations")
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Len(t, r.got, n)
	for ticket, times := range r.got {
		require.Equal(t, 1, times, "ticket %d", ticket)
	}
}

// vin names the i-th vehicle.
func vin(i int) string { return fmt.Sprintf("LTEST%012d", i) }

// Close closes a sink and wants everything stored.
func Close(t testing.TB, s sink.Sink) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	require.NoError(t, s.Close(ctx))
}

// Abandon ends a sink at the end of a test that may not have closed it, whatever is not stored by then.
func Abandon(t testing.TB, s sink.Sink) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		_ = s.Close(ctx)
	})
}

// Run runs the suite; newStore makes a fresh store for each of its tests.
func Run(t *testing.T, newStore func(t *testing.T) Store) {
	t.Run("each is stored once, in order", func(t *testing.T) { inOrder(t, newStore(t)) })
	t.Run("stored means durable", func(t *testing.T) { durable(t, newStore(t)) })
	t.Run("close waits", func(t *testing.T) { closeWaits(t, newStore(t)) })
	t.Run("events", func(t *testing.T) { events(t, newStore(t)) })
	t.Run("odd records", func(t *testing.T) { odd(t, newStore(t)) })
	if st := newStore(t); st.Stop != nil {
		t.Run("an outage", func(t *testing.T) { outage(t, newStore(t)) })
		t.Run("closed during an outage", func(t *testing.T) { closedAway(t, newStore(t)) })
		t.Run("opened during an outage", func(t *testing.T) { openedAway(t, newStore(t)) })
	}
}

const vehicles, each = 4, 500

// publish publishes the records from..to-1 of every vehicle, each vehicle on a goroutine of its own, with
// one record whose memory is used again, as an event loop does.
func publish(t *testing.T, s sink.Sink, to sink.Receiver, from, until int) {
	t.Helper()
	var wg sync.WaitGroup
	for v := range vehicles {
		wg.Go(func() {
			for n := from; n < until; n++ {
				r := Record(t, vin(v), n)
				ticket := uint64(v*1_000_000 + n)
				if s.Publish(r, to, ticket) {
					to.Stored(ticket)
				}
				clear(r.Body)
			}
		})
	}
	wg.Wait()
}

// numbers returns the numbers stored for each vehicle, in their order.
func numbers(t *testing.T, all []Stored) map[string][]int {
	t.Helper()
	got := map[string][]int{}
	for _, s := range all {
		if s.Frame != nil {
			got[s.VIN] = append(got[s.VIN], Number(t, s.Frame))
		}
	}
	return got
}

// requireInOrder wants 0..n-1 of every vehicle in order; with again, repetitions are passed over.
func requireInOrder(t *testing.T, all []Stored, n int, again bool) {
	t.Helper()
	got := numbers(t, all)
	for v := range vehicles {
		list := got[vin(v)]
		seen := map[int]bool{}
		next := 0
		for _, k := range list {
			if again && seen[k] {
				continue
			}
			require.False(t, seen[k], "vehicle %d: record %d twice", v, k)
			seen[k] = true
			if !again {
				require.Equal(t, next, k, "vehicle %d: order", v)
			}
			next++
		}
		require.Len(t, seen, n, "vehicle %d", v)
	}
}

func healthy(t *testing.T, s sink.Sink) {
	t.Helper()
	require.Eventually(t, func() bool { return s.Healthy() == nil }, Limit, 5*time.Millisecond)
}

func inOrder(t *testing.T, st Store) {
	s := st.Open(t)
	var to Receipts
	publish(t, s, &to, 0, each)
	to.Wait(t, vehicles*each)
	healthy(t, s)
	requireInOrder(t, st.Read(t), each, false)
	if c, ok := s.(sink.Counted); ok {
		require.Equal(t, sink.Stats{Stored: vehicles * each}, c.Stats())
	}
	Close(t, s)
	// Too late, and said so by silence.
	require.False(t, s.Publish(Record(t, vin(0), each), &to, 9_999_999))
	to.Wait(t, vehicles*each)
	Close(t, s)

	// Another life goes on where this one ended.
	s = st.Open(t)
	publish(t, s, &to, each, each+10)
	to.Wait(t, vehicles*(each+10))
	Close(t, s)
	requireInOrder(t, st.Read(t), each+10, false)
}

// durable looks into the store while it is being filled: what was confirmed before the look is there.
func durable(t *testing.T, st Store) {
	s := st.Open(t)
	var to Receipts
	var wg sync.WaitGroup
	wg.Go(func() { publish(t, s, &to, 0, each) })
	for to.Count() < vehicles*each/2 {
		confirmed := to.Tickets()
		there := map[uint64]bool{}
		for name, list := range numbers(t, st.Read(t)) {
			for v := range vehicles {
				if vin(v) == name {
					for _, n := range list {
						there[uint64(v*1_000_000+n)] = true
					}
				}
			}
		}
		for _, ticket := range confirmed {
			require.True(t, there[ticket], "record %d was confirmed and is not there", ticket)
		}
	}
	wg.Wait()
	to.Wait(t, vehicles*each)
	Close(t, s)
}

func closeWaits(t *testing.T, st Store) {
	s := st.Open(t)
	var to Receipts
	publish(t, s, &to, 0, each)
	Close(t, s)
	require.Equal(t, vehicles*each, to.Count(), "confirmed when Close returns")
	to.Wait(t, vehicles*each)
	requireInOrder(t, st.Read(t), each, false)
}

func events(t *testing.T, st Store) {
	s := st.Open(t)
	defer Close(t, s)
	e, ok := s.(sink.EventSink)
	if !ok {
		return // it has another way for them
	}
	var to Receipts
	for i, kind := range []string{"online", "command", "offline"} {
		ev := &sink.Event{VIN: vin(1), Kind: kind, Body: fmt.Appendf(nil, `{"vin":%q,"n":%d}`, vin(1), i)}
		if e.PublishEvent(ev, &to, uint64(i)) {
			to.Stored(uint64(i))
		}
		clear(ev.Body)
	}
	to.Wait(t, 3)
	all := st.Read(t)
	require.Len(t, all, 3)
	for i, kind := range []string{"online", "command", "offline"} {
		require.Equal(t, Stored{VIN: vin(1), Kind: kind, Body: all[i].Body}, all[i])
		require.JSONEq(t, fmt.Sprintf(`{"vin":%q,"n":%d}`, vin(1), i), string(all[i].Body))
	}
}

// odd publishes what topics and keys must bear: identifiers of any bytes, commands without a name, a
// masked record, the longest frame.
func odd(t *testing.T, st Store) {
	s := st.Open(t)
	defer Close(t, s)
	var to Receipts
	ticket := uint64(0)
	put := func(r *sink.Record) {
		if s.Publish(r, &to, ticket) {
			to.Stored(ticket)
		}
		ticket++
	}
	var want [][]byte
	for _, name := range []string{"", "+/#", "a b.c", "$SYS", "\xff\xfe{}\"\n"} {
		r := Record(t, name, 7)
		want = append(want, append([]byte(nil), r.Body...))
		put(r)
	}
	r := Record(t, vin(1), 1)
	unit := append(codec.AppendTime(nil, time.Date(2026, 7, 1, 8, 0, 0, 0, codec.Beijing)), make([]byte, codec.MaxUnitSize-codec.TimeSize)...)
	long, err := codec.AppendFrame(nil, codec.Header{Edition: codec.Edition2016, Command: 0xC1, Flag: codec.FlagCommand,
		VIN: r.VIN, Encryption: codec.EncryptionNone}, unit)
	require.NoError(t, err)
	r.Command, r.Body = 0xC1, long
	want = append(want, long)
	put(r)
	masked := *Record(t, vin(2), 1)
	masked.Command, masked.Raw = codec.CommandPlatformLogin, false
	masked.Body = []byte(`{"v":1,"edition":2016,"command":"platformLogin","flag":"command","vin":"` + vin(2) +
		`","encryption":"none","time":"2026-07-01T08:00:00+08:00","serial":1,"username":"u","encryptionRule":1,"masked":true,` +
		`"receivedAt":"2026-07-01T00:00:00.123Z","node":"gw1","session":"0000000000000000","remote":""}`)
	put(&masked)
	to.Wait(t, int(ticket))
	all := st.Read(t)
	require.Len(t, all, int(ticket))
	for _, w := range want {
		found := false
		for _, s := range all {
			found = found || string(s.Frame) == string(w)
		}
		require.True(t, found, "%.60x", w)
	}
	found := false
	for _, s := range all {
		found = found || s.Frame == nil && s.VIN == vin(2)
	}
	require.True(t, found, "the masked record")
}

// outage takes the store away under load and gives it back.
func outage(t *testing.T, st Store) {
	s := st.Open(t)
	var to Receipts
	publish(t, s, &to, 0, 100)
	to.Wait(t, vehicles*100)
	healthy(t, s)

	st.Stop(t)
	publish(t, s, &to, 100, each) // it does not block
	require.Eventually(t, func() bool { return s.Healthy() != nil }, Limit, 5*time.Millisecond, "unwell")
	require.Equal(t, vehicles*100, to.Count(), "confirmed without a store")

	st.Start(t)
	to.Wait(t, vehicles*each)
	healthy(t, s)
	Close(t, s)
	requireInOrder(t, st.Read(t), each, true)
}

func closedAway(t *testing.T, st Store) {
	s := st.Open(t)
	var to Receipts
	publish(t, s, &to, 0, 1)
	to.Wait(t, vehicles)
	st.Stop(t)
	publish(t, s, &to, 1, 3)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err := s.Close(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, fmt.Sprint(2*vehicles))
	told := to.Count()
	require.Equal(t, vehicles, told)
	st.Start(t)
	s = st.Open(t)
	publish(t, s, &to, 3, 4)
	to.Wait(t, 2*vehicles) // and nobody of those that were given up
	Close(t, s)
}

func openedAway(t *testing.T, st Store) {
	st.Stop(t)
	s := st.Open(t)
	require.Eventually(t, func() bool { return s.Healthy() != nil }, Limit, 5*time.Millisecond, "unwell from the start")
	var to Receipts
	publish(t, s, &to, 0, 10)
	st.Start(t)
	to.Wait(t, vehicles*10)
	healthy(t, s)
	Close(t, s)
	requireInOrder(t, st.Read(t), 10, true)
}
