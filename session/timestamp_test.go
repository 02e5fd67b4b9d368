package session_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

// TestTimestamp: three decimals in UTC, however many the time has, and back again.
func TestTimestamp(t *testing.T) {
	for nanoseconds, want := range map[int]string{
		0:           `"2026-01-02T03:04:05.000Z"`,
		500_000_000: `"2026-01-02T03:04:05.500Z"`,
		880_000_000: `"2026-01-02T03:04:05.880Z"`,
		389_261_594: `"2026-01-02T03:04:05.389Z"`,
		999_999_999: `"2026-01-02T03:04:05.999Z"`,
	} {
		at := session.At(time.Date(2026, 1, 2, 11, 4, 5, nanoseconds, codec.Beijing))
		text, err := json.Marshal(at)
		require.NoError(t, err)
		require.Equal(t, want, string(text))
		var again session.Timestamp
		require.NoError(t, json.Unmarshal(text, &again))
		require.Equal(t, at, again)
	}
	text, err := json.Marshal(struct {
		At session.Timestamp `json:"at,omitzero"`
	}{session.At(time.Time{})})
	require.NoError(t, err)
	require.Equal(t, "{}", string(text))
}
