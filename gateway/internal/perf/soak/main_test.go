//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tboxgate/tboxgate/gateway/internal/perf/page"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRun is a soak of a few seconds. What grows in them says nothing, so only wrong answers fail it here.
func TestRun(t *testing.T) {
	t.Chdir(filepath.Join("..", "..", "..", ".."))
	out := filepath.Join(t.TempDir(), "page.md")
	begin, end := page.Marks("soak")
	require.NoError(t, os.WriteFile(out, []byte(begin+end), 0o644))
	var log bytes.Buffer
	err := run(t.Context(), []string{"-for", "6s", "-every", "500ms", "-vehicles", "20", "-temp", t.TempDir(), "-out", out}, &log)
	if err != nil {
		require.Regexp(t, `^resident memory, KiB grew by [0-9.]+ %[^\n]*$`, err.Error(), "%s", log.String())
		return
	}
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Contains(t, string(text), "| goroutines |")
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{{"-for", "10s"}, {"-every", "1ms"}, {"-vehicles", "1"}, {"-long"}} {
		require.Error(t, run(t.Context(), args, &bytes.Buffer{}))
	}
}

// watched makes a watch of half an hour whose values are given by the time.
func watched(rss, descriptors, goroutines func(time.Duration) float64) *watch {
	w := &watch{before: sample{descriptors: 30, goroutines: 80}, after: sample{descriptors: 35, goroutines: 85}}
	for at := 10 * time.Second; at <= 30*time.Minute; at += 10 * time.Second {
		w.list = append(w.list, sample{at: at, rss: rss(at), descriptors: descriptors(at), goroutines: goroutines(at)})
	}
	return w
}

func steady(v float64) func(time.Duration) float64 { return func(time.Duration) float64 { return v } }

func TestVerdict(t *testing.T) {
	long := options{length: 30 * time.Minute}
	growing := func(at time.Duration) float64 { return 1000 * (1 + 0.01*at.Minutes()) }
	early := func(at time.Duration) float64 { return min(1000*(1+0.1*at.Minutes()), 1800) }

	require.NoError(t, watched(steady(1000), steady(200), steady(90)).verdict(long))
	require.NoError(t, watched(early, steady(200), steady(90)).verdict(long), "what grows in the first ten minutes is not counted")
	require.ErrorContains(t, watched(growing, steady(200), steady(90)).verdict(long), "resident memory, KiB grew by 16.2 %, from 1110 to 1290; 5 % are allowed")
	require.ErrorContains(t, watched(steady(1000), growing, steady(90)).verdict(long), "descriptors grew by")
	require.ErrorContains(t, watched(steady(1000), steady(200), growing).verdict(long), "goroutines grew by")

	left := watched(steady(1000), steady(200), steady(90))
	left.after.goroutines = 101
	require.ErrorContains(t, left.verdict(long), "goroutines: 80 before the first vehicle, 101 after the last")

	require.ErrorContains(t, (&watch{list: []sample{{at: time.Second}}}).verdict(long), "resident memory", "no sample is no proof")
	require.Contains(t, left.report("clients", long), "| goroutines | 90 | 90 | **+0.0 %** | ≤ 5 % | met | 90–90 | 80, 101 |")
}

func TestShortSoaksAreJudgedByHalves(t *testing.T) {
	o := options{length: time.Minute}
	w := watched(func(at time.Duration) float64 { return 1000 + at.Seconds() }, steady(200), steady(90))
	w.list = w.list[:6]
	require.NoError(t, w.verdict(o))
	g := w.growths(o.length)[0]
	require.Equal(t, 1020.0, g.first)
	require.Equal(t, 1050.0, g.last)
	require.Equal(t, 0.30, g.limit)
}

func TestNothingHappened(t *testing.T) {
	var c counts
	require.ErrorContains(t, c.verdict(), "no takeovers in the whole soak")
}
