package stream_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/sink"
	"github.com/tboxgate/tboxgate/gateway/sink/nats"
	"github.com/tboxgate/tboxgate/gateway/stream"
	"github.com/tboxgate/tboxgate/session"
)

// limit is how long a test waits for anything.
const limit = 30 * time.Second

// openStore opens an embedded store for one test.
func openStore(t testing.TB) *nats.Store {
	t.Helper()
	s, err := nats.Open(t.Context(), nats.Options{Dir: t.TempDir(), MaxBytes: 1 << 30, Node: "gw1", Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		require.NoError(t, s.Close(ctx))
	})
	return s
}

func vinOf(t testing.TB, i int) codec.VIN {
	t.Helper()
	v, err := codec.ParseVIN(fmt.Sprintf("LTEST%012d", i))
	require.NoError(t, err)
	return v
}

// report makes a realtime or reissue frame of a vehicle with one engine item, whose speed tells frames apart.
func report(t testing.TB, vin codec.VIN, c codec.Command, at time.Time, speed int) codec.Frame {
	t.Helper()
	f, err := codec.EncodeJSON(nil, fmt.Appendf(nil,
		`{"edition":2016,"command":%q,"vin":%q,"time":%q,"info":[{"type":"engine","state":1,"crankshaftSpeed":%d,"fuelConsumption":5.00}]}`,
		c.Name(codec.Edition2016), vin, at.In(codec.Beijing).Format(time.RFC3339), speed))
	require.NoError(t, err)
	return f
}

// tickets collects confirmations.
type tickets chan uint64

func (c tickets) Stored(ticket uint64) { c <- ticket }

// put stores frames through the sink, received at the times given, and waits until they are stored.
func put(t testing.TB, s *nats.Store, frames []codec.Frame, received func(i int) time.Time) {
	t.Helper()
	done := make(tickets, len(frames))
	for i, f := range frames {
		s.Sink().Publish(&sink.Record{
			VIN: f.VIN(), Command: f.Command(), Edition: f.Edition(), ReceivedAt: received(i), Session: 7,
			Remote: netip.MustParseAddrPort("192.0.2.7:40000"), Raw: true, Body: f,
		}, done, uint64(i))
	}
	for range frames {
		select {
		case <-done:
		case <-time.After(limit):
			t.Fatal("not stored")
		}
	}
}

// putBatch stores one message of the batched layout.
func putBatch(t testing.TB, s *nats.Store, vin codec.VIN, lines ...string) {
	t.Helper()
	ctx := t.Context()
	_, err := s.JetStream().CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: stream.Batches, Subjects: []string{stream.SubjectBatches + ">"}, AllowDirect: true})
	require.NoError(t, err)
	var body []byte
	for _, l := range lines {
		body = append(append(body, l...), '\n')
	}
	_, err = s.JetStream().PublishMsg(ctx, &natsgo.Msg{Subject: stream.BatchSubject(vin), Data: body})
	require.NoError(t, err)
}

// line is the JSON of a frame in a batch.
func line(f codec.Frame, received time.Time) string {
	var m codec.Message
	m.Decode(f)
	b := m.AppendJSON(nil, codec.JSONOptions{})
	return fmt.Sprintf(`%s,"receivedAt":%q,"node":"gw1","session":"%s","remote":""}`, b[:len(b)-1],
		received.UTC().Format("2006-01-02T15:04:05.000Z"), session.FormatID(9))
}

// read collects the engine speeds of what a query gives, which tell the frames apart.
func read(t testing.TB, s *nats.Store, q stream.Query) (texts []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for r, err := range stream.Read(ctx, s.JetStream(), q) {
		require.NoError(t, err)
		texts = append(texts, name(t, r))
	}
	return texts
}

func name(t testing.TB, r *stream.Record) string {
	t.Helper()
	f, err := r.AppendFrame(nil)
	require.NoError(t, err)
	var m codec.Message
	m.Decode(f)
	engine := m.Body.(*codec.Realtime).Info[0].(*codec.Engine2016)
	return fmt.Sprintf("%s/%d", r.VIN.String()[16:], engine.CrankshaftSpeed)
}

func TestRead(t *testing.T) {
	s := openStore(t)
	require.Empty(t, read(t, s, stream.Query{}), "an empty store")
	start := time.Now().Add(-time.Second).Truncate(time.Second)
	at := func(i int) time.Time { return start.Add(time.Duration(i) * 10 * time.Millisecond) }
	a, b := vinOf(t, 1), vinOf(t, 2)
	frames := []codec.Frame{
		report(t, a, codec.CommandRealtime, start, 0), report(t, b, codec.CommandRealtime, start, 10),
		report(t, a, codec.CommandReissue, start, 20), report(t, a, codec.CommandRealtime, start, 30),
	}
	put(t, s, frames, func(i int) time.Time { return at(2 * i) })
	putBatch(t, s, a, line(report(t, a, codec.CommandRealtime, start, 5), at(1)), line(report(t, a, codec.CommandRealtime, start, 15), at(3)))
	putBatch(t, s, b, line(report(t, b, codec.CommandRealtime, start, 25), at(5)))

	all := []string{"1/0", "1/5", "2/10", "1/15", "1/20", "2/25", "1/30"}
	require.Equal(t, all, read(t, s, stream.Query{}))
	for _, tt := range []struct {
		q    stream.Query
		want []string
	}{
		{stream.Query{VINs: []codec.VIN{a}}, []string{"1/0", "1/5", "1/15", "1/20", "1/30"}},
		{stream.Query{VINs: []codec.VIN{b}}, []string{"2/10", "2/25"}},
		{stream.Query{VINs: []codec.VIN{vinOf(t, 3)}}, nil},
		{stream.Query{VINs: []codec.VIN{a, b}}, all},
		{stream.Query{Commands: []string{"reissue"}}, []string{"1/20"}},
		{stream.Query{VINs: []codec.VIN{b}, Commands: []string{"reissue", "realtime"}}, []string{"2/10", "2/25"}},
		{stream.Query{Commands: []string{"vehicleLogin"}}, nil},
		{stream.Query{Since: at(2)}, all[2:]},
		{stream.Query{Until: at(2)}, all[:2]},
		{stream.Query{Since: at(2), Until: at(5)}, all[2:5]},
		{stream.Query{Since: time.Now().Add(time.Hour)}, nil},
		{stream.Query{After: map[string]uint64{stream.Frames: 2, stream.Batches: 1}}, []string{"1/20", "2/25", "1/30"}},
		{stream.Query{After: map[string]uint64{stream.Frames: 4, stream.Batches: 2}}, nil},
	} {
		require.Equal(t, tt.want, read(t, s, tt.q), "%+v", tt.q)
	}
	many := []codec.VIN{a}
	for i := range 200 { // more than one consumer's filters
		many = append(many, vinOf(t, 100+i))
	}
	require.Equal(t, []string{"1/20"}, read(t, s, stream.Query{VINs: many, Commands: []string{"reissue"}}))

	for r, err := range stream.Read(t.Context(), s.JetStream(), stream.Query{}) { // a loop that ends early leaves nothing behind
		require.NoError(t, err)
		require.Equal(t, stream.Frames, r.Stream)
		require.Equal(t, uint64(1), r.Sequence)
		break
	}
}

func TestReadGoesOnBehindDamage(t *testing.T) {
	s := openStore(t)
	a := vinOf(t, 1)
	now := time.Now()
	put(t, s, []codec.Frame{report(t, a, codec.CommandRealtime, now, 1)}, func(int) time.Time { return now })
	_, err := s.JetStream().Publish(t.Context(), stream.FrameSubject("X", "realtime"), []byte("no frame"))
	require.NoError(t, err)
	put(t, s, []codec.Frame{report(t, a, codec.CommandRealtime, now, 2)}, func(int) time.Time { return now })
	for _, follow := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		for r, err := range stream.Read(ctx, s.JetStream(), stream.Query{Follow: follow}) {
			if err != nil {
				require.ErrorContains(t, err, "stream GBT32960, message 2: stream: message on gbt32960.up.X.realtime")
				got = append(got, "damaged")
				continue
			}
			if got = append(got, name(t, r)); len(got) == 3 {
				cancel()
			}
		}
		cancel()
		require.Equal(t, []string{"1/1", "damaged", "1/2"}, got)
	}
}

func TestReadFollows(t *testing.T) {
	s := openStore(t)
	a, b := vinOf(t, 1), vinOf(t, 2)
	now := time.Now()
	at := func(int) time.Time { return now }
	put(t, s, []codec.Frame{report(t, a, codec.CommandRealtime, now, 1)}, at)
	putBatch(t, s, b, line(report(t, b, codec.CommandRealtime, now, 2), now))
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var got []string
	for r, err := range stream.Read(ctx, s.JetStream(), stream.Query{Follow: true}) {
		require.NoError(t, err)
		got = append(got, name(t, r))
		switch len(got) {
		case 2:
			put(t, s, []codec.Frame{report(t, a, codec.CommandRealtime, now, 3)}, at)
		case 3:
			putBatch(t, s, b, line(report(t, b, codec.CommandRealtime, now, 4), now))
		case 4:
			cancel()
		}
	}
	slices.Sort(got[:2])
	require.Equal(t, []string{"1/1", "2/2", "1/3", "2/4"}, got)
}

func TestReadMany(t *testing.T) {
	s := openStore(t)
	now := time.Now()
	frames := make([]codec.Frame, 5000)
	for i := range frames {
		frames[i] = report(t, vinOf(t, i%7), codec.CommandRealtime, now, i)
	}
	put(t, s, frames, func(i int) time.Time { return now.Add(time.Duration(i) * time.Millisecond) })
	got := read(t, s, stream.Query{})
	require.Len(t, got, len(frames))
	for i, text := range got {
		require.Equal(t, fmt.Sprintf("%d/%d", i%7, i), text)
	}
	require.Len(t, read(t, s, stream.Query{VINs: []codec.VIN{vinOf(t, 3)}}), 714)
}

func TestReadEndsWithItsContext(t *testing.T) {
	s := openStore(t)
	now := time.Now()
	put(t, s, []codec.Frame{report(t, vinOf(t, 1), codec.CommandRealtime, now, 1)}, func(int) time.Time { return now })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range stream.Read(ctx, s.JetStream(), stream.Query{}) {
		require.ErrorIs(t, err, context.Canceled)
	}
}
