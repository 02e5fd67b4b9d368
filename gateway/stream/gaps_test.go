package stream_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/gateway/stream"
)

func TestGaps(t *testing.T) {
	s := openStore(t)
	start := time.Now().Add(-time.Hour).Truncate(time.Second)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	v := vinOf(t, 1)
	var frames []codec.Frame
	realtime := func(seconds ...int) {
		for _, n := range seconds {
			frames = append(frames, report(t, v, codec.CommandRealtime, at(n), n))
		}
	}
	reissue := func(seconds ...int) {
		for _, n := range seconds {
			frames = append(frames, report(t, v, codec.CommandReissue, at(n), n))
		}
	}
	realtime(0, 30, 75, 200, 230) // 45 s is within one and a half periods; 125 s is not
	reissue(75, 105, 135, 200)    // and is filled partly: 65 s are missing; those beside its ends repeat them
	realtime(400, 430)            // 170 s filled whole
	reissue(260, 290, 320, 350, 380)
	realtime(600) // nobody knows
	reissue(430)
	logout, err := codec.AppendFrame(nil, codec.Header{Edition: codec.Edition2016, Command: codec.CommandVehicleLogout,
		Flag: codec.FlagCommand, VIN: v, Encryption: codec.EncryptionNone}, append(codec.AppendTime(nil, at(610)), 0, 1))
	require.NoError(t, err)
	frames = append(frames, logout)
	realtime(900)
	frames = append(frames, report(t, vinOf(t, 2), codec.CommandRealtime, at(5000), 1))
	put(t, s, frames, func(i int) time.Time { return start.Add(time.Duration(i) * time.Second) })

	type brief struct {
		From, To, Reissued int
		Filled             string
		Logout             bool
		Missing            []int
	}
	find := func(since, until time.Time, period time.Duration) (all []brief) {
		gaps, err := stream.Gaps(t.Context(), s.JetStream(), v, since, until, period)
		require.NoError(t, err)
		for _, g := range gaps {
			require.Equal(t, v.String(), g.VIN)
			require.Equal(t, g.Seconds, int64(g.To.Sub(g.From)/time.Second))
			b := brief{int(g.From.Sub(start).Seconds()), int(g.To.Sub(start).Seconds()), g.Reissued, g.Filled, g.Logout, nil}
			for _, m := range g.Missing {
				b.Missing = append(b.Missing, int(m.Seconds))
			}
			all = append(all, b)
		}
		return all
	}
	all := []brief{
		{75, 200, 2, "partly", false, []int{65}},
		{230, 400, 5, "yes", false, nil},
		{430, 600, 0, "no", false, nil},
		{600, 900, 0, "no", true, nil},
	}
	require.Equal(t, all, find(time.Time{}, time.Time{}, 0))
	require.Equal(t, all, find(start, time.Now(), 30*time.Second))
	require.Equal(t, all[1:3], find(at(100), at(700), 0))
	require.Equal(t, all[2:], find(at(400), time.Time{}, 100*time.Second))
	require.Empty(t, find(at(1000), time.Time{}, 0))

	gaps, err := stream.Gaps(t.Context(), s.JetStream(), v, at(400), at(700), 0)
	require.NoError(t, err)
	text, err := json.Marshal(gaps[0])
	require.NoError(t, err)
	require.JSONEq(t, `{"vin":"LTEST000000000001","from":"`+at(430).In(codec.Beijing).Format(time.RFC3339)+`","to":"`+
		at(600).In(codec.Beijing).Format(time.RFC3339)+`","seconds":170,"logout":false,"reissued":0,"filled":"no"}`, string(text))
}
