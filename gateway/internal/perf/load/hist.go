//go:build linux

package load

import "math/bits"

// histogram counts nanoseconds in sixteen steps for each power of two, so that a quantile is right to 6 %.
type histogram struct {
	buckets [64 * steps]int64
	n       int64
}

const (
	steps    = 16
	stepBits = 4
)

func (h *histogram) observe(ns int64) {
	v := uint64(max(ns, 1))
	e := bits.Len64(v) - 1
	m := 0
	if e >= stepBits {
		m = int(v>>(e-stepBits)) & (steps - 1)
	}
	h.buckets[e*steps+m]++
	h.n++
}

// quantile is in microseconds: the lower bound of the bucket in which a share p of all lies below; 0 without any.
func (h *histogram) quantile(p float64) float64 {
	want := int64(p * float64(h.n))
	var below int64
	for i, n := range h.buckets {
		below += n
		if below > want {
			e, m := i/steps, i%steps
			return float64(uint64(1)<<e) * (1 + float64(m)/steps) / 1000
		}
	}
	return 0
}
