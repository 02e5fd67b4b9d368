package session

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tboxgate/tboxgate/codec"
)

func TestReport(t *testing.T) {
	login := time.Date(2026, 12, 31, 23, 59, 58, 0, codec.Beijing)
	at := func(seconds int) codec.Time { return codec.MakeTime(login.Add(time.Duration(seconds) * time.Second)) }
	for _, s := range []*Session{{LoginTime: at(0)}, {LoginAt: login}} {
		step := func(name string, c codec.Command, seconds int, hash uint64, want Novelty) {
			t.Helper()
			require.Equal(t, want, s.Report(c, at(seconds), hash), name)
		}
		step("collected before the login: an earlier session may have stored it", codec.CommandRealtime, -5, 100, Unsure)
		step("so may this one", codec.CommandRealtime, -4, 101, Unsure)
		step("the second of the login", codec.CommandRealtime, 0, 1, Unsure)
		step("the same again", codec.CommandRealtime, 0, 1, Repeat)
		step("later, over the end of a year", codec.CommandRealtime, 2, 2, Fresh)
		step("the same again", codec.CommandRealtime, 2, 2, Repeat)
		step("another frame of a split pack", codec.CommandRealtime, 2, 3, Fresh)
		step("the first again", codec.CommandRealtime, 2, 2, Repeat)
		step("the second again", codec.CommandRealtime, 2, 3, Repeat)
		step("a reissue", codec.CommandReissue, 2, 9, Unsure)
		step("the same reissue", codec.CommandReissue, 2, 9, Repeat)
		step("a reissue of what was just reported", codec.CommandReissue, 2, 3, Repeat)
		step("a later reissue", codec.CommandReissue, 3, 4, Unsure)
		step("a third part", codec.CommandRealtime, 2, 4, Fresh)
		step("a fourth part", codec.CommandRealtime, 2, 5, Fresh)
		step("more parts than are remembered", codec.CommandRealtime, 2, 6, Unsure)
		step("later", codec.CommandRealtime, 3, 7, Fresh)
		for i := range 4 {
			step("earlier", codec.CommandRealtime, 1, 20+uint64(i), Unsure)
		}
		step("forgotten meanwhile", codec.CommandRealtime, 3, 7, Unsure)
		step("later", codec.CommandRealtime, 4, 8, Fresh)
	}
	s := &Session{LoginTime: at(0)}
	first := &Session{LoginTime: at(0)}
	require.Equal(t, Unsure, first.Report(codec.CommandReissue, at(-9), 7), "the first of a session")
	require.Zero(t, testing.AllocsPerRun(10, func() { s.Report(codec.CommandRealtime, codec.Time{30, 1, 1}, 7) }))
}

func BenchmarkReport(b *testing.B) {
	s := &Session{LoginTime: codec.Time{26, 1, 1}}
	t := codec.Time{26, 1, 2}
	n := uint64(0)
	for b.Loop() {
		if n++; n&255 == 0 {
			t[4]++
		}
		t[5] = byte(n)
		s.Report(codec.CommandRealtime, t, n)
	}
}
