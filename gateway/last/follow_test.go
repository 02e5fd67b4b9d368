package last

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMakeWayPause: under an overload that lasts the follower takes the more time the further it is behind, so that its lag
// stops growing.
func TestMakeWayPause(t *testing.T) {
	const took = 10 * time.Millisecond
	require.Equal(t, share*took, makeWayPause(took, 0))
	require.Equal(t, share*took, makeWayPause(took, shareLag))
	require.Equal(t, longestWait, makeWayPause(time.Minute, shareLag))
	require.Equal(t, share*took/2, makeWayPause(took, 2*shareLag))

	// A store that writes half as fast as the follower could read, for hours: it settles.
	var lag time.Duration
	for range 1_000_000 {
		cycle := took + makeWayPause(took, lag)
		lag = max(0, lag+cycle-2*took) // in a page of 10 ms lie 20 ms of the stream
	}
	require.Less(t, lag, share*shareLag)
	require.Greater(t, lag, shareLag)
}
