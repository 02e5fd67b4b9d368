package gateway

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
	"github.com/tboxgate/tboxgate/session"
)

// recallFrame is a realtime report of 334 bytes whose seconds the caller may set.
func recallFrame(t testing.TB) codec.Frame {
	t.Helper()
	unit := append([]byte{26, 11, 23, 10, 30, 15}, make([]byte, 303)...)
	f, err := codec.AppendFrame(nil, codec.Header{Edition: codec.Edition2016, Command: codec.CommandRealtime, Flag: codec.FlagCommand,
		VIN: [codec.VINSize]byte([]byte("LTEST000000000001")), Encryption: codec.EncryptionNone}, unit)
	require.NoError(t, err)
	return f
}

func TestRecall(t *testing.T) {
	l := &loop{}
	f := recallFrame(t)
	s := &session.Session{LoginTime: codec.Time{26, 11, 23, 10, 0, 0}}
	for _, want := range []session.Novelty{session.Fresh, session.Repeat, session.Repeat} {
		l.recall(s, f)
		require.Equal(t, want, l.novelty)
	}
	f[len(f)-2]++ // other data at the same time
	l.recall(s, f)
	require.Equal(t, session.Fresh, l.novelty)
	l.recall(nil, f)
	require.Equal(t, session.Unsure, l.novelty, "nobody knows a platform's word")
	require.Zero(t, testing.AllocsPerRun(100, func() { l.recall(s, f) }))
}

func BenchmarkRecall(b *testing.B) {
	l, f := &loop{}, recallFrame(b)
	s := &session.Session{LoginTime: codec.Time{26, 11, 23, 10, 0, 0}}
	b.ReportAllocs()
	for b.Loop() {
		f[29]++ // mostly newer
		l.recall(s, f)
	}
}
