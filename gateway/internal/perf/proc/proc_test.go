//go:build linux

package proc

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCPUOf(t *testing.T) {
	d, err := cpuOf([]byte("42 (a b) c) S 1 42 42 0 -1 4194560 1 0 0 0 123 77 0 0 20 0 5 0 99 1 2 3\n"))
	require.NoError(t, err)
	require.Equal(t, 2*time.Second, d)
	_, err = cpuOf([]byte("42 (cut) S 1"))
	require.Error(t, err)
}

func TestRSSOf(t *testing.T) {
	kib, err := rssOf([]byte("Name:\tx\nVmRSS:\t    5120 kB\nThreads:\t1\n"))
	require.NoError(t, err)
	require.EqualValues(t, 5120, kib)
	_, err = rssOf([]byte("Name:\tx\n"))
	require.Error(t, err, "a kernel thread has none")
}

// TestThisProcess asks about the test itself: it has used some time, memory and descriptors, and one more descriptor shows.
func TestThisProcess(t *testing.T) {
	pid := os.Getpid()
	kib, err := RSS(pid)
	require.NoError(t, err)
	require.Greater(t, kib, int64(1000))

	for cpu := time.Duration(0); cpu < 10*time.Millisecond; { // the kernel's clock ticks: it is used up by asking
		cpu, err = CPU(pid)
		require.NoError(t, err)
	}

	before, err := Descriptors(pid)
	require.NoError(t, err)
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	after, err := Descriptors(pid)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.Greater(t, after, before)
}

func TestNoSuchProcess(t *testing.T) {
	_, err := CPU(-1)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = RSS(-1)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Descriptors(-1)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestStartOnOneCore(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "grep", "Cpus_allowed_list", "/proc/self/status")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, StartOn(cmd, 0))
	b := make([]byte, 100)
	n, err := out.Read(b)
	require.NoError(t, err)
	require.NoError(t, cmd.Wait())
	require.Equal(t, "Cpus_allowed_list:\t0\n", string(b[:n]))

	require.ErrorContains(t, StartOn(exec.CommandContext(t.Context(), "true"), 1000), "core 1000")
}
