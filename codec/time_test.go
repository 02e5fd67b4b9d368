package codec

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTimesBothWays: every day of the century, on the wire and back, from any zone.
func TestTimesBothWays(t *testing.T) {
	zone := time.FixedZone("", -11*3600)
	for day := time.Date(2000, 1, 1, 3, 4, 5, 0, Beijing); day.Year() < 2100; day = day.AddDate(0, 0, 1) {
		b := AppendTime(nil, day.In(zone))
		require.Equal(t, []byte{byte(day.Year() - 2000), byte(day.Month()), byte(day.Day()), 3, 4, 5}, b)
		got, ok := ParseTime([6]byte(b))
		require.True(t, ok)
		require.True(t, got.Equal(day))
		require.Equal(t, day.Format(time.RFC3339), got.Format(time.RFC3339))
	}
}

func TestImpossibleTimes(t *testing.T) {
	for _, b := range [][6]byte{
		{100, 1, 1, 0, 0, 0}, {255, 255, 255, 255, 255, 255}, {0, 0, 0, 0, 0, 0}, {24, 0, 1, 0, 0, 0},
		{24, 13, 1, 0, 0, 0}, {24, 1, 0, 0, 0, 0}, {24, 1, 32, 0, 0, 0}, {23, 2, 29, 0, 0, 0},
		{24, 2, 30, 0, 0, 0}, {24, 4, 31, 0, 0, 0}, {24, 6, 31, 0, 0, 0}, {24, 9, 31, 0, 0, 0},
		{24, 11, 31, 0, 0, 0}, {24, 1, 1, 24, 0, 0}, {24, 1, 1, 0, 60, 0}, {24, 1, 1, 0, 0, 60},
	} {
		got, ok := ParseTime(b)
		require.False(t, ok, "%v", b)
		require.True(t, got.IsZero())
	}
	for _, b := range [][6]byte{{0, 1, 1, 0, 0, 0}, {24, 2, 29, 23, 59, 59}, {0, 2, 29, 0, 0, 0}, {99, 12, 31, 23, 59, 59}} {
		_, ok := ParseTime(b)
		require.True(t, ok, "%v", b)
	}
}

func TestAppendTimeOutsideTheCentury(t *testing.T) {
	require.Equal(t, []byte{0, 1, 1, 0, 0, 0}, AppendTime(nil, time.Time{}))
	require.Equal(t, []byte{99, 12, 31, 23, 59, 59}, AppendTime(nil, time.Date(2100, 1, 1, 0, 0, 0, 0, Beijing)))
	// Still 1999 in UTC, but 2000 in Beijing.
	require.Equal(t, []byte{0, 1, 1, 0, 0, 0}, AppendTime(nil, time.Date(1999, 12, 31, 16, 0, 0, 0, time.UTC)))
}
