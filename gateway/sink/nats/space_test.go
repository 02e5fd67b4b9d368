package nats

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSpaceOf(t *testing.T) {
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	const week = 7 * 24 * time.Hour
	for _, c := range []struct {
		name        string
		bytes, most int64
		since       time.Duration
		some        bool
		kept, left  time.Duration
	}{
		{"empty", 0, 1000, 0, false, week, week},
		{"a day for a tenth: ten days would fit", 100, 1000, 24 * time.Hour, true, week, 9 * 24 * time.Hour},
		{"a day for a half: two days fit", 500, 1000, 24 * time.Hour, true, 48 * time.Hour, 24 * time.Hour},
		{"full", 1000, 1000, 24 * time.Hour, true, 24 * time.Hour, 0},
		{"this very moment", 10, 1000, 0, true, week, week},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := spaceOf("S", c.bytes, c.most, now.Add(-c.since), week, c.some, now)
			require.Equal(t, c.kept, got.Kept)
			require.Equal(t, c.left, got.Left)
		})
	}
}

// TestOldRecordsGoFirst stores more than there is room for: the newest stay, the space says so, and it was
// warned about once.
func TestOldRecordsGoFirst(t *testing.T) {
	log := new(logBuffer)
	s := openStore(t, Options{MaxBytes: 4 << 20})
	to := new(receipts)
	body := strings.Repeat("x", 1000)
	for i := range 8000 {
		s.Sink().Publish(record(t, body), to, uint64(i))
	}
	to.wait(t, 8000)
	st, err := s.JetStream().Stream(t.Context(), StreamRecords)
	require.NoError(t, err)
	state := st.CachedInfo().State
	require.Equal(t, uint64(8000), state.LastSeq)
	require.Greater(t, state.FirstSeq, uint64(1000))
	require.LessOrEqual(t, state.Bytes, uint64(4<<20))

	w := &spaceWarnings{log: slog.New(slog.NewTextHandler(log, nil))}
	now := time.Now()
	for i := range 3 {
		s.lookAtSpace(now.Add(time.Duration(i)*time.Minute), w)
	}
	all, disk := s.Space()
	require.Len(t, all, 1)
	require.Equal(t, StreamRecords, all[0].Stream)
	require.Equal(t, int64(4<<20), all[0].MaxBytes)
	require.Greater(t, all[0].Bytes, int64(3<<20))
	require.Less(t, all[0].Kept, time.Hour)
	require.WithinDuration(t, now, all[0].Oldest, time.Minute)
	require.Positive(t, disk.Free)
	require.Equal(t, 1, strings.Count(log.String(), "the oldest records go before their time"), log.String())
	s.lookAtSpace(now.Add(2*time.Hour), w)
	require.Equal(t, 2, strings.Count(log.String(), "the oldest records go before their time"))

	w.warn("dir", nil, &Disk{Free: 9, Size: 100}, now)
	w.warn("dir", nil, &Disk{Free: 9, Size: 100}, now.Add(time.Minute))
	require.Equal(t, 1, strings.Count(log.String(), "the disk is nearly full"))
	w.warn("dir", nil, &Disk{Free: 10, Size: 100}, now.Add(9*time.Hour))
	require.Equal(t, 1, strings.Count(log.String(), "the disk is nearly full"))
}
