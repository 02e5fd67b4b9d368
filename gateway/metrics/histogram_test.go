package metrics

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
)

// TestEdges: the fine buckets are in order, end at every bound of both histograms, and there is none too many.
func TestEdges(t *testing.T) {
	for k := 1; k < fine; k++ {
		require.Greater(t, edges[k].ns, edges[k-1].ns)
		require.GreaterOrEqual(t, edges[k].native, edges[k-1].native)
		require.GreaterOrEqual(t, edges[k].classic, edges[k-1].classic)
	}
	require.Equal(t, lastNative, edges[fine-1].native)
	require.Equal(t, len(bounds), edges[fine-1].classic)
	require.Equal(t, firstNative-1, edges[0].native)
}

// TestHistogramsAgreeWithTheLibrary: what we show after a million durations is what the library's own histogram shows.
func TestHistogramsAgreeWithTheLibrary(t *testing.T) {
	buckets := make([]float64, len(bounds))
	for i, b := range bounds {
		buckets[i] = b.Seconds()
	}
	theirs := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "x", Help: "x", Buckets: buckets, NativeHistogramBucketFactor: 1.1, NativeHistogramZeroThreshold: math.Exp2(-20),
	})
	var ours histogram
	count := func(d time.Duration) {
		ours.observe(d)
		theirs.Observe(d.Seconds())
	}
	for _, b := range bounds {
		count(b - 1)
		count(b)
		count(b + 1)
	}
	for _, e := range edges[:fine-1] {
		count(time.Duration(e.ns))
		count(time.Duration(e.ns + 1))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		count(time.Duration(math.Exp2(r.Float64()*41.5) + 1))
	}
	count(0)

	var sum histogram
	sum.add(&ours)
	var got, want dto.Metric
	require.NoError(t, sum.metric(prometheus.NewDesc("x", "x", nil, nil), time.Now()).Write(&got))
	require.NoError(t, theirs.Write(&want))
	g, w := got.GetHistogram(), want.GetHistogram()
	require.Equal(t, w.GetSampleCount(), g.GetSampleCount())
	require.InEpsilon(t, w.GetSampleSum(), g.GetSampleSum(), 1e-9)
	require.Equal(t, w.GetSchema(), g.GetSchema())
	require.Equal(t, w.GetZeroThreshold(), g.GetZeroThreshold())
	require.Equal(t, w.GetZeroCount(), g.GetZeroCount())
	require.Len(t, g.GetBucket(), len(w.GetBucket()))
	for i, b := range w.GetBucket() {
		require.Equal(t, b.GetUpperBound(), g.GetBucket()[i].GetUpperBound())
		require.Equal(t, b.GetCumulativeCount(), g.GetBucket()[i].GetCumulativeCount(), "le=%g", b.GetUpperBound())
	}
	require.Equal(t, spread(w), spread(g))
}

// spread gives the native buckets by index.
func spread(h *dto.Histogram) map[int32]int64 {
	out := map[int32]int64{}
	at, n, k := int32(0), int64(0), 0
	for _, s := range h.GetPositiveSpan() {
		at += s.GetOffset()
		for range s.GetLength() {
			n += h.GetPositiveDelta()[k]
			if n > 0 {
				out[at] = n
			}
			at++
			k++
		}
	}
	return out
}

func TestHistogramEnds(t *testing.T) {
	require.Equal(t, 0, bucketOf(-time.Second))
	require.Equal(t, 0, bucketOf(0))
	require.Equal(t, fine-1, bucketOf(24*time.Hour))
	require.Equal(t, fine-1, bucketOf(math.MaxInt64))
}

func BenchmarkObserve(b *testing.B) {
	var h histogram
	d := time.Duration(0)
	for b.Loop() {
		d = (d + 7919) % (3 * time.Millisecond)
		h.observe(d)
	}
}
