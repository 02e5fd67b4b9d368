package clock

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestStatus(t *testing.T) {
	synced := status(&unix.Timex{Status: unix.STA_PLL | unix.STA_NANO, Offset: -1500, Esterror: 20, Maxerror: 7000}, unix.TIME_OK)
	require.Equal(t, Status{Known: true, Synchronized: true, Offset: -1500 * time.Nanosecond, EstimatedError: 20 * time.Microsecond,
		MaxError: 7 * time.Millisecond}, synced)

	require.Equal(t, 3*time.Microsecond, status(&unix.Timex{Offset: 3}, unix.TIME_OK).Offset, "microseconds without STA_NANO")
	require.False(t, status(&unix.Timex{Status: unix.STA_UNSYNC}, unix.TIME_OK).Synchronized)
	require.False(t, status(&unix.Timex{}, unix.TIME_ERROR).Synchronized)
	require.True(t, status(&unix.Timex{}, unix.TIME_INS).Synchronized, "a leap second to come is no fault")
}

// TestRead: this kernel tells, and asking twice is the same clock.
func TestRead(t *testing.T) {
	s := Read()
	require.True(t, s.Known)
	require.GreaterOrEqual(t, s.MaxError, time.Duration(0))
}
