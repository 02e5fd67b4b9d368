package stream_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

func TestIndex(t *testing.T) {
	s := openStore(t)
	x := stream.NewIndex(s.JetStream())
	now := time.Now().Truncate(time.Second)
	a, b := vinOf(t, 1), vinOf(t, 2)
	at := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
	ask := func(want bool, f codec.Frame, why string) {
		t.Helper()
		collected, ok := f.Time()
		require.True(t, ok)
		got, err := x.Stored(t.Context(), f.VIN(), collected, stream.UnitHash(f.Unit()))
		require.NoError(t, err, why)
		require.Equal(t, want, got, why)
	}
	realtime := report(t, a, codec.CommandRealtime, at(-1), 1)
	ask(false, report(t, b, codec.CommandReissue, at(-1), 1), "an empty store")
	var frames []codec.Frame
	for i := range 600 { // more than a page
		frames = append(frames, report(t, a, codec.CommandRealtime, at(-1), 10+i))
	}
	frames = append(frames, realtime, report(t, a, codec.CommandReissue, at(-300), 2), report(t, b, codec.CommandRealtime, at(-1), 3))
	put(t, s, frames, func(int) time.Time { return now })

	ask(true, report(t, a, codec.CommandReissue, at(-1), 1), "a reissue of a realtime report")
	ask(true, report(t, a, codec.CommandReissue, at(-1), 10), "the first page")
	ask(true, report(t, a, codec.CommandReissue, at(-1), 600), "the last page")
	ask(true, realtime, "a realtime report again")
	ask(false, report(t, a, codec.CommandReissue, at(-1), 7), "the same time, other items: a split pack")
	ask(true, report(t, a, codec.CommandReissue, at(-1), 7), "which is stored now")
	ask(true, report(t, a, codec.CommandReissue, at(-300), 2), "a reissue of a reissue, older than what was known")
	ask(false, report(t, a, codec.CommandReissue, at(-1), 3), "what another vehicle sent")

	put(t, s, []codec.Frame{report(t, a, codec.CommandRealtime, at(0), 20)}, func(int) time.Time { return now })
	ask(true, report(t, a, codec.CommandReissue, at(0), 20), "stored since the last question")

	putBatch(t, s, b, line(report(t, b, codec.CommandRealtime, at(0), 30), now), line(report(t, a, codec.CommandRealtime, at(0), 31), now))
	x = stream.NewIndex(s.JetStream()) // asks again whether the layout is in use
	ask(true, report(t, b, codec.CommandReissue, at(0), 30), "stored in a batch")
	ask(false, report(t, b, codec.CommandReissue, at(0), 31), "another vehicle's in the same batch")
}

// TestIndexOfAClockThatIsAhead: the vehicle's clock is hours ahead, so its reports lie earlier in the stream than they say.
func TestIndexOfAClockThatIsAhead(t *testing.T) {
	s := openStore(t)
	a := vinOf(t, 1)
	now := time.Now().Truncate(time.Second)
	ahead := now.Add(5 * time.Hour)
	put(t, s, []codec.Frame{report(t, a, codec.CommandRealtime, ahead, 1), report(t, a, codec.CommandRealtime, ahead.Add(time.Second), 2)},
		func(int) time.Time { return now })
	x := stream.NewIndex(s.JetStream())
	got, err := x.Stored(t.Context(), a, ahead, stream.UnitHash(report(t, a, codec.CommandReissue, ahead, 1).Unit()))
	require.NoError(t, err)
	require.True(t, got)
}

// TestIndexSaysWhenTheStoreIsAway: no answer is not "no".
func TestIndexSaysWhenTheStoreIsAway(t *testing.T) {
	s := openStore(t)
	require.NoError(t, s.JetStream().DeleteStream(t.Context(), stream.Frames))
	f := report(t, vinOf(t, 1), codec.CommandReissue, time.Now(), 1)
	_, err := stream.NewIndex(s.JetStream()).Stored(t.Context(), f.VIN(), time.Now(), stream.UnitHash(f.Unit()))
	require.ErrorContains(t, err, "stream GBT32960: ")
}

func BenchmarkIndex(b *testing.B) {
	s := openStore(b)
	v := vinOf(b, 1)
	now := time.Now().Truncate(time.Second)
	var frames []codec.Frame
	for i := range 90 { // a quarter of an hour of reports
		frames = append(frames, report(b, v, codec.CommandRealtime, now.Add(time.Duration(i)*10*time.Second), i))
	}
	put(b, s, frames, func(int) time.Time { return now })
	f := report(b, v, codec.CommandReissue, now, 1)
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			_, err := stream.NewIndex(s.JetStream()).Stored(b.Context(), v, now, stream.UnitHash(f.Unit()))
			require.NoError(b, err)
		}
	})
	b.Run("next", func(b *testing.B) {
		x := stream.NewIndex(s.JetStream())
		for b.Loop() {
			_, err := x.Stored(b.Context(), v, now, stream.UnitHash(f.Unit()))
			require.NoError(b, err)
		}
	})
}

// TestIndexOfBatches: one look at a partition serves all its vehicles, whatever the payload and the layout's age.
func TestIndexOfBatches(t *testing.T) {
	s := openStore(t)
	now := time.Now().Truncate(time.Second)
	byPartition := make(map[string][]codec.VIN)
	var vehicles []codec.VIN // of one partition
	for i := 1; len(vehicles) < 3; i++ {
		v := vinOf(t, i)
		subject := stream.BatchSubject(v)
		byPartition[subject] = append(byPartition[subject], v)
		vehicles = byPartition[subject]
	}
	raw := func(f codec.Frame) string {
		return fmt.Sprintf(`{"rawBytes":%d,"vin":%q,"node":"gw1"}`+"\n%s", len(f), f.VIN(), f)
	}
	both := func(f codec.Frame) string {
		l := line(f, now)
		return fmt.Sprintf(`%s,"raw":"%x"}`, l[:len(l)-1], []byte(f))
	}
	a, b, c := vehicles[0], vehicles[1], vehicles[2]
	at := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
	x := stream.NewIndex(s.JetStream())
	ask := func(want bool, vin codec.VIN, minutes, speed int, why string) {
		t.Helper()
		got, err := x.Stored(t.Context(), vin, at(minutes), stream.UnitHash(report(t, vin, codec.CommandReissue, at(minutes), speed).Unit()))
		require.NoError(t, err, why)
		require.Equal(t, want, got, why)
	}
	putBatch(t, s, a, line(report(t, a, codec.CommandRealtime, at(0), 1), now), raw(report(t, b, codec.CommandRealtime, at(0), 2)),
		both(report(t, c, codec.CommandRealtime, at(0), 3)), line(report(t, a, codec.CommandRealtime, at(0), 4), now))
	ask(true, a, 0, 1, "JSON")
	ask(true, b, 0, 2, "raw")
	ask(true, c, 0, 3, "both")
	ask(true, a, 0, 4, "a split pack")
	ask(false, a, 0, 2, "what another vehicle sent")
	ask(false, b, 0, 1, "what another vehicle sent")
	ask(false, c, -1, 3, "another time")
	putBatch(t, s, a, line(report(t, c, codec.CommandReissue, at(-2), 5), now), "{", line(report(t, b, codec.CommandReissue, at(-2), 7), now))
	ask(true, c, -2, 5, "stored since")
	ask(false, c, -2, 5+1, "not stored")
	ask(false, b, -2, 7, "behind the damage")
	ask(false, c, -600, 8, "older than what was known")
	ask(true, c, -600, 8, "which is stored now")
	putBatch(t, s, a, raw(report(t, b, codec.CommandReissue, at(-600), 9)))
	ask(true, b, -600, 9, "old, stored since")
}
