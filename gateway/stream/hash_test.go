package stream

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHashes holds the set to a map.
func TestHashes(t *testing.T) {
	for _, n := range []int{0, 1, minAdded, 1000, 50_000} {
		r := rand.New(rand.NewPCG(1, uint64(n)))
		var s hashes
		want := map[uint64]bool{}
		for range n {
			h := r.Uint64()
			switch r.IntN(8) {
			case 0:
				h = 0
			case 1:
				h = ^uint64(0)
			case 2:
				h %= 1000
			}
			require.Equal(t, want[h], s.has(h))
			s.add(h)
			want[h] = true
			require.True(t, s.has(h))
			require.Equal(t, len(want), s.size())
		}
		for h := range want {
			require.True(t, s.has(h))
			require.Equal(t, want[h+1], s.has(h+1))
		}
	}
}

// BenchmarkHashes fills sets as a vehicle that reports every ten seconds does in a day.
func BenchmarkHashes(b *testing.B) {
	const day = 8640
	for b.Loop() {
		var s hashes
		for i := range uint64(day) {
			s.add(i * 0x9E3779B97F4A7C15)
		}
		b.ReportMetric(8*float64(cap(s.sorted)+cap(s.added))/day, "B/hash")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/day, "ns/hash")
}
