package vehicle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRTTBuckets(t *testing.T) {
	last := -1
	for d := time.Duration(0); d < 2*time.Hour; d = d*101/100 + time.Microsecond {
		b := bucketOf(d)
		require.GreaterOrEqual(t, b, last, "%v", d)
		last = b
		if v := bucketValue(b); b < len(RTT{}.buckets)-1 {
			require.InDelta(t, d.Seconds(), v.Seconds(), 0.065*d.Seconds()+1e-6, "%v is in the bucket of %v", d, v)
		}
	}
	require.Equal(t, 0, bucketOf(-time.Second))
}

func TestRTT(t *testing.T) {
	var none RTT
	require.Zero(t, none.Quantile(0.5))
	require.Equal(t, "no answers", none.String())

	var a, b RTT
	for i := 1; i <= 50; i++ {
		a.observe(time.Duration(i) * time.Millisecond)
		b.observe(time.Duration(50+i) * time.Millisecond)
	}
	a.add(&none)
	none.add(&a)
	require.Equal(t, a, none)
	a.add(&b)
	require.EqualValues(t, 100, a.Count())
	require.Equal(t, time.Millisecond, a.Min())
	require.Equal(t, 100*time.Millisecond, a.Max())
	require.InDelta(t, 0.050, a.Quantile(0.5).Seconds(), 0.004)
	require.InDelta(t, 0.099, a.Quantile(0.99).Seconds(), 0.007)
	require.Equal(t, time.Millisecond, a.Quantile(0))
	require.LessOrEqual(t, a.Quantile(1), a.Max())
}

// TestRTTString: three digits are enough for people.
func TestRTTString(t *testing.T) {
	var r RTT
	for _, d := range []time.Duration{251_034, 464_000, 1_044_107, 2_718_281_828} {
		r.observe(d)
	}
	require.Regexp(t, `^min 251µs, median \d{3}µs, 99 % 2\.72s, max 2\.72s$`, r.String())
	for d, want := range map[time.Duration]string{
		0: "0s", 251_034: "251µs", 999_400: "999µs", 999_600: "1ms", 1_044_107: "1.04ms", 12_345_678: "12.3ms", 123_456_789: "123ms",
		61_234_567_890: "1m1.2s",
	} {
		require.Equal(t, want, short(d).String())
	}
}

func TestStatsAdd(t *testing.T) {
	a := Stats{Sent: 1, Acked: 2, Refused: 3, Wrong: 4, Unanswered: 5, Interrupted: 11, Skipped: 6, Reports: 7, Requeued: 12, Retried: 13, Heartbeats: 8,
		Commands: 9, Ignored: 10}
	sum := a
	sum.Add(a)
	require.Equal(t, Stats{Sent: 2, Acked: 4, Refused: 6, Wrong: 8, Unanswered: 10, Interrupted: 22, Skipped: 12, Reports: 14, Requeued: 24,
		Retried: 26, Heartbeats: 16, Commands: 18, Ignored: 20}, sum)
	require.EqualValues(t, 3+4+5+6, a.Errors())
}
