package metrics

import (
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// bounds are the upper bounds of the classic buckets: a local answer without a store takes tens of microseconds, one
// that waits for a slow disk seconds.
var bounds = [...]time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second,
}

// The native histogram has eight buckets for each doubling (schema 3): bucket i ends at 2^(i/8) seconds. What is at most
// a microsecond is its zero bucket; a duration of more than an hour, which no answer can take, is counted as one of an hour.
const (
	schema      = 3
	firstNative = -20*8 + 1 // the zero bucket ends at 2^-20 s, 954 ns
	lastNative  = 12 * 8    // 2^12 s
)

// edge is where a fine bucket ends. The fine buckets are cut at every bound of either histogram, so that one
// addition feeds both exactly.
type edge struct {
	ns      int64
	native  int // index of the native bucket that the fine bucket lies in; firstNative-1 is the zero bucket
	classic int // index of the classic one; len(bounds) is that of +Inf
}

// fine is the number of fine buckets. Three classic bounds are native ones as well: 250 ms, 500 ms and 1 s.
const fine = lastNative - firstNative + 2 + len(bounds) - 3

var edges = cutEdges()

func cutEdges() (all [fine]edge) {
	var ends []int64
	for i := firstNative - 1; i <= lastNative; i++ {
		ends = append(ends, int64(math.Exp2(float64(i)/8)*1e9))
	}
	for _, b := range bounds {
		ends = append(ends, int64(b))
	}
	slices.Sort(ends)
	ends = slices.Compact(ends)
	native, classic := firstNative-1, 0
	for k, ns := range ends {
		for ns > int64(math.Exp2(float64(native)/8)*1e9) {
			native++
		}
		for classic < len(bounds) && ns > int64(bounds[classic]) {
			classic++
		}
		all[k] = edge{ns, native, classic}
	}
	return all
}

// starts tells for the leading five bits of a duration which fine bucket the search begins at.
var starts = func() (s [64][16]uint16) {
	for size := range s {
		for lead := range s[size] {
			least := leastOf(size, lead)
			s[size][lead] = uint16(min(sortedAt(least), fine-1))
		}
	}
	return s
}()

// leastOf is the least duration of size bits whose four bits after the first are lead.
func leastOf(size, lead int) int64 {
	if size < 5 {
		return 0
	}
	return int64(16+lead) << (size - 5)
}

func sortedAt(ns int64) int {
	k, _ := slices.BinarySearchFunc(edges[:], ns, func(e edge, ns int64) int { return int(min(max(e.ns-ns, -1), 1)) })
	return k
}

// bucketOf is the fine bucket of a duration.
func bucketOf(d time.Duration) int {
	ns := uint64(max(d, 0))
	size := bits.Len64(ns)
	lead := uint64(0)
	if size >= 5 {
		lead = ns >> (size - 5) & 15
	}
	k := int(starts[size&63][lead])
	for k < fine-1 && int64(ns) > edges[k].ns {
		k++
	}
	return k
}

// histogram counts durations, for a classic and a native histogram at once.
type histogram struct {
	buckets [fine]uint64
	sum     uint64 // nanoseconds
}

func (h *histogram) observe(d time.Duration) {
	h.buckets[bucketOf(d)]++
	h.sum += uint64(max(d, 0))
}

func (h *histogram) add(o *histogram) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.sum += o.sum
}

// metric gives both histograms in seconds; since is when counting began.
func (h *histogram) metric(d *prometheus.Desc, since time.Time) prometheus.Metric {
	classic, native := map[float64]uint64{}, map[int]int64{}
	var n, zero uint64
	var upTo [len(bounds) + 1]uint64
	for k, count := range h.buckets {
		e := edges[k]
		n += count
		upTo[e.classic] = n
		switch {
		case e.native < firstNative:
			zero += count
		case count > 0:
			native[e.native] += int64(count)
		}
	}
	for i, b := range bounds {
		classic[b.Seconds()] = upTo[i]
	}
	sum := time.Duration(h.sum).Seconds()
	m, err := prometheus.NewConstNativeHistogram(d, n, sum, native, nil, zero, schema, math.Exp2(-20), since)
	if err != nil {
		return prometheus.NewInvalidMetric(d, err)
	}
	return bothHistograms{m, prometheus.MustNewConstHistogram(d, n, sum, classic)}
}

// bothHistograms is a native histogram that also has classic buckets, for servers that do not ask for native ones.
type bothHistograms struct {
	prometheus.Metric
	classic prometheus.Metric
}

// Write writes the native histogram, and the classic buckets into it.
func (b bothHistograms) Write(out *dto.Metric) error {
	var classic dto.Metric
	if err := b.classic.Write(&classic); err != nil {
		return err
	}
	if err := b.Metric.Write(out); err != nil {
		return err
	}
	out.Histogram.Bucket = classic.GetHistogram().GetBucket()
	return nil
}
