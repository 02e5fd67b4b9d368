package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

// TestUnixOf: every day of the century, as the library's calendar has it.
func TestUnixOf(t *testing.T) {
	for day := time.Date(2000, 1, 1, 3, 4, 5, 0, codec.Beijing); day.Year() < 2100; day = day.AddDate(0, 0, 1) {
		require.Equal(t, day.Unix(), unixOf(codec.MakeTime(day)), day)
	}
}

func TestClocked(t *testing.T) {
	s := &Session{}
	_, ok := s.ClockOff()
	require.False(t, ok, "before the first report")
	require.Nil(t, s.Info().ClockOff)

	at := time.Date(2026, 3, 1, 12, 0, 0, 700e6, time.UTC)
	for _, want := range []time.Duration{0, 90 * time.Second, -3 * time.Hour, 40 * 365 * 24 * time.Hour} {
		s.Clocked(codec.MakeTime(at.Add(want)), at)
		off, ok := s.ClockOff()
		require.True(t, ok)
		require.Equal(t, min(want, maxClockOff*time.Second), off)
	}
	s.Clocked(codec.MakeTime(at.Add(-time.Minute)), at)
	s.Clocked(codec.Time{26, 2, 30, 0, 0, 0}, at) // 30 February says nothing
	require.EqualValues(t, -60, *s.Info().ClockOff)
}

func BenchmarkClocked(b *testing.B) {
	s := &Session{}
	at := time.Now()
	collected := codec.MakeTime(at)
	for b.Loop() {
		s.Clocked(collected, at)
	}
}
