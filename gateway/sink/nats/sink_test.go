package nats

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
)

func TestRecordsLieInTheStreamByteForByte(t *testing.T) {
	s := openStore(t, Options{Node: "gw-1"})
	binary := make([]byte, 0, 300)
	for i := range 300 {
		binary = append(binary, byte(i))
	}
	for i, c := range []struct {
		name    string
		change  func(r *sink.Record)
		subject string
		keys    string // the line before a raw frame
	}{
		{"json", func(*sink.Record) {}, "gbt32960.up.LTEST000000000001.realtime", ""},
		{
			"json has its keys inside", func(r *sink.Record) { r.Platform, r.Duplicate = "P1", true },
			"gbt32960.up.LTEST000000000001.realtime", "",
		},
		{
			"raw, all keys", func(r *sink.Record) {
				r.Raw, r.Platform, r.Duplicate, r.Body = true, "P1", true, binary
				r.Command = codec.CommandReissue
			},
			"gbt32960.up.LTEST000000000001.reissue",
			`{"rawBytes":300,"vin":"LTEST000000000001","receivedAt":"2026-07-01T00:00:00.123Z","node":"gw-1","session":"000000000000ab12","remote":"192.0.2.7:40123","platform":"P1","duplicate":true}`,
		},
		{
			"raw, few keys", func(r *sink.Record) {
				*r = sink.Record{VIN: r.VIN, Command: codec.CommandVehicleLogin, Edition: codec.Edition2025, Raw: true, ReceivedAt: r.ReceivedAt, Body: binary}
			},
			"gbt32960.up.LTEST000000000001.vehicleLogin",
			`{"rawBytes":300,"vin":"LTEST000000000001","receivedAt":"2026-07-01T00:00:00.123Z","node":"gw-1"}`,
		},
		{"an id without a name", func(r *sink.Record) { r.Command = 0xC1 }, "gbt32960.up.LTEST000000000001.0xC1", ""},
		{
			"a name of the other edition", func(r *sink.Record) { r.Command = codec.CommandKeyExchange },
			"gbt32960.up.LTEST000000000001.0x0B", "",
		},
		{
			"2025", func(r *sink.Record) { r.Command, r.Edition = codec.CommandKeyExchange, codec.Edition2025 },
			"gbt32960.up.LTEST000000000001.keyExchange", "",
		},
		{"an odd VIN", func(r *sink.Record) { r.VIN = codec.VIN{'a', '.', ' ', '*', 0xff} }, "gbt32960.up.a=2E=20=2A=FF.realtime", ""},
		{"no VIN", func(r *sink.Record) { r.VIN = codec.VIN{} }, "gbt32960.up.=.realtime", ""},
		{"empty", func(r *sink.Record) { r.Body = nil }, "gbt32960.up.LTEST000000000001.realtime", ""},
		{"large", func(r *sink.Record) { r.Body = bytes.Repeat([]byte("ab"), 3<<20) }, "gbt32960.up.LTEST000000000001.realtime", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := record(t, fmt.Sprintf(`{"n":%d}`, i))
			c.change(r)
			want := bytes.Clone(r.Body)
			if c.keys != "" {
				want = append(append([]byte(c.keys+"\n"), want...), '\n')
			}
			to := new(receipts)
			require.False(t, s.Sink().Publish(r, to, 7))
			clear(r.Body) // the sink has copied it
			to.wait(t, 1)
			all := contents(t, s, StreamRecords)
			require.Len(t, all, i+1)
			require.Equal(t, c.subject, all[i].Subject())
			require.True(t, bytes.Equal(want, all[i].Data()), "body")
			require.Empty(t, all[i].Headers())
		})
	}
	require.NoError(t, s.Healthy())
	require.Equal(t, uint64(11), s.Sink().Stats().Stored)
}

func TestRecordsKeepTheirOrder(t *testing.T) {
	s := openStore(t, Options{})
	to := new(receipts)
	const n = 3 * windowMessages
	publishNumbered(t, s.Sink(), to, 0, n)
	to.wait(t, n)
	got, repeated := bodies(t, s, StreamRecords)
	requireOrder(t, 0, n, got)
	require.Zero(t, repeated)
	require.Equal(t, Stats{Stored: n}, s.Sink().Stats())
}

func TestCloseStoresWhatIsUnderWay(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Options{Dir: dir})
	to := new(receipts)
	publishNumbered(t, s.Sink(), to, 0, 5000)
	require.NoError(t, closeWithin(s, limit))
	to.wait(t, 5000)
	// Too late, and said so by silence.
	require.False(t, s.Sink().Publish(record(t, "late"), to, 9999))
	require.NoError(t, closeWithin(s, 0), "closing again")

	s = openStore(t, Options{Dir: dir})
	got, _ := bodies(t, s, StreamRecords)
	requireOrder(t, 0, 5000, got)
	publishNumbered(t, s.Sink(), to, 5000, 10)
	to.wait(t, 5010)
}

func TestServerRestartsUnderLoad(t *testing.T) {
	s := openStore(t, Options{})
	to := new(receipts)
	done := make(chan struct{})
	const n = 30_000
	go func() {
		defer close(done)
		for i := 0; i < n; i += 200 {
			publishNumbered(t, s.Sink(), to, i, 200)
			time.Sleep(3 * time.Millisecond)
		}
	}()
	for range 3 {
		time.Sleep(150 * time.Millisecond)
		s.server.stop()
		require.Eventually(t, func() bool { return s.Healthy() != nil }, limit, time.Millisecond)
		require.NoError(t, s.server.start())
	}
	<-done
	to.wait(t, n)
	got, repeated := bodies(t, s, StreamRecords)
	requireAll(t, n, got)
	require.Eventually(t, func() bool { return s.Healthy() == nil }, limit, time.Millisecond)
	require.Zero(t, s.Sink().Stats().Waiting)
	t.Logf("%d of %d were stored twice", repeated, n)
}

func TestConnectionBreaksUnderLoad(t *testing.T) {
	s := openStore(t, Options{})
	to := new(receipts)
	const n = 20_000
	for i := 0; i < n; i += 1000 {
		publishNumbered(t, s.Sink(), to, i, 1000)
		require.NoError(t, s.records.ForceReconnect())
	}
	to.wait(t, n)
	got, _ := bodies(t, s, StreamRecords)
	requireAll(t, n, got)
}

func TestRefusedRecordsWaitForTheRepair(t *testing.T) {
	s := openStore(t, Options{})
	ctx := t.Context()
	st, err := s.JetStream().Stream(ctx, StreamRecords)
	require.NoError(t, err)
	c := st.CachedInfo().Config
	c.Discard, c.MaxMsgs = jetstream.DiscardNew, 5 // full after five
	_, err = s.JetStream().UpdateStream(ctx, c)
	require.NoError(t, err)

	to := new(receipts)
	publishNumbered(t, s.Sink(), to, 0, 300)
	to.wait(t, 5)
	require.Eventually(t, func() bool { return s.Healthy() != nil }, limit, time.Millisecond)
	require.Eventually(t, func() bool { return s.Sink().Stats().Retried >= 3 }, limit, time.Millisecond, "some tries")
	to.wait(t, 5)
	require.Equal(t, 295, s.Sink().Stats().Waiting)
	err = s.Healthy()
	var refusal *AckError
	require.ErrorAs(t, err, &refusal)
	require.ErrorContains(t, err, "295 records wait for the store")
	require.ErrorContains(t, err, "maximum messages exceeded")

	c.Discard, c.MaxMsgs = jetstream.DiscardOld, -1
	_, err = s.JetStream().UpdateStream(ctx, c)
	require.NoError(t, err)
	to.wait(t, 300)
	require.NoError(t, s.Healthy())
	got, repeated := bodies(t, s, StreamRecords)
	requireOrder(t, 0, 300, got)
	require.Zero(t, repeated)
}

func TestDeletedStreamIsMadeAgain(t *testing.T) {
	s := openStore(t, Options{})
	to := new(receipts)
	publishNumbered(t, s.Sink(), to, 0, 10)
	to.wait(t, 10)
	require.NoError(t, s.JetStream().DeleteStream(t.Context(), StreamRecords))
	publishNumbered(t, s.Sink(), to, 10, 10)
	require.Eventually(t, func() bool { return s.Healthy() != nil }, limit, time.Millisecond)
	require.ErrorIs(t, s.Healthy(), ErrNoStream)
	to.wait(t, 20)
	got, _ := bodies(t, s, StreamRecords)
	requireOrder(t, 10, 10, got)
	require.NoError(t, s.Healthy())
}

func TestTooLargeRecordStandsAside(t *testing.T) {
	s := openStore(t, Options{})
	require.Equal(t, 8<<20-1<<10, s.Sink().MaxBody())
	to := new(receipts)
	large := record(t, strings.Repeat("x", s.Sink().MaxBody()+2048))
	s.Sink().Publish(large, to, 1000)
	publishNumbered(t, s.Sink(), to, 0, 10)
	to.wait(t, 10)
	require.ErrorIs(t, s.Healthy(), ErrTooLarge)
	require.ErrorContains(t, s.Healthy(), "1 records wait")
	err := closeWithin(s, 50*time.Millisecond)
	require.ErrorContains(t, err, "closed with 1 records not stored")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	to.wait(t, 10)
}

func TestCloseSaysWhatIsNotStored(t *testing.T) {
	s := openStore(t, Options{})
	s.server.stop()
	to := new(receipts)
	publishNumbered(t, s.Sink(), to, 0, 3)
	require.Eventually(t, func() bool { return s.Healthy() != nil }, limit, time.Millisecond)
	require.ErrorIs(t, s.Healthy(), ErrDisconnected)
	err := closeWithin(s, 50*time.Millisecond)
	require.ErrorContains(t, err, "closed with 3 records not stored")
	require.ErrorIs(t, err, ErrDisconnected)
	require.Zero(t, to.count())
}

func TestFillAllocatesNothing(t *testing.T) {
	s := openStore(t, Options{})
	r := record(t, strings.Repeat("x", 1900))
	r.VIN = codec.VIN{'a', '.', 0xff}
	m := new(message)
	s.Sink().fill(m, r)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		m.reset()
		s.Sink().fill(m, r)
	}))
}
