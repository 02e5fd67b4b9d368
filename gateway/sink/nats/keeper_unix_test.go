//go:build !windows

package nats

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestNoDescriptorLeft looks at the disk when the process has no file descriptor left, as a flood of connections makes it: that says
// nothing about the disk, and the server goes on.
func TestNoDescriptorLeft(t *testing.T) {
	h := &holding{}
	s := openStore(t, Options{Dir: t.TempDir(), Holder: h})
	to := new(receipts)
	publishNumbered(t, s.Sink(), to, 0, 10)
	to.wait(t, 10)

	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	none := limit
	none.Cur = 0
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &none))
	k := keeper{Store: s}
	k.look(time.Now())
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))

	away, _ := h.state()
	require.False(t, away, "the data directory was given up")
	require.NoError(t, s.Healthy())
	publishNumbered(t, s.Sink(), to, 10, 10)
	to.wait(t, 20)
	require.Zero(t, s.Restarts())
}
