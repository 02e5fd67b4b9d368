package main

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGCPercent: what is in use and its garbage together reach the floor, and a large heap is treated as Go does.
func TestGCPercent(t *testing.T) {
	for _, live := range []uint64{4 << 20, 20 << 20, 50 << 20, 64 << 20} {
		require.InDelta(t, heapFloor, live+live*uint64(gcPercent(live))/100, float64(live)/100+1, "%d in use", live)
	}
	require.Equal(t, usualPercent, gcPercent(heapFloor))
	require.Equal(t, usualPercent, gcPercent(2<<30))
	require.Equal(t, gcPercent(4<<20), gcPercent(0), "before the first collection nothing is known")
}

func TestKeepHeapFloor(t *testing.T) {
	percent := func() int {
		p := debug.SetGCPercent(-1)
		debug.SetGCPercent(p)
		return p
	}
	usual := percent()
	t.Setenv("GOGC", "")
	stop := keepHeapFloor()
	require.Greater(t, percent(), usual)
	stop()
	require.Equal(t, usual, percent())

	t.Setenv("GOGC", "50")
	stop = keepHeapFloor()
	require.Equal(t, usual, percent(), "GOGC is left alone")
	stop()
}
