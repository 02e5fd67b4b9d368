package nats

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

var batches = Batch{MaxFrames: 8, MaxDelay: 50 * time.Millisecond}

// realtime makes a whole frame of a vehicle that carries a number.
func realtime(t testing.TB, vin string, n int) codec.Frame {
	t.Helper()
	unit := append(codec.AppendTime(nil, time.Date(2026, 7, 1, 8, 0, 0, 0, codec.Beijing)), 0x80, 0, 4, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	b, err := codec.AppendFrame(nil, codec.Header{
		Edition: codec.Edition2016, Command: codec.CommandRealtime, Flag: codec.FlagCommand,
		VIN: [codec.VINSize]byte([]byte(vin)), Encryption: codec.EncryptionNone,
	}, unit)
	require.NoError(t, err)
	return b
}

// stored reads all records of the batched layout through package stream, by VIN, and how many messages
// they were in. Each must lie in the partition of its VIN.
func storedBatches(t testing.TB, s *Store) (frames map[string][]string, messages int) {
	t.Helper()
	frames = make(map[string][]string)
	all := contents(t, s, StreamBatches)
	for _, m := range all {
		records, err := stream.Parse(m.Subject(), m.Headers(), m.Data())
		require.NoError(t, err)
		for _, r := range records {
			require.Equal(t, stream.BatchSubject(r.VIN), m.Subject())
			f, err := r.AppendFrame(nil)
			require.NoError(t, err)
			frames[r.VIN.String()] = append(frames[r.VIN.String()], string(f))
			require.Equal(t, "gw1", r.Node)
			require.Equal(t, "192.0.2.7:40123", r.Remote)
		}
	}
	return frames, len(all)
}

// jsonOf is the JSON of a frame as the gateway stores it.
func jsonOf(f codec.Frame) []byte {
	var m codec.Message
	m.Decode(f)
	b := m.AppendJSON(nil, codec.JSONOptions{})
	return append(b[:len(b)-1], `,"receivedAt":"2026-07-01T00:00:00.123Z","node":"gw1","session":"000000000000ab12","remote":"192.0.2.7:40123"}`...)
}

// TestBatchesKeepEveryFrameAndTheOrderOfEachVehicle stores raw frames and JSON of many vehicles and reads
// them back: each frame once, those of one vehicle in their order, in fewer messages than frames.
func TestBatchesKeepEveryFrameAndTheOrderOfEachVehicle(t *testing.T) {
	s := openStore(t, Options{Node: "gw1", Batch: batches})
	to := new(receipts)
	const vehicles, each = 40, 100
	want := make(map[string][]string)
	for n := range each {
		for v := range vehicles {
			name := fmt.Sprintf("LTEST%012d", v)
			f := realtime(t, name, n)
			want[name] = append(want[name], string(f))
			r := record(t, "")
			r.VIN, r.Body, r.Raw = vin(t, name), f, true
			if n%3 == 0 {
				r.Body, r.Raw = jsonOf(f), false
			}
			require.False(t, s.Sink().Publish(r, to, uint64(v*each+n)))
			clear(r.Body)
		}
	}
	to.wait(t, vehicles*each)
	got, messages := storedBatches(t, s)
	require.Equal(t, want, got)
	require.Less(t, messages, vehicles*each/2)
	require.GreaterOrEqual(t, messages, vehicles*each/batches.MaxFrames)
	require.Equal(t, Stats{Stored: vehicles * each}, s.Sink().Stats())
	require.Empty(t, contents(t, s, StreamRecords))
}

// TestALoneRecordGoesAlone shows that a record waits for no others when nothing is under way: with a delay
// of an hour it would not come otherwise.
func TestALoneRecordGoesAlone(t *testing.T) {
	s := openStore(t, Options{Node: "gw1", Batch: Batch{MaxFrames: 1000, MaxDelay: time.Hour}})
	to := new(receipts)
	for i := range 5 {
		r := record(t, "")
		r.Body, r.Raw = realtime(t, "LTEST000000000001", i), true
		s.Sink().Publish(r, to, uint64(i))
		to.wait(t, i+1)
	}
	_, messages := storedBatches(t, s)
	require.Equal(t, 5, messages)
}

// TestBatchesGrowWhileTheStoreIsBusy holds the confirmations back: the first record is under way, and those
// behind it wait together; a full batch leaves, another one after the delay.
func TestBatchesGrowWhileTheStoreIsBusy(t *testing.T) {
	p, s := newSilence(t)
	p.mu.Lock()
	p.patience = time.Hour
	p.mu.Unlock()
	b := newBatcher(p, newKeyWriter(""), Batch{MaxFrames: 4, MaxDelay: time.Hour})
	p.batch = b
	sub, err := p.nc.Subscribe("gbt32960.batch.*", s.take)
	require.NoError(t, err)
	defer func() { _ = sub.Unsubscribe() }()
	to := new(receipts)
	publish := func(i int) {
		r := record(t, fmt.Sprint(i))
		b.publish(r, to, uint64(i))
	}
	received := func(want ...string) {
		t.Helper()
		require.Eventually(t, func() bool { return len(s.bodies()) >= len(want) }, limit, time.Millisecond)
		require.Equal(t, want, s.bodies())
	}
	publish(0)
	received("0\n")
	publish(1)
	publish(2)
	require.Equal(t, 3, p.snapshot().Waiting)
	publish(3)
	publish(4) // full
	received("0\n", "1\n2\n3\n4\n")
	publish(5)
	publish(6)
	require.NoError(t, p.nc.Flush())
	require.Len(t, s.received(), 2, "held while others are under way")
	require.Zero(t, to.count())
	answerAll(t, s, p)
	received("0\n", "1\n2\n3\n4\n", "5\n6\n")
	answerAll(t, s, p)
	to.wait(t, 7)

	// The delay lets a batch go although nothing is confirmed.
	p.mu.Lock()
	b.opts.MaxDelay, b.armed = time.Millisecond, false
	p.mu.Unlock()
	publish(7)
	received("0\n", "1\n2\n3\n4\n", "5\n6\n", "7\n")
	publish(8)
	received("0\n", "1\n2\n3\n4\n", "5\n6\n", "7\n", "8\n")
	answerAll(t, s, p)
	to.wait(t, 9)
	require.Equal(t, Stats{Stored: 9}, p.snapshot())
}

// TestBatchesSurviveRestartsOfTheServer restarts the server under load: everything is stored, in order but
// for repetitions.
func TestBatchesSurviveRestartsOfTheServer(t *testing.T) {
	s := openStore(t, Options{Node: "gw1", Batch: batches})
	to := new(receipts)
	const n = 3000
	want := make(map[string]bool)
	for i := range n {
		f := realtime(t, fmt.Sprintf("LTEST%012d", i%5), i)
		want[string(f)] = true
		r := record(t, "")
		r.VIN, r.Body, r.Raw = f.VIN(), f, true
		s.Sink().Publish(r, to, uint64(i))
		if i%1000 == 500 {
			require.NoError(t, (&keeper{Store: s}).restart(nil))
		}
	}
	to.wait(t, n)
	got, _ := storedBatches(t, s)
	all := make(map[string]bool)
	for _, frames := range got {
		for _, f := range frames {
			all[f] = true
		}
	}
	require.Equal(t, want, all)
}

// TestBatchesOfLargeRecords keeps messages below the limit of bytes; a record above it goes alone.
func TestBatchesOfLargeRecords(t *testing.T) {
	s := openStore(t, Options{Batch: Batch{MaxFrames: 1000, MaxDelay: time.Millisecond}})
	to := new(receipts)
	for i := range 40 {
		size := 60_000 + rand.IntN(1000)
		if i%10 == 5 {
			size = 2 << 20
		}
		r := record(t, "")
		r.Body = bytes.Repeat([]byte("x"), size)
		s.Sink().Publish(r, to, uint64(i))
	}
	to.wait(t, 40)
	records := 0
	for _, m := range contents(t, s, StreamBatches) {
		n := strings.Count(string(m.Data()), "\n")
		records += n
		if len(m.Data()) > batchBytes {
			require.Equal(t, 1, n)
		}
	}
	require.Equal(t, 40, records)
}

// TestClosingStoresWhatWaitsInABatch closes a store whose records wait in a batch that nothing would let go.
func TestClosingStoresWhatWaitsInABatch(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Options{Dir: dir, Node: "gw1", Batch: Batch{MaxFrames: 1000, MaxDelay: time.Hour}})
	to := new(receipts)
	for i := range 500 {
		r := record(t, "")
		r.Body, r.Raw = realtime(t, "LTEST000000000001", i), true
		s.Sink().Publish(r, to, uint64(i))
	}
	require.NoError(t, closeWithin(s, limit))
	to.wait(t, 500)
	s.Sink().Publish(&sink.Record{Body: []byte("late")}, to, 9999) // dropped, and not confirmed
	s = openStore(t, Options{Dir: dir, Node: "gw1", Batch: batches})
	got, _ := storedBatches(t, s)
	require.Len(t, got["LTEST000000000001"], 500)
	require.Equal(t, 500, to.count())
}

// TestTheLayoutsShareTheSpace changes the layout of a store that holds data: the streams together do not
// get more than there is.
func TestTheLayoutsShareTheSpace(t *testing.T) {
	dir := t.TempDir()
	sizes := func(s *Store) (frames, batches int64) {
		for name, n := range map[string]*int64{StreamRecords: &frames, StreamBatches: &batches} {
			st, err := s.JetStream().Stream(t.Context(), name)
			if err != nil {
				require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
				continue
			}
			*n = st.CachedInfo().Config.MaxBytes
		}
		return frames, batches
	}
	s := openStore(t, Options{Dir: dir, MaxBytes: 1 << 30})
	to := new(receipts)
	r := record(t, "")
	r.Body = make([]byte, 3<<20)
	s.Sink().Publish(r, to, 0)
	to.wait(t, 1)
	frames, batched := sizes(s)
	require.Equal(t, []int64{1 << 30, 0}, []int64{frames, batched})
	require.NoError(t, closeWithin(s, limit))

	s = openStore(t, Options{Dir: dir, MaxBytes: 1 << 30, Batch: batches})
	frames, batched = sizes(s)
	require.Equal(t, int64(1<<29), frames)
	require.InDelta(t, 1<<30-3<<20, batched, 1<<16)
	require.Len(t, contents(t, s, StreamRecords), 1)
	require.NoError(t, closeWithin(s, limit))

	s = openStore(t, Options{Dir: dir, MaxBytes: 1 << 30})
	frames, batched = sizes(s)
	require.Equal(t, []int64{1 << 30, 1 << 29}, []int64{frames, batched})
}

func TestBatchOptions(t *testing.T) {
	for _, o := range []Batch{{MaxFrames: 8}, {MaxFrames: 10_001, MaxDelay: time.Second}} {
		_, err := Open(t.Context(), quiet(t, Options{Batch: o}))
		require.ErrorContains(t, err, "batch", "%+v", o)
	}
}
