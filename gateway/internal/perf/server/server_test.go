//go:build linux

package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tboxgate/tboxgate/gateway/internal/perf/cert"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestGateway builds the gateway, starts it with both listeners, reads its metrics, and stops it.
func TestGateway(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, Build(t.Context(), dir, "cmd/tboxgate", "gateway/internal/perf/floor"))
	files, err := cert.Write(dir)
	require.NoError(t, err)
	o := Options{
		Program: filepath.Join(dir, "tboxgate"), Dir: filepath.Join(dir, "run"), Core: 0, Sink: "discard", Payload: "raw",
		Cert: files.Cert, Key: files.Key, Env: []string{"GOGC=50"},
	}
	for range 2 { // the second time on the data of the first
		s, err := Start(t.Context(), o)
		require.NoError(t, err)
		require.Len(t, s.Vehicles, 2)
		m, err := s.Metrics(t.Context())
		require.NoError(t, err)
		require.Positive(t, m["go_goroutines"])
		require.Equal(t, 1.0, m["tboxgate_store_healthy"])
		require.Equal(t, 50.0, m["go_gc_gogc_percent"])
		require.Equal(t, 1.0, m["go_sched_gomaxprocs_threads"], "it is on one core")
		require.NoError(t, s.Stop())
	}

	t.Run("floor", func(t *testing.T) {
		s, err := StartFloor(t.Context(), filepath.Join(dir, "floor"), -1)
		require.NoError(t, err)
		require.Len(t, s.Vehicles, 1)
		require.NotZero(t, s.Vehicles[0].Port())
		require.NoError(t, s.Kill())
	})

	t.Run("dump", func(t *testing.T) {
		t.Setenv("TMPDIR", dir)
		s, err := StartFloor(t.Context(), filepath.Join(dir, "floor"), -1)
		require.NoError(t, err)
		err = s.KeepDump()
		_, file, ok := strings.Cut(err.Error(), " are in ")
		require.True(t, ok, "%v", err)
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Contains(t, string(text), "goroutine ")
	})

	t.Run("does not start", func(t *testing.T) {
		o := o
		o.Sink = "nowhere"
		_, err := Start(t.Context(), o)
		require.ErrorContains(t, err, "ended at once")
		require.ErrorContains(t, err, "nowhere")
	})
}

func TestBuildError(t *testing.T) {
	require.ErrorContains(t, Build(t.Context(), t.TempDir(), "cmd/nothing"), "cmd/nothing")
}

func TestSamples(t *testing.T) {
	m, err := samples(strings.NewReader("# HELP a b\na 1\nb{x=\"y z\"} 2.5\n\n"))
	require.NoError(t, err)
	require.Equal(t, map[string]float64{"a": 1, `b{x="y z"}`: 2.5}, m)
	_, err = samples(strings.NewReader("a b\n"))
	require.Error(t, err)
}

func TestLogTail(t *testing.T) {
	var l logTail
	for range 3 {
		n, err := l.Write(make([]byte, keepLog))
		require.NoError(t, err)
		require.Equal(t, keepLog, n)
	}
	_, err := l.Write([]byte("end\n\n"))
	require.NoError(t, err)
	require.LessOrEqual(t, len(l.String()), 2*keepLog)
	require.True(t, strings.HasSuffix(l.String(), "end"))
}
